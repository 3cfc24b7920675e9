"""Define the run configuration: each setting's type, unit, default and meaning.

The defaults are DAPO's recipe (arXiv 2503.14476): clip-higher, token-level loss, dynamic sampling, soft overlong
penalty, no KL term. An unknown key is an error, and so is a number outside its range; what depends on the model,
the data or the machine is checked by `innovator_rl.preflight`. `auto` values become numbers in
`innovator_rl.config.resolve`. docs/configuration.md is generated from this file.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from innovator_rl.config.presets import Preset, fill

Auto = Literal["auto"]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What names a run, and so a folder on any file system."""
DType = Literal["auto", "float32", "bfloat16"]
Names = Annotated[tuple[str, ...], Field(strict=False)]  # YAML has lists only
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions, no later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class Lora(Section):
    """Low-rank adapters: the weights stay frozen, and two small matrices per layer are trained."""

    rank: int = Field(default=0, ge=0, le=512, description="Rank of the adapters; 0: all weights are trained.")
    alpha: PositiveInt = Field(default=16, description="Adapters count alpha / rank times.")
    target_modules: Names = Field(
        default=(),
        description="Linear layers with an adapter by the end of their name, for example [q_proj, v_proj]; empty: all but the "
        "output layer.",
    )


class Model(Section):
    """The policy that is trained."""

    path: str = Field(
        default="smollm2-135m",
        min_length=1,
        description="A local folder, a hub id, or a built-in model that needs no hub: smollm2-135m, tiny-qwen2, "
        "tiny-qwen2-moe.",
    )
    dtype: DType = Field(
        default="auto",
        description="Precision of the forward and backward pass; auto: float32 on CPU, bfloat16 on CUDA. bfloat16 is "
        "faster on a CPU with AVX512-BF16 or AMX instructions; parameters and optimizer stay float32.",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Recompute activations in the backward pass: less memory, about a third more time."
    )
    trust_remote_code: bool = Field(default=False, description="Run Python code that comes with the checkpoint.")
    lora: Lora = Lora()


class Data(Section):
    """Training and validation prompts."""

    train: Names = Field(
        default=(),
        description="Parquet files, JSON lines (or JSON, CSV, TSV) with questions and answers, names of folders in "
        "datasets/, or data/NAME built by `innovator data build`.",
    )
    validation: Names = Field(default=(), description="The same, for validation; never trained on.")
    max_prompt_tokens: PositiveInt = Field(
        default=256, description="Prompts longer than this (tokens, chat template included) are left out."
    )
    validation_rows: int = Field(default=-1, ge=-1, description="Rows per validation; -1: all.")
    seed: int = Field(
        default=0, ge=0, description="Seed of the data order, of sampling and of the optimizer's batches."
    )
    shuffle: bool = Field(default=True, description="Draw prompts in a new random order each epoch.")
    mixture: dict[str, PositiveFloat] = Field(
        default={},
        description="Weight per data_source, for example {gsm8k: 1.0, physics: 2.0}; empty: as the files are.",
    )
    curriculum: bool = Field(
        default=False,
        description="Skip prompts whose answers were all right or all wrong when last seen, for 1, 3, 7, then 15 visits.",
    )


class ValidationSampling(Section):
    """How validation samples."""

    samples_per_prompt: PositiveInt = Field(
        default=1, description="Responses per validation prompt (pass@k needs k or more)."
    )
    temperature: float = Field(default=0.0, ge=0, le=10, description="0: greedy.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus sampling bound.")


