"""Assemble the HTTP application: the page, its files and the API's routes.

    app = create_app([Path("runs")])

The routes are in `api/`, one module per group. They run in threads; the index supports that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from innovator_rl import __version__
from innovator_rl.dashboard.api import events, health, molecules, page, response, rollouts, runs, tools
from innovator_rl.dashboard.api.errors import add_error_handlers
from innovator_rl.dashboard.api.models.base import Error
from innovator_rl.dashboard.api.services import Services
from innovator_rl.dashboard.health.thresholds import Thresholds
from innovator_rl.dashboard.web.security import Guard

ROUTERS = (page, runs, rollouts, response, health, molecules, tools, events)


def create_app(
    roots: list[Path],
    host: str = "127.0.0.1",
    token: str | None = None,
    thresholds: Thresholds | None = None,
    demo: bool = False,
    root_path: str = "",
) -> FastAPI:
    """Create the application over the runs directly inside `roots`.

    Args:
        roots: folders of run directories.
        host: the address to listen on; it decides which Host headers are accepted.
        token: what every request must present; None on loopback.
        thresholds: thresholds of the alerts, the defaults if None.
        demo: whether `roots` include synthetic runs.
        root_path: the path below which a proxy serves the page, such as `/dash`; empty for none.
    """
    services = Services(roots, thresholds or Thresholds(), demo)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.close()

    app = FastAPI(
        title="Innovator RL dashboard",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses={"4XX": {"model": Error, "description": "The request cannot be served."}},
    )
    app.state.services = services
    add_error_handlers(app)
    for module in ROUTERS:
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=page.STATIC), name="static")
    app.add_middleware(Guard, host=host, token=token, root_path=root_path)
    return app
