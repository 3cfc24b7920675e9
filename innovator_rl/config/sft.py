"""Define the configuration of supervised fine-tuning: each setting's type, unit, default and meaning.

The language is that of `innovator train` (`innovator_rl.config.schema`): sections and `key=value`, no unknown keys. The
run directory's contract is the same too, so `logging`, `model` and `resources` mean here what they mean there.
"""

from typing import Any, Literal

from pydantic import Field

from innovator_rl.config.schema import NAME_PATTERN, Auto, Model, Names, PositiveFloat, PositiveInt, Section


class SftData(Section):
    """Conversations to learn from."""

    train: Names = Field(
        default=(),
        description="Parquet or JSON-lines files of rows with `messages`, folders with train.parquet, or recipes of "
        "`innovator data build` that need no endpoint.",
    )
    validation: Names = Field(default=(), description="The same, for the validation loss; never trained on.")
    max_tokens: PositiveInt = Field(default=1024, description="Longest conversation (tokens, chat template included).")
    too_long: Literal["drop", "error"] = Field(
        default="drop", description="What happens to a longer one; it is never cut, because the answer is at its end."
    )
    bad_rows: Literal["error", "drop"] = Field(
        default="error", description="What happens to a row that is no conversation; dropped ones are counted."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the order of rows.")


class Optimizer(Section):
    """AdamW on the mean loss of assistant tokens."""

    batch_rows: PositiveInt = Field(default=64, description="Conversations per update, over all ranks.")
    micro_batch_tokens: PositiveInt | Auto = Field(
        default="auto", description="Tokens in one forward and backward pass of a rank; auto: 4 x data.max_tokens."
    )
    learning_rate: PositiveFloat = Field(default=1e-5, description="AdamW's learning rate.")
    decay: Literal["cosine", "constant"] = Field(default="cosine", description="What follows the warm-up.")
    min_learning_rate_share: float = Field(default=0.1, ge=0, le=1, description="Where the cosine ends.")
    warmup_steps: int = Field(default=0, ge=0, description="Updates until the learning rate is reached.")
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="AdamW's weight decay.")
    gradient_clip: PositiveFloat = Field(default=1.0, description="Largest gradient norm.")


class SftSchedule(Section):
    """Length of the run, validation and checkpoints."""

    epochs: PositiveInt = Field(
        default=1, description="Passes over the rows; the last rows of an uneven pass are left."
    )
    steps: PositiveInt | None = Field(default=None, description="Updates; null: as many as `epochs` hold.")
    validate_every: int = Field(default=0, ge=0, description="Updates between validations; 0: at the end only.")
    save_every: int = Field(default=50, ge=0, description="Updates between checkpoints; 0: at the end only.")
    keep_checkpoints: PositiveInt = Field(default=1, description="Checkpoints kept; older ones are deleted.")
    resume: Literal["auto", "never"] = Field(
        default="auto", description="auto: continue from the last checkpoint of the run directory."
    )


class SftResources(Section):
    """Platform and ranks."""

    platform: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: CUDA where a device is present, else CPU."
    )
    nodes: PositiveInt = Field(
        default=1, description="Machines. The same command runs on each, with MASTER_ADDR and NODE_RANK set."
    )
    accelerators_per_node: PositiveInt = Field(default=1, description="Ranks per node: GPUs, or processes on CPU.")
    threads: PositiveInt | Auto = Field(
        default="auto", description="Threads per rank on CPU; auto: the cores divided by the ranks."
    )


class SftLogging(Section):
    """Run directory and progress."""

    runs_dir: str = Field(default="runs", min_length=1, description="Folder of run directories.")
    tensorboard: bool = Field(default=True, description="Also write TensorBoard events into the run directory.")
    progress: bool | Auto = Field(default="auto", description="Show progress; auto: lines, or a line on a terminal.")


class Export(Section):
    """The Hugging Face folder that the run leaves."""

    dtype: Literal["bfloat16", "float32"] = Field(default="bfloat16", description="Precision of the exported weights.")


class SftConfig(Section):
    """One supervised fine-tuning run."""

    name: str = Field(
        default="sft",
        pattern=NAME_PATTERN,
        description="The run directory is {logging.runs_dir}/{name}.",
    )
    model: Model = Model()
    data: SftData = SftData()
    optimizer: Optimizer = Optimizer()
    schedule: SftSchedule = SftSchedule()
    resources: SftResources = SftResources()
    logging: SftLogging = SftLogging()
    export: Export = Export()
    verl: dict[str, Any] = Field(default={}, description="Keys of verl's sft_trainer_engine that no setting owns.")

    @property
    def ranks(self) -> int:
        """Return the number of training processes over all nodes."""
        return self.resources.nodes * self.resources.accelerators_per_node

    @property
    def micro_batch_tokens(self) -> int:
        """Return the tokens of one pass, with `auto` resolved."""
        asked = self.optimizer.micro_batch_tokens
        return 4 * self.data.max_tokens if asked == "auto" else asked


SFT_SECTIONS = tuple(SftConfig.model_fields)
"""The keys of the top level, by which a file of this kind differs from a run of reinforcement learning."""
