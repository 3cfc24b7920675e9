"""Define the training stages' settings: data, budgets, rates, losses, trainer.

Defaults are those of the full-size run; batch, token and sequence sizes are per optimizer step over all ranks, so a
configuration means the same on one rank and on a thousand.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from innovator_rl.errors import UserError
from upcycle.config.base import Names, PositiveFloat, PositiveInt, Section

Stage = Literal["train_experts", "train_router", "train_joint", "train_dense"]
STAGE_FOLDERS: dict[Stage, str] = {
    "train_experts": "induct",
    "train_router": "route",
    "train_joint": "integrate",
    "train_dense": "dense",
}
"""Folder name of each stage. They never change, so that runs of earlier releases stay readable and can be resumed."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Coefficient = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TextSource(Section):
    """Files with a discipline's text, and how a row becomes a document."""

    paths: Names = Field(
        default=(),
        description="Files or patterns: .jsonl, .json, .parquet, .csv, .tsv, .html, .txt, .md (also .gz, .xz, .zst, .bz2).",
    )
    corpus: str = Field(
        default="", description="Folder of a corpus that `innovator data build` made, whose token shards are read."
    )
    label: str = Field(default="", description="Discipline in that corpus; by default of the same name.")
    reader: str = Field(default="", description="Format of the files; by default their suffix decides.")
    template: str = Field(default="", description="Columns to text, as in '{question}\\n{answer}'; required for rows.")
    selfies: str = Field(default="", description="A column of SMILES; the template may then use {SELFIES}.")
    min_characters: Annotated[int, Field(ge=0)] = Field(default=32, description="Shorter documents are left out.")

    @model_validator(mode="after")
    def _one_origin(self) -> "TextSource":
        if bool(self.paths) == bool(self.corpus):
            raise UserError("a text source must have `paths` (files) or `corpus` (a built corpus), one of them")
        return self


def _sources(value: Any) -> Any:
    """Turn a bare pattern into a source of plain files, and YAML's lists into tuples."""
    if value is None:
        return ()
    items = value if isinstance(value, (list, tuple)) else (value,)
    return tuple({"paths": (item,)} if isinstance(item, str) else item for item in items)


TextSources = Annotated[tuple[TextSource, ...], BeforeValidator(_sources), Field(strict=False)]


class DataConfig(Section):
    """How text becomes batches."""

    sequence_length: PositiveInt = Field(default=8192, description="Tokens of a packed sequence (the paper: 8192).")
    held_out: Share = Field(default=0.02, description="Share of the documents kept for evaluation, chosen by hash.")
    split_seed: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Seed that chooses the held-out documents. It does not depend on the run's `seed`, so runs can be compared.",
    )
    packing: Literal["stream", "documents"] = Field(
        default="stream",
        description="stream: documents end to end, cut at any place; documents: whole documents by best fit, which leaves "
        "under a percent of padding and cuts only those longer than a sequence.",
    )
    weights: dict[str, Coefficient] = Field(
        default={}, description="Weight of a discipline among the others in stages 3 and 4; 1 where none is given."
    )
    evaluation_sequences: PositiveInt = Field(default=64, description="Held-out sequences of each discipline, at most.")


class StageConfig(Section):
    """Budget of a stage and its optimizer (AdamW, linear warm-up, constant rate, cosine decay)."""

    tokens: PositiveInt = Field(description="Training tokens.")
    batch_tokens: PositiveInt = Field(default=4_194_304, description="Tokens of one optimizer step, over all ranks.")
    learning_rate: PositiveFloat = Field(default=1e-5, description="Peak learning rate.")
    final_share: Share = Field(default=0.1, description="Last learning rate as a share of the peak.")
    decay_share: Share = Field(
        default=1.0,
        description="Share of the steps, the last ones, over which the rate decays; 1: from the warm-up on. A run whose rate "
        "is constant so far can be extended, and ended at any step by a decay from a checkpoint.",
    )
    warmup: Share = Field(default=0.05, description="Share of the steps that warm up.")
    weight_decay: Coefficient = Field(default=0.0, description="AdamW's decoupled weight decay, matrices only.")
    clip: PositiveFloat = Field(default=1.0, description="Largest norm of the gradient over all parameters.")
    evaluate_every: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Steps between evaluations; 0: at the end."
    )

    @property
    def budget(self) -> int:
        """Number of tokens that the stage reads."""
        return self.tokens


class TrainExpertsConfig(StageConfig):
    """Stage 1: one coarse expert per discipline (equation 1)."""

    tokens: PositiveInt = Field(default=5_000_000_000, description="Training tokens of each discipline.")


