"""Define the recipe of rows for supervised fine-tuning, a YAML file with `kind: sft`.

    kind: sft
    name: worked-steps
    license: CC0-1.0
    worked:                     # worked solutions of generated tasks; needs no endpoint
      - {dataset: one-step-law, rows: 200}

    kind: sft
    name: refined-physics
    license: CC0-1.0
    refine:                     # a writer, an editor, and verifiers that must agree
      questions: {dataset: one-step-law, rows: 50}
      writer: {endpoint: {url: http://127.0.0.1:8000/v1, model: big}, prompt: prompts/research-expert.md}
      editor: {endpoint: {...}, prompt: prompts/academic-editor.md}
      verifiers: [{endpoint: {...}, prompt: prompts/verifier.md}]

Paths of prompts are relative to the recipe. Unknown keys are errors that name the near ones.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from innovator_rl.data.recipe_files import explain, read_recipe
from innovator_rl.endpoints import EndpointConfig
from innovator_rl.errors import UserError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Worked(_Section):
    """Worked solutions of one generated data set, in the prompt form that its reinforcement learning uses."""

    dataset: str = Field(description="Name of a data set whose task has solutions, or its recipe.")
    rows: int = Field(gt=0, description="Training rows, from the training side of the data set's own split.")
    validation_rows: int = Field(20, ge=0, description="Validation rows, from the validation side.")


class Questions(_Section):
    """Questions to be answered: those of a data set, or a JSON-lines file."""

    dataset: str = Field("", description="Name of a data set, or its recipe: its share for fine-tuning is asked.")
    path: str = Field("", description="JSON lines with `question`, and `id` and `answer` where there are some.")
    domain: str = Field("", description="Domain of the file's questions: it decides the prompt and the rewarder.")
    reward: str = Field("", description="Rewarder; by default the domain's.")
    rows: int | None = Field(None, gt=0, description="Take this many; null takes all.")

    @model_validator(mode="after")
    def _one_source(self) -> Questions:
        if bool(self.dataset) == bool(self.path):
            raise ValueError("give `dataset` or `path`, and not both")
        if self.path and not self.domain:
            raise ValueError("`path` needs a `domain`, which decides the prompt and the rewarder")
        return self


class Persona(_Section):
    """A model with a prompt and how it samples."""

    endpoint: EndpointConfig
    prompt: str = Field(description="File of the user message, with {question}, and {draft} for the editor.")
    max_tokens: int = Field(512, gt=0)
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 0


class Refine(_Section):
    """Generate-Refine: the writer drafts, the editor refines, and verifiers answer independently."""

    questions: Questions
    writer: Persona
    editor: Persona
    verifiers: tuple[Persona, ...] = Field(min_length=1)
    agree: int | None = Field(None, ge=1, description="Verifiers that must agree; null: all of them.")
    max_requests: int | None = Field(None, ge=1, description="Budget of requests over all endpoints.")
    max_tokens_total: int | None = Field(None, ge=1, description="Budget of tokens over all endpoints.")
    concurrency: int = Field(16, ge=1, description="Questions in work at the same time.")

    @model_validator(mode="after")
    def _reachable(self) -> Refine:
        if self.agree is not None and self.agree > len(self.verifiers):
            raise ValueError(f"agree = {self.agree} must be at most the number of verifiers, {len(self.verifiers)}")
        return self


class SftRecipe(_Section):
    """Rows for supervised fine-tuning, of one of the two kinds."""

    kind: str = Field(pattern="^sft$")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = ""
    license: str
    worked: tuple[Worked, ...] = ()
    refine: Refine | None = None
    validation: float = Field(0.1, gt=0, lt=1, description="Share of refined rows to validate on.")
    error_budget: float = Field(0.0, ge=0, le=1, description="Share of questions that faults may cost.")
    seed: int = 0

    @model_validator(mode="after")
    def _one_kind(self) -> SftRecipe:
        if bool(self.worked) == (self.refine is not None):
            raise ValueError("give `worked` or `refine`, and not both")
        return self


def is_sft_recipe(path: Path) -> bool:
    """Return whether a file is such a recipe; unreadable files are not."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and content.get("kind") == "sft"


def load_sft_recipe(path: Path) -> SftRecipe:
    """Read a recipe.

    Raises:
        UserError: with the file, the key, the value and the near keys.
    """
    content = read_recipe(path)
    try:
        return SftRecipe.model_validate(content)
    except ValidationError as error:
        raise UserError(f"recipe {str(path)!r}: {explain(error, SftRecipe)}") from None
