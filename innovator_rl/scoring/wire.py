"""JSON messages over a local socket, each with its length in front: the only thing that passes between the pool and
its judges.

JSON rather than pickle, because the sender may be a process that has just read a model's text.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from typing import Any

_HEADER = struct.Struct("!I")
MAX_MESSAGE_BYTES = 32 * 2**20
MAX_PACKET_BYTES = 4096  # of the control socket, whose packets keep their borders (SOCK_SEQPACKET)


class Closed(Exception):
    """The other end is gone, or sent something that is no message."""


class TimedOut(Exception):
    """The deadline passed before the whole message did."""


def pack(message: dict[str, Any]) -> bytes:
    """A message as it travels. Raises `TypeError` or `ValueError` for what is no JSON data or too big."""
    body = json.dumps(message).encode("utf-8", "surrogatepass")
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{len(body)} bytes, more than {MAX_MESSAGE_BYTES}")
    return _HEADER.pack(len(body)) + body


def send(sock: socket.socket, message: dict[str, Any], seconds: float | None = None) -> None:
    """Send one message; `Closed` when nobody reads, `TimedOut` when nobody reads in time."""
    send_packed(sock, pack(message), seconds)


def send_packed(sock: socket.socket, packed: bytes, seconds: float | None = None) -> None:
    """Send what `pack` made."""
    sock.settimeout(seconds)
    try:
        sock.sendall(packed)
    except TimeoutError as error:
        raise TimedOut from error
    except OSError as error:
        raise Closed from error


def receive(sock: socket.socket, seconds: float | None = None) -> dict[str, Any]:
    """Receive one message within `seconds`; `TimedOut` or `Closed` otherwise."""
    deadline = None if seconds is None else time.monotonic() + seconds
    (size,) = _HEADER.unpack(_exactly(sock, _HEADER.size, deadline))
    if size > MAX_MESSAGE_BYTES:
        raise Closed(f"a message of {size} bytes")
    body = _exactly(sock, size, deadline)
    try:
        message = json.loads(body)
    except ValueError as error:
        raise Closed("not JSON") from error
    if not isinstance(message, dict):
        raise Closed("not an object")
    return message


def _exactly(sock: socket.socket, size: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    while size:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimedOut
        sock.settimeout(left)
        try:
            part = sock.recv(min(size, 2**20))
        except TimeoutError as error:
            raise TimedOut from error
        except OSError as error:
            raise Closed from error
        if not part:
            raise Closed
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def readable(descriptors: list[int], seconds: float | None = None) -> set[int]:
    """Which of the descriptors can be read, or have hung up. `poll`, because a training process may hold thousands of
    descriptors.
    """
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return {fd for fd, _ in poller.poll(None if seconds is None else max(0.0, seconds) * 1000)}
