"""A run as verl's configuration: the only file that knows verl's Hydra keys.

`to_verl` composes verl's own `ppo_trainer` configuration from the installed package and lays our settings over it, so
that a key verl renamed stops the run here and not silently later. Each line of `verl_settings` says whose value it is:
a setting of ours, a choice that this project depends on (fixed), or a default that the `verl:` section may change.
Keys that verl's YAML does not contain but its dataclasses read are in `ADDITIONS`, each with its reason. What people
write under `verl:` is judged by `innovator_rl.integrations.verl.verl_overrides`.
"""

import copy
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from innovator_rl.config.resolve import Resolved, RuntimeContext, groups_per_micro_batch, resolve
from innovator_rl.config.schema import RunConfig
from innovator_rl.errors import UserError

TRAINER_MODE = "innovator"
SAMPLER = ("pkg://innovator_rl.integrations.verl.dynamic_sampling", "DynamicSampler")
ENGINES = "innovator_rl.integrations.verl.fsdp_engine"
AGENT_LOOP_MANAGER = "innovator_rl.integrations.verl.agent_loop.RecordingAgentLoopManager"
REWARD_MANAGER = ("pkg://innovator_rl.integrations.verl.reward_adapter", "InnovatorRewardManager")
METRICS = {"correct": "acc", "score": "score_value"}  # our word -> the key of the reward's extra information
CPU_BLOCK_TOKENS = (
    16  # of vLLM's cache: the smallest its CPU attention takes; the default, 128, is longer than most short prompts
)
ENDLESS = 1_000_000  # epochs: the number of steps ends a run, never the number of epochs

# Keys outside verl's YAML that verl or our hooks read. A test holds every key of `verl_settings` against the YAML
# or this list.
ADDITIONS: dict[str, str] = {
    "actor_rollout_ref.actor.fsdp_config.mixed_precision": "FSDPEngineConfig.mixed_precision sets the actor's "
    "precision; fsdp_config.dtype changes nothing",
    "actor_rollout_ref.ref.fsdp_config.mixed_precision": "the same for the reference model",
    "actor_rollout_ref.model.override_config.attn_implementation": "override_config is an open dictionary; "
    "FlashAttention does not exist on CPU",
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
    "innovator": "what our trainer and recorder need to know of the run",
}


class VerlSetting(NamedTuple):
    """One key of verl's configuration as a run sets it."""

    key: str
    value: Any
    owner: str = ""  # our setting that decides it; empty: a default that `verl:` may change
    fixed: str = ""  # why `verl:` may not change it


def config_dir() -> Path:
    """Folder of verl's YAML files, found without importing verl."""
    spec = find_spec("verl")
    if spec is None or spec.origin is None:
        raise UserError("verl is not installed: pip install 'innovator-rl[cpu]' or 'innovator-rl[gpu]'")
    return Path(spec.origin).parent / "trainer" / "config"


@cache
def _composed() -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base=None):
        return compose("ppo_trainer")


def stock() -> DictConfig:
    """verl's `ppo_trainer` configuration as installed: unresolved, writable, the caller's own copy."""
    config = copy.deepcopy(_composed())
    OmegaConf.set_struct(config, False)
    return config


def verl_settings(config: RunConfig, facts: RuntimeContext) -> list[VerlSetting]:
    """Every key of verl that a run sets, in verl's order."""
    resolved = resolve(config, facts.platform, facts.is_moe)
    groups = (_model, _actor, _rollout, _data, _algorithm, _reward, _trainer, _resources)
    return [setting for group in groups for setting in group(config, facts, resolved)]


