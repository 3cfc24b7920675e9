"""Map a run's configuration to verl's keys, all that a run sets.

Each line of `verl_settings` states whose value it is: a setting of the run (`owner`), a choice that this project
depends on (`fixed`), or a default that the `verl:` section may change. Keys that verl's YAML does not contain but its
dataclasses or our hooks read are in `ADDITIONS`, each with its reason. `compose` lays the list over verl's own
configuration; `verl_overrides` checks what a user writes under `verl:` against it.
"""

from typing import Any, NamedTuple

from innovator_rl.config.resolve import Resolved, RuntimeContext, groups_per_micro_batch, resolve
from innovator_rl.config.schema import RolloutCorrection, RunConfig
from innovator_rl.integrations.verl.reward_record import METRICS
from innovator_rl.integrations.verl.stock import flatten
from innovator_rl.platform import CPU_BLOCK_TOKENS
from innovator_rl.secret_values import protect

TRAINER_MODE = "innovator"
SAMPLER = ("pkg://innovator_rl.integrations.verl.dynamic_sampling", "DynamicSampler")
ENGINES = "innovator_rl.integrations.verl.fsdp_engine"
AGENT_LOOP_MANAGER = "innovator_rl.integrations.verl.agent_loop.RecordingAgentLoopManager"
REWARD_MANAGER = ("pkg://innovator_rl.integrations.verl.reward_adapter", "InnovatorRewardManager")
TOOL_LOOP = "innovator_tools"
"""Name of our agent loop in verl's registry (`tool_loop.py`)."""
MAX_RESULT_CHARS = 20_000
"""A tool's result is cut here before it is cut by tokens."""
AUTOCAST_DTYPE = "autocast_dtype"
"""Key of `mixed_precision` that our CPU engine reads: the type to compute in, over parameters of `param_dtype`."""
ENDLESS = 1_000_000
"""Epochs; the number of steps ends a run, never the number of epochs."""

ADDITIONS: dict[str, str] = {
    "actor_rollout_ref.actor.fsdp_config.mixed_precision": "FSDPEngineConfig.mixed_precision sets the actor's "
    "precision; fsdp_config.dtype changes nothing",
    "actor_rollout_ref.ref.fsdp_config.mixed_precision": "the same for the reference model",
    "actor_rollout_ref.model.override_config.attn_implementation": "override_config is an open dictionary; "
    "FlashAttention does not exist on CPU",
    "actor_rollout_ref.actor.optim.override_optimizer_config.fused": "an open dictionary of the optimizer's arguments",
    "actor_rollout_ref.rollout.enable_sleep_mode": "RolloutConfig.enable_sleep_mode; vLLM cannot sleep on CPU",
    "actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend": "an open dictionary of AsyncEngineArgs",
    "actor_rollout_ref.rollout.engine_kwargs.vllm.block_size": "an open dictionary of AsyncEngineArgs",
    "actor_rollout_ref.rollout.agent.agent_loop_manager_class": "AgentLoopConfig.agent_loop_manager_class, read by "
    "TaskRunnerV1",
    "reward.reward_kwargs": "read by the reward manager (innovator_rl.integrations.verl.reward_adapter)",
    "trainer.v1.sampler.sampler_kwargs": "open dictionary handed to the sampler "
    "(innovator_rl.integrations.verl.dynamic_sampling)",
    "ray_kwargs.ray_init.num_gpus": "ray.init argument: virtual accelerator slots on CPU",
    "ray_kwargs.ray_init.address": "ray.init argument: an existing cluster",
    "innovator": "what our trainer and recorder need of the run",
}
"""Keys outside verl's YAML that verl or our hooks read, each with the reason it may be set."""


class VerlSetting(NamedTuple):
    """One key of verl's configuration as a run sets it."""

    key: str
    value: Any
    owner: str = ""  # the setting of the run that decides it; empty: a default that `verl:` may change
    fixed: str = ""  # why `verl:` may not change it


