"""Responses without a verdict teach nothing: their reward becomes the mean of their group's judged ones.

An abstention or an infrastructure error carries the value 0, and GRPO would read that as a wrong answer. With the mean of the judged
rewards of its prompt the response has advantage 0 and the mean of the group stays what the judged ones make it. (Where advantages are
divided by the group's standard deviation, n judged of N samples make them sqrt((N - 1) / (n - 1)) times as large as n alone would.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
import transfer_queue as tq
from verl.utils import tensordict_utils as tu

from innovator_rl.integrations.verl.reward_metrics import judged


def group_mean_rewards(uids: Sequence[str], rewards: Sequence[float], verdicts: Sequence[bool]) -> dict[int, float]:
    """{index: reward} of the samples that have no verdict; 0 where nothing of their group was judged."""
    known: dict[str, list[float]] = defaultdict(list)
    for uid, reward, verdict in zip(uids, rewards, verdicts, strict=True):
        if verdict:
            known[uid].append(reward)
    return {
        i: sum(known[uid]) / len(known[uid]) if known[uid] else 0.0
        for i, (uid, verdict) in enumerate(zip(uids, verdicts, strict=True))
        if not verdict
    }


def impute_group_mean(keys: Sequence[str], partition_id: str) -> int:
    """Rewrite `rm_scores` (one value a token, the last one counts) of a batch's samples without a verdict in the queue; how many."""
    data = tq.kv_batch_get(keys=list(keys), partition_id=partition_id, select_fields=["rm_scores", "extra_fields"])
    scores = [row.clone() for row in data["rm_scores"].unbind()]
    verdicts = [judged(_info(extra)) for extra in list(data["extra_fields"])]
    uids = [key.split("_")[0] for key in keys]
    changed = group_mean_rewards(uids, [float(row.sum()) for row in scores], verdicts)
    if changed:
        for i, reward in changed.items():
            scores[i].zero_()
            scores[i][-1] = reward
        rows = torch.nested.as_nested_tensor([scores[i] for i in changed], layout=torch.jagged)
        tq.kv_batch_put(
            keys=[keys[i] for i in changed], partition_id=partition_id, fields=tu.get_tensordict({"rm_scores": rows})
        )
    return len(changed)


def _info(extra: Any) -> dict[str, Any]:
    extra = getattr(extra, "data", extra)
    return dict(extra.get("reward_extra_info") or {}) if isinstance(extra, dict) else {}