def _model(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    model = "actor_rollout_ref.model"
    found = [
        VerlSetting(f"{model}.path", facts.model_path, "model.path"),
        VerlSetting(f"{model}.trust_remote_code", config.model.trust_remote_code, "model.trust_remote_code"),
        VerlSetting(
            f"{model}.enable_gradient_checkpointing",
            config.model.gradient_checkpointing,
            "model.gradient_checkpointing",
        ),
        VerlSetting(f"{model}.use_remove_padding", resolved.remove_padding, "algorithm.remove_padding"),
        VerlSetting(f"{model}.external_lib", ENGINES, fixed="the engines that share prompts and report router load"),
    ]
    if facts.platform == "cpu":
        found.append(VerlSetting(f"{model}.override_config.attn_implementation", "sdpa"))
    return found


def _actor(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    actor, optim, algorithm = "actor_rollout_ref.actor", "actor_rollout_ref.actor.optim", config.algorithm
    compiled = facts.platform == "cuda"
    precision = {
        "param_dtype": {"float32": "fp32", "bfloat16": "bf16"}[resolved.dtype],
        "reduce_dtype": "fp32",
        "buffer_dtype": "fp32",
    }
    return [
        VerlSetting(f"{actor}.strategy", "fsdp2"),
        VerlSetting(f"{actor}.ppo_mini_batch_size", config.prompts_per_update, "algorithm.prompts_per_update"),
        *_micro_batches(config, facts, resolved),
        VerlSetting(f"{actor}.clip_ratio_low", algorithm.clip_low, "algorithm.clip_low"),
        VerlSetting(f"{actor}.clip_ratio_high", algorithm.clip_high, "algorithm.clip_high"),
        VerlSetting(f"{actor}.clip_ratio_c", algorithm.dual_clip, "algorithm.dual_clip"),
        VerlSetting(f"{actor}.loss_agg_mode", algorithm.loss_aggregation, "algorithm.loss_aggregation"),
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
        VerlSetting(f"{actor}.fsdp_config.seed", config.data.seed, "data.seed"),
        VerlSetting(f"{actor}.fsdp_config.mixed_precision", precision, "model.dtype"),
        VerlSetting("actor_rollout_ref.ref.fsdp_config.mixed_precision", precision, "model.dtype"),
        VerlSetting(f"{actor}.use_torch_compile", compiled),
        VerlSetting(f"{actor}.fsdp_config.use_torch_compile", compiled),
        VerlSetting("actor_rollout_ref.ref.fsdp_config.use_torch_compile", compiled),
    ]


def _micro_batches(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    """Whole prompt groups on CPU, where the engine shares prompts; a budget of tokens on CUDA.

    FSDP gathers every parameter once a micro-batch, and long products are faster: so as many groups as the token budget holds.
    """
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    if facts.platform == "cpu":
        why = "on CPU a micro-batch is whole prompt groups"
        group = config.rollout.samples_per_prompt * groups_per_micro_batch(config, resolved.micro_batch_tokens)
        return [
            VerlSetting(f"{actor}.use_dynamic_bsz", False, fixed=why),
            VerlSetting(f"{actor}.ppo_micro_batch_size_per_gpu", group, "rollout.samples_per_prompt"),
            VerlSetting(f"{rollout}.log_prob_use_dynamic_bsz", False, fixed=why),
            VerlSetting(f"{rollout}.log_prob_micro_batch_size_per_gpu", group, "rollout.samples_per_prompt"),
        ]
    return [
        VerlSetting(
            f"{actor}.use_dynamic_bsz", True, fixed="micro-batches are cut by tokens: algorithm.micro_batch_tokens"
        ),
        VerlSetting(f"{actor}.ppo_max_token_len_per_gpu", resolved.micro_batch_tokens, "algorithm.micro_batch_tokens"),
    ]


def _rollout(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    key, rollout, validation, cpu = (
        "actor_rollout_ref.rollout",
        config.rollout,
        config.rollout.validation,
        facts.platform == "cpu",
    )
    longest = config.data.max_prompt_tokens + rollout.max_response_tokens
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
    if cpu:
        found += [
            VerlSetting(f"{key}.load_format", "auto"),
            VerlSetting(f"{key}.free_cache_engine", False, fixed="vLLM on CPU cannot release its cache"),
            VerlSetting(f"{key}.enable_sleep_mode", False, fixed="vLLM on CPU cannot sleep"),
            VerlSetting(f"{key}.agent.num_workers", 1),
            # Samples of a group share the whole blocks of their prompt.
            VerlSetting(f"{key}.engine_kwargs.vllm.block_size", CPU_BLOCK_TOKENS),
            *_one_process_engine(config),
        ]
    return found


def _one_process_engine(config: RunConfig) -> list[VerlSetting]:
    """vLLM's engine and its worker in one process: two of them exchange every step through a queue that both poll on the same cores."""
    if config.rollout.tensor_parallel > 1:
        return []
    return [VerlSetting("actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend", "uni")]


def _data(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    # verl builds a validation set even where none is ever used.
    validation = facts.validation_files or facts.train_files[:1]
    return [
        VerlSetting("data.train_files", list(facts.train_files), "data.train"),
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


def _algorithm(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
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
            algorithm.rollout_correction.threshold,
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
            f"{sampler}.sampler_kwargs.max_rounds", sampling.max_rounds, "algorithm.dynamic_sampling.max_rounds"
        ),
        VerlSetting(
            f"{sampler}.sampler_kwargs.stall_seconds",
            sampling.stall_seconds,
            "algorithm.dynamic_sampling.stall_seconds",
        ),
    ]


def _reward(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
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
        VerlSetting(f"{kwargs}.routes", dict(reward.routes), "reward.routes"),
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


def _trainer(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    schedule, logging = config.schedule, config.logging
    # metrics.jsonl and TensorBoard's events are written by the run's own observer, which survives a resume.
    sinks = ["wandb"] if logging.wandb else []
    return [
        VerlSetting("trainer.use_v1", True, fixed="verl's V0 trainer knows nothing of these hooks"),
        VerlSetting("trainer.project_name", logging.project, "logging.project"),
        VerlSetting("trainer.experiment_name", config.name, "name"),
        VerlSetting("trainer.logger", sinks, "logging.wandb"),
        VerlSetting("trainer.total_training_steps", schedule.steps, "schedule.steps"),
        VerlSetting("trainer.total_epochs", ENDLESS, "schedule.steps"),
        VerlSetting("trainer.save_freq", schedule.save_every or -1, "schedule.save_every"),
        VerlSetting("trainer.test_freq", schedule.validate_every or -1, "schedule.validate_every"),
        VerlSetting("trainer.val_before_train", schedule.validate_before, "schedule.validate_before"),
        VerlSetting(
            "trainer.max_actor_ckpt_to_keep",
            None,
            fixed="older checkpoints go after the new one is whole: schedule.keep_checkpoints",
        ),
        VerlSetting("trainer.default_local_dir", facts.checkpoint_dir, "logging.runs_dir and name"),
        VerlSetting("trainer.resume_mode", "resume_path" if facts.resume_from else "disable", "schedule.resume"),
        VerlSetting("trainer.resume_from_path", facts.resume_from or None, "schedule.resume"),
        VerlSetting("innovator.name", config.name, "name"),
        VerlSetting("innovator.run_dir", facts.run_dir, "logging.runs_dir and name"),
        VerlSetting("innovator.attempt", facts.attempt, fixed="counted by launch"),
        VerlSetting("innovator.mixture", dict(config.data.mixture), "data.mixture"),
        VerlSetting("innovator.keep_checkpoints", schedule.keep_checkpoints, "schedule.keep_checkpoints"),
    ]


def _resources(config: RunConfig, facts: RuntimeContext, resolved: Resolved) -> list[VerlSetting]:
    resources, ray = config.resources, "ray_kwargs.ray_init"
    found = [
        VerlSetting("trainer.nnodes", resources.nodes, "resources.nodes"),
        VerlSetting("trainer.n_gpus_per_node", resources.accelerators_per_node, "resources.accelerators_per_node"),
        VerlSetting("trainer.device", facts.platform, "resources.platform"),
        VerlSetting("transfer_queue.enable", True, fixed="the V1 trainer moves its data through it"),
    ]
    if resources.ray_address is not None:
        found.append(VerlSetting(f"{ray}.address", resources.ray_address, "resources.ray_address"))
    else:
        found.append(VerlSetting(f"{ray}.num_cpus", resolved.ray_cpus, "resources.ray_cpus"))
    if facts.platform == "cpu":
        found.append(VerlSetting("transfer_queue.backend.SimpleStorage.num_data_storage_units", 1))
        found.append(
            VerlSetting("actor_rollout_ref.nccl_timeout", 3600)
        )  # a CPU step may outlast the ten minutes meant for GPUs
        if resources.ray_address is None:
            found.append(
                VerlSetting(f"{ray}.num_gpus", resources.accelerators_per_node, "resources.accelerators_per_node")
            )
    return found


def to_verl(config: RunConfig, facts: RuntimeContext) -> DictConfig:
    """verl's complete configuration for a run: its own defaults, our settings, then the checked `verl:` section.

    Raises:
        UserError: for keys under `verl:` that verl would ignore or that belong to a setting of ours, one a line.
    """
    from innovator_rl.integrations.verl.verl_overrides import flatten, problems

    wrong = problems(config, facts)
    if wrong:
        raise UserError("\n".join(f"verl.{problem.key}: {problem.why}; {problem.fix}" for problem in wrong))
    result = stock()
    with open_dict(result):
        for setting in verl_settings(config, facts):
            OmegaConf.update(result, setting.key, setting.value, merge=True, force_add=True)
        for key, value in flatten(config.verl).items():
            OmegaConf.update(result, key, value, merge=False, force_add=True)
    OmegaConf.set_struct(result, True)
    return result


def dataclass_fields(target: str) -> dict[str, Any]:
    """Name -> default of the dataclass that verl builds from a node with this `_target_` (imports verl)."""
    import dataclasses
    from importlib import import_module

    module, _, name = target.rpartition(".")
    found = getattr(import_module(module), name)
    return {f.name: f.default for f in dataclasses.fields(found)}