class RouterStageConfig(StageConfig):
    """Settings of a stage whose router learns."""

    balance: Coefficient = Field(default=0.01, description="Weight of the load-balance loss over the global batch.")
    balance_counts: Literal["batch", "running"] = Field(
        default="batch",
        description="Tokens per expert that the load balance uses where a batch comes in micro batches. batch: of the whole "
        "batch, counted by one more forward pass; running: of the step's micro batches so far, at no cost.",
    )
    z_loss: Coefficient = Field(default=0.0, description="Weight of the squared log-sum-exp of the router's logits.")
    general_share: Share = Field(default=0.2, description="Share of the sequences that are general text.")


class TrainRouterConfig(RouterStageConfig):
    """Stage 3: the router alone (equation 3)."""

    tokens: PositiveInt = Field(default=1_000_000_000, description="Training tokens.")
    learning_rate: PositiveFloat = Field(default=1e-3, description="Peak learning rate.")
    init_tokens: Annotated[int, Field(ge=0)] = Field(
        default=4_194_304,
        description="Tokens of a first forward pass that initializes the router in closed form (ridge regression on the "
        "disciplines). They come on top of `tokens`, from other text, in whole batches; 0: random initialization, as in "
        "the paper.",
    )
    general_target: Literal["null", "none", "skip"] = Field(
        default="null",
        description="Target of a general token: null: the null experts, where the mixture has them; none: no expert; "
        "skip: general tokens are not classified.",
    )

    @model_validator(mode="after")
    def _whole_batches(self) -> "TrainRouterConfig":
        if self.init_tokens % self.batch_tokens:
            near = round(self.init_tokens / self.batch_tokens) * self.batch_tokens or self.batch_tokens
            raise UserError(
                f"train_router.init_tokens = {self.init_tokens}: not a multiple of "
                f"train_router.batch_tokens = {self.batch_tokens}; set {near}"
            )
        return self

    @property
    def budget(self) -> int:
        """Number of tokens that the stage reads, those of the initialization included."""
        return self.tokens + self.init_tokens


class TrainJointConfig(RouterStageConfig):
    """Stage 4: everything trains on the mixture (equation 4)."""

    tokens: PositiveInt = Field(default=300_000_000_000, description="Training tokens (the paper: 300 billion).")
    train: Literal["all", "experts", "router"] = Field(
        default="all",
        description="Parameters that learn: all (the paper), experts (routed experts and router; the base model's weights "
        "stay), router.",
    )
    classification: Coefficient = Field(default=0.0, description="Weight of equation 3's loss, kept on in this stage.")


class TrainDenseConfig(StageConfig):
    """Baseline: the base model itself, trained on as many tokens as the mixture."""

    tokens: PositiveInt = Field(default=300_000_000_000, description="Training tokens.")
    general_share: Share = Field(default=0.2, description="Share of the sequences that are general text.")


class TrainerConfig(Section):
    """Precision, memory and checkpoints of training."""

    micro_batch_tokens: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Tokens of one forward pass, over all ranks; 0: the whole batch at once."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16", description="Type of the computation; parameters, moments and reductions stay float32."
    )
    replicas: PositiveInt = Field(
        default=1, description="Copies of the model, each sharded over ranks / replicas ranks (HSDP)."
    )
    expert_parallel: PositiveInt = Field(
        default=1,
        description="Ranks that divide a layer's experts among them and exchange tokens; neighbors, so a divisor of a node's.",
    )
    expert_capacity: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0,
        description="Rows that an expert-parallel rank sends to each other one, over the even share of its choices. 0: as many "
        "as were chosen, which the host must know, so it waits once per layer; 1.25, say: nothing waits and memory is "
        "bounded, and choices past it are dropped and counted (router/dropped).",
    )
    expert_capacity_strict: bool = Field(
        default=False, description="End the run, from its last checkpoint on repeatable, when a choice is dropped."
    )
    attention: Literal["sdpa", "flash_attention_2", "flex_attention"] = Field(
        default="sdpa",
        description="Attention kernel of transformers. flash_attention_2 takes packed documents as sequences of variable "
        "length (needs flash-attn).",
    )
    compile: bool = Field(default=False, description="Compile each layer with torch.compile.")
    checkpointing: bool = Field(default=True, description="Recompute activations in the backward pass.")
    cpu_offload: bool = Field(default=False, description="Keep parameters and moments in host memory.")
    peak_tflops: Coefficient = Field(
        default=0.0,
        description="Peak of one device in 10^12 operations per second, for the utilization (MFU); 0: unknown.",
    )
    save_every: PositiveInt = Field(default=200, description="Steps between checkpoints.")
    keep: PositiveInt = Field(default=2, description="Checkpoints kept; older ones are removed.")
    threads: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Threads of one rank on a CPU; 0: torch's default."
    )
