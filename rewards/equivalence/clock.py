r"""Read times of the day: `3:30 PM`, `15:30`, `\text{3 p.m.}`, `noon`.

A time is a value of its own kind. Its colon is none of a ratio, and its hours and minutes are no numbers to divide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards.equivalence.descriptions import is_remark, same_description
from rewards.equivalence.text_answers import unwrapped

_TIME = re.compile(
    r"(?:at\s+)?(\d{1,2})(?:\s*:\s*([0-5]\d)(?::([0-5]\d))?)?\s*(?:o'clock\s*)?"
    r"(?:([ap])\.?\s?m\b\.?|(in\s+the\s+morning)|((?:in\s+the\s+(?:afternoon|evening))|at\s+night)|(noon)|(midnight))?"
    r"(?:[\s,]+([a-z][\w ,.'-]*))?",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?:at\s+)?(?:12\s+)?(noon|midday|midnight)", re.IGNORECASE)
_MARKED = re.compile(r"(?<![A-Za-z])[ap]\.?\s?m\b", re.IGNORECASE)
MAX_TIME_CHARS, NOON, DAY = 80, 12 * 3600, 24 * 3600


@dataclass(frozen=True)
class Time:
    """A time of the day.

    Attributes:
        seconds: Since midnight, as the hours are written.
        half: `a` or `p`, empty where the half of the day is not written.
        minutes: Whether the minutes are written.
        remark: The words behind it (`on Monday`).
    """

    seconds: int
    half: str
    minutes: bool
    remark: str = ""

    @property
    def of_day(self) -> int:
        """Return the seconds since midnight."""
        return self.seconds % NOON + (NOON if self.half == "p" else 0) if self.half else self.seconds


def time_of_day(text: str) -> Time | None:
    """Return a time of the day; None for others.

    A bare `3:30` may be one, and `3` is one with the half of the day behind it.
    """
    if len(text) > MAX_TIME_CHARS:
        return None
    plain = unwrapped(text.replace("{:}", ":")).strip(" .,")
    if named := _NAMED.fullmatch(plain):
        return Time(0, "a" if named[1].casefold() == "midnight" else "p", True)
    match = _TIME.fullmatch(plain)
    if match is None:
        return None
    hours, minutes, seconds, half, morning, evening, noon, midnight, remark = match.groups()
    remark = (remark or "").lower()
    if not is_remark(remark):
        return None
    half = "a" if morning or midnight else "p" if evening or noon else (half or "").casefold()
    if int(hours) > (12 if half else 24) or (half and hours == "0") or (minutes is None and not half):
        return None
    return Time(int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0), half, minutes is not None, remark)


def same_time(first: str, second: str) -> bool | None:
    """Compare two times of the day; None where neither is one, or both may be ratios.

    Args:
        first: An answer, normalized.
        second: Another one.
    """
    a, b = time_of_day(first), time_of_day(second)
    if a is None or b is None:
        marked = ":" in first and ":" in second and (_MARKED.search(first) or _MARKED.search(second))
        return False if marked else None
    if not (a.half or b.half) or not (a.minutes or b.minutes or (a.half and b.half)):
        return None
    if not same_description(a.remark, b.remark):
        return False
    return a.of_day == b.of_day or ((not a.half or not b.half) and a.seconds == b.seconds)


__all__ = ["Time", "same_time", "time_of_day"]
