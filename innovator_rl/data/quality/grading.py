"""Define how passages are graded: the rubric with its levels, the gold passages, and the agreement of an annotator with them.

    rubric = load_rubric()
    levels = Levels(cleanliness=2, coherence=2, content=1)
    rubric.keeps(levels)

The rubric and the gold passages stand next to this module (`rubric.yaml`, `gold.jsonl`); `gold.md` says how the passages were
chosen and labeled. A recipe may name files of its own with the same form.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from innovator_rl.errors import UserError

RUBRIC = Path(__file__).with_name("rubric.yaml")
GOLD = Path(__file__).with_name("gold.jsonl")
DIMENSIONS = ("cleanliness", "coherence", "content")
LEVELS = (0, 1, 2)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Levels(_Section):
    """The grade of a passage: a level of each dimension."""

    cleanliness: int = Field(ge=0, le=2)
    coherence: int = Field(ge=0, le=2)
    content: int = Field(ge=0, le=2)

    def values(self) -> tuple[int, int, int]:
        """Return the levels in the order of `DIMENSIONS`."""
        return self.cleanliness, self.coherence, self.content


class Dimension(_Section):
    """One dimension: what is asked, and what each level means."""

    question: str
    levels: dict[int, str]


class Keep(_Section):
    """When a passage is good enough."""

    least: int
    sum: int


class Rubric(_Section):
    """The rubric as it stands in its file.

    Attributes:
        signals: Dimension -> signal -> the values from which the level is 1 and 0 where signals are the annotator.
    """

    dimensions: dict[str, Dimension]
    keep: Keep
    signals: dict[str, dict[str, tuple[float, float]]]

    @model_validator(mode="after")
    def _is_complete(self) -> Rubric:
        for name, found in (("dimensions", self.dimensions), ("signals", self.signals)):
            if tuple(found) != DIMENSIONS:
                raise ValueError(f"{name} must be {', '.join(DIMENSIONS)}, found {', '.join(found)}")
        for name, dimension in self.dimensions.items():
            if sorted(dimension.levels) != list(LEVELS):
                raise ValueError(f"dimensions.{name}.levels must be 0, 1 and 2, found {sorted(dimension.levels)}")
        return self

    def keeps(self, levels: Levels) -> bool:
        """Return whether a passage with these levels is good enough to learn from."""
        return min(levels.values()) >= self.keep.least and sum(levels.values()) >= self.keep.sum

    def describe(self) -> str:
        """Return the dimensions and levels as text for a prompt."""
        return "\n\n".join(
            f"{name}: {dimension.question}\n"
            + "\n".join(f"  {level} = {' '.join(dimension.levels[level].split())}" for level in reversed(LEVELS))
            for name, dimension in self.dimensions.items()
        )


class GoldPassage(_Section):
    """A passage whose levels a person decided.

    Attributes:
        kind: What kind of text it is, or how it was damaged.
        split: `fitting` may be used to choose thresholds and to train; `held_out` measures and nothing else.
    """

    id: str
    language: Literal["en", "zh"]
    kind: str
    split: Literal["fitting", "held_out"]
    origin: str
    license: str
    cleanliness: int = Field(ge=0, le=2)
    coherence: int = Field(ge=0, le=2)
    content: int = Field(ge=0, le=2)
    text: str = Field(min_length=1)

    @property
    def levels(self) -> Levels:
        """Return the levels that the person decided."""
        return Levels(cleanliness=self.cleanliness, coherence=self.coherence, content=self.content)


def load_rubric(path: Path = RUBRIC) -> Rubric:
    """Read a rubric.

    Raises:
        UserError: with the file and what is wrong in it.
    """
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"rubric {str(path)!r} cannot be read ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        raise UserError(f"rubric {str(path)!r}: {_first(error)}") from None


def load_gold(path: Path = GOLD) -> list[GoldPassage]:
    """Read gold passages.

    Raises:
        UserError: with the file and the line that is wrong.
    """
    passages = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"gold file {str(path)!r} cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            passages.append(GoldPassage.model_validate(json.loads(line)))
        except ValidationError as error:
            raise UserError(f"gold file {str(path)!r} line {number}: {_first(error)}") from None
        except ValueError as error:
            raise UserError(f"gold file {str(path)!r} line {number} is not JSON ({error})") from None
    if not passages:
        raise UserError(f"gold file {str(path)!r} must have at least one passage")
    return passages


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    key = ".".join(str(part) for part in found["loc"])
    return f"{key}: {found['msg'].removeprefix('Value error, ')}".removeprefix(": ")


@dataclass(frozen=True)
class Disagreement:
    """A gold passage for which an annotator decides otherwise; `found` is None where it gave no valid answer."""

    passage: GoldPassage
    found: Levels | None
    detail: str = ""

    def describe(self) -> str:
        """Return one line for a report."""
        wanted = "/".join(map(str, self.passage.levels.values()))
        found = "/".join(map(str, self.found.values())) if self.found else f"no answer ({self.detail})"
        return f"{self.passage.id} ({self.passage.kind}): gold {wanted}, annotator {found}"


@dataclass(frozen=True)
class Agreement:
    """How far an annotator agrees with gold passages.

    Attributes:
        passages: Passages that were compared.
        kept: Share of passages with the same decision to keep or drop.
        kappa: Cohen's kappa of that decision.
        dimensions: Share of passages with the same level, for each dimension.
        languages: `kept` for each language.
        disagreements: Passages with the other decision.
    """

    passages: int
    kept: float
    kappa: float
    dimensions: dict[str, float]
    languages: dict[str, float]
    disagreements: tuple[Disagreement, ...]

    def facts(self) -> dict[str, int | float | str]:
        """Return plain figures for manifests and cards."""
        return {
            "gold passages": self.passages,
            "agreement": round(self.kept, 4),
            "kappa": round(self.kappa, 4),
            **{f"agreement {name}": round(share, 4) for name, share in (self.languages | self.dimensions).items()},
        }


def measure_agreement(
    gold: Sequence[GoldPassage], found: Sequence[Levels | None], rubric: Rubric, details: Sequence[str] = ()
) -> Agreement:
    """Compare an annotator's levels with those of gold passages.

    Args:
        gold: The passages.
        found: The annotator's levels for each; None, where it gave none, disagrees.
        rubric: Decides what is kept.
        details: Why there are none, for each passage.
    """
    wrong: list[Disagreement] = []
    pairs: Counter[tuple[bool, bool]] = Counter()
    right: Counter[str] = Counter()
    totals: Counter[str] = Counter(passage.language for passage in gold)
    for number, (passage, levels) in enumerate(zip(gold, found, strict=True)):
        wanted = rubric.keeps(passage.levels)
        decided = rubric.keeps(levels) if levels is not None else not wanted
        pairs[wanted, decided] += 1
        if wanted == decided:
            right[passage.language] += 1
        else:
            wrong.append(Disagreement(passage, levels, details[number] if details else ""))
        for name in DIMENSIONS:
            right[name] += levels is not None and getattr(levels, name) == getattr(passage, name)
    count = len(gold)
    observed = (pairs[True, True] + pairs[False, False]) / count
    wanted_share = (pairs[True, True] + pairs[True, False]) / count
    found_share = (pairs[True, True] + pairs[False, True]) / count
    chance = wanted_share * found_share + (1 - wanted_share) * (1 - found_share)
    return Agreement(
        passages=count,
        kept=observed,
        kappa=1.0 if chance == 1 else (observed - chance) / (1 - chance),
        dimensions={name: right[name] / count for name in DIMENSIONS},
        languages={language: right[language] / totals[language] for language in sorted(totals)},
        disagreements=tuple(wrong),
    )
