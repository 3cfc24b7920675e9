"""Recipes: what a dataset is and how its training files come about.

`datasets/NAME/dataset.yaml` and a file in `configs/data/` are the same thing, a recipe: the first describes a folder
with a sample that ships, the second a build of the full set. A recipe draws its problems from a generated task
(`task`), from files (`source`, read by `reader`), or, where no source is given, from the sample next to it.
"""

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from innovator_rl.data.problem import DOMAINS
from innovator_rl.data.prompts import Style
from innovator_rl.errors import UserError
from innovator_rl.packaged_files import roots

SAMPLE = "sample.jsonl"
RECIPE = "dataset.yaml"


class Splits(BaseModel):
    """The shares of problems to validate on, for full or generated sets and samples."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    validation: float = Field(0.1, gt=0, lt=1)
    sample: float = Field(0.25, gt=0, lt=1)


class Recipe(BaseModel):
    """The recipe of a data set; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = ""
    domain: str
    reward: str = ""  # the domain's rewarder where empty
    license: str = Field(validation_alias=AliasChoices("license", "licence"))  # old name, codespell:ignore licence
    origin: str = ""  # where the full set is available
    style: Style = "full"
    reader: str | None = None
    source: Path | None = None
    task: str | None = None
    parameters: dict[str, Any] = {}
    fields: dict[str, str] = {}  # for the reader `jsonl`: our field -> the file's column
    rows: int | None = Field(None, gt=0)
    splits: Splits = Splits(validation=0.1, sample=0.25)
    seed: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.domain not in DOMAINS:
            raise ValueError(f"domain {self.domain!r} must be one of {', '.join(DOMAINS)}")
        if self.task and (self.reader or self.source):
            raise ValueError("a generated `task` has neither `reader` nor `source`: leave those out")
        if self.source and not self.reader:
            raise ValueError("`source` requires a `reader`, e.g. `reader: jsonl`")
        return self

    @property
    def rewarder(self) -> str:
        """Return the rewarder, by default the domain's."""
        return self.reward or DOMAINS[self.domain]


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        UserError: The file cannot be used; the message has file, key and fix.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"recipe {str(path)!r} cannot be read ({error.strerror}){_recipes_beside(path)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {str(path)!r} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"recipe {str(path)!r} must be a mapping: see datasets/physics/{RECIPE} for one")
    try:
        return Recipe(**content)
    except (ValidationError, TypeError) as error:
        raise UserError(f"recipe {str(path)!r}: {_explain(error)}") from None


def datasets_folders() -> list[Path]:
    """Return the folders of datasets: the working directory's, then packaged ones."""
    return [root / "datasets" for root in roots() if (root / "datasets").is_dir()]


def dataset_names() -> list[str]:
    """Return the sorted names of all dataset folders."""
    return sorted({path.parent.name for folder in datasets_folders() for path in folder.glob(f"*/{RECIPE}")})


def find_dataset(name: str) -> Path:
    """Return the folder of a dataset.

    Raises:
        UserError: The name is unknown; the message has similar names.
    """
    for folder in datasets_folders():
        if (folder / name / RECIPE).is_file():
            return folder / name
    names = dataset_names()
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    known = f"Datasets here: {', '.join(names)}" if names else "There is no datasets/ folder in the working directory"
    raise UserError(f"unknown dataset {name!r}; {guess}{known}")


def _explain(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    parts = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(key, Recipe.model_fields, n=1)
            hint = f", did you mean {close[0]!r}?" if close else f"; keys are {', '.join(Recipe.model_fields)}"
            parts.append(f"unknown key {key!r}{hint}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            parts.append(f"{key}: {message}" if key else message)
    return "; ".join(parts)


def _recipes_beside(path: Path) -> str:
    names = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"; {str(path.parent)!r} holds {', '.join(names)}" if names else ""
