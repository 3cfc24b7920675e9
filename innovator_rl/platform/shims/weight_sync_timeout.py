"""End a failed weight sync with an error, where verl waits forever.

verl's actor starts the receiver in the rollout engine as a call it does not wait for, then sends buckets and waits for
each acknowledgment in ZeroMQ, without a time limit. If the engine raises or dies, no acknowledgment comes; the call's
exception remains unread in its future. If the actor dies, the engine waits likewise. Three things are added, on every
platform:

- The waits are polls. Between two polls of the socket they check whether the other end has left (ZeroMQ reports a closed
  or killed peer at once) and, in the actor, whether the receiver's call has failed.
- The actor raises with the receiver's exception as cause. A slow sync of a large model is never interrupted.
- The receiver reports the exception of loading the weights. verl's own clean-up fails while that exception is being
  raised, because the exception still refers to views of the shared memory being closed, and the resulting `BufferError`
  would hide the cause.

`INNOVATOR_SYNC_CONNECT_SECONDS` (600) limits how long one end waits for the other to appear at all.
"""

import functools
import os
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from innovator_rl.errors import EngineError
from innovator_rl.platform.import_hooks import after_import
from innovator_rl.platform.shims.base import Shim, require_parameters

NAME = "weight_sync_timeout"
POLL_MILLISECONDS = 500
GRACE_SECONDS = 15.0
"""How long the actor waits, after the receiver has left, for the receiver's call to report why."""


class WeightSyncError(EngineError):
    """New weights did not reach the rollout engine."""


class WatchedSocket:
    """The part of a ZeroMQ socket that verl uses, with waits that end on a failure.

    A wait ends when the other end has failed or left.
    """

    def __init__(
        self, socket: Any, peer: str, failure: Callable[[], BaseException | None] = lambda: None, grace: float = 0.0
    ) -> None:
        import zmq

        self._socket = socket
        self._peer = peer
        self._failure = failure
        self._grace = grace
        self._met = False
        self._left_at: float | None = None
        self._monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)

    def send(self, data: bytes) -> None:
        """Send a message without waiting for the other end."""
        self._socket.send(data)

    def send_pyobj(self, thing: Any) -> None:
        """Send an object once the other end is connected."""
        import zmq

        self._wait(zmq.POLLOUT)  # a REQ socket that nobody has connected to blocks in `send`
        self._socket.send_pyobj(thing)

    def recv(self) -> bytes:
        """Wait for a message and return it."""
        self._wait_for_message()
        return self._socket.recv()

    def recv_pyobj(self) -> Any:
        """Wait for an object and return it."""
        self._wait_for_message()
        return self._socket.recv_pyobj()

    def close(self) -> None:
        """Close the socket and its monitor."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()

    def _wait_for_message(self) -> None:
        import zmq

        self._wait(zmq.POLLIN)

    def _wait(self, event: int) -> None:
        started = time.monotonic()
        while not self._socket.poll(POLL_MILLISECONDS, event):
            cause = self._failure()
            if cause is not None:
                raise WeightSyncError(f"{self._peer} failed during the weight sync: {cause}") from cause
            self._raise_if_peer_left(event)
            self._raise_if_peer_never_came(started)
        self._met = True

    def _raise_if_peer_left(self, event: int) -> None:
        if self._left_at is None and self._monitor.poll(0):
            self._left_at = time.monotonic()
        if self._left_at is None or self._socket.poll(0, event):
            return
        if time.monotonic() - self._left_at >= self._grace:
            raise WeightSyncError(f"{self._peer} closed its end during the weight sync, or was killed; see its own log")

    def _raise_if_peer_never_came(self, started: float) -> None:
        limit = float(os.environ.get("INNOVATOR_SYNC_CONNECT_SECONDS", "600"))
        if not self._met and time.monotonic() - started > limit:
            raise WeightSyncError(
                f"{self._peer} did not appear for the weight sync within {limit:g} s (INNOVATOR_SYNC_CONNECT_SECONDS)"
            )


_receivers: dict[str, Any] = {}
"""The receiver's call for each ZeroMQ address, as a `concurrent.futures.Future`."""


