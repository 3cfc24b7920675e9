"""The store answers from the files alone: newest attempt, kept join, groups, text, merged segments."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from innovator_rl.rollouts import segments
from innovator_rl.rollouts.background_indexer import BackgroundIndexer
from innovator_rl.rollouts.index import RolloutIndex
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow
from innovator_rl.rollouts.segment_reader import SegmentReader
from innovator_rl.rollouts.store import Store


def record_step(path: Path, step: int, attempt: int = 1, update: bool = True, base: float = 0.0) -> None:
    """Four groups of four: one mixed and kept, one all right, one all wrong, one with a failure."""
    recorder = Recorder(path, writer=f"w{attempt}", attempt=attempt)
    right = {"mixed": (1, 0, 1, 0), "easy": (1, 1, 1, 1), "hard": (0, 0, 0, 0), "broken": (1, 0, 0, 0)}
    for uid, marks in right.items():
        for sample, mark in enumerate(marks):
            failed = uid == "broken" and sample == 3
            recorder.rollout(
                RolloutRow(
                    step=step,
                    prompt_uid=f"{uid}-{step}",
                    prompt_id=uid,
                    sample=sample,
                    domain="physics" if uid in ("mixed", "easy") else "chemistry",
                    reward=base + mark,
                    correct=bool(mark),
                    reason="correct" if mark else "wrong",
                    status="failed" if failed else "ok",
                    response_tokens=10 * (sample + 1),
                    response=f"{uid} {sample} of attempt {attempt}",
                    token_ids=[sample, 7],
                )
            )
            if update and uid == "mixed":
                recorder.update(
                    UpdateRow(
                        step=step,
                        prompt_uid=f"{uid}-{step}",
                        sample=sample,
                        kept=True,
                        advantage=mark - 0.5,
                        ratio=[1.0, 1.1],
                    )
                )
    recorder.close()


def test_groups_say_what_was_kept_and_why_the_rest_was_dropped(tmp_path: Path) -> None:
    record_step(tmp_path, 1)
    store = Store(tmp_path)
    groups = {group["prompt_id"]: group for group in store.groups(1)}
    assert {name: group["drop_reason"] for name, group in groups.items()} == {
        "mixed": "",
        "easy": "all_correct",
        "hard": "all_wrong",
        "broken": "failed",
    }
    assert (groups["mixed"]["kept"], groups["easy"]["kept"]) == (True, False)
    assert (groups["mixed"]["correct"], groups["mixed"]["reward_mean"], groups["mixed"]["samples"]) == (2, 0.5, 4)
    assert {(row["drop_reason"], row["groups"]) for row in store.dropped()} == {
        ("", 1),
        ("all_correct", 1),
        ("all_wrong", 1),
        ("failed", 1),
    }


def test_responses_without_a_verdict_are_no_zeros(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, writer="w", attempt=1)
    outcomes = {
        "none": ("error", "abstained", "error"),
        "some": ("scored", "abstained", "scored"),
        "right": ("scored", "scored", "error"),
    }
    for uid, marks in outcomes.items():
        for sample, outcome in enumerate(marks):
            right = outcome == "scored" and (uid == "right" or sample == 0)
            recorder.rollout(
                RolloutRow(
                    step=1,
                    prompt_uid=uid,
                    sample=sample,
                    domain=uid,
                    reward=float(right),
                    correct=right,
                    outcome=outcome,
                )
            )
    recorder.update(UpdateRow(step=1, prompt_uid="some", sample=0, kept=True))
    recorder.close()
    wanted = {"none": ("unscored", None), "some": ("", 0.5), "right": ("all_correct", 1.0)}
    store, index = Store(tmp_path), RolloutIndex(tmp_path)
    index.refresh()
    indexed = index.query("SELECT prompt_uid, drop_reason, reward_mean FROM groups")
    index.close()
    for groups in (store.groups(1), indexed):
        assert {group["prompt_uid"]: (group["drop_reason"], group["reward_mean"]) for group in groups} == wanted
    counted = {row["domain"]: (row["accuracy"], row["reward_mean"]) for row in store.counts(by=["domain"])}
    assert counted == {"none": (None, None), "some": (0.5, 0.5), "right": (1.0, 1.0)}


def test_before_the_update_nothing_is_called_dropped(tmp_path: Path) -> None:
    record_step(tmp_path, 1, update=False)
    assert {(group["kept"], group["drop_reason"]) for group in Store(tmp_path).groups(1)} == {(None, None)}


def test_a_response_of_several_passes_is_one_response(tmp_path: Path) -> None:
    record_step(tmp_path, 1)
    recorder = Recorder(tmp_path, writer="second-pass", attempt=1)
    for sample in range(4):
        recorder.update(
            UpdateRow(step=1, prompt_uid="mixed-1", sample=sample, kept=True, advantage=0.5, ratio=[1.2, 1.3])
        )
    recorder.close()
    rows = Store(tmp_path).rollouts(1)
    assert len(rows) == 16
    assert [(row["kept"], row["drop_reason"]) for row in rows if row["prompt_uid"] == "mixed-1"] == [(True, "")] * 4


def test_a_recorded_drop_reason_wins_over_the_inferred_one(tmp_path: Path) -> None:
    record_step(tmp_path, 1)
    recorder = Recorder(tmp_path, writer="late", attempt=1)
    for sample in range(4):
        recorder.update(UpdateRow(step=1, prompt_uid="easy-1", sample=sample, kept=False, drop_reason="surplus"))
    recorder.close()
    reasons = {group["prompt_id"]: group["drop_reason"] for group in Store(tmp_path).groups(1)}
    assert reasons["easy"] == "surplus"


def test_a_redone_step_replaces_the_old_one_and_validation_stays(tmp_path: Path) -> None:
    record_step(tmp_path, 1)
    record_step(tmp_path, 2)
    store = Store(tmp_path)
    assert len(store.rollouts()) == 32
    recorder = Recorder(tmp_path, writer="w2", attempt=2)
    recorder.rollout(RolloutRow(step=1, kind="validation", prompt_uid="v", sample=0, correct=True))
    recorder.close()
    record_step(tmp_path, 2, attempt=2, base=10.0)
    assert store.steps() == [1, 2]
    assert store.steps("validation") == [1]
    assert {row["attempt"] for row in store.rollouts(2)} == {2}
    assert {row["attempt"] for row in store.rollouts(1)} == {1}
    assert len(store.rollouts()) == 32
    assert store.rollouts(1, kind="validation")[0]["correct"] is True


def test_a_later_attempt_trains_what_an_earlier_one_generated(tmp_path: Path) -> None:
    attempts = [{"attempt": 1, "resumed_from_step": 0}, {"attempt": 2, "resumed_from_step": 1}]
    (tmp_path / "run.json").write_text(json.dumps({"attempts": attempts}))
    record_step(tmp_path, 1)
    record_step(tmp_path, 2)  # after the checkpoint: the resumed attempt does this step again
    recorder = Recorder(tmp_path, writer="w2", attempt=2)
    for sample in range(4):  # a group that waited in the checkpoint
        recorder.update(
            UpdateRow(step=1, prompt_uid="broken-1", sample=sample, kept=True, advantage=0.25, ratio=[1.5, 1.0])
        )
    recorder.close()
    expected = {"mixed": "", "easy": "all_correct", "hard": "all_wrong", "broken": ""}
    store, index = Store(tmp_path), RolloutIndex(tmp_path)
    index.refresh()
    indexer = BackgroundIndexer(index, SegmentReader(tmp_path))
    while indexer.work():
        pass
    assert {group["prompt_id"]: group["drop_reason"] for group in store.groups(1)} == expected
    found = index.query("SELECT prompt_id, drop_reason FROM groups WHERE step = 1")
    assert {row["prompt_id"]: row["drop_reason"] for row in found} == expected
    trained = "SELECT prompt_id, advantage, measured FROM responses WHERE step = 1 AND kept AND sample_index = 0"
    rows = sorted(index.query(trained), key=lambda row: row["prompt_id"])
    assert [tuple(row.values()) for row in rows] == [("broken", 0.25, True), ("mixed", 0.5, True)]
    index.close()
    series = {uid: (store.tokens(1, uid, 0) or {}).get("ratio") for uid in ("mixed-1", "broken-1")}
    assert series == {"mixed-1": pytest.approx([1.0, 1.1]), "broken-1": [1.5, 1.0]}
    assert store.steps() == [1]


def test_filters_order_pages_and_texts(tmp_path: Path) -> None:
    record_step(tmp_path, 1)
    store = Store(tmp_path)
    wrong = store.rollouts(1, domain="chemistry", correct=False, order_by="response_tokens", descending=True)
    assert [row["response_tokens"] for row in wrong] == sorted((row["response_tokens"] for row in wrong), reverse=True)
    assert len(wrong) == 7
    assert "response" not in wrong[0]
    page = store.rollouts(1, with_text=True, limit=3, offset=2, order_by=("prompt_uid", "sample"))
    assert [row["response"] for row in page] == [f"broken {n} of attempt 1" for n in (2, 3)] + ["easy 0 of attempt 1"]
    best = store.group(1, "mixed-1")
    assert [row["reward"] for row in best] == [1.0, 1.0, 0.0, 0.0]
    assert best[0]["advantage"] == 0.5
    with pytest.raises(ValueError, match="cannot filter by 'color'"):
        store.rollouts(1, color="red")
    with pytest.raises(ValueError, match="cannot order by 'random"):
        store.rollouts(1, order_by="random()")


def test_counts_and_tokens(tmp_path: Path) -> None:
    record_step(tmp_path, 1)
    store = Store(tmp_path)
    counts = {(row["domain"], row["reason"]): row["responses"] for row in store.counts()}
    assert counts == {
        ("chemistry", "correct"): 1,
        ("chemistry", "wrong"): 7,
        ("physics", "correct"): 6,
        ("physics", "wrong"): 2,
    }
    assert {row["domain"]: row["accuracy"] for row in store.counts(by=["domain"])} == {
        "chemistry": 0.125,
        "physics": 0.75,
    }
    tokens = store.tokens(1, "mixed-1", 2)
    assert tokens is not None
    assert tokens["token_ids"] == [2, 7]
    assert tokens["ratio"] == pytest.approx([1.0, 1.1])
    assert store.tokens(1, "nobody", 0) is None


def test_an_empty_run_answers_with_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "absent")
    assert (store.steps(), store.rollouts(), store.groups(), store.counts(), store.dropped()) == ([], [], [], [], [])


def test_a_torn_file_and_a_temporary_one_are_left_out(tmp_path: Path) -> None:
    record_step(tmp_path, 1)
    good = next((tmp_path / "rollouts/step=000001").glob("*.parquet"))
    good.with_name("train-a001-torn-00-000000.parquet").write_bytes(good.read_bytes()[:200])
    good.with_name("train-a001-empty-00-000000.parquet").write_bytes(b"")
    shutil.copy(good, good.with_name(f".{good.name}.tmp"))
    assert len(Store(tmp_path).rollouts()) == 16


def test_merging_keeps_every_row_even_when_it_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sample in range(6):
        recorder = Recorder(tmp_path, writer=f"w{sample}", attempt=1)
        recorder.rollout(RolloutRow(step=1, prompt_uid="u", sample=sample, response=f"r{sample}"))
        recorder.close()
    store = Store(tmp_path)
    before = store.rollouts(with_text=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # killed before the originals are deleted
        assert segments.compact(tmp_path, "rollouts", 1, "train", 1) == 6
    assert len(list((tmp_path / "rollouts/step=000001").glob("*.parquet"))) == 7
    assert Store(tmp_path).rollouts(with_text=True) == before
    recorder = Recorder(tmp_path, writer="late", attempt=1)
    recorder.compact(1)
    recorder.rollout(RolloutRow(step=1, prompt_uid="u", sample=6))
    recorder.close()
    assert segments.compact(tmp_path, "rollouts", 1, "train", 1) == 0
    assert [row["sample"] for row in store.rollouts()] == list(range(7))


def test_export_to_both_forms(tmp_path: Path) -> None:
    record_step(tmp_path / "run", 1)
    store = Store(tmp_path / "run")
    assert store.export(tmp_path / "out.parquet") == 16
    assert store.export(tmp_path / "out.jsonl", steps=1, kind="train") == 16
    table = pq.read_table(tmp_path / "out.parquet")
    assert {"response", "kept", "advantage"} <= set(table.column_names)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sum(line["correct"] for line in lines) == 7
    with pytest.raises(ValueError, match="must end in"):
        store.export(tmp_path / "out.csv")
