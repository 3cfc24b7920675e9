"""Skip prompts that taught nothing when they were last seen, for a while that doubles each time.

A prompt that is always answered right, or never, costs a group of answers every epoch and adds no gradient. With
`data.curriculum` such a prompt is left out of the next epoch, then of the next three, seven and fifteen; the first group with
a difference ends that. Solved prompts are so checked rarely, and hopeless ones get another chance as the policy learns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

USELESS = ("all_correct", "all_wrong")
LONGEST_STREAK = 4
"""Visits skipped after n useless ones in a row: 2^n - 1, with n at most this."""


@dataclass
class Curriculum:
    """What is known of each row of the data: useless visits in a row, and visits that are still to skip."""

    streak: dict[int, int] = field(default_factory=dict)
    rest: dict[int, int] = field(default_factory=dict)
    skipped: int = 0

    def observe(self, row: int, reason: str) -> None:
        """Count a group of a row: `reason` is why it did not train, empty where it did."""
        if reason in USELESS:
            self.streak[row] = min(LONGEST_STREAK, self.streak.get(row, 0) + 1)
            self.rest[row] = 2 ** self.streak[row] - 1
        elif reason in ("", "surplus"):
            self.streak.pop(row, None)
            self.rest.pop(row, None)

    def skips(self, row: int) -> bool:
        """Return whether this visit of a row is left out, and count it."""
        left = self.rest.get(row, 0)
        if left == 0:
            return False
        self.rest[row] = left - 1
        self.skipped += 1
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resume needs."""
        return {"streak": dict(self.streak), "rest": dict(self.rest), "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.streak = {int(row): int(value) for row, value in state["streak"].items()}
        self.rest = {int(row): int(value) for row, value in state["rest"].items()}
        self.skipped = int(state["skipped"])
