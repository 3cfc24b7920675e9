"""A checkpoint counts when it is whole; the newest whole one is kept whatever else happens."""

import json
import os
from pathlib import Path

import pytest

from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.checkpoints import (
    MARKER,
    Checkpoint,
    at,
    best,
    checkpoints,
    latest_complete,
    mark_complete,
    newest_intact,
    note_best,
    prune,
)


def write(folder: Path, step: int, complete: bool = True) -> Path:
    path = folder / f"global_step_{step}"
    (path / "actor").mkdir(parents=True)
    (path / "actor" / "model.pt").write_bytes(b"w" * 100)
    (path / "data.pt").write_bytes(b"d" * 10)
    if complete:
        mark_complete(path)
    return path


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        write(tmp_path, step)
    write(tmp_path, 12, complete=False)  # killed while writing
    (tmp_path / "notes").mkdir()
    found = latest_complete(tmp_path)
    assert found is not None
    assert found.step == 10
    assert [c.step for c in checkpoints(tmp_path)] == [2, 9, 10, 12]


def test_a_checkpoint_that_lost_a_file_or_bytes_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, 1)
    torn, gutted = write(tmp_path, 2), write(tmp_path, 3)
    (torn / "actor" / "model.pt").write_bytes(b"w" * 50)
    (gutted / "data.pt").unlink()
    found = latest_complete(tmp_path)
    assert found is not None
    assert found.step == 1


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert latest_complete(tmp_path / "never") is None
    write(tmp_path, 1, complete=False)
    assert latest_complete(tmp_path) is None


def test_pruning_keeps_whole_ones_and_what_may_be_in_the_writing(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
    write(tmp_path, 0, complete=False)
    write(tmp_path, 5, complete=False)
    assert {path.name for path in prune(tmp_path, keep=2)} == {"global_step_0", "global_step_1", "global_step_2"}
    assert [c.step for c in checkpoints(tmp_path)] == [3, 4, 5]
    assert prune(tmp_path, keep=2) == []


def test_pruning_never_deletes_the_only_checkpoints_there_are(tmp_path: Path) -> None:
    write(tmp_path, 1, complete=False)
    assert prune(tmp_path, keep=1) == []


def test_a_damaged_later_one_never_costs_what_was_just_saved(tmp_path: Path) -> None:
    for step in (1, 2, 9):
        write(tmp_path, step)
    (tmp_path / "global_step_9" / "data.pt").write_bytes(b"x" * 10)  # the run fell back to step 1 and saved step 2
    assert [path.name for path in prune(tmp_path, keep=1, step=2)] == ["global_step_1"]
    found, _ = newest_intact(tmp_path)
    assert found is not None
    assert found.step == 2


def test_bytes_that_changed_at_the_same_size_fall_back_to_the_older_one(tmp_path: Path) -> None:
    write(tmp_path, 1)
    damaged = write(tmp_path, 2)
    (damaged / "actor" / "model.pt").write_bytes(b"w" * 40 + bytes(20) + b"w" * 40)
    assert Checkpoint(2, damaged).complete  # by size
    found, broken = newest_intact(tmp_path)
    assert found is not None
    assert found.step == 1
    assert [(checkpoint.step, name) for checkpoint, name in broken] == [(2, "actor/model.pt")]


def test_every_file_is_on_the_disk_before_the_marker_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 1, complete=False)
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if MARKER not in name:
            assert not (path / MARKER).exists()
            synced.append(str(Path(name).relative_to(path)))

    monkeypatch.setattr(os, "fsync", fsync)
    mark_complete(path)
    assert set(synced) >= {"actor/model.pt", "data.pt", "actor", "."}
    assert Checkpoint(1, path).has_checksums


def test_a_marker_of_sizes_alone_is_resumed_in_its_run_and_not_from_elsewhere(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    (path / MARKER).write_text(json.dumps({"files": {"actor/model.pt": 100, "data.pt": 10}}))
    assert newest_intact(tmp_path)[0] == Checkpoint(3, path)
    with pytest.raises(UserError, match="must list checksums"):
        at(path)


def test_a_named_checkpoint_is_found_and_must_be_intact(tmp_path: Path) -> None:
    path = write(tmp_path / "run" / "checkpoints", 4)
    assert at(path) == at(tmp_path / "run") == Checkpoint(4, path)
    (path / "data.pt").write_bytes(b"x" * 10)
    with pytest.raises(UserError, match=r"data\.pt must be as it was saved"):
        at(path)
    with pytest.raises(UserError, match="no complete checkpoint found"):
        at(tmp_path / "nowhere")


def test_the_number_of_ranks_is_read_from_the_shards(tmp_path: Path) -> None:
    path = write(tmp_path, 1, complete=False)
    assert Checkpoint(1, path).ranks is None
    for rank in range(2):
        (path / "actor" / f"model_world_size_2_rank_{rank}.pt").write_bytes(b"w")
    mark_complete(path)
    assert Checkpoint(1, path).ranks == 2


def test_the_best_checkpoint_outlives_the_newest(tmp_path: Path) -> None:
    for step, value in ((1, 0.2), (2, 0.6), (3, 0.4), (4, 0.5)):
        write(tmp_path, step)
        note_best(tmp_path, step, value)
        prune(tmp_path, keep=1)
    assert best(tmp_path) == (2, 0.6)
    assert [c.step for c in checkpoints(tmp_path)] == [2, 4]
    assert not note_best(tmp_path, 9, 0.9)  # that step has no checkpoint
