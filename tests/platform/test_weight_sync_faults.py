"""A weight sync that fails ends, with the cause, at both ends: the shim `weight_sync_timeout` under fault injection."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("verl")]

ENDS = Path(__file__).with_name("sync_ends.py")


@pytest.fixture(scope="module")
def transfer() -> Any:
    """verl's module with both ends, corrected."""
    from innovator_rl.platform import require_loaded

    require_loaded()
    from verl.workers.rollout.vllm_rollout import bucketed_weight_transfer

    return bucketed_weight_transfer


@pytest.fixture
def handle(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s.sock"


@pytest.fixture
def other_end(handle: str) -> Iterator[Callable[[str], subprocess.Popen]]:
    started: list[subprocess.Popen] = []

    def start(end: str) -> subprocess.Popen:
        started.append(subprocess.Popen([sys.executable, str(ENDS), end, handle], stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def weights() -> dict[str, Any]:
    import torch

    return {f"w{n}": torch.full((131072,), float(n)) for n in range(4)}


def send(transfer: Any, handle: str) -> None:
    sender = transfer.BucketedWeightSender(handle, bucket_size_mb=1, use_shm=True)
    asyncio.run(sender.async_send_weights(iter(weights().items())))


def receive(transfer: Any, handle: str, on_bucket: Callable[[Any, bool], None]) -> Future:
    """Start the receiving end and tell the sender's shim about it, as verl's `ServerAdapter` does."""
    import torch

    from innovator_rl.platform.shims.weight_sync_timeout import watch_receiver

    receiver = transfer.BucketedWeightReceiver(handle, torch.device("cpu"), use_shm=True)
    call = ThreadPoolExecutor(1).submit(receiver.receive_weights, on_bucket)
    watch_receiver(handle, call)
    return call


def test_a_slow_receiver_is_waited_for(transfer: Any, handle: str) -> None:
    received: dict[str, float] = {}

    def load_slowly(bucket: Any, is_last: bool) -> None:
        time.sleep(2)
        received.update((name, tensor.mean().item()) for name, tensor in bucket)

    call = receive(transfer, handle, load_slowly)
    send(transfer, handle)
    call.result(timeout=10)

    assert received == {"w0": 0.0, "w1": 1.0, "w2": 2.0, "w3": 3.0}


def test_the_receivers_exception_is_raised_in_the_sender(transfer: Any, handle: str) -> None:
    from innovator_rl.platform.shims.weight_sync_timeout import WeightSyncError

    def load(bucket: Any, is_last: bool) -> None:
        raise KeyError("no parameter named w0")

    call = receive(transfer, handle, load)
    with pytest.raises(WeightSyncError, match="no parameter named w0") as raised:
        send(transfer, handle)

    assert call.done(), "the sender raised because the receiver had failed"
    assert isinstance(raised.value.__cause__, KeyError)
    assert isinstance(call.exception(), KeyError), "verl's clean-up would have made it a BufferError"


def test_a_killed_receiver_ends_the_sender(
    transfer: Any, handle: str, other_end: Callable[[str], subprocess.Popen]
) -> None:
    from innovator_rl.platform.shims import weight_sync_timeout as shim
    from innovator_rl.platform.shims.weight_sync_timeout import WeightSyncError

    process = other_end("receive")
    with pytest.raises(WeightSyncError, match="closed its end"):
        send(transfer, handle)

    assert process.wait(timeout=shim.GRACE_SECONDS) != 0, "the sender raised because the receiver had been killed"


def test_a_killed_sender_ends_the_receiver(
    transfer: Any, handle: str, other_end: Callable[[str], subprocess.Popen]
) -> None:
    process = other_end("send")
    call = receive(transfer, handle, lambda bucket, is_last: None)
    process.wait(timeout=120)

    error = call.exception(timeout=120)  # a wait without end is what this bounds, not the speed of the machine
    assert "the training actor closed its end" in str(error)


def test_a_receiver_that_never_comes_is_not_waited_for_without_end(
    transfer: Any, handle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNOVATOR_SYNC_CONNECT_SECONDS", "1")
    with pytest.raises(RuntimeError, match="INNOVATOR_SYNC_CONNECT_SECONDS"):
        send(transfer, handle)


def test_a_failed_ray_call_is_seen(transfer: Any, handle: str) -> None:
    """verl's receiver is a Ray call; its failure must be visible while the event loop is blocked in the wait."""
    import ray

    from innovator_rl.platform.shims import weight_sync_timeout as shim

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:

        @ray.remote(max_retries=0)
        def collective_rpc() -> None:
            raise KeyError("no parameter named w0")

        shim.watch_receiver(handle, collective_rpc.remote())

        async def send_in_a_loop() -> None:
            sender = transfer.BucketedWeightSender(handle, bucket_size_mb=1, use_shm=True)
            await sender.async_send_weights(iter(weights().items()))

        with pytest.raises(shim.WeightSyncError, match="no parameter named w0"):
            asyncio.run(send_in_a_loop())
    finally:
        ray.shutdown()


def test_stock_verl_waits_forever(tmp_path: Path) -> None:
    """Control. If this fails, verl notices a failed receiver itself: delete the shim."""
    program = """
import asyncio, sys, threading, torch
import innovator_rl.platform.cpu  # the platform, and none of the shims but the name of vLLM's distribution
import innovator_rl.platform.shims.vllm_distribution_name as name
name.apply()
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver, BucketedWeightSender
handle = sys.argv[1]
def fail(bucket, is_last):
    raise KeyError("no parameter named w0")
sender = BucketedWeightSender(handle, bucket_size_mb=1, use_shm=True)
sending = threading.Thread(target=lambda: asyncio.run(sender.async_send_weights(iter([("w0", torch.ones(8))]))), daemon=True)
sending.start()
try:
    BucketedWeightReceiver(handle, torch.device("cpu"), use_shm=True).receive_weights(fail)
except Exception as error:
    print("RECEIVER", type(error).__name__)
sending.join(timeout=10)
print("SENDER", "waits" if sending.is_alive() else "ended", flush=True)
import os; os._exit(0)
"""
    environment = {**os.environ, "VERL_USE_EXTERNAL_PLUGINS": "none", "VERL_PLATFORM": "cpu"}
    command = [sys.executable, "-c", program, f"ipc://{tmp_path}/s.sock"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)

    assert "SENDER waits" in done.stdout, done.stderr[-2000:]
    assert "RECEIVER BufferError" in done.stdout, "verl now reports the cause: delete `_release`"
