"""Define the error of a request that cannot be answered."""

from __future__ import annotations

from innovator_rl.errors import InnovatorError


class RequestError(InnovatorError):
    """A request that cannot be answered.

    Becomes `{"error": message}` with the HTTP status `status`.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
