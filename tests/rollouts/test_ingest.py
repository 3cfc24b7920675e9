"""The index has one row per recorded response, joined to its own update, however the files cut a step."""

import random
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.rollouts import index as index_module
from innovator_rl.rollouts.index import RolloutIndex
from innovator_rl.rollouts.ingest import read_step
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow
from innovator_rl.rollouts.store import Store

Update = tuple[bool, str, float] | None
UPDATES = st.none() | st.tuples(st.booleans(), st.sampled_from(["", "all_wrong"]), st.sampled_from([-1.0, 0.5]))
RESPONSES = st.dictionaries(
    st.tuples(st.integers(1, 4), st.sampled_from(["g0", "g1", "g2"]), st.integers(0, 3)),
    st.tuples(st.sampled_from([None, 0.0, 1.0]), st.sampled_from([None, True, False]), UPDATES),
    max_size=24,
)


def write(run: Path, responses: dict[Any, Any], files: int, seed: int, twice: bool) -> None:
    """Write responses in any order into several files; `twice` repeats each in every file."""
    keys = list(responses)
    random.Random(seed).shuffle(keys)
    for number in range(files):
        recorder = Recorder(run, writer=f"w{number}", attempt=1)
        for key in keys if twice else keys[number::files]:
            (step, uid, sample), (reward, correct, update) = key, responses[key]
            place = {"step": step, "prompt_uid": uid, "sample": sample}
            recorder.rollout(RolloutRow(**place, domain=uid, reward=reward, correct=correct, response="x"))
            if update is not None:
                kept, reason, advantage = update
                recorder.update(UpdateRow(**place, kept=kept, drop_reason=reason, advantage=advantage))
        recorder.close()


@settings(deadline=None, max_examples=12)
@given(RESPONSES, st.integers(1, 3), st.integers(0, 9), st.booleans())
def test_every_response_is_joined_to_its_own_update(
    responses: dict[Any, Any], files: int, seed: int, twice: bool
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "FIRST_ROWS", 5)
        patch.setattr(index_module, "CHUNK_ROWS", 7)
        run = Path(folder)
        write(run, responses, files, seed, twice)
        index = RolloutIndex(run)
        index.refresh()
        rows = index.query("SELECT * FROM responses")
        groups = index.query("SELECT step, prompt_uid, samples, drop_reason, reward_mean FROM groups ORDER BY ALL")
        index.close()
        stored = Store(run).groups()
    found = {(row["step"], row["prompt_uid"], row["sample_index"]): row for row in rows}
    assert len(found) == len(rows) == len(responses)
    assert len({row["rid"] for row in rows}) == len(rows)
    for key, (reward, correct, update) in responses.items():
        row = found[key]
        assert (row["reward"], row["correct"], row["domain"]) == (reward, correct, key[1])
        assert (row["kept"], row["advantage"]) == ((None, None) if update is None else (update[0], update[2]))
    if not twice:  # the files alone count a response that is in two of them twice
        wanted = [{name: row[name] for name in groups[0]} for row in stored] if groups else []
        assert groups == sorted(wanted, key=lambda row: (row["step"], row["prompt_uid"]))


def test_an_index_whose_columns_are_in_another_order_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "r"
    one = {(1, "g0", 0): (1.0, True, (True, "", 0.5))}
    write(run, one, 1, 0, twice=False)
    index = RolloutIndex(run)
    index.refresh()
    index.close()
    with duckdb.connect(run / ".index" / "narrow.duckdb") as old:
        for view in ("responses", "all_responses"):
            old.execute(f"DROP VIEW {view}")
        old.execute(
            "CREATE TABLE other AS SELECT reward, rid, kept, * EXCLUDE (reward, rid, kept) FROM stored_responses"
        )
        old.execute("DROP TABLE stored_responses")
        old.execute("ALTER TABLE other RENAME TO stored_responses")
    write(run, {(2, "g0", 0): (0.0, False, (False, "all_wrong", -1.0))}, 1, 0, twice=False)
    index = RolloutIndex(run)
    assert index.refresh() == {(2, "train")}
    rows = index.query("SELECT step, reward, correct, kept, advantage FROM responses ORDER BY step")
    index.close()
    assert [tuple(row.values()) for row in rows] == [(1, 1.0, True, True, 0.5), (2, 0.0, False, False, -1.0)]


def test_a_step_that_the_database_refuses_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {(step, "g0", 0): (1.0, True, None) for step in (1, 2, 3)}, 1, 0, twice=False)

    def spoiled(run: Path, files: Any) -> Any:
        rows = read_step(run, files)
        if files.step != 2 or not files.rollouts:
            return rows
        return replace(rows, rollouts=rows.rollouts.drop_columns(["reward"]))

    monkeypatch.setattr(index_module, "read_step", spoiled)
    index = RolloutIndex(tmp_path)
    assert index.refresh() == {(1, "train"), (2, "train"), (3, "train")}
    assert [row["step"] for row in index.query("SELECT step FROM responses ORDER BY step")] == [1, 3]
    assert [problem.file.split("/")[1] for problem in index.problems()] == ["step=000002"]
    index.close()
