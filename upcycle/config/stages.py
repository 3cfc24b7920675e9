"""What the training stages are told: data, budgets, learning rates, losses, and the engine that runs them.

Defaults are those of the full-size run; batch, token and sequence sizes are per optimizer step over all ranks, so a
configuration means the same on one rank and on a thousand.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from upcycle.config.base import Names, PositiveFloat, PositiveInt, Section

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Coefficient = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Source(Section):
    """Where a discipline's text lies and how a document is made of a row."""

    paths: Names = Field(
        min_length=1, description="Files or patterns: .jsonl, .json, .tsv, .csv (also .gz), else plain text or HTML."
    )
    template: str = Field(default="", description="Columns to text, as in '{question}\\n{answer}'; required for rows.")
    selfies: str = Field(default="", description="A column of SMILES; the template may then use {SELFIES}.")
    min_characters: Annotated[int, Field(ge=0)] = Field(default=32, description="Shorter documents are left out.")


def _sources(value: Any) -> Any:
    """A bare pattern stands for a source of plain files; YAML has lists only."""
    if value is None:
        return ()
    items = value if isinstance(value, (list, tuple)) else (value,)
    return tuple({"paths": (item,)} if isinstance(item, str) else item for item in items)


Sources = Annotated[tuple[Source, ...], BeforeValidator(_sources), Field(strict=False)]


class DataConfig(Section):
    """How text becomes batches."""

    sequence_length: PositiveInt = Field(default=8192, description="Tokens of a packed sequence (the paper: 8192).")
    held_out: Share = Field(default=0.02, description="Share of the documents kept for evaluation, chosen by hash.")
    split_seed: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Chooses which documents; another `seed` of the run keeps them, so runs can be compared."
    )
    evaluation_sequences: PositiveInt = Field(default=64, description="Held-out sequences of each discipline, at most.")


class StageConfig(Section):
    """The budget of a stage and its optimizer (AdamW, linear warm-up, cosine decay)."""

    tokens: PositiveInt = Field(description="Training tokens.")
    batch_tokens: PositiveInt = Field(default=4_194_304, description="Tokens of one optimizer step, over all ranks.")
    learning_rate: PositiveFloat = Field(default=1e-5, description="Peak learning rate.")
    final_share: Share = Field(default=0.1, description="Last learning rate as a share of the peak.")
    warmup: Share = Field(default=0.05, description="Share of the steps that warm up.")
    weight_decay: Coefficient = Field(default=0.0, description="AdamW's decoupled weight decay, matrices only.")
    clip: PositiveFloat = Field(default=1.0, description="Largest norm of the gradient over all parameters.")
    evaluate_every: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Steps between evaluations; 0: at the end."
    )

    @property
    def budget(self) -> int:
        """All tokens that the stage reads."""
        return self.tokens


class InductConfig(StageConfig):
    """Stage 1: one coarse expert per discipline (equation 1)."""

    tokens: PositiveInt = Field(default=5_000_000_000, description="Training tokens of each discipline.")


class BalanceConfig(StageConfig):
    """A stage whose router learns."""

    balance: Coefficient = Field(default=0.01, description="Weight of the load-balance loss over the global batch.")
    z_loss: Coefficient = Field(default=0.0, description="Weight of the squared log-sum-exp of the router's logits.")
    general_share: Share = Field(default=0.2, description="Share of the sequences that are general text.")


class RouteConfig(BalanceConfig):
    """Stage 3: the router alone (equation 3)."""

    tokens: PositiveInt = Field(default=1_000_000_000, description="Training tokens.")
    learning_rate: PositiveFloat = Field(default=1e-3, description="Peak learning rate.")
    start_tokens: Annotated[int, Field(ge=0)] = Field(
        default=4_194_304,
        description="Tokens of a first forward pass that sets the router in closed form (ridge regression on the "
        "disciplines), beside `tokens` and of other text, in whole batches; 0: the router starts at random, as in the paper.",
    )
    general_target: Literal["null", "none", "skip"] = Field(
        default="null",
        description="What the experts of a general token should do: null: only the null experts fire (where the mixture "
        "has them); none: no expert fires; skip: general tokens are not classified.",
    )

    @model_validator(mode="after")
    def _whole_batches(self) -> "RouteConfig":
        if self.start_tokens % self.batch_tokens:
            near = round(self.start_tokens / self.batch_tokens) * self.batch_tokens or self.batch_tokens
            raise ValueError(
                f"route.start_tokens = {self.start_tokens}: not a multiple of route.batch_tokens = {self.batch_tokens}; set {near}"
            )
        return self

    @property
    def budget(self) -> int:
        return self.tokens + self.start_tokens


class IntegrateConfig(BalanceConfig):
    """Stage 4: everything trains on the mixture (equation 4)."""

    tokens: PositiveInt = Field(default=300_000_000_000, description="Training tokens (the paper: 300 billion).")
    train: Literal["all", "experts", "router"] = Field(
        default="all",
        description="What learns: all (the paper), experts (routed experts and router; the donor's weights stay), router.",
    )
    classification: Coefficient = Field(default=0.0, description="Weight of equation 3's loss, kept on in this stage.")


class DenseConfig(StageConfig):
    """The baseline: the donor itself trained on everything the mixture saw."""

    tokens: PositiveInt = Field(default=300_000_000_000, description="Training tokens.")
    general_share: Share = Field(default=0.2, description="Share of the sequences that are general text.")


class EngineConfig(Section):
    """The machine's side of training."""

    micro_batch_tokens: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Tokens of one forward pass, over all ranks; 0: the whole batch at once."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16", description="Type of the computation; parameters, moments and reductions stay float32."
    )
    checkpointing: bool = Field(default=True, description="Recompute activations in the backward pass.")
    cpu_offload: bool = Field(default=False, description="Keep parameters and moments in host memory.")
    peak_tflops: Coefficient = Field(
        default=0.0,
        description="What one device can do, in 10^12 operations a second, for the utilization (MFU); 0: not told.",
    )
    save_every: PositiveInt = Field(default=200, description="Steps between checkpoints.")
    keep: PositiveInt = Field(default=2, description="Checkpoints kept; older ones are removed.")
    threads: Annotated[int, Field(ge=0)] = Field(default=0, description="Threads of one rank on a CPU; 0: torch's own.")
