"""A scored sample crosses verl as one record, unchanged, whatever the queue wraps around it."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensordict import NonTensorData

from innovator_rl.integrations.verl.reward_record import (
    MAX_EXTRACTED_CHARS,
    METRICS,
    VERL_KEYS,
    RewardRecord,
    reward_info,
)
from innovator_rl.integrations.verl.sample_key import SampleKey, check_uid, group_uid, prompt_uid
from innovator_rl.scoring.api import Score

finite = st.floats(-1e6, 1e6)
text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
records = st.builds(
    RewardRecord,
    value=finite,
    correct=st.booleans(),
    overlong_penalty=finite,
    outcome=st.sampled_from(["scored", "abstained", "error", ""]),
    reason=text,
    extracted=text,
    terms=st.dictionaries(text, finite, max_size=4),
    seconds=st.floats(0, 1e4),
    domain=text,
    rewarder=text,
    truncated=st.booleans(),
)


@given(records)
def test_a_record_returns_from_verl_unchanged(record: RewardRecord) -> None:
    info = record.to_verl()
    assert list(info) == list(VERL_KEYS.values())
    assert all(isinstance(value, (float, str)) for value in info.values())  # what verl collates into arrays
    assert RewardRecord.from_verl(info) == record
    assert RewardRecord.from_verl({key: np.array([value])[0] for key, value in info.items()}) == record
    assert RewardRecord.from_verl(json.loads(json.dumps(info))) == record


@given(records)
def test_the_queue_may_wrap_the_fields(record: RewardRecord) -> None:
    extra: dict[str, Any] = {"reward_extra_info": record.to_verl()}
    for wrapped in (extra, NonTensorData(extra)):
        assert RewardRecord.from_verl(reward_info(wrapped)) == record
    for nothing in ({}, {"reward_extra_info": None}, None, NonTensorData({})):
        assert reward_info(nothing) == {}


def test_the_reward_is_the_value_and_the_penalty_and_a_metric_is_one_of_two() -> None:
    score = Score(value=0.75, correct=True, reason="correct", extracted="x" * 1000, terms={"format": 0.25}, seconds=1.5)
    record = RewardRecord.from_score(score, overlong_penalty=-0.5, domain="math", rewarder="m", truncated=True)
    assert (record.reward, record.scored, len(record.extracted)) == (0.25, True, MAX_EXTRACTED_CHARS)
    assert METRICS == {"correct": "acc", "score": "score_value"}
    assert (record.metric("acc"), record.metric("score_value")) == (1.0, 0.75)
    assert not RewardRecord(outcome="abstained").scored
    assert not RewardRecord(outcome="error").scored
    assert RewardRecord.from_verl({}) == RewardRecord()


@given(st.integers(0, 9999), st.integers(0, 10**7 - 1), st.integers(0, 10**8 - 1), st.integers(0, 99))
def test_a_sample_key_has_its_group_before_the_first_underscore(epoch: int, row: int, position: int, n: int) -> None:
    uid = prompt_uid(epoch, row, position)
    key = str(SampleKey(uid, n))
    assert key == f"{uid}_{n}_0"  # verl's own form
    assert SampleKey.parse(key) == SampleKey(uid, n, 0)
    assert group_uid(key) == group_uid(uid) == uid == key.split("_")[0]


@pytest.mark.parametrize("key", ["", "uid", "uid_1", "uid_1_2_3", "_1_2", "uid_x_0", "my_uid_1_0"])
def test_another_form_of_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="must have the form"):
        SampleKey.parse(key)


@pytest.mark.parametrize("uid", ["", "my_uid"])
def test_a_uid_without_underscores_is_enforced(uid: str) -> None:
    with pytest.raises(ValueError, match="must not be empty or contain '_'"):
        check_uid(uid)
    with pytest.raises(ValueError, match="must not be empty"):
        str(SampleKey(uid, 0))
