"""Define the recipe of a corpus: its sources, its steps and its outputs.

    name: textbooks
    license: CC BY-NC-SA 4.0
    sources:
      - {name: astronomy, path: "${INNOVATOR_DATA}/textbooks/raw/astronomy.tar.xz", discipline: physics}
    steps:
      - {step: drop_short, min_words: 50}
      - {step: drop_near_duplicates}
    outputs:
      tokens: {tokenizer: smollm2-135m}

A recipe of a corpus is a YAML file with the key `steps`; recipes of RL data have none. Unknown keys are errors that name
the near ones, and a key that is given twice is an error. `${NAME}` in a path is an environment variable.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from innovator_rl.data.corpus.steps import STEPS, AnyStep
from innovator_rl.data.recipe_files import read_recipe
from innovator_rl.errors import UserError

NAME = r"^[a-z0-9][a-z0-9_-]*$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """Files of one origin, with what holds for all of them."""

    name: str = Field(pattern=NAME)
    path: str = Field(description="A file, a folder, a glob or any fsspec URL.")
    reader: str | None = Field(None, description="Format of the files; by default their suffix decides.")
    members: str | None = Field(None, description="Glob over the names inside archives; other members are ignored.")
    fields: dict[str, str] = Field(
        default_factory=dict, description="Document field (text, id, discipline, language) -> column of the rows."
    )
    template: str = Field(
        "", description="Text of a row from its columns, as in '{question}\\n{answer}'; not with fields.text."
    )
    selfies: str = Field("", description="A column of SMILES; the template may then use {SELFIES}.")
    keep: tuple[str, ...] = Field((), description="Further columns that go into the document's `info`.")
    discipline: str = ""
    language: str = ""
    license: str = ""
    max_document_bytes: int = Field(32 * 2**20, gt=0, description="A longer row or file is an error.")

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, value: dict[str, str]) -> dict[str, str]:
        known = ("text", "id", "discipline", "language")
        for name in value:
            if name not in known:
                raise ValueError(f"unknown field {name!r}{_near(name, known)}")
        return value


class Tokens(_Section):
    """Token shards of the corpus."""

    tokenizer: str = Field(description="A built-in model, or a folder or file with a tokenizer.json.")
    end_token: str | None = Field(
        None, description="Ends every document; by default the end token of the tokenizer's own configuration."
    )
    shard_bytes: int = Field(2 * 2**30, gt=0, le=2 * 2**30, description="Size of a token file, at most.")


class Outputs(_Section):
    """What is published besides the documents."""

    tokens: Tokens | None = None


class CorpusRecipe(_Section):
    """A corpus: sources, steps, outputs."""

    name: str = Field(pattern=NAME)
    title: str = ""
    license: str = ""
    sources: tuple[Source, ...] = Field(min_length=1)
    steps: tuple[Annotated[AnyStep, Field(discriminator="step")], ...]
    outputs: Outputs = Outputs()
    error_budget: float = Field(0.0, ge=0, le=1, description="Share of input rows that may be unreadable.")
    task_bytes: int = Field(64 * 2**20, gt=0, description="Small files of one source share a task up to this size.")

    @model_validator(mode="after")
    def _distinct_sources(self) -> CorpusRecipe:
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"sources: the name {name!r} must be used once")
        return self


def is_corpus_recipe(path: Path) -> bool:
    """Return whether a file is a corpus recipe; unreadable files are not."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and "steps" in content


def load_corpus_recipe(path: Path) -> CorpusRecipe:
    """Read a recipe.

    Raises:
        UserError: with the file, the key, the value and the near keys.
    """
    content = read_recipe(path)
    try:
        return CorpusRecipe.model_validate(content)
    except ValidationError as error:
        raise UserError(f"recipe {str(path)!r}: {'; '.join(map(_explain, error.errors()))}") from None


def _explain(error: Any) -> str:
    location = [part for part in error["loc"] if part not in STEPS]
    key = ".".join(str(part) for part in location)
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_near(str(location[-1]), _keys(error['loc'][:-1]))}"
    if error["type"] == "union_tag_invalid":
        found = error["ctx"]["tag"]
        return f"{key}: unknown step {found!r}{_near(found, STEPS)}"
    if error["type"] == "union_tag_not_found":
        return f"{key}: expected a mapping with the key 'step', one of {', '.join(STEPS)}"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] in ("missing", "value_error") else f", found {error['input']!r:.80}"
    return f"{key}: {message}{found}" if key else message


def _keys(location: tuple[Any, ...]) -> list[str]:
    """Return the keys of the section at a location of a validation error."""
    model: type[BaseModel] = CorpusRecipe
    for part in location:
        if part == "sources":
            model = Source
        elif part == "outputs":
            model = Outputs
        elif part == "tokens":
            model = Tokens
        elif part in STEPS:
            model = STEPS[part]
        elif isinstance(part, str) and part in model.model_fields:
            kinds = (model.model_fields[part].annotation, *get_args(model.model_fields[part].annotation))
            model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return list(model.model_fields)


def _near(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    if close:
        return f", did you mean {' or '.join(repr(c) for c in close)}?"
    return f"; expected one of {', '.join(known)}"
