"""What a path reads and leaves is known by its content, and read again only where size or time changed."""

import json
import os
from pathlib import Path

from innovator_rl.paper import contents as contents_module
from innovator_rl.paper.contents import Contents, FileState, content_checksum, file_states
from innovator_rl.paper.runner import Runner
from innovator_rl.paper.stage import Stage, StageRecord, read_record, write_record
from innovator_rl.runs.run_dir import RunDir


def test_files_of_equal_size_and_time_keep_their_digest(tmp_path):
    (tmp_path / "a").write_text("one")
    before = file_states(tmp_path)
    stat = (tmp_path / "a").stat()
    (tmp_path / "a").write_text("two")
    os.utime(tmp_path / "a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_states(tmp_path, before) == before
    assert file_states(tmp_path) != before


def test_times_and_what_no_stage_reads_are_no_part_of_a_result(tmp_path):
    for name, seconds in (("one", 1.5), ("two", 2.5)):
        folder = tmp_path / name
        (folder / ".store" / name).mkdir(parents=True)
        (folder / "logs").mkdir()
        for left_out in (".lock", f".store/{name}/task.json", "logs/build", "build.log"):
            (folder / left_out).write_text(name)
        (folder / "manifest.json").write_text(json.dumps({"rows": 3, "steps": [{"seconds": seconds, "out": 3}]}))
    one, two = (content_checksum(file_states(tmp_path / name)) for name in ("one", "two"))
    assert one == two
    assert list(file_states(tmp_path / "one")) == ["manifest.json"]
    (tmp_path / "two" / "manifest.json").write_text(json.dumps({"rows": 4, "steps": [{"seconds": 2.5, "out": 3}]}))
    assert content_checksum(file_states(tmp_path / "two")) != one
    path = tmp_path / "record.json"
    states = {**file_states(tmp_path / "one"), ".lock": FileState(3, 1, "of an earlier version")}
    write_record(path, StageRecord("corpus", {}, states, 1.0, ""))
    assert read_record(path).checksum == one


def test_what_is_read_again_is_announced_and_known_to_the_next_run(tmp_path, monkeypatch):
    monkeypatch.setattr(contents_module, "LONG_BYTES", 2)
    text = tmp_path / "text"
    text.mkdir()
    (text / "a").write_text("one")
    stage, lines = Stage("first", "", (), tmp_path / "x", reads={"text": (text,)}), []
    for expected in (["reads 1 files (0.0 GB), to know later whether they changed"], []):
        lines.clear()
        runner = Runner(RunDir(tmp_path / "run"), [stage], lines.append)
        runner.decide()
        assert lines == expected
        runner.decisions.contents.save()
    seen: list[Path] = []
    monkeypatch.setattr(contents_module, "file_checksum", lambda path: seen.append(path) or "other")
    before = Contents(tmp_path / "run" / "contents.json").checksum([text])
    assert not seen
    os.utime(text / "a", (1, 1))
    assert Contents(tmp_path / "run" / "contents.json").checksum([text]) != before
    assert seen == [text / "a"]
    (tmp_path / "run" / "contents.json").write_text("{}")
    assert Contents(tmp_path / "run" / "contents.json").checksum([text]) != before