class Rollout(Section):
    """How responses are generated during training."""

    samples_per_prompt: PositiveInt = Field(
        default=8, description="Responses per prompt: the group that GRPO compares."
    )
    max_response_tokens: PositiveInt = Field(default=1024, description="A response is cut here (tokens).")
    temperature: float = Field(default=1.0, ge=0, le=10, description="Sampling temperature of training rollouts.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus sampling bound of training rollouts.")
    dtype: DType = Field(
        default="auto", description="Precision of the rollout engine; auto: model.dtype on CPU, bfloat16 on CUDA."
    )
    tensor_parallel: PositiveInt = Field(default=1, description="Accelerators that share one rollout replica.")
    memory_fraction: float = Field(
        default=0.5, gt=0, lt=1, description="Share of an accelerator's memory for the rollout engine (CUDA)."
    )
    max_num_seqs: PositiveInt = Field(default=256, description="Responses a replica generates at the same time.")
    max_staleness: int = Field(
        default=0,
        ge=0,
        le=16,
        description="Steps by which an answer may be older than the step that trains on it. 0: strictly on-policy. Above: the "
        "engine's slots stay full, answers that are unfinished at the end of a step continue with the next weights, and "
        "importance sampling corrects the difference; 2 fills about 0.85 of the slots.",
    )
    seed_requests: bool | Auto = Field(
        default="auto",
        description="A seed per request from data.seed, the prompt, the sample and the step, so that two runs of one seed are "
        "one run on a CPU; auto: true on CPU, false with max_staleness above 0 and on CUDA, where kernels round by batch size "
        "and seeds cost time.",
    )
    eager: bool | Auto = Field(
        default="auto", description="No CUDA graphs in the rollout engine; auto: true on CPU, false on CUDA."
    )
    validation: ValidationSampling = ValidationSampling()


class DynamicSampling(Section):
    """Replacement of groups that teach nothing: all answers right or all wrong."""

    enabled: bool = Field(default=True, description="Drop zero-variance groups and generate others.")
    metric: Literal["correct", "score"] = Field(
        default="correct",
        description="What must differ inside a group: correct, or the score before the overlong penalty.",
    )
    metric_by_source: dict[str, Literal["correct", "score"]] = Field(
        default={},
        description="The same per data_source, for example {mol2caption: score}: graded rewards differ in score where `correct` "
        "is a threshold.",
    )
    max_rounds: PositiveInt = Field(
        default=10,
        description="Generate at most this many times prompts_per_step prompts per step. The step then trains on what it has, filled "
        "with groups without signal; with no other group the run ends with the reason.",
    )
    stall_seconds: PositiveFloat = Field(
        default=600.0,
        description="A response may take this long (seconds), or three times the longest one that arrived. It is then asked "
        "for once more, and after that its sample counts as unscored.",
    )


class OverlongPenalty(Section):
    """Soft overlong penalty (DAPO, equation 13)."""

    enabled: bool = Field(default=True, description="Penalize the last tokens before the cut.")
    buffer_tokens: PositiveInt | Auto = Field(
        default="auto",
        description="Length of the zone before max_response_tokens in which the penalty grows (tokens); auto: a "
        "quarter.",
    )
    penalty: float = Field(default=1.0, ge=0, le=100, description="Penalty at max_response_tokens.")


class RolloutCorrection(Section):
    """Truncated importance sampling against the rollout engine's own probabilities."""

    level: Literal["auto", "off", "token", "sequence"] = Field(
        default="auto", description="auto: token for a mixture of experts, off for a dense model."
    )
    threshold: float = Field(default=2.0, gt=1, le=100, description="Importance weights are cut here.")
    lower: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Weights outside lower to threshold become 0 instead (IcePop); null: weights are cut at threshold.",
    )


class Algorithm(Section):
    """GRPO with DAPO's changes."""

    preset: Preset | None = Field(
        default=None,
        description="A published recipe to start from, with its own clip range; what is written next to it wins. "
        "null: the defaults below, which are DAPO's.",
    )
    policy_loss: Literal["vanilla", "gspo", "cispo"] | None = Field(
        default=None,
        description="What is clipped: vanilla a token's ratio, gspo a response's mean ratio, cispo a token's weight. null: "
        "vanilla, or verl.actor_rollout_ref.actor.policy_loss.loss_mode.",
    )
    prompts_per_step: PositiveInt = Field(default=64, description="Groups per training step.")
    prompts_per_update: PositiveInt | None = Field(
        default=None, description="Groups per optimizer update; null: prompts_per_step (strictly on-policy)."
    )
    learning_rate: PositiveFloat = Field(default=1e-6, description="AdamW's learning rate.")
    warmup_steps: int = Field(default=0, ge=0, description="Steps until the learning rate is reached.")
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="AdamW's weight decay.")
    gradient_clip: PositiveFloat = Field(default=1.0, description="Largest gradient norm.")
    clip_low: float = Field(default=0.2, gt=0, lt=1, description="Ratios below 1 - clip_low are clipped.")
    clip_high: float = Field(
        default=0.28, gt=0, le=10, description="Ratios above 1 + clip_high are clipped (clip-higher)."
    )
    dual_clip: float = Field(
        default=10.0, gt=1, description="Bound of the ratio where the advantage is negative (dual-clip PPO)."
    )
    loss_aggregation: Literal[
        "token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"
    ] = Field(
        default="token-mean",
        description="How token losses become one number; token-mean is DAPO's, seq-mean-token-sum-norm Dr. GRPO's.",
    )
    normalize_by_std: bool = Field(
        default=True, description="Divide a group's advantages by their standard deviation; false for Dr. GRPO."
    )
    entropy_coefficient: float = Field(default=0.0, ge=0, le=1, description="Entropy bonus.")
    kl_coefficient: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="KL penalty against the first policy; above 0 a reference model is loaded.",
    )
    dynamic_sampling: DynamicSampling = DynamicSampling()
    overlong: OverlongPenalty = OverlongPenalty()
    rollout_correction: RolloutCorrection = RolloutCorrection()
    old_log_prob: Literal["auto", "recompute", "rollout"] = Field(
        default="auto",
        description="Where the old log-probabilities come from; auto: the rollout engine when dense, strictly "
        "on-policy, equal precision, no correction.",
    )
    micro_batch_tokens: PositiveInt | Auto = Field(
        default="auto",
        description="Tokens in one forward and backward pass; on CPU as many whole prompt groups as fit, at least one.",
    )
    remove_padding: bool | Auto = Field(
        default="auto", description="Pack sequences instead of padding them; auto: true on CUDA, false on CPU."
    )

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, section: Any) -> Any:
        return fill(section) if isinstance(section, dict) else section


