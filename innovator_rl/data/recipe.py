"""Recipes: what a dataset is and how its training files come about.

`datasets/NAME/dataset.yaml` and a file in `configs/data/` are the same thing, a recipe: the first describes a folder
with a sample that ships, the second a build of the full set. A recipe draws its problems from a generated task
(`task`), from files (`source`, read by `reader`), from a data set of the Hugging Face hub (`hub`), or, where none of
them is given, from the sample next to it. `checks`, `decontaminate` and `difficulty` say what a build does with every
row.
"""

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from innovator_rl.data.corpus.paths import expand_path
from innovator_rl.data.hub import Hub
from innovator_rl.data.problem import DOMAINS
from innovator_rl.data.prompts import Style
from innovator_rl.data.recipe_files import explain, read_recipe
from innovator_rl.data.templates import compile_template
from innovator_rl.errors import UserError
from innovator_rl.packaged_files import roots

SAMPLE = "sample.jsonl"
RECIPE = "dataset.yaml"
#: Reader -> the `parameters` that it takes; a reader that is not here takes none. Those of tasks are in `tasks.py`.
READER_PARAMETERS = {
    "moleculenet": ("ask", "label", "smiles"),
    "physics_phd": ("several",),
    "taco": ("tries",),
    "webinstruct": ("types",),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Splits(_Part):
    """The shares of problems to validate and to test on, for full or generated sets and samples.

    Attributes:
        validation: The share of a full or generated set.
        test: The share of a full or generated set for its final evaluation, which neither training nor validation sees.
        worked: The share for worked solutions of fine-tuning. Reinforcement learning trains on the rest, so it asks what the
            model was not fine-tuned on; else part of its groups are all right from the start.
        sample: The share of the sample that ships.
        by: What stays on one side of the split. `content`: the group or the question. `molecule`: the molecule, whatever
            its spelling, stereo marks or isotopes (the first block of its InChIKey). `scaffold`: all molecules with one
            Murcko scaffold. By default `molecule` where a row has a molecule, and `content` elsewhere.
    """

    validation: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.0, ge=0, lt=1)
    worked: float = Field(default=0.0, ge=0, lt=1)
    sample: float = Field(default=0.25, gt=0, lt=1)
    by: Literal["", "content", "molecule", "scaffold"] = ""

    @model_validator(mode="after")
    def _some_to_train_on(self) -> "Splits":
        if self.validation + self.test >= 1:
            raise ValueError(f"test = {self.test}: must be less than 1 - validation = {1 - self.validation:g}")
        if self.worked and self.validation + self.test + self.worked >= 1:
            left = 1 - self.validation - self.test
            raise ValueError(f"worked = {self.worked}: must be less than 1 - validation - test = {left:g}")
        return self


class Checks(_Part):
    """What a build tries on every row.

    Attributes:
        gold: Score each gold answer with its own rewarder, and drop the row unless it is correct.
        mutants: Score a gold answer that was made wrong in one place, and drop the row where that is correct.
        near_duplicates: The Jaccard similarity of word runs from which a prompt is dropped as a copy of an earlier one,
            if both have the same numbers and the same answer; 0 to keep all.
        balance: Keep as many True as False answers; by default where a data source has both.
        timeout_seconds: The deadline of one call of the rewarder.
    """

    gold: bool = True
    mutants: bool = True
    near_duplicates: float = Field(default=0.8, ge=0, le=1)
    balance: bool = True
    timeout_seconds: float = Field(default=10.0, gt=0)


class EvaluationFile(_Part):
    """A file of evaluation items whose text and molecules must not be trained on.

    Attributes:
        name: The name in the manifest.
        path: A file or a folder; environment variables are replaced.
        fields: The columns whose text is looked for; all columns with text where empty.
        molecules: The columns that hold a molecule, in SMILES or SELFIES. Molecules inside of text are found besides.
    """

    name: str
    path: str
    fields: tuple[str, ...] = ()
    molecules: tuple[str, ...] = ()


class Decontamination(_Part):
    """Drop every problem that an evaluation set contains.

    Attributes:
        against: The evaluation sets. One that is missing stops the build.
        words: The number of words of a run that counts as a match.
        molecules: Compare molecules by InChIKey as well, because another spelling of a molecule shares no words.
    """

    against: tuple[EvaluationFile, ...] = Field(min_length=1)
    words: int = Field(default=13, ge=4, le=64)
    molecules: bool = True


