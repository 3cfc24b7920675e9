"""A checkpoint counts when it is whole; the newest whole one is kept whatever else happens."""

from pathlib import Path

from innovator_rl.integrations.verl.checkpoints import checkpoints, latest_complete, mark_complete, prune


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
