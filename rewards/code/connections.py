"""Bound what clients may hold open: the time until a request is complete, and the number of connections.

    uvicorn.Config(app, http=bounded(connections=512, seconds=10.0))

A connection that does not send its request's headers in time is closed. Where too many are open, the oldest one without
a request makes room for a new one, and a new one is closed where every other is at work.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
MAX_CONNECTIONS = 1024


def bounded(connections: int | None = None, seconds: float = HEADER_SECONDS) -> type[H11Protocol]:
    """Return the protocol of a server's connections.

    Args:
        connections: How many may be open; by default half of the descriptors that this process may open.
        seconds: How long a connection may be without a complete header.
    """
    most = connections or max(8, min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 32))

    class Bounded(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            if len(self.connections) >= most:
                idle = [other for other in self.connections if isinstance(other, Bounded) and other._idle()]
                if not idle:
                    transport.abort()
                    return
                min(idle, key=lambda other: other._opened).transport.abort()
            super().connection_made(transport)
            self._opened = self.loop.time()
            self._expect_header()

        def data_received(self, data: bytes) -> None:
            if self.transport is None:
                return
            super().data_received(data)
            if self._idle():
                self._expect_header()
            else:
                self._stop_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            if self.transport is not None:
                super().connection_lost(exc)

        def _idle(self) -> bool:
            return self.cycle is None or bool(self.cycle.response_complete)

        def _expect_header(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(seconds, self._close_if_idle)

        def _close_if_idle(self) -> None:
            self._timer = None
            if self._idle():
                self.transport.abort()

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    made: Any = Bounded
    return made  # type: ignore[no-any-return]
