"""One end of a weight sync as a process of its own, so that it can be killed in the middle.

python tests/platform/sync_ends.py receive|send ZMQ_HANDLE
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import torch


def weights(count: int = 4) -> dict[str, torch.Tensor]:
    """Four tensors of half a MiB: two buckets of 1 MiB."""
    return {f"w{n}": torch.full((131072,), float(n)) for n in range(count)}


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_weights() -> Iterator[tuple[str, torch.Tensor]]:
    """Enough for one bucket, then the process is killed."""
    yield from list(weights().items())[:3]
    die()


def main() -> None:
    import verl  # noqa: F401
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver, BucketedWeightSender

    end, handle = sys.argv[1:]
    if end == "receive":
        BucketedWeightReceiver(handle, torch.device("cpu"), use_shm=True).receive_weights(die)
    else:
        sender = BucketedWeightSender(handle, bucket_size_mb=1, use_shm=True)
        asyncio.run(sender.async_send_weights(dying_weights()))


if __name__ == "__main__":
    main()
