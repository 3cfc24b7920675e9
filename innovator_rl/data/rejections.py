"""Count what a build leaves out, and list each row with its place and reason.

A reason is short and shared by many rows ("duplicate question"); the detail says what was wrong with one row. Rows that
cannot be read at all (not JSON, a missing column) are bad input: they count against the recipe's error budget, and a
build whose share of bad rows is above the budget stops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from innovator_rl.errors import DataRowError, UserError

LISTED = 100_000
"""Rows that are listed one by one; beyond it they are only counted."""


class BadRow(DataRowError):
    """A row that cannot be read. Its message has the file and the row."""


@dataclass(frozen=True)
class Rejected:
    """One row that was left out."""

    place: str
    reason: str
    detail: str = ""


class Rejections(Counter[str]):
    """The number of rows left out by reason.

    Attributes:
        budget: The share of rows that may be bad input.
        read: The number of rows read.
        bad: The number of rows that were bad input.
        rows: The rows left out, at most `LISTED`.
    """

    def __init__(self, budget: float = 0.0) -> None:
        super().__init__()
        self.budget = budget
        self.read = 0
        self.bad = 0
        self.rows: list[Rejected] = []

    def add(self, reason: str, place: str, detail: str = "") -> None:
        """Count one row under a reason and list it."""
        self[reason] += 1
        if len(self.rows) < LISTED:
            self.rows.append(Rejected(place, reason, detail))

    def bad_row(self, place: str, message: str) -> None:
        """Count one row of bad input.

        Raises:
            UserError: The error budget is 0; the message has the row's place.
        """
        if not self.budget:
            raise UserError(message)
        self.bad += 1
        self.add("unreadable row", place, message)

    @contextmanager
    def row(self, place: str) -> Iterator[None]:
        """Count a `BadRow` that the block raises as bad input of one row."""
        self.read += 1
        try:
            yield
        except BadRow as error:
            self.bad_row(place, str(error))

    def require_budget(self) -> None:
        """Raise `UserError` where the share of bad rows is above the budget."""
        if self.bad > self.budget * max(self.read, 1):
            first = next(row for row in self.rows if row.reason == "unreadable row")
            raise UserError(
                f"{self.bad} of {self.read} rows cannot be read, expected at most {self.budget:.2%} "
                f"(`error_budget`); the first: {first.detail}"
            )
