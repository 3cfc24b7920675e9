"""Serialize responses as strict JSON.

A number that is not finite becomes null, and long token series stay fast.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from innovator_rl.runs.reading import clean

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


class JsonResponse(Response):
    """A JSON response."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status_code, headers)

    def render(self, content: Any) -> bytes:
        """Return the body as bytes."""
        try:
            return orjson.dumps(content, default=str, option=OPTIONS)
        except TypeError:  # a lone surrogate, an integer beyond 64 bits, a value that contains itself
            return orjson.dumps(clean(content), default=str, option=OPTIONS)
