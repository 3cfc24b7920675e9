"""Which responses a request means: query parameters become one SQL condition over the index, values always bound.

The parameters are those of docs/dashboard-api.md; an unknown one is an error that names the near ones, so that a
misspelt filter never silently shows everything.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from innovator_rl.dashboard.web.errors import RequestError

EQUALS = ("domain", "data_source", "rewarder", "reason", "outcome", "finish_reason", "status", "drop_reason")
FATES = ("kept", "dropped", "failed", "pending", "validation")
RANGES = {"score": "reward", "tokens": "response_tokens"}  # short names of the two that are asked for most
MEASURED = ("advantage", "score_value", "reward_seconds", "generate_seconds", "entropy", "clip_low", "clip_high")
RANGE_COLUMNS = (*MEASURED, "gap", "repetition", "reward", "response_tokens")
SORTS = (
    *("step", "reward", "score_value", "correct", "response_tokens", "advantage", "reward_seconds", "generate_seconds"),
    *(
        "domain",
        "reason",
        "drop_reason",
        "entropy",
        "clip_low",
        "clip_high",
        "gap",
        "repetition",
        "sample",
        "written_at",
    ),
)
GROUP_SORTS = ("step", "reward_mean", "reward_std", "correct", "tokens_mean", "domain")
PLAIN = ("kind", "step", "fate", "correct", "truncated", "prompt_id", "uid", "label", "word", "regex")
LAST_STEP = "(SELECT max(step) FROM responses WHERE kind = ?)"
STEP_RANGE = re.compile(r"^(\d{1,9})(?:-(\d{1,9}))?$")
MOST_PER_PAGE = 200
MOST_VALUES = 100


class Parameters(Protocol):
    """A request's query parameters (Starlette's QueryParams)."""

    def keys(self) -> Iterable[str]: ...
    def getlist(self, key: str) -> list[str]: ...


@dataclass
class Selection:
    """A condition on `responses` and its bound values; texts and labels are looked up elsewhere."""

    kind: str = "train"
    conditions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    word: str = ""
    regex: str = ""
    label: str = ""

    @property
    def where(self) -> str:
        """The SQL condition."""
        return " AND ".join(self.conditions) or "true"

    def add(self, condition: str, *values: Any) -> None:
        """One more condition that must hold."""
        self.conditions.append(f"({condition})")
        self.values.extend(values)

    @property
    def key(self) -> tuple[Any, ...]:
        """What names this selection in a cache."""
        return (self.where, tuple(map(str, self.values)), self.word, self.regex, self.label)


def read_selection(parameters: Parameters, also: Iterable[str] = ()) -> Selection:
    """The selection that query parameters name; `also`: parameters that the route reads itself.

    Raises `RequestError` for an unknown parameter or a value that cannot be read.
    """
    check_names(parameters, (*selection_names(), *also))
    kind = one(parameters, "kind", "train")
    if kind not in ("train", "validation"):
        raise RequestError(f"kind={kind[:40]}: use train or validation")
    chosen = Selection(kind=kind)
    chosen.add("kind = ?", kind)
    _steps(chosen, one(parameters, "step", ""))
    for name in EQUALS:
        _equals(chosen, name, parameters.getlist(name))
    _fates(chosen, parameters.getlist("fate"))
    for name in ("correct", "truncated"):
        _truth(chosen, name, one(parameters, name, ""))
    for name, column in {**RANGES, **{name: name for name in RANGE_COLUMNS}}.items():
        low, high = number(parameters, f"{name}_min"), number(parameters, f"{name}_max")
        if low is not None:
            chosen.add(f"{column} >= ?::FLOAT", low)
        if high is not None:
            chosen.add(f"{column} <= ?::FLOAT", high)
    for name, column in (("prompt_id", "prompt_id"), ("uid", "prompt_uid")):
        if value := one(parameters, name, ""):
            chosen.add(f"{column} = ?", value)
    chosen.word = one(parameters, "word", "").strip()
    chosen.regex = one(parameters, "regex", "")
    chosen.label = one(parameters, "label", "")
    return chosen


def selection_names() -> list[str]:
    """Every parameter that names responses."""
    ranged = [*RANGES, *RANGE_COLUMNS]
    return [*PLAIN, *EQUALS, *(f"{name}_{end}" for name in ranged for end in ("min", "max"))]


def check_names(parameters: Parameters, known: Iterable[str]) -> None:
    """Raise `RequestError` for a parameter that is not among `known`."""
    names = list(known)
    for name in parameters.keys():  # noqa: SIM118 (QueryParams iterates over pairs too)
        if name not in names:
            near = difflib.get_close_matches(name, names, 2, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(names))}"
            raise RequestError(f"no parameter {name[:40]!r}: {hint}")


def one(parameters: Parameters, name: str, default: str) -> str:
    """The last value of a parameter."""
    values = parameters.getlist(name)
    return values[-1] if values else default


def number(parameters: Parameters, name: str) -> float | None:
    """A parameter as a finite number; None where it is absent or empty."""
    text = one(parameters, name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestError(f"{name}={text[:40]}: a number is needed")
    return value


def whole(parameters: Parameters, name: str, default: int, low: int, high: int) -> int:
    """A parameter as a whole number within bounds."""
    text = one(parameters, name, "")
    if not text:
        return default
    if not re.fullmatch(r"-?\d{1,12}", text) or not low <= int(text) <= high:
        raise RequestError(f"{name}={text[:40]}: a whole number from {low} to {high} is needed")
    return int(text)


def read_order(parameters: Parameters, known: tuple[str, ...], default: str) -> str:
    """`sort` as an ORDER BY expression; ties are broken by step, group and sample."""
    asked = one(parameters, "sort", default)
    name = asked.removeprefix("-")
    if name not in known:
        raise RequestError(f"sort={asked[:40]}: the columns are {', '.join(known)}; - before one for descending")
    return f"{name} {'DESC' if asked.startswith('-') else 'ASC'} NULLS LAST"


def read_page(parameters: Parameters) -> tuple[int, int]:
    """`page` (from 1) and `size`."""
    return whole(parameters, "page", 1, 1, 10**8), whole(parameters, "size", 50, 1, MOST_PER_PAGE)


def _steps(chosen: Selection, text: str) -> None:
    if not text:
        return
    if text == "last":
        chosen.add(f"step = {LAST_STEP}", chosen.kind)
        return
    parts = []
    for item in text.split(",")[:MOST_VALUES]:
        match = STEP_RANGE.match(item.strip())
        if match is None:
            raise RequestError(f"step={text[:40]}: write 12, 3-9, 3,5,8-10 or last")
        low = int(match[1])
        parts.append(f"step BETWEEN {low} AND {int(match[2] or low)}")
    chosen.add(" OR ".join(parts))


def _equals(chosen: Selection, column: str, values: list[str]) -> None:
    if not values:
        return
    named = [value for value in values if value != "-"][:MOST_VALUES]
    parts = [f"{column} IN ({', '.join('?' * len(named))})"] if named else []
    if "-" in values:
        parts.append(f"{column} IS NULL OR {column} = ''")
    chosen.add(" OR ".join(parts), *named)


def _fates(chosen: Selection, values: list[str]) -> None:
    wanted = [value for value in values if value not in ("", "all")]
    for value in wanted:
        if value not in FATES:
            raise RequestError(f"fate={value[:40]}: use {', '.join(FATES)}")
    if wanted:
        chosen.add(f"fate IN ({', '.join('?' * len(wanted))})", *wanted)


def _truth(chosen: Selection, column: str, text: str) -> None:
    if not text:
        return
    if text not in ("true", "false", "none"):
        raise RequestError(f"{column}={text[:40]}: use true, false or none")
    chosen.add(f"{column} IS NULL" if text == "none" else f"{column} = {text}")