class Reward(Section):
    """Which reward function scores a response, and within which limits."""

    routes: dict[str, str] = Field(
        default={},
        description="Rewarder per data_source, over the one a row names in extra_info.reward: an installed name, "
        "module:attribute, path.py:attribute, or a composite such as style >> physics + 0.1 * rewards/mine.py:brevity [-1, 1].",
    )
    workers: PositiveInt = Field(default=2, description="Processes that score at the same time, per node.")
    timeout_seconds: PositiveFloat = Field(
        default=10.0, description="A rewarder that takes longer is killed and the row is an error (seconds)."
    )
    memory_mb: int = Field(default=2048, ge=256, description="Memory a scoring process may use (MiB).")
    code_isolation: Literal["standard", "strict", "none"] = Field(
        default="standard",
        description="Refuse to run model-written programs (domain code) where the machine isolates them less: standard: "
        "no network and no files of the machine; strict: also processes, system calls, memory, disk; none: run anyway.",
    )


class Tools(Section):
    """Tools that the model may call while it answers."""

    names: Names = Field(
        default=(),
        description="Installed names (calculator, python, molar_mass, canonical_smiles, molecular_formula), module:attribute "
        "or path.py:attribute. Tool text is context: it is never trained on.",
    )
    max_calls: PositiveInt = Field(
        default=4, description="Calls per response; later ones get a refusal as their result."
    )
    max_result_tokens: PositiveInt = Field(default=128, description="A result is cut here (tokens).")
    timeout_seconds: PositiveFloat = Field(
        default=10.0, description="A call that takes longer is killed, and the model reads that (seconds)."
    )
    memory_mb: int = Field(default=1024, ge=256, description="Memory a tool process may use (MiB).")
    workers: PositiveInt = Field(default=2, description="Calls that run at the same time, per agent-loop worker.")
    prompt_tokens: PositiveInt = Field(
        default=512, description="Most tokens of the descriptions of the tools, in addition to data.max_prompt_tokens."
    )
    call_format: str = Field(
        default="hermes",
        description="How the model writes a call, a tool parser of verl: hermes for Qwen and most chat models.",
    )


class Schedule(Section):
    """Length of the run, validation and checkpoints, in training steps."""

    steps: PositiveInt = Field(default=100, description="Training steps.")
    validate_every: int = Field(default=10, ge=0, description="Steps between validations; 0: never.")
    validate_before: bool = Field(default=True, description="Validate before the first step.")
    validation_suites: Names = Field(
        default=(), description="Suites of `innovator eval` that every validation asks too: names or YAML files."
    )
    validation_suite_rows: PositiveInt = Field(default=50, description="Rows drawn per task of these suites.")
    save_every: int = Field(default=20, ge=0, description="Steps between checkpoints; 0: never.")
    keep_checkpoints: PositiveInt = Field(default=2, description="Checkpoints kept; older ones are deleted.")
    keep_best: bool = Field(
        default=False, description="Also keep the checkpoint with the best validation accuracy (best.json names it)."
    )
    resume: str = Field(
        default="auto",
        min_length=1,
        description="auto: continue from the last intact checkpoint of the run directory; never: refuse to; or a path, another "
        "run's directory or global_step_N, to start from where the run has no checkpoint of its own.",
    )
    resume_contents: Literal["all", "weights"] = Field(
        default="all",
        description="What is taken from a checkpoint of another run: all (optimizer, step, place in the data), or the weights "
        "alone, from step 0.",
    )


