"""Serve the stream of events that announces changes."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from innovator_rl.dashboard.api.services import Query, Shared, documented
from innovator_rl.dashboard.queries.filters import check_names, one
from innovator_rl.dashboard.runs.events import events

PARAMETERS = {"run": "Only events about this run."}
router = APIRouter(tags=["Events"])


@router.get("/api/events", response_class=StreamingResponse, openapi_extra=documented(PARAMETERS))
async def stream_events(parameters: Query, services: Shared) -> StreamingResponse:
    """Announce changes as `text/event-stream`; an event carries no data.

    `event: run` has `data: {"run": NAME, "what": [...]}` with some of `rollouts`, `words`, `status`, `metrics` and
    `labels`. `event: runs` means that a run appeared or vanished. A comment follows every 15 seconds without events.
    """
    check_names(parameters, PARAMETERS)
    only = one(parameters, "run", "") or None
    stream = events(services.runs, only)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
