"""Define the configuration of an upcycling run, with one default for each setting.

The defaults are the paper's shape (arXiv 2507.18671): every feed-forward network becomes a shared expert next to
disciplines x 8 experts of one eighth its width, 8 of them active, top-k before softmax. `load` reads a YAML file and
`key=value` arguments and reports every mistake in one line with the key, the value and the accepted values.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from innovator_rl.config.load import apply_overrides, read_yaml
from innovator_rl.errors import UserError
from upcycle.config.aliases import current_document, current_overrides
from upcycle.config.base import PositiveFloat, PositiveInt, Section
from upcycle.config.stages import (
    DataConfig,
    TextSources,
    TrainDenseConfig,
    TrainerConfig,
    TrainExpertsConfig,
    TrainJointConfig,
    TrainRouterConfig,
)

Form = Literal["literal", "zero_down", "half"]
Gating = Literal["topk_softmax", "softmax_topk"]
RoutedScale = Literal["one", "m", "learned"]
ExportDType = Literal["keep", "bfloat16", "float16", "float32"]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]


class MixtureConfig(Section):
    """Shape of the mixture and the factors on its parts."""

    split: PositiveInt = Field(
        default=8, description="m: each coarse expert is cut into this many finer ones (equation 2)."
    )
    top_k: PositiveInt = Field(default=8, description="Experts that answer a token, in addition to the shared one.")
    form: Form = Field(
        default="zero_down",
        description="How a coarse expert joins the original network: literal (the paper's sum of two copies), "
        "zero_down (the copy's down projection starts at zero: step 0 is the base model), half (mean of the two).",
    )
    gating: Gating = Field(
        default="topk_softmax",
        description="topk_softmax: softmax over the chosen logits (equation 4); softmax_topk: chosen probabilities as they are.",
    )
    routed_scale: RoutedScale = Field(
        default="m",
        description="Factor on the sum of the chosen experts: m restores the coarse expert exactly when all its slices "
        "answer alike, one is the paper's text, learned is one number a layer that starts at m.",
    )
    null_experts: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Experts whose weights are zero: a token sent to them leaves the layer's output to the shared expert. "
        "As many as mixture.top_k let general text leave the others altogether; with fewer it also chooses among a "
        "discipline's experts, which score nearly alike at first. The paper has none.",
    )
    router_std: PositiveFloat = Field(
        default=1e-3,
        description="Standard deviation of a new router's weights; above zero, so that no two experts tie.",
    )


class ExportConfig(Section):
    """Format of the exported checkpoint."""

    dtype: ExportDType = Field(
        default="keep",
        description="Type of the exported weights; keep: that of the base model (stages train and keep float32).",
    )
    shard_bytes: Annotated[int, Field(ge=1_000_000)] = Field(
        default=5_000_000_000, description="Largest shard file, in bytes."
    )


class UpcycleConfig(Section):
    """One upcycling run, from a dense base model to the exported mixture."""

    name: Word = Field(default="upcycle", description="Name of the run; its folder is RUNS_DIR/NAME.")
    runs_dir: str = Field(default="runs", description="Folder of all runs.")
    seed: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Seed of the router's initial weights and of the data order."
    )
    base_model: str = Field(min_length=1, description="Dense checkpoint: a folder, a hub id, or a built-in model.")
    base_config: dict[str, Any] = Field(
        default={},
        description="The base model's config.json, for `plan` and `dry-run` on machines without the base model. Where the "
        "base model is present, its own config.json is used and must agree.",
    )
    disciplines: dict[Word, TextSources] = Field(
        min_length=1,
        description="Text sources of each discipline; each discipline becomes one coarse expert, in this order.",
    )
    general: TextSources = Field(default=(), description="Sources of general text.")
    mixture: MixtureConfig = MixtureConfig()
    data: DataConfig = DataConfig()
    train_experts: TrainExpertsConfig = TrainExpertsConfig()
    train_router: TrainRouterConfig = TrainRouterConfig()
    train_joint: TrainJointConfig = TrainJointConfig()
    train_dense: TrainDenseConfig = TrainDenseConfig()
    trainer: TrainerConfig = TrainerConfig()
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _enough_experts(self) -> "UpcycleConfig":
        slots = len(self.disciplines) * self.mixture.split + self.mixture.null_experts
        if self.mixture.top_k > slots:
            raise UserError(
                f"mixture.top_k = {self.mixture.top_k}: only {slots} experts ({len(self.disciplines)} disciplines x "
                f"mixture.split {self.mixture.split} + {self.mixture.null_experts} null); set at most {slots}"
            )
        return self

    @property
    def folder(self) -> Path:
        """Folder to which the stages write their results."""
        return Path(self.runs_dir) / self.name


def load(path: str | Path, overrides: Sequence[str] = ()) -> UpcycleConfig:
    """Load the configuration that a YAML file and `key=value` overrides describe.

    Raises:
        UserError: With one line per mistake.
    """
    return validate(read_document(path, overrides), str(path))


def read_document(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML file and lay `key=value` overrides over it, unchecked.

    Keys of the previous release are returned under today's names.
    """
    return apply_overrides(current_document(read_yaml(path)), current_overrides(overrides))


def validate(document: Mapping[str, Any], origin: str = "configuration") -> UpcycleConfig:
    """Check a plain mapping against the schema.

    Args:
        document: Keys and values as in the YAML file, keys of the previous release included.
        origin: What the messages name as the place of a mistake.

    Raises:
        UserError: With one line per mistake.
    """
    document = {key: _filled(value) for key, value in current_document(document).items()}
    try:
        return UpcycleConfig.model_validate(document)
    except ValidationError as error:
        lines = dict.fromkeys(_sentence(item) for item in error.errors(include_url=False))
    raise UserError("\n".join(f"{origin}: {line}" for line in lines))


def _filled(value: Any) -> Any:
    """`disciplines: {physics: }` means a discipline whose sources are not named yet."""
    if isinstance(value, dict):
        return {key: () if inner is None else inner for key, inner in value.items()}
    return value


def _sentence(problem: Any) -> str:
    parts = [str(part) for part in problem["loc"]]
    key = ".".join(parts)
    if problem["type"] == "extra_forbidden":
        known = _known(parts[:-1])
        near = get_close_matches(parts[-1], known, 3, 0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known here: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: missing; set it"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return f"{key} = {problem['input']!r:.120}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _known(parts: Sequence[str]) -> list[str]:
    model: Any = UpcycleConfig
    for part in parts:
        model = model.model_fields[part].annotation
    assert issubclass(model, BaseModel)
    return list(model.model_fields)
