"""A run as verl's configuration: every key exists, verl accepts the whole, and each choice of ours arrives."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from omegaconf import OmegaConf

from innovator_rl.config.load import apply_overrides, validate
from innovator_rl.config.resolve import Platform, RuntimeContext, resolve
from innovator_rl.config.schema import RunConfig
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.compose import to_verl
from innovator_rl.integrations.verl.settings import (
    ADDITIONS,
    AGENT_LOOP_MANAGER,
    ENGINES,
    REWARD_MANAGER,
    SAMPLER,
    verl_settings,
)
from innovator_rl.integrations.verl.stock import flatten, stock_keys
from innovator_rl.integrations.verl.verl_overrides import UNSUPPORTED_KEYS, problems


def context(platform: Platform = "cpu", is_moe: bool = False) -> RuntimeContext:
    return RuntimeContext(
        model_path="models/x",
        is_moe=is_moe,
        train_files=("train.parquet",),
        validation_files=("validation.parquet",),
        checkpoint_dir="runs/demo/checkpoints",
        platform=platform,
        threads=2,
        run_dir="runs/demo",
        attempt=3,
    )


def run(*words: str) -> RunConfig:
    return validate(apply_overrides({}, words))


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("words", [(), ("resources.ray_address=auto",)])
def test_every_key_exists_in_verl_or_is_a_known_addition(platform: Platform, words: tuple[str, ...]) -> None:
    known = stock_keys()
    added = tuple(ADDITIONS)
    for setting in verl_settings(run(*words), context(platform)):
        if setting.key not in known:
            assert any(setting.key == key or setting.key.startswith(f"{key}.") for key in added), setting.key


def test_every_addition_is_used_and_new_to_verl() -> None:
    configs = [(run(), context("cpu")), (run("resources.ray_address=auto"), context("cuda"))]
    used = {setting.key for config, known in configs for setting in verl_settings(config, known)}
    for key in ADDITIONS:
        assert any(name == key or name.startswith(f"{key}.") for name in used), f"{key} is never set"
        # verl lists sampler_kwargs, but as an empty dictionary: its keys are ours
        assert stock_keys().get(key) in (None, {}), f"{key} is in verl's own file"


def test_retired_keys_are_not_what_a_run_sets() -> None:
    used = {setting.key for setting in verl_settings(run(), context("cuda"))}
    assert not [
        key for key in UNSUPPORTED_KEYS for name in used if name == key or (key.endswith(".") and name.startswith(key))
    ]


def test_no_key_is_set_twice() -> None:
    for platform in ("cpu", "cuda"):
        keys = [setting.key for setting in verl_settings(run(), context(platform))]
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("is_moe", [False, True])
def test_verl_accepts_the_whole(platform: Platform, is_moe: bool) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = to_verl(run("algorithm.prompts_per_update=16"), context(platform, is_moe))
    OmegaConf.resolve(config)
    assert not need_critic(config)
    assert not need_reference_policy(config)
    validate_config(config, use_reference_policy=False, use_critic=False)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    assert actor.fsdp_config.mixed_precision["param_dtype"] == ("fp32" if platform == "cpu" else "bf16")
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert rollout.agent.agent_loop_manager_class == AGENT_LOOP_MANAGER
    assert rollout.enable_sleep_mode == (platform == "cuda")
    algorithm = omega_conf_to_dataclass(config.algorithm)
    assert algorithm.adv_estimator == "grpo"
    assert algorithm.rollout_correction["rollout_is"] == ("token" if is_moe else None)
    assert need_reference_policy(to_verl(run("algorithm.kl_coefficient=0.01"), context(platform)))


def test_dapo_arrives() -> None:
    config = to_verl(run(), context())
    actor, kwargs = config.actor_rollout_ref.actor, config.reward.reward_kwargs
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.clip_ratio_c) == (0.2, 0.28, 10.0)
    assert actor.loss_agg_mode == "token-mean"
    assert not actor.use_kl_loss
    assert not config.algorithm.use_kl_in_reward
    assert config.algorithm.filter_groups.enable
    assert config.algorithm.filter_groups.metric == "acc"
    assert OmegaConf.to_container(config.trainer.v1.sampler.sampler_kwargs) == {
        "metric": "acc",
        "metrics": {},
        "max_staleness": 0,
        "slots": 256,
        "samples": 8,
        "max_rounds": 10,
        "stall_seconds": 600.0,
    }
    assert OmegaConf.to_container(kwargs.overlong_buffer_cfg) == {
        "enable": True,
        "len": 256,
        "penalty_factor": 1.0,
        "log": False,
    }
    assert kwargs.max_resp_len == 1024


def test_what_a_cpu_needs_arrives() -> None:
    config = to_verl(run(), context())
    rollout = config.actor_rollout_ref.rollout
    assert (rollout.dtype, rollout.enforce_eager, rollout.free_cache_engine, rollout.load_format) == (
        "float32",
        True,
        False,
        "auto",
    )
    assert config.ray_kwargs.ray_init.num_cpus >= 48
    assert config.ray_kwargs.ray_init.num_gpus == 1
    assert config.transfer_queue.backend.SimpleStorage.num_data_storage_units == 1
    assert not config.actor_rollout_ref.actor.use_torch_compile
    assert config.actor_rollout_ref.model.override_config.attn_implementation == "sdpa"
    assert (config.innovator.run_dir, config.innovator.attempt, config.innovator.keep_checkpoints) == (
        "runs/demo",
        3,
        2,
    )


def test_old_log_probabilities_come_from_the_rollout_engine_only_where_they_are_the_policys() -> None:
    def source(*words: str, is_moe: bool = False) -> str:
        return resolve(run(*words), "cpu", is_moe).old_log_prob

    assert source() == "rollout"
    assert source(is_moe=True) == "recompute"
    assert source("algorithm.prompts_per_update=32") == "recompute"
    assert source("rollout.dtype=bfloat16") == "recompute"
    assert source("rollout.top_p=0.9") == "recompute"
    assert source("verl.actor_rollout_ref.rollout.top_k=20") == "recompute"
    assert source("verl.actor_rollout_ref.rollout.top_k=-1") == "rollout"
    assert source("algorithm.rollout_correction.level=token") == "recompute"
    assert to_verl(run(), context()).algorithm.rollout_correction.bypass_mode


@pytest.mark.parametrize(
    "verl",
    [
        {"actor_rollout_ref": {"actor": {"ppo_epochs": 2}}},
        {"actor_rollout_ref.actor.ppo_epochs": 2},
        {"actor_rollout_ref.actor": {"fsdp_config.param_offload": True}},
        {"actor_rollout_ref.rollout.limit_images": 4},  # only in verl's dataclass
        {"actor_rollout_ref.rollout.engine_kwargs.vllm": {"max_logprobs": 5}},
        {"actor_rollout_ref.model.override_config.rope_theta": 1e6},
        {"actor_rollout_ref.actor.strategy": "fsdp"},  # a default of ours that people may change
        {"ray_kwargs.ray_init.object_store_memory": 10**9},
    ],
)
def test_other_keys_of_verl_pass_through(verl: dict[str, Any]) -> None:
    config = validate({"verl": verl})
    assert problems(config, context()) == []
    result = to_verl(config, context())
    for key, value in flatten(verl).items():
        assert OmegaConf.select(result, key) == value


def test_a_retired_key_says_what_to_use_today() -> None:
    with pytest.raises(UserError, match=r"max_num_gen_batches: ignored .*algorithm\.dynamic_sampling\.max_rounds"):
        to_verl(validate({"verl": {"algorithm.filter_groups.max_num_gen_batches": 4}}), context())
    with pytest.raises(UserError, match=r"clip_ratio_high: decided by the setting algorithm\.clip_high"):
        to_verl(validate({"verl": {"actor_rollout_ref": {"actor": {"clip_ratio_high": 0.3}}}}), context())


def test_the_mixture_reaches_the_trainer() -> None:
    config = to_verl(validate({"data": {"mixture": {"gsm8k": 1.0, "physics": 2.0}}}), context())
    assert OmegaConf.to_container(config.innovator.mixture) == {"gsm8k": 1.0, "physics": 2.0}


def test_without_validation_verl_still_gets_a_file() -> None:
    import dataclasses

    config = to_verl(run(), dataclasses.replace(context(), validation_files=()))
    assert list(config.data.val_files) == ["train.parquet"]


PLACES: list[Callable[[], str]] = [
    lambda: SAMPLER[0].removeprefix("pkg://"),
    lambda: REWARD_MANAGER[0].removeprefix("pkg://"),
    lambda: AGENT_LOOP_MANAGER.rpartition(".")[0],
    lambda: ENGINES,
]


@pytest.mark.parametrize("place", PLACES)
def test_the_modules_that_verl_is_sent_to_exist(place: Callable[[], str]) -> None:
    assert find_spec(place()) is not None
