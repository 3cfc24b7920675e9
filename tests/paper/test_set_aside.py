"""What is kept of a complete stage while it runs again, also where a run is killed at any point."""

from innovator_rl.paper.set_aside import aside, drop, put_back, set_aside


def test_what_is_kept_is_never_replaced_by_what_a_killed_run_left(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "result").write_text("complete")
    set_aside(folders[:1])  # and killed there
    folders[0].mkdir()
    (folders[0] / "result").write_text("unfinished")
    set_aside(folders)
    assert [aside(folder).joinpath("result").read_text() for folder in folders] == ["complete", "complete"]
    assert not any(folder.exists() for folder in folders)
    put_back(folders[:1])  # and killed there
    put_back(folders)
    assert [(folder / "result").read_text() for folder in folders] == ["complete", "complete"]
    drop(folders)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
