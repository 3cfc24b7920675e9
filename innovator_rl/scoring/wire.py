"""Exchange JSON messages between the scoring pool and its workers.

A message is its length and its JSON text, over a local socket.

JSON rather than pickle, because the sender may be a process that has just read a model's text.

The sandbox has a protocol of the same form in `rewards/code/sandbox/inside/ipc.py`. The two stay apart on purpose: the
sandbox's side runs inside an empty root file system with nothing but the standard library, so it can import no module
of this package, and it also passes file descriptors, where this side has deadlines instead.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import struct
import time
from typing import Any

from innovator_rl.errors import WorkerError

_HEADER = struct.Struct("!I")
MAX_MESSAGE_BYTES = 32 * 2**20
MAX_PACKET_BYTES = 4096  # of the control socket, whose packets keep their borders (SOCK_SEQPACKET)


class ConnectionLost(WorkerError):
    """The other end is gone, or sent something that is not a message."""


class MessageTimeout(WorkerError):
    """The deadline passed before the whole message was transferred."""


def pack(message: dict[str, Any]) -> bytes:
    """Return a message as the bytes that are sent.

    Raises:
        TypeError: The message contains something that is not JSON data.
        ValueError: The message is not JSON data or exceeds `MAX_MESSAGE_BYTES`.
    """
    body = json.dumps(message).encode("utf-8", "surrogatepass")
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{len(body)} bytes, more than {MAX_MESSAGE_BYTES}")
    return _HEADER.pack(len(body)) + body


def send(sock: socket.socket, message: dict[str, Any], seconds: float | None = None) -> None:
    """Send one message.

    Raises:
        ConnectionLost: The other end is gone.
        MessageTimeout: The message was not taken within `seconds`.
    """
    send_packed(sock, pack(message), seconds)


def send_packed(sock: socket.socket, packed: bytes, seconds: float | None = None) -> None:
    """Send what `pack` returned; raises as `send` does."""
    sock.settimeout(seconds)
    try:
        sock.sendall(packed)
    except TimeoutError as error:
        raise MessageTimeout from error
    except OSError as error:
        raise ConnectionLost from error


def receive(sock: socket.socket, seconds: float | None = None) -> dict[str, Any]:
    """Receive one message.

    Raises:
        ConnectionLost: The other end is gone, or what it sent is not a message.
        MessageTimeout: The message was not complete within `seconds`.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    (size,) = _HEADER.unpack(_receive_exactly(sock, _HEADER.size, deadline))
    if size > MAX_MESSAGE_BYTES:
        raise ConnectionLost(f"a message of {size} bytes")
    return _parsed(_receive_exactly(sock, size, deadline))


async def areceive(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Receive one message on an event loop; raises `ConnectionLost` as `receive` does."""
    try:
        (size,) = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        if size > MAX_MESSAGE_BYTES:
            raise ConnectionLost(f"a message of {size} bytes")
        return _parsed(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, OSError) as error:
        raise ConnectionLost from error


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise ConnectionLost("not JSON") from error
    if not isinstance(message, dict):
        raise ConnectionLost("not an object")
    return message


def _receive_exactly(sock: socket.socket, size: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    while size:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise MessageTimeout
        sock.settimeout(left)
        try:
            part = sock.recv(min(size, 2**20))
        except TimeoutError as error:
            raise MessageTimeout from error
        except OSError as error:
            raise ConnectionLost from error
        if not part:
            raise ConnectionLost
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def readable(descriptors: list[int], seconds: float | None = None) -> set[int]:
    """Return the descriptors that can be read or have hung up.

    It uses `poll` and not `select`, because a training process may have thousands of open descriptors.
    """
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return {fd for fd, _ in poller.poll(None if seconds is None else max(0.0, seconds) * 1000)}
