"""Every setting of a run that owns a key of verl reaches that key, and every other key has its expected value.

`CHANGES` gives each owner values that are not its default. The key must carry the value as it is, or as `EXPECTED`
states. What no setting owns is compared with a recorded configuration per platform.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from innovator_rl.config.load import validate
from innovator_rl.config.resolve import Platform, RuntimeContext
from innovator_rl.config.schema import RunConfig
from innovator_rl.integrations.verl.reward_record import METRICS
from innovator_rl.integrations.verl.settings import ENDLESS, verl_settings
from tools import verl_golden

CONTEXT = RuntimeContext(
    model_path="models/x",
    is_moe=False,
    train_files=("train.parquet",),
    validation_files=("validation.parquet",),
    checkpoint_dir="runs/demo/checkpoints",
    platform="cpu",
    threads=2,
    run_dir="runs/demo",
)
# owner -> values other than its default; a value of RuntimeContext where launch resolves the setting
CHANGES: dict[str, tuple[Any, ...]] = {
    "name": ("other",),
    "model.path": ({"model_path": "models/other"},),
    "model.dtype": ("bfloat16", "float32"),
    "model.gradient_checkpointing": (True,),
    "model.trust_remote_code": (True,),
    "model.lora.rank": (8,),
    "model.lora.alpha": (32,),
    "model.lora.target_modules": (("q_proj", "v_proj"),),
    "data.train": ({"train_files": ("a.parquet", "b.parquet")},),
    "data.validation": ({"validation_files": ("c.parquet",)}, {"validation_files": ()}),
    "data.max_prompt_tokens": (77,),
    "data.validation_rows": (13,),
    "data.seed": (5,),
    "data.shuffle": (False,),
    "data.mixture": ({"gsm8k": 1.0, "physics": 2.0},),
    "data.curriculum": (True,),
    "rollout.samples_per_prompt": (4, 16),
    "rollout.max_response_tokens": (300,),
    "rollout.temperature": (0.7,),
    "rollout.top_p": (0.9,),
    "rollout.dtype": ("bfloat16", "float32"),
    "rollout.tensor_parallel": (2,),
    "rollout.memory_fraction": (0.4,),
    "rollout.max_num_seqs": (33,),
    "rollout.max_staleness": (2,),
    "rollout.seed_requests": (True, False),
    "rollout.eager": (True, False),
    "rollout.validation.samples_per_prompt": (3,),
    "rollout.validation.temperature": (0.6,),
    "rollout.validation.top_p": (0.8,),
    "algorithm.prompts_per_step": (32,),
    "algorithm.prompts_per_update": (16,),
    "algorithm.learning_rate": (3e-5,),
    "algorithm.warmup_steps": (7,),
    "algorithm.weight_decay": (0.01,),
    "algorithm.gradient_clip": (0.5,),
    "algorithm.clip_low": (0.1,),
    "algorithm.clip_high": (0.3,),
    "algorithm.dual_clip": (5.0,),
    "algorithm.loss_aggregation": ("seq-mean-token-sum-norm",),
    "algorithm.normalize_by_std": (False,),
    "algorithm.entropy_coefficient": (0.001,),
    "algorithm.kl_coefficient": (0.02,),
    "algorithm.dynamic_sampling.enabled": (False,),
    "algorithm.dynamic_sampling.metric": ("score",),
    "algorithm.dynamic_sampling.metric_by_source": ({"mol2caption": "score"},),
    "algorithm.dynamic_sampling.max_rounds": (4,),
    "algorithm.dynamic_sampling.stall_seconds": (90.0,),
    "algorithm.overlong.enabled": (False,),
    "algorithm.overlong.buffer_tokens": (99,),
    "algorithm.overlong.penalty": (0.5,),
    "algorithm.rollout_correction.level": ("sequence", "token", "off"),
    "algorithm.rollout_correction.threshold": (3.0,),
    "algorithm.old_log_prob": ("recompute", "rollout"),
    "algorithm.micro_batch_tokens": (20_000,),
    "algorithm.remove_padding": (True, False),
    "reward.routes": ({"gsm8k": "math"},),
    "reward.workers": (3,),
    "reward.timeout_seconds": (4.0,),
    "reward.memory_mb": (512,),
    "reward.code_isolation": ("strict",),
    "tools.names": (("calculator",),),
    "schedule.steps": (11,),
    "schedule.validate_every": (6, 0),
    "schedule.validate_before": (False,),
    "schedule.save_every": (9, 0),
    "schedule.keep_checkpoints": (5,),
    "schedule.keep_best": (True,),
    "schedule.resume_contents": ({"resume_contents": "weights"},),
    "schedule.resume": ({"resume_from": "runs/demo/checkpoints/global_step_4"},),
    "resources.platform": ({"platform": "cpu"}, {"platform": "cuda"}),
    "resources.nodes": (2,),
    "resources.accelerators_per_node": (4,),
    "resources.ray_cpus": (123,),
    "resources.ray_address": ("auto",),
    "logging.runs_dir and name": ({"run_dir": "elsewhere/demo", "checkpoint_dir": "elsewhere/demo/checkpoints"},),
    "logging.project": ("thesis",),
    "logging.token_share": (0.25,),
}


def _precision(config: RunConfig, context: RuntimeContext) -> dict[str, str]:
    short = {"float32": "fp32", "bfloat16": "bf16"}[config.model.dtype]
    if context.platform == "cpu" and short == "bf16":  # computed by autocast over float32 parameters
        return {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32", "autocast_dtype": "bf16"}
    return {"param_dtype": short, "reduce_dtype": "fp32", "buffer_dtype": "fp32"}


def _groups_by_sample_count(config: RunConfig, context: RuntimeContext) -> int:
    """With the default lengths not even two groups fit the token budget, so a micro-batch is one group."""
    return config.rollout.samples_per_prompt


Expectation = Callable[[RunConfig, RuntimeContext], Any]
# key -> what it must hold where that is not the owner's value as it is
EXPECTED: dict[str, Expectation] = {
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": _groups_by_sample_count,
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": _groups_by_sample_count,
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": _groups_by_sample_count,
    "actor_rollout_ref.actor.loss_scale_factor": lambda config, _: config.rollout.max_response_tokens,
    "actor_rollout_ref.rollout.enable_chunked_prefill": lambda config, _: not config.rollout.seed_requests,
    "innovator.request_seed": lambda config, _: config.data.seed if config.rollout.seed_requests else None,
    "actor_rollout_ref.actor.use_kl_loss": lambda config, _: config.algorithm.kl_coefficient > 0,
    "actor_rollout_ref.actor.fsdp_config.mixed_precision": _precision,
    "actor_rollout_ref.ref.fsdp_config.mixed_precision": _precision,
    "actor_rollout_ref.rollout.max_model_len": lambda config, _: (
        config.data.max_prompt_tokens + config.rollout.max_response_tokens
    ),
    "actor_rollout_ref.rollout.val_kwargs.do_sample": lambda config, _: config.rollout.validation.temperature > 0,
    "algorithm.filter_groups.metric": lambda config, _: "score_value",
    "trainer.v1.sampler.sampler_kwargs.metric": lambda config, _: "score_value",
    "algorithm.rollout_correction.rollout_is": lambda config, _: {"off": None}.get(
        config.algorithm.rollout_correction.level, config.algorithm.rollout_correction.level
    ),
    "algorithm.rollout_correction.bypass_mode": lambda config, _: config.algorithm.old_log_prob == "rollout",
    "trainer.total_epochs": lambda config, _: ENDLESS,
    "trainer.save_freq": lambda config, _: config.schedule.save_every or -1,
    "trainer.test_freq": lambda config, _: config.schedule.validate_every or -1,
    "actor_rollout_ref.model.path": lambda _, context: context.model_path,
    "data.train_files": lambda _, context: list(context.train_files),
    "data.val_files": lambda _, context: list(context.validation_files or context.train_files[:1]),
    "trainer.default_local_dir": lambda _, context: context.checkpoint_dir,
    "trainer.resume_mode": lambda _, context: "resume_path" if context.resume_from else "disable",
    "trainer.resume_from_path": lambda _, context: context.resume_from or None,
    "trainer.device": lambda _, context: context.platform,
    "innovator.resume_contents": lambda _, context: context.resume_contents,
    "actor_rollout_ref.actor.checkpoint.load_contents": lambda _config, _context: ["model"],
    "trainer.v1.sampler.sampler_kwargs.metrics": lambda config, _: {
        name: METRICS[metric] for name, metric in config.algorithm.dynamic_sampling.metric_by_source.items()
    },
    "actor_rollout_ref.model.target_modules": lambda config, _: list(config.model.lora.target_modules),
    "innovator.run_dir": lambda _, context: context.run_dir,
    "innovator.tools": lambda config, _: {**config.tools.model_dump(mode="json"), "code_isolation": "standard"},
}


def _case(owner: str, change: Any, platform: Platform) -> tuple[RunConfig, RuntimeContext]:
    context = dataclasses.replace(CONTEXT, platform=platform)
    if owner not in ("data.mixture", "reward.routes", "algorithm.dynamic_sampling.metric_by_source") and isinstance(
        change, dict
    ):
        return validate({}), dataclasses.replace(context, **change)
    section, _, name = owner.rpartition(".")
    document = validate({}).model_dump(mode="json")
    place = document
    for part in section.split(".") if section else ():
        place = place[part]
    place[name] = change
    return validate(document), context


def _at(config: RunConfig, owner: str) -> Any:
    value: Any = config
    for part in owner.split("."):
        value = getattr(value, part)
    return value


def _owned(config: RunConfig, context: RuntimeContext) -> dict[str, tuple[str, Any]]:
    return {s.key: (s.owner, s.value) for s in verl_settings(config, context) if s.owner}


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_every_owner_reaches_each_of_its_keys(platform: Platform) -> None:
    arrived = set()
    for owner, changes in CHANGES.items():
        for change in changes:
            config, context = _case(owner, change, platform)
            for key, (whose, value) in _owned(config, context).items():
                if whose != owner:
                    continue
                expected = EXPECTED[key](config, context) if key in EXPECTED else _at(config, owner)
                assert value == expected, f"{key} with {owner} = {change!r}"
                arrived.add(key)
    everything = set(_owned(validate({}), dataclasses.replace(CONTEXT, platform=platform)))
    assert everything <= arrived, sorted(everything - arrived)


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_every_owner_moves_a_key_and_no_fixed_one(platform: Platform) -> None:
    """A value other than the default changes some key that its owner names, and none that is fixed."""
    before = {s.key: s for s in verl_settings(validate({}), dataclasses.replace(CONTEXT, platform=platform))}
    owners = {s.owner for s in before.values()} - {""}
    for owner in owners - {"resources.platform"}:
        moved = set()
        for change in CHANGES[owner]:
            config, context = _case(owner, change, platform)
            after = {s.key: s for s in verl_settings(config, context)}
            changed = {key for key in before.keys() & after.keys() if before[key].value != after[key].value}
            moved |= {key for key in changed if before[key].owner == owner}
            assert not [key for key in changed if before[key].fixed], owner
        assert moved, owner


def test_every_owner_has_a_change() -> None:
    owners = set()
    for platform in ("cpu", "cuda"):
        for config in (validate({}), validate({"resources": {"ray_address": "auto"}})):
            context = dataclasses.replace(CONTEXT, platform=platform)
            owners |= {setting.owner for setting in verl_settings(config, context)} - {""}
    assert owners == set(CHANGES)


def test_tools_bound_the_turns_and_widen_the_prompt() -> None:
    config = validate({"tools": {"names": ["calculator"], "max_calls": 3, "prompt_tokens": 100}})
    values = {s.key.removeprefix("actor_rollout_ref.rollout."): s.value for s in verl_settings(config, CONTEXT)}
    assert values["agent.default_agent_loop"] == "innovator_tools"
    assert (values["multi_turn.max_assistant_turns"], values["multi_turn.max_parallel_calls"]) == (4, 3)
    prompt = config.data.max_prompt_tokens + 100
    assert (values["prompt_length"], values["data.max_prompt_length"]) == (prompt, config.data.max_prompt_tokens)
    assert values["max_model_len"] == prompt + config.rollout.max_response_tokens


def test_switching_dynamic_sampling_off_takes_its_metric_from_the_sampler() -> None:
    config, context = _case("algorithm.dynamic_sampling.enabled", False, "cpu")
    values = {s.key: s.value for s in verl_settings(config, context)}
    assert values["trainer.v1.sampler.sampler_kwargs.metric"] is None


@pytest.mark.parametrize("platform", verl_golden.PLATFORMS)
def test_a_default_run_becomes_the_recorded_configuration(platform: Platform) -> None:
    recorded = verl_golden.path(platform).read_text(encoding="utf-8")
    assert verl_golden.text(platform) == recorded, "read the difference, then run: python -m tools.verl_golden"