def watch_receiver(zmq_handle: str, call: Any) -> None:
    """Let the sender at this address check the receiver's call.

    Args:
        zmq_handle: The ZeroMQ address.
        call: A Ray object reference or a `concurrent.futures.Future`.
    """
    _receivers[zmq_handle] = call.future() if hasattr(call, "future") else call


def _failure_at(zmq_handle: str) -> BaseException | None:
    future = _receivers.get(zmq_handle)
    return future.exception() if future is not None and future.done() else None


def _watch_sockets(module: ModuleType) -> None:
    sender: Any = module.BucketedWeightSender  # type: ignore[attr-defined]
    receiver: Any = module.BucketedWeightReceiver  # type: ignore[attr-defined]
    _watch_sender(sender)
    _watch_receiver_end(receiver)


def _watch_sender(sender: Any) -> None:
    open_socket, clean_up = sender._init_socket, sender._cleanup
    require_parameters(NAME, open_socket, ())
    require_parameters(NAME, clean_up, ())

    @functools.wraps(open_socket)
    def open_watched(self: Any) -> None:
        open_socket(self)
        failure = functools.partial(_failure_at, self.zmq_handle)
        self.socket = WatchedSocket(self.socket, "the rollout engine", failure, GRACE_SECONDS)

    @functools.wraps(clean_up)
    def clean_up_and_forget(self: Any) -> None:
        try:
            clean_up(self)
        except FileNotFoundError:  # a killed receiver's resource tracker has removed the shared memory already
            self.shm = None
        finally:
            _receivers.pop(self.zmq_handle, None)

    sender._init_socket, sender._cleanup = open_watched, clean_up_and_forget


def _watch_receiver_end(receiver: Any) -> None:
    open_socket, receive = receiver._init_socket, receiver.receive_weights
    require_parameters(NAME, open_socket, ())
    require_parameters(NAME, receive, ("on_bucket_received",))

    @functools.wraps(open_socket)
    def open_watched(self: Any) -> None:
        open_socket(self)
        self.socket = WatchedSocket(self.socket, "the training actor")

    @functools.wraps(receive)
    def receive_and_report(self: Any, on_bucket_received: Callable[..., None]) -> None:
        failures: list[Exception] = []

        def load(weights: Any, is_last: bool) -> None:
            try:
                on_bucket_received(weights, is_last)
            except Exception as error:
                failures.append(error)
                raise

        try:
            receive(self, load)
        except Exception as error:
            _release(self, error, *failures)
            if failures and error is not failures[0]:
                raise failures[0] from None
            raise

    receiver._init_socket, receiver.receive_weights = open_watched, receive_and_report


def _release(receiver: Any, *errors: Exception) -> None:
    """Finish a clean-up that exceptions interrupted.

    Their frames refer to views of the shared memory.
    """
    for error in errors:
        traceback.clear_frames(error.__traceback__)
    if receiver.shm is not None:
        receiver.buffer = None
        receiver.shm.close()
        receiver.shm = None
    if receiver.socket is not None:
        receiver.socket.close()
        receiver.socket = None


def _watch_calls(module: ModuleType) -> None:
    """Note the receiver's call where verl makes it."""
    adapter: Any = module.ServerAdapter  # type: ignore[attr-defined]
    execute = adapter._execute_method
    require_parameters(NAME, execute, ("method", "non_block"))

    @functools.wraps(execute)
    async def execute_and_watch(self: Any, method: str, non_block: bool = False, *rest: Any, **named: Any) -> Any:
        call = await execute(self, method, non_block, *rest, **named)
        if non_block and call is not None:
            watch_receiver(self.zmq_handle, call)
        return call

    adapter._execute_method = execute_and_watch


def apply() -> None:
    """Watch both ends after verl's modules have been imported."""
    package = "verl.workers.rollout.vllm_rollout"
    after_import(f"{package}.bucketed_weight_transfer", _watch_sockets)
    after_import(f"{package}.vllm_rollout", _watch_calls)


SHIM = Shim(
    name=NAME,
    works_around="verl's weight sync waits forever when the rollout engine or the training actor fails in it",
    seen_in="verl 0.9.1",
    platforms=("cpu", "cuda"),
    needed=lambda: True,
    apply=apply,
)
