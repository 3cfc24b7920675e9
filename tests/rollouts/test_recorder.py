"""The recorder writes what it is given, loses at most a second to a kill, and never raises into training."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from innovator_rl.rollouts import recorder as recorder_module
from innovator_rl.rollouts.recorder import Recorder, keeps_tokens
from innovator_rl.rollouts.schema import ROLLOUTS, SEGMENT_NAME, UPDATES, RolloutRow, UpdateRow, segment_name


def a_row(sample: int = 0, step: int = 1, **changes: object) -> RolloutRow:
    values: dict[str, object] = {
        "step": step,
        "prompt_uid": "uid-1",
        "sample": sample,
        "domain": "physics",
        "reward": 1.0,
        "correct": True,
        "reason": "correct",
        "terms": {"accuracy": 1.0, "format": (0.5, 0.1)},
        "messages": [{"role": "user", "content": "What is the unit of force?"}],
        "response": "The newton, $\\mathrm{N}$.",
        "token_ids": [1, 2, 3],
        "rollout_logprobs": [-0.1, -0.2, -0.3],
    }
    return RolloutRow(**{**values, **changes})  # type: ignore[arg-type]


def segments(path: Path, dataset: str = "rollouts") -> list[Path]:
    return sorted((path / dataset).glob("step=*/*.parquet"))


def samples(paths: list[Path]) -> list[int]:
    tables = [pq.read_table(path, partitioning=None) for path in paths]
    return [sample for table in tables for sample in table.column("sample").to_pylist()]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited a minute for it"
        time.sleep(0.05)


def test_rows_land_in_their_step_with_types_and_tokens_apart(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, writer="reward/0", attempt=2)
    recorder.rollout(a_row())
    recorder.rollout(a_row(sample=1, status="failed", error="time-out", response=None, token_ids=None))
    recorder.rollout(a_row(step=3, kind="validation"))
    recorder.update(
        UpdateRow(step=1, prompt_uid="uid-1", sample=0, kept=True, advantage=0.5, ratio=[1.0, 1.3], clip_side=[0, 1])
    )
    recorder.close()
    names = [path.name for path in segments(tmp_path)]
    assert [path.parent.name for path in segments(tmp_path)] == ["step=000001", "step=000003"]
    assert all(SEGMENT_NAME.match(name) for name in names)
    assert names[0].startswith("train-a002-reward_0-")
    assert names[1].startswith("validation-a002-")
    table = pq.read_table(segments(tmp_path)[0], partitioning=None)
    assert table.schema.equals(ROLLOUTS)
    first = table.to_pylist()[0]
    assert first["run"] == tmp_path.name
    assert first["terms"] == [
        {"name": "accuracy", "value": 1.0, "weight": None},
        {"name": "format", "value": 0.5, "weight": 0.1},
    ]
    assert "unit of force" in first["messages"]
    assert pq.read_table(segments(tmp_path, "tokens")[0]).column("token_ids").to_pylist() == [[1, 2, 3]]
    update = pq.read_table(segments(tmp_path, "updates")[0], partitioning=None)
    assert update.schema.equals(UPDATES)
    assert update.column("clip_side").to_pylist() == [[0, 1]]
    stats = recorder.stats()
    assert (stats.accepted, stats.written, stats.dropped, stats.pending) == (4, 4, 0, 0)


def test_a_row_of_the_wrong_shape_is_rejected_alone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, writer="w", attempt=1)
    recorder.rollout(a_row(0))
    recorder.rollout(a_row(1, reward="one"))
    recorder.rollout(a_row(2, kind="test"))
    recorder.rollout(a_row(3, response="half a pair: \ud83d"))
    recorder.close()
    rows = pq.read_table(segments(tmp_path)[0], partitioning=None).to_pylist()
    assert [row["sample"] for row in rows] == [0, 3]
    assert rows[1]["response"] == "half a pair: ?"
    assert (recorder.stats().rejected, recorder.stats().written) == (2, 2)


def test_a_full_disk_is_survived_and_nothing_is_lost_when_it_clears(tmp_path: Path) -> None:
    blocker = tmp_path / "rollouts"
    blocker.write_text("a file where the directory should be: every write fails")
    recorder = Recorder(tmp_path, writer="w", attempt=1, flush_seconds=0.05)
    for sample in range(10):
        recorder.rollout(a_row(sample, token_ids=None))
    recorder.flush()
    stats = recorder.stats()
    assert (stats.written, stats.pending, stats.dropped) == (0, 10, 0)
    assert "kept for another try" in stats.last_error
    blocker.unlink()
    recorder.close()
    assert recorder.stats().written == 10


def test_rows_that_cannot_be_encoded_cost_their_step_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = recorder_module.write_segment

    def fails_at_first(directory: Path, *arguments: object) -> int:
        if directory.name == "step=000001":
            raise pa.ArrowInvalid("injected")
        return real(directory, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(recorder_module, "write_segment", fails_at_first)
    recorder = Recorder(tmp_path, writer="w", attempt=1, flush_seconds=60)
    for step in (1, 2, 3):
        recorder.rollout(a_row(0, step=step, token_ids=None))
    recorder.close()
    stats = recorder.stats()
    assert (stats.written, stats.dropped, stats.pending) == (2, 1, 0)
    assert [path.parent.name for path in segments(tmp_path)] == ["step=000002", "step=000003"]
    lost, why = recorder_module.recorded_losses(tmp_path)
    assert (lost, "ArrowInvalid: injected" in why) == (1, True)


def test_a_disk_that_stays_full_costs_rows_not_memory(tmp_path: Path) -> None:
    (tmp_path / "rollouts").write_text("in the way")
    recorder = Recorder(tmp_path, writer="w", attempt=1, queue_rows=10)
    for sample in range(100):
        recorder.rollout(a_row(sample, step=sample, token_ids=None))
        recorder.flush()
    assert recorder.stats().pending <= 40
    recorder.close()
    stats = recorder.stats()
    assert (stats.written, stats.dropped, stats.pending) == (0, 100, 0)


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, writer="w", attempt=1, queue_rows=5, flush_seconds=60, flush_rows=1000)
    for sample in range(9):
        recorder.rollout(a_row(sample))
    recorder.close()
    recorder.rollout(a_row(10))
    stats = recorder.stats()
    assert (stats.written, stats.dropped) == (5, 5)


def test_two_writers_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    for sample in range(2):
        recorder = Recorder(tmp_path, writer="same", attempt=1)
        recorder.rollout(a_row(sample))
        recorder.close()
    assert len(segments(tmp_path)) == 2


@pytest.mark.parametrize("signal_number", [signal.SIGKILL])
def test_a_killed_writer_leaves_only_readable_segments(tmp_path: Path, signal_number: int) -> None:
    code = """
        import sys, time
        from innovator_rl.rollouts.recorder import Recorder
        from innovator_rl.rollouts.schema import RolloutRow
        recorder = Recorder(sys.argv[1], writer="victim", attempt=1, flush_rows=16, flush_seconds=0.05)
        print("ready", flush=True)
        for sample in range(10**9):
            recorder.rollout(RolloutRow(step=1, prompt_uid="u", sample=sample, response="text " * 200))
            if sample % 50 == 0:
                print(sample, flush=True)
                time.sleep(0.001)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    said: list[str] = []
    drain = threading.Thread(target=lambda: said.extend(child.stdout), daemon=True)
    drain.start()
    wait_for(lambda: len(segments(tmp_path)) > 5)
    due = int(said[-1])  # recorded by now: on disk soon, while the child goes on
    wait_for(lambda: max(samples(segments(tmp_path)[-1:])) >= due)
    child.send_signal(signal_number)
    child.wait()
    drain.join(60)
    held = samples(segments(tmp_path))
    assert due > 0
    assert sorted(held) == list(range(len(held))), "no hole and no repetition, in segments that can all be read"
    assert due < len(held)


