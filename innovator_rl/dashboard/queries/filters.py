"""Turn query parameters into one SQL condition with every value bound.

`FILTERS` documents the parameters; docs/dashboard-api.md is generated from it. An unknown parameter is an error that
names similar ones, so that a misspelled filter never shows everything without a warning.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.index import MEASURES

EQUALS = ("domain", "data_source", "rewarder", "reason", "outcome", "finish_reason", "generation_status", "drop_reason")
SAME_REWARD = "reward_std = 0 OR drop_reason IN ('all_correct', 'all_wrong', 'all_equal')"
"""SQL: whether a group gives no learning signal because its responses all have the same reward."""
FAILED = "outcome = 'error' OR generation_status <> 'ok'"
"""SQL: whether a response could not be generated or scored."""
PROPERTIES = {
    "not_finite": ("responses whose reward is NaN or infinite", "NOT isfinite(reward)"),
    "failed": ("responses that could not be generated or scored", FAILED),
    "zero_spread": (
        "responses of groups whose responses all have the same reward",
        f"(kind, step, prompt_uid) IN (SELECT (kind, step, prompt_uid) FROM all_groups WHERE {SAME_REWARD})",
    ),
}
SUPERSEDED = ("hide", "show", "only")
STATUSES = ("kept", "dropped", "failed", "pending", "validation")
RANGES = {"score": "reward", "tokens": "response_tokens"}  # short names of the two that are used most
MEASURED = ("advantage", "score_value", "reward_seconds", "generate_seconds", "entropy", "clip_low", "clip_high")
RANGE_COLUMNS = (*MEASURED, "gap", "repetition", "reward", "response_tokens")
SORTS = (
    *("step", "reward", "score_value", "correct", "response_tokens", "advantage", "reward_seconds", "generate_seconds"),
    *("domain", "reason", "drop_reason", "entropy", "clip_low", "clip_high", "gap", "repetition", "sample_index"),
    "written_at",
)
GROUP_SORTS = ("step", "reward_mean", "reward_std", "correct", "tokens_mean", "domain", "status", "drop_reason")
FILTERS = {
    "kind": "`train` (default) or `validation`.",
    "step": "`12`, `3-9`, `3,5,8-10` or `last`.",
    **{name: "Equal to one of the given values; `-` means empty, `\\-` a hyphen. Repeatable." for name in EQUALS},
    "status": f"What became of the group: {', '.join(f'`{name}`' for name in STATUSES)}. Repeatable.",
    "correct": "`true`, `false` or `none`.",
    "truncated": "`true`, `false` or `none`.",
    "superseded": "Steps that a resumed attempt abandoned: `hide` (default), `show` or `only`.",
    **{name: f"`true`: {text}." for name, (text, _) in PROPERTIES.items()},
    "prompt_id": "Responses to one prompt, in every step.",
    "uid": "Responses of one group.",
    "label": "Responses with this label; `*` means any label.",
    "word": "Words that all occur in the response or the prompt; a trailing `*` makes a word a prefix.",
    "regex": "RE2 expression that the response text matches.",
    **{
        f"{name}_{end}": f"{'Smallest' if end == 'min' else 'Largest'} `{column}`."
        for name, column in {**RANGES, **{name: name for name in RANGE_COLUMNS}}.items()
        for end in ("min", "max")
    },
}
"""Every parameter that filters responses, with its meaning."""
LAST_STEP = "(SELECT max(step) FROM responses WHERE kind = ?)"
STEP_RANGE = re.compile(r"^(\d{1,9})(?:-(\d{1,9}))?$")
MOST_PER_PAGE = 200
MOST_VALUES = 100
EMPTY_VALUE, HYPHEN = "-", "\\-"


def filter_value(value: str | None) -> str:
    """Return what selects the rows with a value of a column in EQUALS."""
    return EMPTY_VALUE if not value else HYPHEN if value == "-" else value


class Parameters(Protocol):
    """A request's query parameters (Starlette's QueryParams)."""

    def keys(self) -> Iterable[str]:
        """Return the names."""
        ...

    def getlist(self, key: str) -> list[str]:
        """Return every value of one parameter."""
        ...


@dataclass
class Filters:
    """A condition on `responses` and its bound values.

    Full text, regex and labels are looked up elsewhere.
    """

    kind: str = "train"
    conditions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    word: str = ""
    regex: str = ""
    label: str = ""
    superseded: str = "hide"

    @property
    def table(self) -> str:
        """Return the table of responses to select from."""
        return "responses" if self.superseded == "hide" else "all_responses"

    @property
    def where(self) -> str:
        """Return the SQL condition."""
        return " AND ".join(self.conditions) or "true"

    def add(self, condition: str, *values: Any) -> None:
        """Add one more condition that must hold."""
        self.conditions.append(f"({condition})")
        self.values.extend(values)

    @property
    def key(self) -> tuple[Any, ...]:
        """Return what identifies these filters in a cache."""
        return (self.table, self.where, tuple(map(str, self.values)), self.word, self.regex, self.label)


def parts_read(filters: Filters, column: str = "") -> tuple[str, ...]:
    """Return the parts of a run that decide which rows match, and the values of a column in them.

    What is counted of them is kept until one of these parts changes: text that is indexed in the background changes no list of
    rewards.
    """
    words = filters.word or filters.regex or any(name in f"{column} {filters.where}" for name in MEASURES)
    return ("rollouts", *(("words",) if words else ()), *(("labels",) if filters.label else ()))


def read_filters(parameters: Parameters, also: Iterable[str] = ()) -> Filters:
    """Read the filters from query parameters.

    Args:
        parameters: the request's query parameters, under their present names.
        also: parameters that the route reads itself.

    Raises:
        RequestError: for an unknown parameter or a value that cannot be read.
    """
    check_names(parameters, (*FILTERS, *also))
    kind = one(parameters, "kind", "train")
    if kind not in ("train", "validation"):
        raise RequestError(f"kind={kind[:40]}: must be train or validation")
    filters = Filters(kind=kind)
    filters.add("kind = ?", kind)
    _steps(filters, one(parameters, "step", ""))
    for name in EQUALS:
        _equals(filters, name, parameters.getlist(name))
    _statuses(filters, parameters.getlist("status"))
    for name in ("correct", "truncated"):
        _truth(filters, name, one(parameters, name, ""))
    for name, column in {**RANGES, **{name: name for name in RANGE_COLUMNS}}.items():
        low, high = number(parameters, f"{name}_min"), number(parameters, f"{name}_max")
        if low is not None:
            filters.add(f"{column} >= ?::FLOAT", low)
        if high is not None:
            filters.add(f"{column} <= ?::FLOAT", high)
    for name, column in (("prompt_id", "prompt_id"), ("uid", "prompt_uid")):
        if value := one(parameters, name, ""):
            filters.add(f"{column} = ?", value)
    filters.superseded = one(parameters, "superseded", "hide")
    if filters.superseded not in SUPERSEDED:
        raise RequestError(f"superseded={filters.superseded[:40]}: must be one of {', '.join(SUPERSEDED)}")
    if filters.superseded == "only":
        filters.add("superseded")
    for name, (_, condition) in PROPERTIES.items():
        if (value := one(parameters, name, "")) not in ("", "true"):
            raise RequestError(f"{name}={value[:40]}: must be true")
        if value:
            filters.add(condition)
    filters.word = one(parameters, "word", "").strip()
    filters.regex = one(parameters, "regex", "")
    filters.label = one(parameters, "label", "")
    return filters


def check_names(parameters: Parameters, known: Iterable[str]) -> None:
    """Raise `RequestError` for a parameter that is not among `known`."""
    names = list(known)
    for name in parameters.keys():  # noqa: SIM118 (QueryParams iterates over pairs too)
        if name not in names:
            near = difflib.get_close_matches(name, names, 2, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"the parameters are {', '.join(sorted(names))}"
            raise RequestError(f"unknown parameter {name[:40]!r}: {hint}")


def one(parameters: Parameters, name: str, default: str) -> str:
    """Return the last value of a parameter, or the default."""
    values = parameters.getlist(name)
    return values[-1] if values else default


def number(parameters: Parameters, name: str) -> float | None:
    """Return a parameter as a finite number, or None where it is absent or empty.

    Raises:
        RequestError: It is not a finite number.
    """
    text = one(parameters, name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestError(f"{name}={text[:40]}: must be a number")
    return value


def whole(parameters: Parameters, name: str, default: int, low: int, high: int) -> int:
    """Return a parameter as a whole number between `low` and `high`, both included.

    Raises:
        RequestError: It is not a whole number in this range.
    """
    text = one(parameters, name, "")
    if not text:
        return default
    if not re.fullmatch(r"-?\d{1,12}", text) or not low <= int(text) <= high:
        raise RequestError(f"{name}={text[:40]}: must be a whole number from {low} to {high}")
    return int(text)


def read_order(parameters: Parameters, known: tuple[str, ...], default: str) -> str:
    """Return `sort` as an ORDER BY expression; the caller adds what breaks ties.

    Args:
        parameters: Parameters of the request; a leading `-` of `sort` sorts descending.
        known: Columns that may be named.
        default: Column where `sort` is absent.

    Raises:
        RequestError: `sort` names another column.
    """
    name, descending = read_sort(parameters, known, default)
    return f"{name} {'DESC' if descending else 'ASC'} NULLS LAST"


def read_sort(parameters: Parameters, known: tuple[str, ...], default: str) -> tuple[str, bool]:
    """Return the column that `sort` names, and whether it sorts descending; raise like `read_order`."""
    wanted = one(parameters, "sort", default)
    name = wanted.removeprefix("-")
    if name not in known:
        raise RequestError(f"sort={wanted[:40]}: must be one of {', '.join(known)}; a leading - sorts descending")
    return name, wanted.startswith("-")


def read_page(parameters: Parameters) -> tuple[int, int]:
    """Return `page` (from 1) and `size`."""
    return whole(parameters, "page", 1, 1, 10**8), whole(parameters, "size", 50, 1, MOST_PER_PAGE)


def _steps(filters: Filters, text: str) -> None:
    if not text:
        return
    if text == "last":
        filters.add(f"step = {LAST_STEP}", filters.kind)
        return
    parts = []
    for item in text.split(",")[:MOST_VALUES]:
        match = STEP_RANGE.match(item.strip())
        if match is None:
            raise RequestError(f"step={text[:40]}: expected 12, 3-9, 3,5,8-10 or last")
        low = int(match[1])
        parts.append(f"step BETWEEN {low} AND {int(match[2] or low)}")
    filters.add(" OR ".join(parts))


def _equals(filters: Filters, column: str, values: list[str]) -> None:
    if not values:
        return
    named = ["-" if value == HYPHEN else value for value in values if value != EMPTY_VALUE][:MOST_VALUES]
    parts = [f"{column} IN ({', '.join('?' * len(named))})"] if named else []
    if EMPTY_VALUE in values:
        parts.append(f"{column} IS NULL OR {column} = ''")
    filters.add(" OR ".join(parts), *named)


def _statuses(filters: Filters, values: list[str]) -> None:
    wanted = [value for value in values if value not in ("", "all")]
    for value in wanted:
        if value not in STATUSES:
            raise RequestError(f"status={value[:40]}: must be one of {', '.join(STATUSES)}")
    if wanted:
        filters.add(f"status IN ({', '.join('?' * len(wanted))})", *wanted)


def _truth(filters: Filters, column: str, text: str) -> None:
    if not text:
        return
    if text not in ("true", "false", "none"):
        raise RequestError(f"{column}={text[:40]}: must be true, false or none")
    filters.add(f"{column} IS NULL" if text == "none" else f"{column} = {text}")
