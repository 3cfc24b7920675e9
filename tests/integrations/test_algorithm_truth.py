"""verl computes what the papers define: advantages, clipped losses, their aggregation over ranks, importance weights.

The references are written here, in numpy and float64.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import agg_loss, compute_grpo_outcome_advantage, get_policy_loss_fn
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_weights, compute_rollout_rejection_mask
from verl.utils.config import omega_conf_to_dataclass

from innovator_rl.config.load import validate
from innovator_rl.config.resolve import RuntimeContext
from innovator_rl.integrations.verl.compose import to_verl
from innovator_rl.scoring.overlong import Overlong

CONTEXT = RuntimeContext(
    model_path="models/base",
    is_moe=False,
    train_files=("train.parquet",),
    validation_files=(),
    checkpoint_dir="",
    platform="cpu",
    threads=1,
)
LENGTHS = np.array([3, 9, 1, 6, 12, 2, 7, 5])
LONGEST = 12
MASK = torch.tensor(np.arange(LONGEST)[None, :] < LENGTHS[:, None])


def series(seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(LENGTHS), LONGEST)) * scale


def actor(**algorithm: Any) -> Any:
    """verl's actor configuration of a run with these settings of the section `algorithm`."""
    composed = to_verl(validate({"algorithm": algorithm, "rollout": {"max_response_tokens": 20}}), CONTEXT)
    return omega_conf_to_dataclass(composed.actor_rollout_ref.actor)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-2, 2), min_size=2, max_size=8), min_size=1, max_size=4), st.booleans())
def test_the_advantage_is_the_standard_score_of_the_group(groups: list[list[float]], by_std: bool) -> None:
    rewards = [reward for group in groups for reward in group]
    index = np.array([str(number) for number, group in enumerate(groups) for _ in group], dtype=object)
    scores = torch.zeros(len(rewards), 3, dtype=torch.float64)
    scores[:, -1] = torch.tensor(rewards, dtype=torch.float64)
    found, _ = compute_grpo_outcome_advantage(
        scores, torch.ones(len(rewards), 3, dtype=torch.float64), index, norm_adv_by_std_in_grpo=by_std
    )
    expected = []
    for group in groups:
        centered = np.array(group) - np.mean(group)
        expected += list(centered / (np.std(group, ddof=1) + 1e-6) if by_std else centered)
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=1e-6, rtol=1e-6)


def losses(
    mode: str, new: np.ndarray, old: np.ndarray, advantage: np.ndarray, low: float, high: float, dual: float
) -> Any:
    mask = MASK.numpy()
    ratio = np.exp(new - old)
    if mode == "gspo":
        ratio = np.exp(((new - old) * mask).sum(1) / LENGTHS)[:, None] * np.ones_like(new)
    clipped = np.clip(ratio, 1 - low, 1 + high)
    if mode == "cispo":
        return -clipped * advantage * new
    worst = np.maximum(-advantage * ratio, -advantage * clipped)
    return np.where(advantage < 0, np.minimum(worst, -advantage * dual), worst) if mode == "vanilla" else worst


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("preset", ["dapo", "gspo", "cispo"])
def test_the_loss_of_a_preset(preset: str, weighted: bool) -> None:
    """Importance weights of rollouts multiply the clipped loss of each token."""
    config = actor(preset=preset, dual_clip=6.0)
    config.global_batch_info.update(dp_size=1, batch_num_tokens=None, global_batch_size=None, loss_scale_factor=None)
    mode, aggregation = config.policy_loss.loss_mode, config.loss_agg_mode
    spread = 1e-3 if preset == "gspo" else 1.2
    old, advantage = series(1) - 3, series(2)[:, :1] * np.ones((1, LONGEST))
    new = old + series(3, spread)
    weights = np.minimum(np.exp(series(6, 0.5)), 2.0) if weighted else np.ones_like(old)
    found, _ = get_policy_loss_fn(mode)(
        old_log_prob=torch.tensor(old),
        log_prob=torch.tensor(new),
        advantages=torch.tensor(advantage),
        response_mask=MASK,
        loss_agg_mode=aggregation,
        config=config,
        rollout_is_weights=torch.tensor(weights) if weighted else None,
    )
    each = (
        losses(mode, new, old, advantage, config.clip_ratio_low, config.clip_ratio_high, 6.0) * weights * MASK.numpy()
    )
    expected = each.sum() / LENGTHS.sum() if aggregation == "token-mean" else (each.sum(1) / LENGTHS).mean()
    assert found.item() == pytest.approx(expected, rel=1e-6)
    unclipped = losses(mode, new, old, advantage, 0.999, 1e6, 1e6) * weights * MASK.numpy()
    assert abs(unclipped - each).max() > 1e-6, "the range clips nothing here: the test shows nothing"


