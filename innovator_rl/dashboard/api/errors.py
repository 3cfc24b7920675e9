"""Turn exceptions into JSON responses of the form `{"error": "one sentence"}`."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.dashboard.web.json_response import JsonResponse


def add_error_handlers(app: FastAPI) -> None:
    """Add the handlers to an application."""

    @app.exception_handler(RequestError)
    def request_error(_: Request, error: RequestError) -> JsonResponse:
        return JsonResponse({"error": str(error)}, error.status)

    @app.exception_handler(RequestValidationError)
    def invalid_body(_: Request, error: RequestValidationError) -> JsonResponse:
        found = [{"where": ".".join(map(str, e["loc"])), "why": e["msg"]} for e in error.errors()]
        return JsonResponse({"error": f"{found[0]['where']}: {found[0]['why']}", "detail": found}, 400)

    @app.exception_handler(HTTPException)
    def http_error(_: Request, error: HTTPException) -> JsonResponse:
        return JsonResponse({"error": str(error.detail)}, error.status_code)

    @app.exception_handler(FileNotFoundError)
    def merged_away(_: Request, error: FileNotFoundError) -> JsonResponse:
        return JsonResponse({"error": "the record was just rewritten; try again"}, 503, {"retry-after": "1"})
