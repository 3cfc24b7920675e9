"""Announce changes as server-sent events.

An event names what changed and carries no data.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from innovator_rl.dashboard.runs.registry import Runs

POLL_SECONDS = 0.25
LIST_SECONDS = 1.0
PING_SECONDS = 15.0


async def events(runs: Runs, only: str | None) -> AsyncIterator[str]:
    """Yield event-stream text until the listener leaves; `only` limits it to one run."""
    known: dict[str, dict[str, int]] = {}
    stamps: dict[str, Any] | None = None
    listed = sent = 0.0
    yield ": connected\n\n"
    while True:
        now = time.monotonic()
        messages = []
        for session in runs.open_sessions():
            name = session.run.name
            if only is not None and name != only:
                continue
            if only is not None:
                session.used = now  # its listener keeps the run open
            versions = dict(session.versions)
            before = known.setdefault(name, versions)
            what = [part for part, version in versions.items() if version != before[part]]
            if what:
                messages.append(("run", {"run": name, "what": what}))
            known[name] = versions
        if now - listed >= LIST_SECONDS:
            listed = now
            seen = await asyncio.to_thread(runs.stamps)
            if stamps is not None:
                if stamps.keys() != seen.keys():
                    messages.append(("runs", {}))
                closed = [name for name in seen if name not in known and only in (None, name)]
                messages += [
                    ("run", {"run": n, "what": ["status"]}) for n in closed if seen[n] != stamps.get(n, seen[n])
                ]
            stamps = seen
        for event, data in messages:
            yield f"event: {event}\ndata: {json.dumps(data)}\n\n"
        if messages:
            sent = now
        elif now - sent >= PING_SECONDS:
            sent = now
            yield ": ping\n\n"
        await asyncio.sleep(POLL_SECONDS)
