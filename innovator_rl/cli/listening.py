"""Explain why a server cannot listen at an address: the address is not one of this machine, or the port is taken.

A command that serves catches `CANNOT_LISTEN` and puts `why_not(error)` after the option that named the address.
"""

from __future__ import annotations

import errno
import socket

CANNOT_LISTEN = (OSError, UnicodeError)
"""What binding to an address raises; `UnicodeError` for a host that no domain name can be."""


def why_not(error: OSError | UnicodeError) -> str:
    """Return the cause and the fix of an address that cannot be bound."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "the host is not found; expected an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the host is another machine; expected an address of this one, such as 127.0.0.1 or 0.0.0.0"
    if error.errno == errno.EACCES:
        return "the port is reserved for the system; choose one from 1024 to 65535"
    return f"{error.strerror}; choose another port, or 0 for any free one"
