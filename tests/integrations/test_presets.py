"""A preset reaches verl with its own clip range, and what is written next to it wins."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from innovator_rl.config.load import apply_overrides, validate
from innovator_rl.config.presets import PRESETS
from innovator_rl.config.resolve import RuntimeContext, resolve
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.compose import to_verl

CONTEXT = RuntimeContext(
    model_path="models/base",
    is_moe=False,
    train_files=("train.parquet",),
    validation_files=(),
    checkpoint_dir="",
    platform="cpu",
    threads=1,
)
ACTOR = "actor_rollout_ref.actor"
ARRIVES: dict[str, dict[str, Any]] = {
    "grpo": {f"{ACTOR}.clip_ratio_high": 0.2, f"{ACTOR}.kl_loss_coef": 0.04, "algorithm.filter_groups.enable": False},
    "dapo": {f"{ACTOR}.clip_ratio_high": 0.28, f"{ACTOR}.loss_agg_mode": "token-mean", f"{ACTOR}.use_kl_loss": False},
    "dr_grpo": {f"{ACTOR}.loss_scale_factor": 1024, "algorithm.norm_adv_by_std_in_grpo": False},
    "gspo": {
        f"{ACTOR}.policy_loss.loss_mode": "gspo",
        f"{ACTOR}.clip_ratio_high": 4e-4,
        f"{ACTOR}.clip_ratio_low": 3e-4,
    },
    "cispo": {f"{ACTOR}.policy_loss.loss_mode": "cispo", f"{ACTOR}.clip_ratio_high": 4.0},
    "icepop": {
        "algorithm.rollout_correction.rollout_is": "token",
        "algorithm.rollout_correction.rollout_is_threshold": "0.5_5.0",
        "algorithm.rollout_correction.bypass_mode": False,
    },
}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_reaches_verl(name: str) -> None:
    composed = to_verl(validate({"algorithm": {"preset": name}}), CONTEXT)
    assert {key: OmegaConf.select(composed, key) for key in ARRIVES[name]} == ARRIVES[name]


def test_a_written_value_wins_in_a_file_and_on_the_command_line() -> None:
    document = {"algorithm": {"preset": "icepop", "rollout_correction": {"threshold": 4.0}}}
    algorithm = validate(apply_overrides(document, ["algorithm.clip_high=0.3"])).algorithm
    assert (algorithm.rollout_correction.lower, algorithm.rollout_correction.threshold) == (0.5, 4.0)
    assert algorithm.clip_high == 0.3


def test_the_resolved_configuration_of_a_run_reads_back_as_itself() -> None:
    for name in PRESETS:
        config = validate({"algorithm": {"preset": name, "learning_rate": 2e-6}})
        assert validate(config.model_dump(mode="json")) == config


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UserError, match=r"algorithm\.preset"):
        validate({"algorithm": {"preset": "gsppo"}})


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({}, "rollout"),
        ({"actor_rollout_ref.actor.ppo_epochs": 4}, "recompute"),
        ({"actor_rollout_ref": {"actor": {"ppo_epochs": 4}}}, "recompute"),
        ({"actor_rollout_ref.actor": {"ppo_epochs": 1}}, "rollout"),
    ],
)
def test_a_second_pass_recomputes_the_old_log_probabilities(section: dict[str, Any], expected: str) -> None:
    assert resolve(validate({"verl": section}), "cpu", is_moe=False).old_log_prob == expected
