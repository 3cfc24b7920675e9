"""Answers that are not 200: a status and one sentence."""

from __future__ import annotations


class RequestError(Exception):
    """A request that cannot be answered; becomes `{"error": message}` with `status`."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