def test_segment_names_hold_no_separators() -> None:
    assert segment_name("train", 3, "host-1/reward 2", "ab12", 7) == "train-a003-host_1_reward_2-ab12-000007.parquet"


def test_a_share_of_groups_is_recorded_token_by_token_and_every_response_has_its_row(tmp_path: Path) -> None:
    uids = [f"e0000-r{n:07d}-p{n:08d}" for n in range(400)]
    assert 60 < sum(keeps_tokens(uid, 0.25) for uid in uids) < 140
    assert all(keeps_tokens(uid, 1.0) and not keeps_tokens(uid, 0.0) for uid in uids)
    recorder = Recorder(tmp_path, writer="w", attempt=1, token_share=0.25)
    for uid in uids:
        recorder.rollout(RolloutRow(step=1, prompt_uid=uid, sample=0, response="yes", token_ids=[1, 2]))
    recorder.close()

    def recorded(dataset: str) -> set[str]:
        files = (tmp_path / dataset / "step=000001").glob("*.parquet")
        return {uid for file in files for uid in pq.ParquetFile(file).read(["prompt_uid"])["prompt_uid"].to_pylist()}

    assert recorded("rollouts") == set(uids)
    assert recorded("tokens") == {uid for uid in uids if keeps_tokens(uid, 0.25)}