class Difficulty(_Part):
    """Measure the pass rate of a model on every prompt, keep it on the row, and drop prompts outside of a range.

    Attributes:
        model: A built-in model, a folder or a hub id; with `endpoint`, its name on the server.
        endpoint: The base URL of an OpenAI-compatible server, for example http://host:8000/v1; vLLM runs here if empty.
        samples: Responses per prompt.
        temperature: The sampling temperature.
        max_tokens: Tokens of a response.
        keep: The least and the greatest pass rate of a row that is kept.
        seed: The seed of the sampling.
    """

    model: str
    endpoint: str = ""
    samples: int = Field(default=8, ge=1, le=1024)
    temperature: float = Field(default=1.0, ge=0, le=10)
    max_tokens: int = Field(default=1024, ge=1)
    keep: tuple[float, float] = (0.0, 1.0)
    seed: int = 0

    @model_validator(mode="after")
    def _range(self) -> "Difficulty":
        low, high = self.keep
        if not 0 <= low <= high <= 1:
            raise ValueError(f"keep must be two shares in order, for example [0.1, 0.9], got {list(self.keep)}")
        return self


class Recipe(BaseModel):
    """The recipe of a data set; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = ""
    domain: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")  # one of DOMAINS, or a name of your own
    reward: str = ""  # the domain's rewarder where empty
    license: str = Field(validation_alias=AliasChoices("license", "licence"))  # old name, codespell:ignore licence
    origin: str = ""  # where the full set is available
    style: Style | None = None  # full where the domain has a form, otherwise bare
    system: str = ""  # the template of the system message
    prompt: str = ""  # the template of the user message, instead of a style
    reader: str | None = None
    source: Path | None = None
    hub: Hub | None = None
    task: str | None = None
    parameters: dict[str, Any] = {}
    fields: dict[str, str] = {}  # for the reader `jsonl`: our field -> the file's column
    rows: int | None = Field(default=None, gt=0)
    splits: Splits = Splits(validation=0.1, sample=0.25)
    seed: int = 0
    error_budget: float = Field(default=0.0, ge=0, lt=1)  # the share of rows that may be unreadable
    checks: Checks = Checks()
    decontaminate: Decontamination | None = None
    difficulty: Difficulty | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        own = self.domain not in DOMAINS
        if own and not self.reward and self.reader != "jsonl":
            near = difflib.get_close_matches(self.domain, DOMAINS, n=1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"domain {self.domain!r} is unknown; {guess}The domains with a rewarder are {', '.join(DOMAINS)}; a "
                "domain of your own needs `reward:` (`innovator reward list`)"
            )
        if own and self.style not in (None, "bare") and not self.prompt:
            raise ValueError(
                f"style {self.style!r} exists for the domains {', '.join(DOMAINS)}: "
                f"for domain {self.domain!r} give `prompt:` or `style: bare`"
            )
        if self.prompt and self.style:
            raise ValueError("`prompt` replaces `style`: give one of them")
        for key in ("system", "prompt"):
            try:
                compile_template(getattr(self, key))
            except UserError as error:
                raise ValueError(f"{key}: {error}") from None
        if self.task and (self.reader or self.source or self.hub):
            raise ValueError("a generated `task` has neither `reader` nor `source` nor `hub`: leave those out")
        if (self.source or self.hub) and not self.reader:
            raise ValueError("`source` requires a `reader`, e.g. `reader: jsonl`")
        self._require_parameters()
        return self

    def _require_parameters(self) -> None:
        """Raise `ValueError` for a parameter that nothing reads; a generated task checks its own."""
        known = READER_PARAMETERS.get(self.reader or "", ())
        if name := next((name for name in self.parameters if name not in known and not self.task), ""):
            who = f"reader {self.reader!r}" if self.reader else "a recipe without `reader` and `task`"
            others = f"none (the readers {', '.join(READER_PARAMETERS)} take some)"
            takes = f"takes {', '.join(known) or others}"
            raise ValueError(f"parameters.{name} = {self.parameters[name]!r}: unknown; {who} {takes}")

    @property
    def rewarder(self) -> str:
        """Return the rewarder, by default the domain's; empty where only the rows name one."""
        return self.reward or DOMAINS.get(self.domain, "")

    @property
    def source_path(self) -> Path | None:
        """Return the source with environment variables and `~` replaced; None where there is none.

        Raises:
            UserError: A variable is not set.
        """
        return Path(expand_path(str(self.source))) if self.source else None

    @property
    def prompt_style(self) -> Style:
        """Return the style of prompts that no template asks for."""
        return self.style or ("full" if self.domain in DOMAINS else "bare")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        UserError: The file cannot be used; the message has file, key and fix.
    """
    content = read_recipe(path)
    if not isinstance(content, dict):
        raise UserError(f"recipe {str(path)!r} must be a mapping: see datasets/physics/{RECIPE} for one")
    return make_recipe(content, f"recipe {str(path)!r}")


def make_recipe(content: dict[str, Any], what: str) -> Recipe:
    """Return a recipe from its keys.

    Args:
        content: The keys.
        what: What it is, for messages.

    Raises:
        UserError: A key or value cannot be used.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{what}: {explain(error, Recipe)}") from None


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
