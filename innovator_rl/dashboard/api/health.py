"""Serve a run's alerts, and the state of the server itself."""

from __future__ import annotations

import os

import psutil
from fastapi import APIRouter

from innovator_rl import __version__
from innovator_rl.dashboard.api.models.health import Health
from innovator_rl.dashboard.api.models.runs import ServerHealth
from innovator_rl.dashboard.api.services import Shared
from innovator_rl.dashboard.health.alerts import health
from innovator_rl.dashboard.web.json_response import JsonResponse

router = APIRouter(tags=["Health"])


@router.get("/api/runs/{run}/health", response_model=Health)
def show_health(run: str, services: Shared) -> JsonResponse:
    """Return the alerts of a run, most urgent first."""
    return JsonResponse(health(services.runs.open(run), services.thresholds))


@router.get("/api/health", response_model=ServerHealth)
def show_server_health(services: Shared) -> JsonResponse:
    """Return whether the server responds, its memory and its open runs."""
    rss = psutil.Process(os.getpid()).memory_info().rss / 2**20
    open_runs = len(services.runs.open_sessions())
    return JsonResponse({"ok": True, "version": __version__, "rss_mb": round(rss, 1), "open_runs": open_runs})
