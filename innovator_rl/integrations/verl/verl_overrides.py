"""Check a run's `verl:` section against the configuration of the installed verl.

verl (0.9.1) accepts many keys that change nothing: legacy sections that its V1 trainer no longer migrates, fields that
another field overwrites, and anything at all behind a `+`. `UNSUPPORTED_KEYS` lists those with the key to use today. A
key that a setting of the run decides is an error that names the setting; an unknown key is an error with the near ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig

from innovator_rl.config.resolve import RuntimeContext
from innovator_rl.config.schema import RunConfig
from innovator_rl.integrations.verl.override_values import value_problems
from innovator_rl.integrations.verl.settings import VerlSetting, verl_settings
from innovator_rl.integrations.verl.stock import (
    ACTOR,
    FREE_FORM_KEYS,
    ROLLOUT,
    dataclass_fields,
    flatten,
    stock_keys,
    stock_node,
)

# verl key (or a prefix ending in a dot) -> (why it does nothing here, what does it today)
UNSUPPORTED_KEYS: dict[str, tuple[str, str]] = {
    "custom_reward_function.": (
        "a legacy section that the V1 trainer no longer reads",
        "reward.routes with a rewarder plugin",
    ),
    "reward_model.reward_manager": (
        "a legacy key that the V1 trainer no longer reads (verl: reward.reward_manager.name)",
        "reward.routes",
    ),
    "reward_model.overlong_buffer.": ("a key of a retired recipe", "algorithm.overlong"),
    "reward_model.reward_kwargs.": (
        "a legacy key that the V1 trainer no longer reads",
        "algorithm.overlong and reward.*",
    ),
    "reward_model.": (
        "a legacy section that the V1 trainer no longer reads",
        "a rewarder that asks a model at an endpoint",
    ),
    "sandbox_fusion.": ("a legacy section that the V1 trainer no longer reads", "verl.reward.sandbox_fusion.*"),
    "reward.custom_reward_function.": (
        "our reward manager scores; verl's function is not called",
        "reward.routes with a rewarder plugin",
    ),
    "reward.reward_model.": (
        "our reward manager scores; verl's reward model would be loaded and never asked",
        "a rewarder that asks a model at an endpoint",
    ),
    "reward.sandbox_fusion.": (
        "only verl's own score functions use it",
        "the rewarder `code`, which brings its own sandbox",
    ),
    "algorithm.filter_groups.max_num_gen_batches": (
        "ignored by the V1 trainer",
        "algorithm.dynamic_sampling.max_rounds",
    ),
    "algorithm.filter_groups.max_inflight_gen_batches": (
        "read by verl's own buffer only",
        "algorithm.dynamic_sampling.max_rounds",
    ),
    "algorithm.filter_group.": ("no section of verl; it is called filter_groups", "algorithm.dynamic_sampling"),
    "algorithm.gamma": ("GRPO's advantage has no discount", "nothing: leave it out"),
    "algorithm.lam": ("GRPO's advantage has no lambda", "nothing: leave it out"),
    "algorithm.kl_ctrl.": ("read only with a KL term in the reward", "algorithm.kl_coefficient"),
    "algorithm.kl_penalty": ("read only with a KL term in the reward", "algorithm.kl_coefficient"),
    "algorithm.use_pf_ppo": ("the V1 trainer does not read it", "nothing: leave it out"),
    "algorithm.pf_ppo.": ("the V1 trainer does not read it", "nothing: leave it out"),
    "critic.": ("GRPO has no critic", "nothing: leave it out"),
    "data.gen_batch_size": ("forced to 1 by the trainer", "algorithm.prompts_per_step"),
    "data.val_batch_size": ("deprecated: validation goes to the rollout engine as a whole", "data.validation_rows"),
    "trainer.critic_warmup": (
        "GRPO has no critic; the policy would stand still for these steps",
        "algorithm.warmup_steps",
    ),
    "trainer.v1.sync.": ("a section of another trainer mode", "algorithm.dynamic_sampling"),
    "trainer.v1.colocate_async.": ("the sampler keeps the engine full by itself", "rollout.max_staleness"),
    "trainer.v1.separate_async.": ("a section of another trainer mode", "algorithm.dynamic_sampling"),
    "trainer.v1.sampler.sync_refill_failed_groups": ("read by verl's own buffer only", "algorithm.dynamic_sampling"),
    "trainer.v1.sampler.max_off_policy_threshold": ("the sampler here does not read it", "rollout.max_staleness"),
    "trainer.v1.sampler.max_off_policy_strategy": (
        "a group at the bound is always waited for",
        "rollout.max_staleness",
    ),
    "trainer.rollout_data_dir": (
        "verl's dump lacks dropped groups and reward terms",
        "runs/NAME/rollouts, always written",
    ),
    f"{ACTOR}.clip_ratio": (
        "overridden by clip_ratio_low and clip_ratio_high",
        "algorithm.clip_low and algorithm.clip_high",
    ),
    f"{ACTOR}.ppo_micro_batch_size": (
        "deprecated, and micro-batches are cut by tokens",
        "algorithm.micro_batch_tokens",
    ),
    f"{ACTOR}.ppo_micro_batch_size_per_gpu": ("micro-batches are cut by tokens", "algorithm.micro_batch_tokens"),
    f"{ACTOR}.fsdp_config.dtype": ("accepted, and changes nothing", "model.dtype"),
    f"{ACTOR}.fsdp_config.strategy": ("overwritten by actor.strategy", f"verl.{ACTOR}.strategy"),
    f"{ACTOR}.ulysses_sequence_parallel_size": (
        "deprecated",
        f"verl.{ACTOR}.fsdp_config.ulysses_sequence_parallel_size",
    ),
    f"{ACTOR}.optim.warmup_style": ("deprecated", f"verl.{ACTOR}.optim.lr_scheduler_type"),
    f"{ACTOR}.optim.total_training_steps": ("overwritten by the trainer", "schedule.steps"),
    f"{ACTOR}.optim.lr_warmup_steps_ratio": ("overridden by lr_warmup_steps", "algorithm.warmup_steps"),
    f"{ACTOR}.rollout_n": ("copied from the rollout section", "rollout.samples_per_prompt"),
    f"{ACTOR}.use_remove_padding": ("copied from the model section", "algorithm.remove_padding"),
    "actor_rollout_ref.ref.fsdp_config.dtype": ("accepted, and changes nothing", "model.dtype"),
    f"{ROLLOUT}.full_determinism": (
        "gives every request the same seed, so that all answers of a group are equal",
        "rollout.seed_requests",
    ),
    f"{ROLLOUT}.mode": ("only async exists", "nothing: leave it out"),
    f"{ROLLOUT}.trace.": ("switched off in the V1 trainer", "runs/NAME/rollouts, always written"),
    f"{ROLLOUT}.prompt_length": ("copied from the data section", "data.max_prompt_tokens"),
    f"{ROLLOUT}.response_length": ("copied from the data section", "rollout.max_response_tokens"),
    f"{ROLLOUT}.log_prob_micro_batch_size": (
        "deprecated, and micro-batches are cut by tokens",
        "algorithm.micro_batch_tokens",
    ),
    f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": ("micro-batches are cut by tokens", "algorithm.micro_batch_tokens"),
    f"{ROLLOUT}.log_prob_use_dynamic_bsz": ("must equal the actor's", "algorithm.micro_batch_tokens"),
    f"{ROLLOUT}.log_prob_max_token_len_per_gpu": ("copied from the actor section", "algorithm.micro_batch_tokens"),
    f"{ROLLOUT}.repetition_penalty": ("the V1 trainer samples with 1.0", "nothing: leave it out"),
    f"{ROLLOUT}.do_sample": ("the V1 trainer samples by temperature", "rollout.temperature"),
}

# ray.init arguments are verl's to pass on, not to list.
RAY_INIT = (
    "object_store_memory",
    "namespace",
    "include_dashboard",
    "dashboard_host",
    "dashboard_port",
    "resources",
    "log_to_driver",
)


@dataclass(frozen=True)
class OverrideProblem:
    """One key under `verl:` that must not reach verl."""

    key: str
    value: Any
    why: str
    fix: str


def problems(config: RunConfig, context: RuntimeContext) -> list[OverrideProblem]:
    """List everything wrong with a run's `verl:` section."""
    if not config.verl:
        return []
    ours = {setting.key: setting for setting in verl_settings(config, context)}
    given = flatten(config.verl)
    found = [problem for key, value in given.items() if (problem := _problem(key, value, ours)) is not None]
    known = {problem.key for problem in found}
    clip = {"innovator.clip_high": config.algorithm.clip_high}
    values = value_problems(config, context, given | clip)
    return found + [OverrideProblem(p.key, p.value, p.why, p.fix) for p in values if p.key not in known]


