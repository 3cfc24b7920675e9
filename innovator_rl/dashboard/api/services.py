"""Hold what the routes share: the runs, and the processes that work for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from starlette.datastructures import QueryParams
from starlette.responses import StreamingResponse

from innovator_rl.dashboard.health.alerts import alert_counts
from innovator_rl.dashboard.health.thresholds import Thresholds
from innovator_rl.dashboard.molecules.renderer import Molecules
from innovator_rl.dashboard.queries.search import Searches
from innovator_rl.dashboard.runs.labels import Labels
from innovator_rl.dashboard.runs.registry import Runs
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.tools.rescore import Rescorer
from innovator_rl.dashboard.web.aliases import current_parameters

T = TypeVar("T")


class Services:
    """What the routes share. Close it to end every thread and process."""

    def __init__(self, roots: list[Path], thresholds: Thresholds, demo: bool) -> None:
        self.thresholds = thresholds
        self.runs = Runs(roots, demo, lambda session: alert_counts(session, thresholds))
        self.searches = Searches()
        self.molecules = Molecules()
        self.rescorer = Rescorer()
        self._labels: dict[Path, Labels] = {}

    def labels(self, session: RunSession) -> Labels:
        """Return the labels of a run."""
        return self._labels.setdefault(session.run.path, Labels(session.run.path))

    def close(self) -> None:
        """End every thread and process."""
        self.runs.close()
        self.molecules.close()
        self.rescorer.close()


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _parameters(request: Request) -> QueryParams:
    return current_parameters(request.query_params)


Shared = Annotated[Services, Depends(_services)]
"""The services of the application, as an argument of a route."""
Query = Annotated[QueryParams, Depends(_parameters)]
"""The query parameters under their present names, as an argument of a route."""


def documented(parameters: dict[str, str], required: Iterable[str] = ()) -> dict[str, Any]:
    """Return the OpenAPI entry for query parameters that a route reads itself."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in set(required),
                "description": description,
                "schema": {"type": "string"},
            }
            for name, description in parameters.items()
        ]
    }


def read_again(session: RunSession, read: Callable[[], T]) -> T:
    """Return `read()`.

    It is repeated after a refresh when a file was merged away meanwhile.
    """
    try:
        return read()
    except FileNotFoundError:
        session.index.catalog.forget()
        session.index.refresh()
        return read()


def download(content: Iterable[bytes], media_type: str, name: str) -> StreamingResponse:
    """Return a response that a browser saves under `name`."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)
    headers = {"content-disposition": f'attachment; filename="{plain}"'}
    return StreamingResponse(content, media_type=media_type, headers=headers)