class Resources(Section):
    """Platform, machines and Ray."""

    platform: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: CUDA where a device is present, else CPU."
    )
    nodes: PositiveInt = Field(default=1, description="Machines.")
    accelerators_per_node: PositiveInt = Field(default=1, description="GPUs per node; on CPU, worker processes.")
    threads: PositiveInt | Auto = Field(
        default="auto", description="Threads per process on CPU; auto: the cores this process may use."
    )
    kv_cache_gb: int = Field(default=1, ge=1, description="Key-value cache of the rollout engine on CPU (GiB).")
    ray_cpus: PositiveInt | Auto = Field(
        default="auto", description="CPU slots a local Ray offers (slots, not cores); auto: what the placement needs."
    )
    ray_address: str | None = Field(
        default=None, description="An existing Ray cluster, for example auto or 10.0.0.1:6379; null: start one here."
    )
    wait_minutes: float = Field(
        default=0.0, ge=0, description="Minutes to wait for slots of an existing cluster that other jobs hold."
    )


class Logging(Section):
    """Run directory and sinks."""

    runs_dir: str = Field(default="runs", min_length=1, description="Folder of run directories.")
    tensorboard: bool = Field(default=True, description="Also write TensorBoard events into the run directory.")
    wandb: bool = Field(
        default=False, description="Also report to Weights & Biases; a resume continues the same run there."
    )
    mlflow: bool = Field(default=False, description="Also report to MLflow, at the server of MLFLOW_TRACKING_URI.")
    trackio: bool = Field(default=False, description="Also report to Trackio.")
    opentelemetry: bool = Field(
        default=False,
        description="Also export spans of every sample (generate, score, update) to OTEL_EXPORTER_OTLP_ENDPOINT.",
    )
    token_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of prompt groups whose token ids, probabilities, ratios and clips are recorded token by token; every "
        "response keeps its row and its text. 0: none.",
    )
    progress: bool | Auto = Field(
        default="auto", description="Show progress; auto: when standard output is a terminal."
    )
    project: str = Field(default="innovator-rl", min_length=1, description="Project name for the extra sinks.")


class RunConfig(Section):
    """One training run."""

    name: str = Field(
        default="run",
        pattern=NAME_PATTERN,
        description="The run directory is {logging.runs_dir}/{name}.",
    )
    model: Model = Model()
    data: Data = Data()
    rollout: Rollout = Rollout()
    algorithm: Algorithm = Algorithm()
    reward: Reward = Reward()
    tools: Tools = Tools()
    schedule: Schedule = Schedule()
    resources: Resources = Resources()
    logging: Logging = Logging()
    verl: dict[str, Any] = Field(
        default={}, description="Any other verl key, nested or dotted; checked against verl's own configuration."
    )

    @property
    def passes_per_update(self) -> int:
        """How often a step trains on its responses: verl's `ppo_epochs`, 1 unless the `verl:` section sets it."""
        value = self.verl_value("actor_rollout_ref.actor.ppo_epochs", 1)
        return value if isinstance(value, int) else 1

    def verl_value(self, key: str, default: Any = None) -> Any:
        """Return what the `verl:` section, nested or dotted, sets for a dotted key of verl."""

        def find(section: dict[str, Any], rest: str) -> Any:
            for name, value in section.items():
                if name == rest:
                    return value
                if rest.startswith(f"{name}.") and isinstance(value, dict):
                    found = find(value, rest[len(name) + 1 :])
                    if found is not None:
                        return found
            return None

        found = find(self.verl, key)
        return default if found is None else found

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt, the descriptions of tools included."""
        return self.data.max_prompt_tokens + (self.tools.prompt_tokens if self.tools.names else 0)

    @property
    def prompts_per_update(self) -> int:
        """Groups per optimizer update, the null default resolved."""
        return self.algorithm.prompts_per_update or self.algorithm.prompts_per_step