@pytest.mark.parametrize(
    "mode", ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
)
def test_ranks_and_uneven_micro_batches_add_up_to_the_whole(mode: str) -> None:
    each, limit = series(4), float(actor(loss_aggregation=mode).loss_scale_factor or 0)
    per_response = (each * MASK.numpy()).sum(1)
    expected = {
        "token-mean": per_response.sum() / LENGTHS.sum(),
        "token-sum": per_response.sum(),
        "seq-mean-token-sum": per_response.mean(),
        "seq-mean-token-mean": (per_response / LENGTHS).mean(),
        "seq-mean-token-sum-norm": per_response.mean() / 20,  # rollout.max_response_tokens, whatever is longest
    }[mode]
    ranks = [[slice(0, 1), slice(1, 4)], [slice(4, 6), slice(6, 8)]]  # two ranks with two micro-batches each
    facts = {"dp_size": 2, "batch_num_tokens": int(LENGTHS.sum()), "global_batch_size": len(LENGTHS)}
    total = 0.0
    for rank in ranks:
        for part in rank:
            width = int(LENGTHS[part].max())  # a micro-batch is padded to its own longest response
            total += agg_loss(
                torch.tensor(each[part, :width]),
                MASK[part, :width],
                mode,
                **facts,
                loss_scale_factor=limit or None,
            ).item()
    assert total / len(ranks) == pytest.approx(expected, rel=1e-6)  # FSDP averages the gradients of ranks


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("lower", [None, 0.5])
def test_importance_weights(level: str, lower: float | None) -> None:
    log_ratio = series(5, 0.8)
    bounds = 2.0 if lower is None else f"{lower}_2.0"
    found, _ = compute_rollout_correction_weights(
        torch.tensor(log_ratio) * MASK, MASK, rollout_is=level, rollout_is_threshold=bounds
    )
    masked = log_ratio * MASK.numpy()
    weight = np.exp(masked if level == "token" else masked.sum(1, keepdims=True) * np.ones((1, LONGEST)))
    inside = (weight <= 2.0) & (weight >= (lower or 0.0))
    expected = np.where(inside, weight, 0.0) if lower is not None else np.minimum(weight, 2.0)
    np.testing.assert_allclose(found.numpy(), expected * MASK.numpy(), rtol=1e-6)
    assert (expected != weight)[MASK.numpy()].any()


@pytest.mark.parametrize("rule", ["token_k1", "seq_sum_k1", "seq_mean_k3"])
def test_rejected_tokens_and_responses(rule: str) -> None:
    """IcePop drops tokens by their ratio; sequence rules drop whole responses by its product, or by the mean of k3."""
    log_ratio, mask = series(7, 0.4) * MASK.numpy(), MASK.numpy()
    found, _ = compute_rollout_rejection_mask(
        torch.tensor(log_ratio), MASK.double(), rule, "0.5_2.0" if rule.endswith("k1") else 0.08
    )
    divergence = (np.exp(log_ratio) - 1 - log_ratio).sum(1, keepdims=True) / LENGTHS[:, None]
    kept = {
        "token_k1": abs(log_ratio) <= np.log(2),
        "seq_sum_k1": abs(log_ratio.sum(1, keepdims=True)) <= np.log(2),
        "seq_mean_k3": divergence <= 0.08,
    }[rule]
    np.testing.assert_array_equal(found.numpy() > 0, kept & mask)
    assert 0 < (kept & mask).sum() < mask.sum()


def test_the_overlong_penalty_has_three_ranges() -> None:
    overlong = Overlong(max_tokens=100, buffer_tokens=40, penalty=1.5)
    lengths = np.arange(121)
    expected = np.select([lengths <= 60, lengths <= 100], [0.0, -(lengths - 60) / 40 * 1.5], -1.5)
    np.testing.assert_allclose([overlong.term(int(length)) for length in lengths], expected, atol=1e-12)
