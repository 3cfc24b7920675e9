"""Decide which requests are served, and what a browser may do with the responses.

Loopback needs no token; any other address does. On loopback the Host header must name loopback, so that a foreign page whose
name resolves to 127.0.0.1 gets nothing. Requests that change something must come from the page itself. Every response carries
a content security policy under which only the page's own scripts run, whatever a model wrote.
"""

from __future__ import annotations

import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from innovator_rl.dashboard.web.json_response import JsonResponse
from innovator_rl.errors import UserError

COOKIE = "innovator_token"
FEWEST_TOKEN_CHARS = 16
MOST_BODY_BYTES = 1_000_000
MOST_URL_BYTES = 32_000
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_token(host: str, token: str | None) -> None:
    """Raise `UserError` for a weak token, or a public address without one."""
    if token is not None and (len(token) < FEWEST_TOKEN_CHARS or not token.isascii() or not token.isprintable()):
        raise UserError(f"--token must have at least {FEWEST_TOKEN_CHARS} printable ASCII characters")
    if token is None and not is_loopback(host):
        raise UserError(
            f"--host {host} is reachable from other machines, which could read every response: set a token of at least "
            f"{FEWEST_TOKEN_CHARS} characters in INNOVATOR_DASHBOARD_TOKEN (or --token), or use --host 127.0.0.1 and an SSH tunnel"
        )


class Guard:
    """ASGI middleware that applies the rules of this module and adds headers."""

    def __init__(self, app: ASGIApp, host: str, token: str | None, root_path: str = "") -> None:
        self._app, self._token, self._root = app, token, root_path.rstrip("/")
        self._hosts = {*LOOPBACK_NAMES, host.lower()} if is_loopback(host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                return
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._root and scope["path"] == self._root:  # addresses in the page are relative to its folder
            asked = scope.get("query_string", b"").decode("latin-1")  # such as the token
            await RedirectResponse(f"{self._root}/{'?' if asked else ''}{asked}", 307)(scope, receive, send)
            return
        if self._root and scope["path"].startswith(f"{self._root}/"):  # a proxy that leaves the prefix in place
            scope = {**scope, "path": scope["path"].removeprefix(self._root), "raw_path": None}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                response = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    response.setdefault(name, value)
                response.setdefault("cache-control", "no-store" if scope["path"].startswith("/api") else "no-cache")
            await send(message)

        rejection = self._rejection(scope, headers)
        if rejection is not None:
            await rejection(scope, receive, with_headers)
            return
        await self._app(scope, _limited(receive), with_headers)

    def _rejection(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "").lower()
        if self._hosts is not None and _without_port(host) not in self._hosts:
            return JsonResponse({"error": f"unknown Host {host[:80]!r}"}, 403)
        if len(scope.get("query_string", b"")) > MOST_URL_BYTES:
            return JsonResponse({"error": "the address is too long"}, 414)
        changing = scope["method"] not in ("GET", "HEAD")
        if not _from_here(headers, host, changing, scope["path"]):
            return JsonResponse({"error": "requests from other pages are not served"}, 403)
        if changing:
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return JsonResponse({"error": "the body must be application/json"}, 415)
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > MOST_BODY_BYTES:
                return JsonResponse({"error": f"the body must have at most {MOST_BODY_BYTES} bytes"}, 413)
        return self._token_rejection(scope, headers)

    def _token_rejection(self, scope: Scope, headers: Headers) -> Response | None:
        if self._token is None:
            return None
        authorization = headers.get("authorization", "")
        if authorization.startswith("Bearer ") and self._is_token(authorization[7:]):
            return None
        if self._is_token(_cookie(headers)):
            return None
        if scope["path"] == "/":
            given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
            if self._is_token(given):
                response = RedirectResponse("./", 303)
                response.set_cookie(
                    COOKIE, self._token, httponly=True, samesite="strict", secure=scope["scheme"] == "https"
                )
                return response
        return JsonResponse(
            {"error": "a token must be given: open /?token=..., or send Authorization: Bearer ..."}, 401
        )

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), (self._token or "").encode())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and (host.count(":") == 1 or name.endswith("]")) else host


def _from_here(headers: Headers, host: str, changing: bool, path: str) -> bool:
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host:
        return False
    site = headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return True
    # a link from elsewhere may open the page itself
    return not changing and path == "/" and headers.get("sec-fetch-mode") == "navigate"


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _limited(receive: Receive) -> Receive:
    """Return a `receive` that ends a request whose body is too long.

    It is for bodies that are sent without a length.
    """
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > MOST_BODY_BYTES else message

    return limited
