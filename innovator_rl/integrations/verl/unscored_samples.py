"""Give an unscored sample its group's mean reward, so that it teaches nothing.

An abstention or an infrastructure error carries the value 0, which GRPO would read as a wrong answer. With the mean
reward of the scored samples of its group, the sample has advantage 0 and the group's mean stays that of the scored
samples. Where advantages are divided by the group's standard deviation, n scored of N samples make them
sqrt((N - 1) / (n - 1)) times as large as n samples alone would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
import transfer_queue as tq
from verl.utils import tensordict_utils as tu

from innovator_rl.integrations.verl.reward_record import RewardRecord, reward_info
from innovator_rl.integrations.verl.sample_key import group_uid


def group_mean_rewards(uids: Sequence[str], rewards: Sequence[float], scored: Sequence[bool]) -> dict[int, float]:
    """Compute the rewards of the unscored samples of a batch.

    Args:
        uids: group of each of the N samples.
        rewards: reward of each sample.
        scored: whether each sample has a score.

    Returns:
        Index of each unscored sample -> mean reward of its group's scored samples, 0 where the group has none.
    """
    known: dict[str, list[float]] = defaultdict(list)
    for uid, reward, has_score in zip(uids, rewards, scored, strict=True):
        if has_score:
            known[uid].append(reward)
    return {
        i: sum(known[uid]) / len(known[uid]) if known[uid] else 0.0
        for i, (uid, has_score) in enumerate(zip(uids, scored, strict=True))
        if not has_score
    }


def impute_group_mean(keys: Sequence[str], partition_id: str) -> int:
    """Replace the rewards of a batch's unscored samples in the queue.

    `rm_scores` has one value per response token, of which the last is the reward.

    Args:
        keys: the batch's sample keys.
        partition_id: the queue's partition, "train" or "val".

    Returns:
        The number of unscored samples.
    """
    data = tq.kv_batch_get(keys=list(keys), partition_id=partition_id, select_fields=["rm_scores", "extra_fields"])
    rewards = [row.clone() for row in data["rm_scores"].unbind()]
    scored = [RewardRecord.from_verl(reward_info(extra)).scored for extra in list(data["extra_fields"])]
    changed = group_mean_rewards([group_uid(key) for key in keys], [float(row.sum()) for row in rewards], scored)
    if changed:
        for i, reward in changed.items():
            rewards[i].zero_()
            rewards[i][-1] = reward
        rows = torch.nested.as_nested_tensor([rewards[i] for i in changed], layout=torch.jagged)
        tq.kv_batch_put(
            keys=[keys[i] for i in changed], partition_id=partition_id, fields=tu.get_tensordict({"rm_scores": rows})
        )
    return len(changed)