def verl_settings(config: RunConfig, context: RuntimeContext) -> list[VerlSetting]:
    """List every key of verl that a run sets, in verl's order."""
    resolved = resolve(config, context.platform, context.is_moe)
    groups = (_model, _actor, _rollout, _data, _algorithm, _reward, _trainer, _resources)
    return [setting for group in groups for setting in group(config, context, resolved)]


def _model(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    model = "actor_rollout_ref.model"
    found = [
        VerlSetting(f"{model}.path", context.model_path, "model.path"),
        VerlSetting(f"{model}.trust_remote_code", config.model.trust_remote_code, "model.trust_remote_code"),
        VerlSetting(
            f"{model}.enable_gradient_checkpointing",
            config.model.gradient_checkpointing,
            "model.gradient_checkpointing",
        ),
        VerlSetting(f"{model}.use_remove_padding", resolved.remove_padding, "algorithm.remove_padding"),
        VerlSetting(f"{model}.lora_rank", config.model.lora.rank, "model.lora.rank"),
        VerlSetting(f"{model}.lora_alpha", config.model.lora.alpha, "model.lora.alpha"),
        VerlSetting(
            f"{model}.target_modules",
            list(config.model.lora.target_modules) or "all-linear",
            "model.lora.target_modules",
        ),
        VerlSetting(f"{model}.lora.merge", True, fixed="the rollout engine gets merged weights"),
        VerlSetting(f"{model}.external_lib", ENGINES, fixed="the engines that share prompts and report router load"),
    ]
    if context.platform == "cpu":
        found.append(VerlSetting(f"{model}.override_config.attn_implementation", "sdpa"))
    return found


def _actor(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    actor, optim, algorithm = "actor_rollout_ref.actor", "actor_rollout_ref.actor.optim", config.algorithm
    compiled = context.platform == "cuda"
    precision = _precision(context, resolved)
    return [
        VerlSetting(f"{actor}.strategy", "fsdp2"),
        VerlSetting(f"{actor}.ppo_mini_batch_size", config.prompts_per_update, "algorithm.prompts_per_update"),
        *_micro_batches(config, context, resolved),
        VerlSetting(f"{actor}.clip_ratio_low", algorithm.clip_low, "algorithm.clip_low"),
        VerlSetting(f"{actor}.clip_ratio_high", algorithm.clip_high, "algorithm.clip_high"),
        VerlSetting(f"{actor}.clip_ratio_c", algorithm.dual_clip, "algorithm.dual_clip"),
        VerlSetting(f"{actor}.loss_agg_mode", algorithm.loss_aggregation, "algorithm.loss_aggregation"),
        *_policy_loss(config),
        VerlSetting(f"{actor}.loss_scale_factor", _loss_scale(config), "algorithm.loss_aggregation"),
        VerlSetting(f"{actor}.entropy_coeff", algorithm.entropy_coefficient, "algorithm.entropy_coefficient"),
        # Without the second log-probability pass nothing else measures the entropy.
        VerlSetting(f"{actor}.calculate_entropy", resolved.old_log_prob == "rollout"),
        VerlSetting(f"{actor}.use_kl_loss", algorithm.kl_coefficient > 0, "algorithm.kl_coefficient"),
        VerlSetting(f"{actor}.kl_loss_coef", algorithm.kl_coefficient, "algorithm.kl_coefficient"),
        VerlSetting(f"{actor}.grad_clip", algorithm.gradient_clip, "algorithm.gradient_clip"),
        VerlSetting(f"{actor}.data_loader_seed", config.data.seed, "data.seed"),
        VerlSetting(f"{optim}.lr", algorithm.learning_rate, "algorithm.learning_rate"),
        VerlSetting(f"{optim}.lr_warmup_steps", algorithm.warmup_steps, "algorithm.warmup_steps"),
        VerlSetting(f"{optim}.weight_decay", algorithm.weight_decay, "algorithm.weight_decay"),
        VerlSetting(f"{optim}.clip_grad", algorithm.gradient_clip, "algorithm.gradient_clip"),
        *_fused_optimizer(config, context),
        VerlSetting(f"{actor}.fsdp_config.seed", config.data.seed, "data.seed"),
        VerlSetting(f"{actor}.fsdp_config.mixed_precision", precision, "model.dtype"),
        VerlSetting("actor_rollout_ref.ref.fsdp_config.mixed_precision", precision, "model.dtype"),
        VerlSetting(f"{actor}.use_torch_compile", compiled),
        VerlSetting(f"{actor}.fsdp_config.use_torch_compile", compiled),
        VerlSetting("actor_rollout_ref.ref.fsdp_config.use_torch_compile", compiled),
    ]


def _policy_loss(config: RunConfig) -> list[VerlSetting]:
    if config.algorithm.policy_loss is None:
        return []
    key = "actor_rollout_ref.actor.policy_loss.loss_mode"
    return [VerlSetting(key, config.algorithm.policy_loss, "algorithm.policy_loss")]


def _loss_scale(config: RunConfig) -> int | None:
    """Return the constant that Dr. GRPO divides a response's summed loss by.

    verl's default, the longest response of each micro-batch, weights micro-batches differently.
    """
    dr_grpo = config.algorithm.loss_aggregation == "seq-mean-token-sum-norm"
    return config.rollout.max_response_tokens if dr_grpo else None


def _fused_optimizer(config: RunConfig, context: RuntimeContext) -> list[VerlSetting]:
    """Let torch's AdamW update all parameters in one kernel on CPU; another optimizer has other arguments."""
    optim = "actor_rollout_ref.actor.optim"
    chosen = {f"{optim}.optimizer", f"{optim}.optimizer_impl"} & set(flatten(config.verl))
    if context.platform != "cpu" or chosen:
        return []
    return [VerlSetting(f"{optim}.override_optimizer_config.fused", True)]


def _precision(context: RuntimeContext, resolved: Resolved) -> dict[str, str]:
    """Return FSDP's precision: on CPU, bfloat16 is computed by autocast over float32 parameters."""
    dtype = {"float32": "fp32", "bfloat16": "bf16"}[resolved.dtype]
    if context.platform == "cpu":
        only = {AUTOCAST_DTYPE: dtype} if dtype != "fp32" else {}
        return {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32", **only}
    return {"param_dtype": dtype, "reduce_dtype": "fp32", "buffer_dtype": "fp32"}


def _micro_batches(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    """Cut micro-batches by prompt groups on CPU and by tokens on CUDA.

    On CPU the engine shares prompts.

    FSDP gathers every parameter once per micro-batch and long products are faster, so a micro-batch has as many groups
    as the token budget holds.
    """
    actor, rollout, reference = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.ref"
    if context.platform == "cpu":
        why = "on CPU a micro-batch is whole prompt groups"
        group = config.rollout.samples_per_prompt * groups_per_micro_batch(config, resolved.micro_batch_tokens)
        return [
            VerlSetting(f"{actor}.use_dynamic_bsz", False, fixed=why),
            VerlSetting(f"{actor}.ppo_micro_batch_size_per_gpu", group, "rollout.samples_per_prompt"),
            VerlSetting(f"{rollout}.log_prob_use_dynamic_bsz", False, fixed=why),
            VerlSetting(f"{rollout}.log_prob_micro_batch_size_per_gpu", group, "rollout.samples_per_prompt"),
            VerlSetting(f"{reference}.log_prob_use_dynamic_bsz", False, fixed=why),
            VerlSetting(f"{reference}.log_prob_micro_batch_size_per_gpu", group, "rollout.samples_per_prompt"),
        ]
    return [
        VerlSetting(
            f"{actor}.use_dynamic_bsz", True, fixed="micro-batches are cut by tokens: algorithm.micro_batch_tokens"
        ),
        VerlSetting(f"{actor}.ppo_max_token_len_per_gpu", resolved.micro_batch_tokens, "algorithm.micro_batch_tokens"),
    ]


def _rollout(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    key, rollout, validation, cpu = (
        "actor_rollout_ref.rollout",
        config.rollout,
        config.rollout.validation,
        context.platform == "cpu",
    )
    longest = config.longest_prompt + rollout.max_response_tokens
    found = [
        VerlSetting(f"{key}.name", "vllm", fixed="rollouts come from vLLM"),
        VerlSetting(f"{key}.n", rollout.samples_per_prompt, "rollout.samples_per_prompt"),
        VerlSetting(f"{key}.temperature", rollout.temperature, "rollout.temperature"),
        VerlSetting(f"{key}.top_p", rollout.top_p, "rollout.top_p"),
        VerlSetting(f"{key}.dtype", resolved.rollout_dtype, "rollout.dtype"),
        VerlSetting(f"{key}.seed", config.data.seed, "data.seed"),
        VerlSetting(f"{key}.tensor_model_parallel_size", rollout.tensor_parallel, "rollout.tensor_parallel"),
        VerlSetting(f"{key}.gpu_memory_utilization", rollout.memory_fraction, "rollout.memory_fraction"),
        VerlSetting(f"{key}.max_num_seqs", rollout.max_num_seqs, "rollout.max_num_seqs"),
        VerlSetting(f"{key}.max_model_len", longest, "rollout.max_response_tokens"),
        VerlSetting(f"{key}.max_num_batched_tokens", max(8192, longest)),
        VerlSetting(f"{key}.enforce_eager", resolved.eager, "rollout.eager"),
        VerlSetting(
            f"{key}.calculate_log_probs", True, fixed="the rollout engine's probabilities are recorded and compared"
        ),
        VerlSetting(f"{key}.val_kwargs.n", validation.samples_per_prompt, "rollout.validation.samples_per_prompt"),
        VerlSetting(f"{key}.val_kwargs.temperature", validation.temperature, "rollout.validation.temperature"),
        VerlSetting(f"{key}.val_kwargs.top_p", validation.top_p, "rollout.validation.top_p"),
        VerlSetting(f"{key}.val_kwargs.do_sample", validation.temperature > 0, "rollout.validation.temperature"),
        VerlSetting(f"{key}.agent.agent_loop_manager_class", AGENT_LOOP_MANAGER, fixed="it records every response"),
    ]
    found += _tools(config)
    if cpu:
        found += [
            VerlSetting(f"{key}.load_format", "auto"),
            # vLLM (0.28 to 0.32) rewinds the random state of a seeded request whose prompt is prefilled in two parts, which
            # a CPU's generator cannot do.
            VerlSetting(f"{key}.enable_chunked_prefill", not resolved.seed_requests, "rollout.seed_requests"),
            VerlSetting(f"{key}.free_cache_engine", False, fixed="vLLM on CPU cannot release its cache"),
            VerlSetting(f"{key}.enable_sleep_mode", False, fixed="vLLM on CPU cannot sleep"),
            VerlSetting(f"{key}.agent.num_workers", 1),
            # Samples of a group share the whole blocks of their prompt.
            VerlSetting(f"{key}.engine_kwargs.vllm.block_size", CPU_BLOCK_TOKENS),
            *_one_process_engine(config),
        ]
    return found


def _tools(config: RunConfig) -> list[VerlSetting]:
    """Let the model call tools: verl's loop over turns, with the bounds of the run."""
    tools, key = config.tools, "actor_rollout_ref.rollout"
    limits = tools.model_dump(mode="json") | {"code_isolation": config.reward.code_isolation}
    found = [VerlSetting("innovator.tools", limits if tools.names else None, "tools.names")]
    if tools.names:
        turns = f"{key}.multi_turn"
        found += [
            VerlSetting(f"{key}.agent.default_agent_loop", TOOL_LOOP, fixed="it records every turn: tools.names"),
            VerlSetting(f"{key}.prompt_length", config.longest_prompt, fixed="tools.prompt_tokens is part of it"),
            VerlSetting(f"{turns}.enable", True, fixed="tools.names"),
            VerlSetting(f"{turns}.format", tools.call_format, fixed="tools.call_format"),
            VerlSetting(f"{turns}.max_assistant_turns", tools.max_calls + 1, fixed="tools.max_calls"),
            VerlSetting(f"{turns}.max_parallel_calls", tools.max_calls, fixed="tools.max_calls"),
            VerlSetting(f"{turns}.max_tool_response_length", MAX_RESULT_CHARS, fixed="tools.max_result_tokens"),
        ]
    return found


def _one_process_engine(config: RunConfig) -> list[VerlSetting]:
    """Keep vLLM's engine and its worker in one process on CPU.

    Two processes would exchange every step through a queue that both poll on the same cores.
    """
    if config.rollout.tensor_parallel > 1:
        return []
    return [VerlSetting("actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend", "uni")]


def _data(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    # verl builds a validation set even where none is ever used.
    validation = context.validation_files or context.train_files[:1]
    return [
        VerlSetting("data.train_files", list(context.train_files), "data.train"),
        VerlSetting("data.val_files", list(validation), "data.validation"),
        VerlSetting("data.max_prompt_length", config.data.max_prompt_tokens, "data.max_prompt_tokens"),
        VerlSetting("data.max_response_length", config.rollout.max_response_tokens, "rollout.max_response_tokens"),
        VerlSetting("data.train_batch_size", config.algorithm.prompts_per_step, "algorithm.prompts_per_step"),
        VerlSetting("data.val_max_samples", config.data.validation_rows, "data.validation_rows"),
        VerlSetting("data.shuffle", config.data.shuffle, "data.shuffle"),
        VerlSetting("data.seed", config.data.seed, "data.seed"),
        VerlSetting("data.trust_remote_code", config.model.trust_remote_code, "model.trust_remote_code"),
        VerlSetting("data.filter_overlong_prompts", True, fixed="data.max_prompt_tokens leaves long prompts out"),
        VerlSetting("data.truncation", "error", fixed="a cut prompt has another answer"),
        # Rows are text: reading ahead in other processes costs more than it saves, and blurs the cursor
        # that resume needs.
        VerlSetting("data.dataloader_num_workers", 0),
    ]


def _algorithm(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    algorithm, correction = config.algorithm, "algorithm.rollout_correction"
    sampling, sampler = algorithm.dynamic_sampling, "trainer.v1.sampler"
    level = None if resolved.correction == "off" else resolved.correction
    metric = METRICS[sampling.metric]
    return [
        VerlSetting("algorithm.adv_estimator", "grpo", fixed="the project trains with GRPO"),
        VerlSetting("algorithm.norm_adv_by_std_in_grpo", algorithm.normalize_by_std, "algorithm.normalize_by_std"),
        VerlSetting(
            "algorithm.use_kl_in_reward", False, fixed="a KL term belongs to the loss: algorithm.kl_coefficient"
        ),
        VerlSetting("algorithm.filter_groups.enable", sampling.enabled, "algorithm.dynamic_sampling.enabled"),
        VerlSetting("algorithm.filter_groups.metric", metric, "algorithm.dynamic_sampling.metric"),
        VerlSetting(f"{correction}.rollout_is", level, "algorithm.rollout_correction.level"),
        VerlSetting(
            f"{correction}.rollout_is_threshold",
            _correction_bounds(algorithm.rollout_correction),
            "algorithm.rollout_correction.threshold",
        ),
        VerlSetting(f"{correction}.bypass_mode", resolved.old_log_prob == "rollout", "algorithm.old_log_prob"),
        VerlSetting("trainer.v1.trainer_mode", TRAINER_MODE, fixed="the trainer that records and resumes"),
        VerlSetting(f"{sampler}.custom_sampler.path", SAMPLER[0], fixed="the sampler with bounded dynamic sampling"),
        VerlSetting(f"{sampler}.custom_sampler.name", SAMPLER[1], fixed="the sampler with bounded dynamic sampling"),
        VerlSetting(
            f"{sampler}.sampler_kwargs.metric",
            metric if sampling.enabled else None,
            "algorithm.dynamic_sampling.metric",
        ),
        VerlSetting(
            f"{sampler}.sampler_kwargs.metrics",
            {source: METRICS[name] for source, name in sampling.metric_by_source.items()},
            "algorithm.dynamic_sampling.metric_by_source",
        ),
        VerlSetting(f"{sampler}.sampler_kwargs.max_staleness", config.rollout.max_staleness, "rollout.max_staleness"),
        VerlSetting(f"{sampler}.sampler_kwargs.slots", _slots(config), "rollout.max_num_seqs"),
        VerlSetting(
            f"{sampler}.sampler_kwargs.samples", config.rollout.samples_per_prompt, "rollout.samples_per_prompt"
        ),
        VerlSetting(
            f"{sampler}.sampler_kwargs.max_rounds", sampling.max_rounds, "algorithm.dynamic_sampling.max_rounds"
        ),
        VerlSetting(
            f"{sampler}.sampler_kwargs.stall_seconds",
            sampling.stall_seconds,
            "algorithm.dynamic_sampling.stall_seconds",
        ),
    ]


def _slots(config: RunConfig) -> int:
    """Return how many responses all replicas generate at the same time."""
    resources = config.resources
    replicas = max(1, resources.nodes * resources.accelerators_per_node // config.rollout.tensor_parallel)
    return replicas * config.rollout.max_num_seqs


def _correction_bounds(correction: RolloutCorrection) -> float | str:
    """Return verl's form: a number cuts weights there, "lower_upper" sets those outside to 0."""
    return correction.threshold if correction.lower is None else f"{correction.lower}_{correction.threshold}"


def _reward(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    kwargs, reward, overlong = "reward.reward_kwargs", config.reward, config.algorithm.overlong
    return [
        VerlSetting("reward.num_workers", config.resources.nodes),
        VerlSetting("reward.reward_manager.source", "importlib", fixed="scores come from innovator_rl.scoring"),
        VerlSetting("reward.reward_manager.name", REWARD_MANAGER[1], fixed="scores come from innovator_rl.scoring"),
        VerlSetting(
            "reward.reward_manager.module.path", REWARD_MANAGER[0], fixed="scores come from innovator_rl.scoring"
        ),
        VerlSetting(
            "reward.reward_manager.module.name", REWARD_MANAGER[1], fixed="scores come from innovator_rl.scoring"
        ),
        VerlSetting(f"{kwargs}.routes", {k: protect(v) for k, v in reward.routes.items()}, "reward.routes"),
        VerlSetting(f"{kwargs}.workers", reward.workers, "reward.workers"),
        VerlSetting(f"{kwargs}.timeout_seconds", reward.timeout_seconds, "reward.timeout_seconds"),
        VerlSetting(f"{kwargs}.memory_mb", reward.memory_mb, "reward.memory_mb"),
        VerlSetting(f"{kwargs}.code_isolation", reward.code_isolation, "reward.code_isolation"),
        VerlSetting(f"{kwargs}.max_resp_len", config.rollout.max_response_tokens, "rollout.max_response_tokens"),
        VerlSetting(f"{kwargs}.overlong_buffer_cfg.enable", overlong.enabled, "algorithm.overlong.enabled"),
        VerlSetting(f"{kwargs}.overlong_buffer_cfg.len", resolved.overlong_buffer, "algorithm.overlong.buffer_tokens"),
        VerlSetting(f"{kwargs}.overlong_buffer_cfg.penalty_factor", overlong.penalty, "algorithm.overlong.penalty"),
        VerlSetting(f"{kwargs}.overlong_buffer_cfg.log", False),
    ]


def _trainer(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    schedule, logging = config.schedule, config.logging
    return [
        VerlSetting("trainer.use_v1", True, fixed="verl's V0 trainer has none of these hooks"),
        VerlSetting("trainer.project_name", logging.project, "logging.project"),
        VerlSetting("trainer.experiment_name", config.name, "name"),
        VerlSetting("trainer.logger", [], fixed="the run's own sinks survive a resume: logging.wandb, mlflow, trackio"),
        VerlSetting("trainer.total_training_steps", schedule.steps, "schedule.steps"),
        VerlSetting("trainer.total_epochs", ENDLESS, "schedule.steps"),
        VerlSetting("trainer.save_freq", schedule.save_every or -1, "schedule.save_every"),
        VerlSetting("trainer.test_freq", schedule.validate_every or -1, "schedule.validate_every"),
        VerlSetting(
            "trainer.val_before_train", schedule.validate_before or context.validate_first, "schedule.validate_before"
        ),
        VerlSetting(
            "trainer.max_actor_ckpt_to_keep",
            None,
            fixed="older checkpoints go after the new one is whole: schedule.keep_checkpoints",
        ),
        VerlSetting("trainer.default_local_dir", context.checkpoint_dir, "logging.runs_dir and name"),
        VerlSetting("trainer.resume_mode", "resume_path" if context.resume_from else "disable", "schedule.resume"),
        VerlSetting("trainer.resume_from_path", context.resume_from or None, "schedule.resume"),
        *_fork(context),
        VerlSetting("innovator.resume_contents", context.resume_contents, "schedule.resume_contents"),
        VerlSetting("innovator.keep_best", schedule.keep_best, "schedule.keep_best"),
        VerlSetting("innovator.name", config.name, "name"),
        VerlSetting("innovator.run_dir", context.run_dir, "logging.runs_dir and name"),
        VerlSetting("innovator.attempt", context.attempt, fixed="counted by launch"),
        VerlSetting("innovator.token_share", logging.token_share, "logging.token_share"),
        VerlSetting(
            "innovator.request_seed", config.data.seed if resolved.seed_requests else None, "rollout.seed_requests"
        ),
        VerlSetting(
            "innovator.request_seconds",
            config.algorithm.dynamic_sampling.stall_seconds,
            "algorithm.dynamic_sampling.stall_seconds",
        ),
        VerlSetting("innovator.max_staleness", config.rollout.max_staleness, "rollout.max_staleness"),
        VerlSetting("innovator.curriculum", config.data.curriculum, "data.curriculum"),
        VerlSetting("innovator.mixture", dict(config.data.mixture), "data.mixture"),
        VerlSetting("innovator.keep_checkpoints", schedule.keep_checkpoints, "schedule.keep_checkpoints"),
    ]


def _fork(context: RuntimeContext) -> list[VerlSetting]:
    """Load the weights alone where a run starts from another run's."""
    if context.resume_contents == "all":
        return []
    return [VerlSetting("actor_rollout_ref.actor.checkpoint.load_contents", ["model"], "schedule.resume_contents")]


def _resources(config: RunConfig, context: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    resources, ray = config.resources, "ray_kwargs.ray_init"
    found = [
        VerlSetting("trainer.nnodes", resources.nodes, "resources.nodes"),
        VerlSetting("trainer.n_gpus_per_node", resources.accelerators_per_node, "resources.accelerators_per_node"),
        VerlSetting("trainer.device", context.platform, "resources.platform"),
        VerlSetting("transfer_queue.enable", True, fixed="the V1 trainer moves its data through it"),
    ]
    if resources.ray_address is not None:
        found.append(VerlSetting(f"{ray}.address", resources.ray_address, "resources.ray_address"))
    else:
        found.append(VerlSetting(f"{ray}.num_cpus", resolved.ray_cpus, "resources.ray_cpus"))
    if context.platform == "cpu":
        found.append(VerlSetting("transfer_queue.backend.SimpleStorage.num_data_storage_units", 1))
        # A CPU step may take longer than the ten minutes that are meant for GPUs.
        found.append(VerlSetting("actor_rollout_ref.nccl_timeout", 3600))
        if resources.ray_address is None:
            found.append(
                VerlSetting(f"{ray}.num_gpus", resources.accelerators_per_node, "resources.accelerators_per_node")
            )
    return found
