"""Define the configuration of a whole path: corpus, four stages, fine-tuning, reinforcement learning, evaluation.

A file in `configs/paper/` names the configuration of each part and the settings laid over it. Models have short names:
`base` is the base model, `mixture` the upcycled one, `dense` the base model trained on as many tokens of the same text,
`sft-X` the fine-tuned X, and each arm of reinforcement learning gives one model per seed, `ARM-SEED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from innovator_rl.config.load import apply_overrides, read_yaml
from innovator_rl.errors import UserError

SCALING_TABLES, SCALING_PICTURE = "upcycle-scaling.md", "upcycle-scaling.png"
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Starting = Literal["base", "mixture", "dense"]


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(Section):
    """One part of the path: a configuration file and the settings laid over it."""

    config: Path = Field(description="The part's own configuration file.")
    settings: tuple[str, ...] = Field(default=(), description="`key=value` words laid over that file.")
    disk_gb: float = Field(default=0.0, ge=0, description="Free disk that the part needs, in GB.")
    hours: float = Field(
        default=0.0, ge=0, description="Hours of one run of the part on this machine, for the dry run; 0: unknown."
    )
    launcher: tuple[str, ...] = Field(
        default=(),
        description="Words before the part's command that start it on several hosts, such as srun and its options.",
    )


class Price(Section):
    """What an hour of one device costs."""

    per_hour: float = Field(gt=0, description="Price of one device for one hour.")
    unit: Literal["GPU", "core"] = Field(default="GPU", description="The device.")
    currency: str = Field(default="USD", description="Currency.")
    source: str = Field(description="Where the price comes from; the dry run prints it.")


class Corpus(Section):
    """The text for upcycling."""

    config: Path = Field(description="Recipe of a corpus with token shards.")
    hours: float = Field(
        default=0.0, ge=0, description="Hours of one build on this machine, for the dry run; 0: unknown."
    )


class Upcycle(Part):
    """The four stages."""

    dense: bool = Field(default=True, description="Also train the base model itself on as many tokens.")
    verify: bool = Field(
        default=True, description="Also compare the exported mixture with the trained one, in transformers and in vLLM."
    )
    ranks: int = Field(default=1, ge=1, description="Processes on each machine, one per accelerator.")
    nodes: int = Field(
        default=1, ge=1, description="Machines; `launcher` starts the command on each, with MASTER_ADDR and NODE_RANK."
    )


class FineTuning(Part):
    """Supervised fine-tuning."""

    models: tuple[Starting, ...] = Field(default=("base",), description="Models to fine-tune.")


class Arm(Section):
    """One arm of reinforcement learning."""

    name: Word = Field(description="Name of the arm.")
    model: str = Field(description="The model it starts from, such as base or sft-base.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1, description="One run per seed.")
    tasks: tuple[str, ...] = Field(
        default=(), description="Those of the path's tasks that it trains on; all if absent."
    )
    settings: tuple[str, ...] = Field(default=(), description="`key=value` words for this arm alone.")
    hours: float = Field(
        default=0.0, ge=0, description="Hours of one seed on this machine, for the dry run; 0: those of `learning`."
    )
    probe_rows: int = Field(
        default=0,
        ge=0,
        description="Validation prompts of each of the path's tasks that `innovator data probe` asks the starting model before "
        "any arm trains; the report prints what passes the rule for training on it. 0: none. Arms with one starting model "
        "share the first one's probe.",
    )
    probe_tokens: int = Field(default=48, gt=0, description="Most tokens of a response to the probe.")


class Learning(Part):
    """Reinforcement learning, in arms that differ in the model they start from."""

    arms: tuple[Arm, ...] = Field(default=(), description="The arms.")
    export_gb: float = Field(default=0.0, ge=0, description="Size of an exported model, in GB.")


class Evaluation(Section):
    """A suite on models of the path."""

    suite: str = Field(description="Name of a suite in configs/eval, or a file.")
    models: tuple[str, ...] = Field(description="Names of models; an arm's name stands for all of its seeds.")
    limit: int | None = Field(default=None, gt=0, description="Most rows per task; None for all.")
    dtype: Literal["float32", "bfloat16"] | None = Field(
        default=None,
        description="Number format; None: that of the path, or else float32 on a CPU and bfloat16 elsewhere.",
    )
    tensor_parallel: int = Field(default=1, ge=1, description="Accelerators that share a model.")
    hours: float = Field(default=0.0, ge=0, description="Hours per model on this machine, for the dry run; 0: unknown.")


class PaperConfig(Section):
    """One run of the whole path."""

    name: Word = Field(description="Name of the run; its directory is runs_dir/NAME, its parts are runs_dir/NAME-*.")
    runs_dir: Path = Field(default=Path("runs"), description="Folder of all runs.")
    base_model: str = Field(description="The dense model: a folder, a hub id, or a built-in model.")
    data: Path | None = Field(
        default=None,
        description="Folder of published sets, which recipes and suites read as INNOVATOR_DATA; None: that of the environment.",
    )
    corpus: Corpus | None = Field(default=None, description="The text; None if the upcycling file names its own.")
    tasks: tuple[str, ...] = Field(default=(), description="Recipes whose training files are built first.")
    upcycle: Upcycle | None = None
    sft: FineTuning | None = None
    learning: Learning | None = None
    evaluations: tuple[Evaluation, ...] = ()
    scaling: Path | None = Field(
        default=None,
        description="Folder with the results of `benchmarks.upcycle_scaling`; the report shows them (Table 4 and Fig. 3).",
    )
    deviations: tuple[str, ...] = Field(
        default=(),
        description="Sentences for the report: how the path differs from the paper, and what its figures do not say.",
    )
    dtype: Literal["fastest", "float32", "bfloat16"] | None = Field(
        default=None,
        description="Number format of fine-tuning, reinforcement learning and evaluation; fastest: bfloat16, on a CPU only "
        "where it has instructions for it, else float32; None: each part's own.",
    )
    accelerators: int = Field(
        default=0, ge=0, description="Accelerators of the path, for its plan; 0: processor cores."
    )
    price: Price | None = Field(default=None, description="Price of a device, for the dry run.")
    limit_hours: float = Field(default=24.0, gt=0, description="Longest time of one stage, in hours.")
    save_minutes: float = Field(
        default=1.0,
        gt=0,
        description="Time that a stage gets to save its work after Ctrl-C or at its limit, in minutes.",
    )

    @model_validator(mode="after")
    def _models_exist(self) -> PaperConfig:
        if self.scaling and not (self.scaling / SCALING_TABLES).is_file():
            raise UserError(
                f"scaling = {self.scaling}: {SCALING_TABLES} not found there; `python -m benchmarks.upcycle_scaling "
                f"--out {self.scaling}` writes it, or leave the key out"
            )
        if self.data and not self.data.is_dir():
            raise UserError(f"data = {self.data}: not a folder; expected the published sets, or leave the key out")
        known = self.model_names()
        for where, name in self._named_models():
            if name not in known:
                raise UserError(f"{where} = {name!r}: unknown model; expected one of {', '.join(known)}")
        if self.learning:
            self._check_arms(self.learning)
        pairs = [(part.suite, name) for part in self.evaluations for name in part.models]
        if len(set(pairs)) != len(pairs):
            suite, model = max(pairs, key=pairs.count)
            raise UserError(f"evaluations: suite {suite!r} is asked of {model!r} twice; leave one out")
        return self

    def _check_arms(self, part: Learning) -> None:
        made = self._models_without_arms()
        names = [arm.name for arm in part.arms]
        if len(set(names)) != len(names):
            raise UserError(f"learning.arms: two arms are named {max(names, key=names.count)!r}; rename one")
        taken = {*get_args(Starting), *(f"sft-{model}" for model in get_args(Starting))}
        taken |= {f"{arm.name}-{seed}" for arm in part.arms for seed in arm.seeds}
        for name in names:
            if name in taken:
                raise UserError(
                    f"learning.arms.name = {name!r}: this is the name of a model, and evaluations would ask that one; rename the arm"
                )
        for arm in part.arms:
            if arm.model not in made:
                raise UserError(
                    f"learning.arms.model = {arm.model!r}: arm {arm.name!r} cannot start from it; expected one of "
                    f"{', '.join(made)}"
                )
            if len(set(arm.seeds)) != len(arm.seeds):
                raise UserError(f"learning.arms.seeds = {list(arm.seeds)}: arm {arm.name!r} has a seed twice")
            unknown = [task for task in arm.tasks if task not in self.tasks]
            if unknown:
                built = ", ".join(self.tasks) or "none"
                raise UserError(f"learning.arms.tasks = {unknown[0]!r}: unknown task; the path builds {built}")
            made += [f"{arm.name}-{seed}" for seed in arm.seeds]

    def _models_without_arms(self) -> list[str]:
        names = ["base"]
        if self.upcycle:
            names += ["mixture", *(["dense"] if self.upcycle.dense else [])]
        return names + [f"sft-{name}" for name in (self.sft.models if self.sft else ())]

    def model_names(self) -> list[str]:
        """Return the names that stand for models, those of arms included."""
        names = self._models_without_arms()
        for arm in self.learning.arms if self.learning else ():
            names += [arm.name, *(f"{arm.name}-{seed}" for seed in arm.seeds)]
        return names

    def _named_models(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = [("sft.models", name) for name in (self.sft.models if self.sft else ())]
        found += [("learning.arms.model", arm.model) for arm in (self.learning.arms if self.learning else ())]
        return found + [("evaluations.models", name) for part in self.evaluations for name in part.models]


def load_paper(path: Path, overrides: Sequence[str] = ()) -> PaperConfig:
    """Load the configuration of a path.

    Args:
        path: YAML file.
        overrides: dotted `key=value` words.

    Raises:
        UserError: One line per mistake.
    """
    document = apply_overrides(read_yaml(path), overrides)
    try:
        return PaperConfig.model_validate(document)
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False):
            key = ".".join(str(part) for part in item["loc"])
            section = _section(item["loc"][:-1])
            known = f"; keys are {', '.join(section.model_fields)}" if item["type"] == "extra_forbidden" else ""
            message = "unknown key" if known else item["msg"].removeprefix("Value error, ")
            lines.append(f"{path}: {key}: {message}{known}" if key else f"{path}: {message}")
        raise UserError("\n".join(lines)) from None


def _section(place: Sequence[int | str]) -> type[BaseModel]:
    """Return the section that a place in the document is of."""
    section: type[BaseModel] = PaperConfig
    for name in place:
        if isinstance(name, str) and name in section.model_fields:
            types = _types(section.model_fields[name].annotation)
            section = next((found for found in types if _is_section(found)), section)
    return section


def _types(annotation: object) -> list[object]:
    """Return a type and all that it is made of: `tuple[Arm, ...] | None` is made of `Arm`, among others."""
    return [annotation, *(found for part in get_args(annotation) for found in _types(part))]


def _is_section(found: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(found, type) and issubclass(found, BaseModel)
