"""Read a suite: the rows of a report, in order, and how each is measured.

A row has exactly one of `task` (lm-evaluation-harness), `set` (a published set of this project's readers), `recipe`
(training data's recipes) and `sciassess`. Shipped suites are in `configs/eval/`; a suite of one's own is a YAML file.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from innovator_rl.config.load import read_yaml
from innovator_rl.data.prompts import Style
from innovator_rl.errors import UserError
from innovator_rl.evaluation.questions import Format
from innovator_rl.packaged_files import find_config

KINDS = ("task", "set", "recipe", "sciassess", "unavailable")

_OWN = ("set", "recipe", "sciassess", "unavailable")
ONLY = {
    **dict.fromkeys(("filter", "shots"), ("task", "unavailable")),
    **dict.fromkeys(("samples", "temperature", "top_p", "stop", "rewarder"), _OWN),
    **dict.fromkeys(("source", "style"), ("recipe", "unavailable")),
}
"""Keys that only rows of some kinds read; next to another kind they would be ignored."""


class SuiteRow(BaseModel):
    """One row of the report; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][\w.+-]*$", description="Name in records and `--tasks`, unique in the suite.")
    title: str = Field("", description="Name in the report; the paper's.")
    section: str = Field("", description="Heading above the row.")
    task: str = Field("", description="Task or group of lm-evaluation-harness.")
    set: str = Field("", description="A set that a reader of this project reads.")
    recipe: str = Field("", description="Dataset or recipe file, as in `innovator data build`.")
    sciassess: str = Field("", description="A task of SciAssess by the name of its file.")
    unavailable: str = Field("", description="Why the row cannot be run, and what to supply; it is listed as skipped.")
    source: str | tuple[str, ...] = Field(
        "", description="File of a recipe, below the data folder; of several, the first that is there."
    )
    limit: int | None = Field(None, ge=1, description="Rows drawn at random by the seed; all where absent.")
    style: Style | None = Field(None, description="Prompt style of a recipe.")
    rewarder: str = Field("", description="Rewarder in place of the set's own.")
    metric: str = Field("acc", description="Metric to report first.")
    filter: str = Field("none", description="Filter of the harness before the metric.")
    shots: int | None = Field(None, ge=0, description="Examples in the prompt; the task's own where absent.")
    format: Format = Field("auto", description="raw, chat, or auto: chat where the tokenizer has a template.")
    samples: int = Field(1, ge=1, description="Responses per question.")
    temperature: float = Field(0.0, ge=0, description="0: greedy.")
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int | None = Field(None, gt=0, description="Longest response in tokens.")
    stop: tuple[str, ...] = Field((), description="Strings that end a response.")
    hub: str = Field("", description="Where the set is published.")
    protocol: Literal["yes", "no", "not stated"] = Field(
        "not stated", description="Whether the paper's protocol is used."
    )
    note: str = Field("", description="What differs, or what to know when reading the number.")
    paper: dict[str, float] = Field({}, description="The paper's numbers in percent, by column.")
    average: str = Field("", description="The average that the row counts in.")

    @model_validator(mode="after")
    def _one_kind(self) -> SuiteRow:
        given = [kind for kind in KINDS if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"row {self.name!r} must have exactly one of {', '.join(KINDS)}, found {given or 'none'}")
        idle = sorted(key for key in self.model_fields_set if given[0] not in ONLY.get(key, KINDS))
        if idle:
            raise ValueError(f"row {self.name!r}: {idle[0]} has no effect next to {given[0]}; remove it")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(f"row {self.name!r}: samples above 1 need temperature above 0, or all would be equal")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the places of a recipe's file."""
        given = (self.source,) if isinstance(self.source, str) else self.source
        return tuple(place for place in given if place)

    @property
    def shown(self) -> str:
        """Return the name in reports."""
        return self.title or self.name


class Suite(BaseModel):
    """The rows of a report."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = ""
    note: str = ""
    columns: tuple[str, ...] = Field((), description="Columns of the paper to print, in order.")
    rows: tuple[SuiteRow, ...]

    @model_validator(mode="after")
    def _unique(self) -> Suite:
        names = [row.name for row in self.rows]
        if not names:
            raise ValueError("rows must have at least one row")
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated:
            raise ValueError(f"two rows are named {repeated!r}; names must be unique")
        return self

    def bounded(self, new_tokens: int) -> Suite:
        """Return the suite with responses of at most so many tokens."""
        rows = (
            row.model_copy(update={"max_new_tokens": min(row.max_new_tokens or new_tokens, new_tokens)})
            for row in self.rows
        )
        return self.model_copy(update={"rows": tuple(rows)})

    def only(self, names: Iterable[str]) -> Suite:
        """Return the suite with the named rows.

        Raises:
            UserError: There is no such row; the message has the near names.
        """
        wanted = list(names)
        known = [row.name for row in self.rows]
        for name in wanted:
            if name not in known:
                near = get_close_matches(name, known, 3, 0.5)
                hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(known)}"
                raise UserError(f"unknown task {name!r} in suite {self.name}: {hint}")
        return self.model_copy(update={"rows": tuple(row for row in self.rows if row.name in wanted)})


def load_suite(name: str) -> tuple[Suite, Path]:
    """Read a suite by name or file.

    Raises:
        UserError: The suite is unknown, or a key of it is; one line per mistake.
    """
    path = find_config(name, "eval")
    document = read_yaml(path)
    try:
        return Suite.model_validate(document), path
    except ValidationError as error:
        lines = dict.fromkeys(_sentence(item, document) for item in error.errors(include_url=False))
        raise UserError("\n".join(f"{path}: {line}" for line in lines)) from None


def _sentence(item: Any, document: dict[str, Any]) -> str:
    places = [str(part) for part in item["loc"]]
    where = ".".join(places)
    if len(places) > 1 and places[0] == "rows" and places[1].isdigit():
        row = document["rows"][int(places[1])]
        label = row.get("name", f"number {int(places[1]) + 1}") if isinstance(row, dict) else places[1]
        where = ".".join([f"rows.{label}", *places[2:]])
    if item["type"] == "extra_forbidden":
        known = SuiteRow.model_fields if places[0] == "rows" else Suite.model_fields
        near = get_close_matches(places[-1], known, 2, 0.5)
        return f"{where}: unknown key; " + (
            f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(known)}"
        )
    if item["type"] == "missing":
        return f"{where}: not found; the key must be given"
    message = item["msg"].removeprefix("Value error, ")
    return f"{where} = {item['input']!r:.80}: {message}" if where and item["type"] != "value_error" else message
