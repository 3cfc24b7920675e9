"""Drop documents that are too short or too long to teach anything."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from innovator_rl.data.corpus.steps.base import MapStep, Result, Transform
from innovator_rl.data.corpus.words import count_words


class DropShort(MapStep):
    """Drop documents under a number of words. A Chinese character counts as a word."""

    step: Literal["drop_short"] = "drop_short"
    min_words: int = Field(50, ge=1)

    uses: ClassVar[tuple[str, ...]] = ("innovator_rl.data.corpus.words",)

    def open(self) -> Transform:
        """Return the filter."""
        reason = f"under {self.min_words} words"
        return lambda document: (
            Result(document) if count_words(document.text) >= self.min_words else Result(None, reason)
        )
