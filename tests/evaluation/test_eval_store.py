"""The response store: what was stored is found, by exactly the request that asked for it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.errors import UserError
from innovator_rl.evaluation.driver import shared_tokens
from innovator_rl.evaluation.recording import record
from innovator_rl.evaluation.requests import (
    GenerateRequest,
    Generation,
    OptionRequest,
    OptionScore,
    Response,
    request_from_wire,
    request_key,
    to_wire,
)
from innovator_rl.evaluation.store import ResponseStore
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow

ASKED = GenerateRequest(tokens=(1, 2, 3), max_new_tokens=8, stop=("\n",), temperature=0.7, top_p=0.9, seed=5)


def test_responses_survive_another_process(tmp_path: Path) -> None:
    stored: dict[str, Response] = {"a": Generation("text\ud83d", (1, 2), "length", 0.5), "b": OptionScore(-1.5, True)}
    with ResponseStore(tmp_path / "s.sqlite") as store:
        store.put(stored)
    with ResponseStore(tmp_path / "s.sqlite") as store:
        assert store.get(["a", "b", "c"]) == stored
        assert len(store) == 2


@pytest.mark.parametrize(
    "changed",
    [
        replace(ASKED, tokens=(1, 2)),
        replace(ASKED, max_new_tokens=9),
        replace(ASKED, stop=()),
        replace(ASKED, temperature=0.8),
        replace(ASKED, top_p=1.0),
        replace(ASKED, seed=6),
        OptionRequest(tokens=(1, 2), option=(3,)),
    ],
)
def test_another_request_has_another_key(changed: GenerateRequest | OptionRequest) -> None:
    assert request_key(changed, "model") != request_key(ASKED, "model")


def test_checkpoint_and_sample_are_part_of_the_key_and_greedy_samples_are_one() -> None:
    assert request_key(ASKED, "one") != request_key(ASKED, "other")
    assert request_key(ASKED, "one", 0) != request_key(ASKED, "one", 1)
    greedy = replace(ASKED, temperature=0.0)
    assert request_key(greedy, "one", 0) == request_key(greedy, "one", 1)


@given(st.lists(st.integers(0, 9), min_size=1), st.lists(st.integers(0, 9), min_size=1))
def test_requests_cross_the_process_border_unchanged(tokens: list[int], option: list[int]) -> None:
    asked = OptionRequest(tuple(tokens), tuple(option))
    assert request_from_wire(to_wire(asked)) == asked


def test_the_tokens_that_prompts_share_are_counted_once_per_prompt() -> None:
    examples = tuple(range(90))
    same = [OptionRequest((*examples, 100 + i), (o,)) for i in range(10) for o in (1, 2)]
    assert shared_tokens(same) == pytest.approx(9 * 90 / (10 * 91))
    assert shared_tokens([OptionRequest((i, *examples), (1,)) for i in range(10)]) == 0.0
    assert shared_tokens([]) == 0.0


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_text("this is not a database, and long enough to be read as one " * 40)
    with pytest.raises(UserError, match="cannot be used as response store"):
        ResponseStore(tmp_path / "s.sqlite")


def test_a_full_disk_is_one_line_and_keeps_what_was_stored(tmp_path: Path) -> None:
    with ResponseStore(tmp_path / "s.sqlite") as store:
        store.put({"kept": OptionScore(-1.0, False)})
        store._database.execute("PRAGMA max_page_count=1")  # SQLite reports this as it reports a full disk
        with pytest.raises(UserError, match="free the disk and start the same command again"):
            store.put({f"k{i}": Generation("x" * 4000, (1,), "stop") for i in range(50)})
        assert "kept" in store.get(["kept"])


def test_more_rows_than_the_recorder_queues_are_all_written_and_a_refusal_is_said(tmp_path: Path) -> None:
    rows = [RolloutRow(step=0, prompt_uid=str(i), sample=0) for i in range(2500)]
    recorder = Recorder(tmp_path / "run", writer="eval", attempt=1, queue_rows=1200)
    try:
        record(recorder, rows)
        assert (recorder.stats().written, recorder.stats().dropped) == (2500, 0)
    finally:
        recorder.close()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/rollouts").write_text("in the way: no segment can be written")
    recorder = Recorder(tmp_path / "full", writer="eval", attempt=1)
    try:
        with pytest.raises(UserError, match="free the disk and start the same command again"):
            record(recorder, rows[:3])
    finally:
        recorder.close()
