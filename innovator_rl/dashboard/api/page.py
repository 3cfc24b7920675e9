"""Serve the page itself."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

STATIC = Path(__file__).parents[1] / "static"
router = APIRouter(include_in_schema=False)


@router.get("/")
def page() -> FileResponse:
    """Return the page; its scripts and styles are below /static."""
    return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")