def _problem(key: str, value: Any, ours: Mapping[str, VerlSetting]) -> OverrideProblem | None:
    if key[:1] in "+~":
        return OverrideProblem(
            key,
            value,
            f"a leading {key[: len(key) - len(key.lstrip('+~'))]!r} turns off verl's check of the key",
            f"write {key.lstrip('+~')}",
        )
    for setting in ours.values():
        if key == setting.key or key.startswith(setting.key + ".") or (setting.key.startswith(key + ".")):
            if setting.owner:
                return OverrideProblem(
                    key, value, f"decided by the setting {setting.owner}", f"set {setting.owner} instead"
                )
            if setting.fixed:
                return OverrideProblem(key, value, f"fixed here: {setting.fixed}", "leave it out")
    for old, (why, today) in UNSUPPORTED_KEYS.items():
        if key == old.rstrip(".") or (old.endswith(".") and key.startswith(old)):
            return OverrideProblem(
                key, value, why, f"use {today}" if not today.startswith("nothing") else "leave it out"
            )
    return _unknown(key, value)


def _unknown(key: str, value: Any) -> OverrideProblem | None:
    if any(key == place or key.startswith(place + ".") for place in FREE_FORM_KEYS):
        return None
    section, _, name = key.rpartition(".")
    if section == "ray_kwargs.ray_init" and name in RAY_INIT:
        return None
    keys = stock_keys()
    if key in keys:
        return _wrong_type(key, value, keys[key])
    if isinstance(stock_node(key), DictConfig):
        return OverrideProblem(key, value, f"is a section of verl, not a value; found {value!r}", "give its keys")
    parent = stock_node(section)
    if isinstance(parent, DictConfig):
        target = parent.get("_target_")
        extra = dataclass_fields(target) if target else {}
        if name in extra and name not in parent:
            return None
        near = [
            f"{section}.{n}" if section else n for n in get_close_matches(name, [*map(str, parent), *extra], 3, 0.6)
        ]
    else:
        near = []
    near = (
        near
        or get_close_matches(key, keys, 3, 0.7)
        or [known for known in keys if known.rpartition(".")[2] == name][:3]
    )
    return OverrideProblem(
        key,
        value,
        "unknown key of verl",
        f"near: {', '.join(near)}" if near else "see verl's ppo_trainer configuration",
    )


def _wrong_type(key: str, value: Any, default: Any) -> OverrideProblem | None:
    """Report a value of another type than verl's default.

    A default of null or an interpolation has no type.
    """
    if default is None or value is None or (isinstance(default, str) and ("${" in default or default == "???")):
        return None
    kinds: tuple[type, ...] = (int, float) if type(default) in (int, float) else (type(default),)
    fits = isinstance(value, kinds) and (isinstance(value, bool) == isinstance(default, bool))
    if fits:
        return None
    return OverrideProblem(
        key,
        value,
        f"{value!r} must be a {type(default).__name__} (verl's default is {default!r})",
        f"give a {type(default).__name__}",
    )
