"""Exchange JSON messages and descriptors between executor, supervisor, solution."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

HEADER = struct.Struct("!I")
MAX_MESSAGE_BYTES = 256 * 2**20
MAX_DESCRIPTORS = 8


class ChannelClosed(Exception):
    """The other end is gone, or sent something that is no message."""


def send(sock: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send one message.

    Raises:
        ChannelClosed: Where and `TimeoutError` at the socket's own time-out.
    """
    body = json.dumps(message).encode()
    try:
        if descriptors:
            socket.send_fds(sock, [HEADER.pack(len(body))], list(descriptors))
        else:
            sock.sendall(HEADER.pack(len(body)))
        sock.sendall(body)
    except TimeoutError:
        raise
    except OSError as error:
        raise ChannelClosed from error


def receive(sock: socket.socket, limit: int = MAX_MESSAGE_BYTES) -> tuple[dict[str, Any], list[int]]:
    """Receive one message and its descriptors.

    Raises:
        ChannelClosed: Where and `TimeoutError` at the socket's own time-out.
    """
    descriptors: list[int] = []
    try:
        header, descriptors, _, _ = socket.recv_fds(sock, HEADER.size, MAX_DESCRIPTORS)
        header += _exactly(sock, HEADER.size - len(header)) if header else b""
        if not header:
            raise ChannelClosed
        (size,) = HEADER.unpack(header)
        if size > limit:
            raise ChannelClosed(f"a message of {size} bytes")
        message = json.loads(_exactly(sock, size))
        if not isinstance(message, dict):
            raise ChannelClosed("no object")
        return message, descriptors
    except BaseException as error:
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(error, (OSError, ValueError, RecursionError)) and not isinstance(error, TimeoutError):
            raise ChannelClosed from error
        raise


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = sock.recv(min(size, 2**20))
        if not part:
            raise ChannelClosed
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
