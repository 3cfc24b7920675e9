"""An unscored response gets advantage zero and does not move the mean of its group."""

from typing import Any

import pytest
import torch
import transfer_queue as tq
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.integrations.verl.unscored_samples import group_mean_rewards, impute_group_mean


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(-2, 2), st.booleans()), max_size=16))
def test_the_mean_of_a_group_is_that_of_its_scored_samples(samples: list[tuple[str, float, bool]]) -> None:
    uids, rewards, scored = [s[0] for s in samples], [s[1] for s in samples], [s[2] for s in samples]
    filled = group_mean_rewards(uids, rewards, scored)
    assert set(filled) == {i for i, has_score in enumerate(scored) if not has_score}
    for uid in set(uids):
        known = [reward for u, reward, has_score in samples if u == uid and has_score]
        after = [filled.get(i, rewards[i]) for i, u in enumerate(uids) if u == uid]
        mean = sum(known) / len(known) if known else 0.0
        assert all(reward == pytest.approx(mean) for i, reward in filled.items() if uids[i] == uid)
        assert sum(after) / len(after) == pytest.approx(mean, abs=1e-9)


def test_the_queue_gets_the_new_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {"p_0_0": "scored", "p_1_0": "error", "p_2_0": "scored", "q_0_0": "abstained"}
    lengths = [3, 2, 4, 1]
    values = [1.0, 0.0, 0.5, 0.0]
    rows = [torch.zeros(length) for length in lengths]
    for row, value in zip(rows, values, strict=True):
        row[-1] = value
    written: dict[str, list[float]] = {}

    def get(keys: list[str], partition_id: str, select_fields: list[str]) -> dict[str, Any]:
        extras = [{"reward_extra_info": {"outcome": outcomes[key]}} for key in keys]
        return {"rm_scores": torch.nested.as_nested_tensor(rows, layout=torch.jagged), "extra_fields": extras}

    def put(keys: list[str], partition_id: str, fields: Any) -> None:
        written.update({key: row.tolist() for key, row in zip(keys, fields["rm_scores"].unbind(), strict=True)})

    monkeypatch.setattr(tq, "kv_batch_get", get)
    monkeypatch.setattr(tq, "kv_batch_put", put)
    assert impute_group_mean(list(outcomes), "train") == 2
    assert written == {"p_1_0": [0.0, 0.75], "q_0_0": [0.0]}
