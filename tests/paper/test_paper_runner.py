"""The runner of the paper's path: what is skipped, repeated, refused and continued."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from innovator_rl.errors import UserError
from innovator_rl.paper import process as process_module
from innovator_rl.paper import runner as runner_module
from innovator_rl.paper.contents import (
    file_checksum,
    input_checksum,
)
from innovator_rl.paper.estimates import TimeLeft
from innovator_rl.paper.process import CHILD, last_line
from innovator_rl.paper.runner import Runner, StageFailed
from innovator_rl.paper.stage import (
    Stage,
    StageRecord,
    StartedStage,
    read_record,
    write_record,
    write_started,
)
from innovator_rl.runs.run_dir import RunDir

SCRIPT = """
import pathlib, sys
source, target, count = sys.argv[1:4]
path = pathlib.Path(count); path.write_text(str(int(path.read_text() or 0) + 1) if path.exists() else "1")
print("read", source, flush=True)
pathlib.Path(target).write_text(pathlib.Path(source).read_text().upper())
"""


@pytest.fixture
def path_of_two(tmp_path, monkeypatch):
    """Two stages, each a small script; the second reads the first one's result."""
    script = tmp_path / "stage.py"
    script.write_text(SCRIPT)
    (tmp_path / "raw").write_text("text")
    original = subprocess.Popen

    def start(command, **options):
        if command[2:3] == [CHILD]:
            command = [sys.executable, *command[4:]]  # without `-m module parent`
        return original(command, **options)

    monkeypatch.setattr(process_module.subprocess, "Popen", start)

    def stage(name, source, **more):
        target = tmp_path / name
        words = (str(script), str(source), str(target), str(tmp_path / f"{name}.count"))
        return Stage(name, f"make {name}", words, target, **more)

    first = stage("first", tmp_path / "raw", inputs=(tmp_path / "raw",))
    second = stage("second", tmp_path / "first", needs=("first",))
    lines: list[str] = []
    return Runner(RunDir(tmp_path / "run"), [first, second], lines.append), tmp_path, lines


def counts(folder: Path) -> list[str]:
    return [(folder / f"{name}.count").read_text() for name in ("first", "second")]


def test_a_second_run_does_nothing(path_of_two):
    runner, folder, _ = path_of_two
    first = runner.execute()
    assert (folder / "second").read_text() == "TEXT"
    assert [record.name for record in first] == ["first", "second"]
    assert runner.execute() == first
    assert counts(folder) == ["1", "1"]


def test_a_changed_input_repeats_what_depends_on_it_and_names_it(path_of_two):
    runner, folder, lines = path_of_two
    runner.execute()
    (folder / "raw").write_text("other")
    assert [decision.runs for decision in runner.decide()] == [True, True]
    runner.execute()
    assert counts(folder) == ["2", "2"]
    assert any("changed: file" in line and "raw" in line for line in lines)
    assert any("changed: result of first" in line for line in lines)


def test_equal_content_of_an_earlier_stage_repeats_nothing_after_it(path_of_two):
    runner, folder, _ = path_of_two
    runner.execute()
    (folder / "raw").write_text("TEXT")  # the first stage writes the same result again
    runner.execute()
    assert counts(folder) == ["2", "1"]


def test_a_result_that_was_edited_or_removed_is_made_again(path_of_two):
    runner, folder, lines = path_of_two
    runner.execute()
    (folder / "second").write_text("edited")
    runner.execute()
    (folder / "second").unlink()
    runner.execute()
    assert counts(folder) == ["1", "3"]
    assert any("result changed since: second" in line for line in lines)
    assert any("result not found" in line for line in lines)


def test_a_failed_stage_is_named_and_the_next_run_continues_there(path_of_two):
    runner, folder, _ = path_of_two
    (folder / "second").mkdir()  # the script cannot write its result
    with pytest.raises(StageFailed, match=r"stage 'second' failed with exit code 1: IsADirectoryError.*second\.log"):
        runner.execute()
    assert RunDir(folder / "run").state().status == "failed"
    (folder / "second").rmdir()
    runner.execute()
    assert counts(folder) == ["1", "2"]


def test_what_needs_nothing_of_a_failed_stage_runs(path_of_two):
    runner, folder, lines = path_of_two
    first, second = runner.stages
    words = (str(folder / "stage.py"), str(folder / "raw"), str(folder / "third"), str(folder / "third.count"))
    third = Stage("third", "make third", words, folder / "third", inputs=(folder / "raw",))
    (folder / "first").mkdir()  # the script cannot write its result
    with pytest.raises(StageFailed, match=r"stage 'first' failed .*; not run, because they need its result: 1"):
        Runner(runner.run, [first, second, third], lines.append).execute()
    assert (folder / "third").read_text() == "TEXT"
    assert not (folder / "second").exists()
    assert "[2/3] second: waits for first" in lines
    (folder / "first").rmdir()
    records = Runner(runner.run, [first, second, third], lines.append).execute()
    assert [record.name for record in records] == ["first", "second", "third"]
    assert (folder / "third.count").read_text() == "1"


def test_the_process_that_a_killed_run_left_ends_before_its_stage_starts_again(path_of_two):
    runner, folder, lines = path_of_two
    program = "import time, pathlib, sys; time.sleep(2); pathlib.Path(sys.argv[1]).write_text('saved')"
    words = [sys.executable, "-c", program, str(folder / "raw"), CHILD]
    with subprocess.Popen(words) as left:
        write_started(runner.decisions.started_path(runner.stages[0]), StartedStage({}, 0.0, left.pid))
        runner.execute()
        assert left.poll() == 0
    assert (folder / "second").read_text() == "SAVED"
    assert f"[1/2] first: waits for process {left.pid} of an earlier run to end" in lines


SLOW = """
import pathlib, sys, time
time.sleep(float(sys.argv[1]))
pathlib.Path(sys.argv[2]).write_text("done")
"""


def test_the_time_of_interrupted_attempts_counts(path_of_two, monkeypatch):
    runner, folder, _ = path_of_two
    monkeypatch.setattr(process_module, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(process_module, "POLL_SECONDS", 0.05)
    script = folder / "slow.py"
    script.write_text(SLOW)
    first = Stage("slow", "wait", (str(script), "60", str(folder / "slow")), folder / "slow")
    with pytest.raises(StageFailed, match="passed its limit"):
        Runner(runner.run, [first], print, limit_seconds=1.0).execute()
    waits = script.read_text().replace("float(sys.argv[1])", "0.5")
    script.write_text(waits)  # the same command, which now ends
    (record,) = Runner(runner.run, [first], print).execute()
    assert 1.5 <= record.seconds < 30


def test_work_without_a_record_is_refused_before_anything_starts(path_of_two):
    runner, folder, lines = path_of_two
    first, second = (Stage(**{**vars(stage), "clean": (folder / f"work-{stage.name}",)}) for stage in runner.stages)
    (folder / f"work-{second.name}").mkdir()
    with pytest.raises(
        UserError, match=rf"work-{second.name} is there, .* no record of stage '{second.name}'.*: remove"
    ):
        Runner(runner.run, [first, second], lines.append).execute()
    assert lines == []
    (folder / f"work-{second.name}").rmdir()
    Runner(runner.run, [first, second], lines.append).execute()
    (folder / f"work-{second.name}").mkdir()
    Runner(runner.run, [first, second], lines.append).execute()


def test_a_stage_that_has_not_run_takes_as_long_as_the_configuration_states(path_of_two):
    runner, _, _ = path_of_two
    first, second = runner.stages
    assert runner.time_left(1).after(0) == ""
    known = [replace(stage, hours=0.5) for stage in (first, second)]
    assert Runner(runner.run, known, print).time_left(1) == TimeLeft(1800.0, 1800.0, 0)
    assert Runner(runner.run, known, print).time_left(2) == TimeLeft(1800.0, 0.0, 0)
    half = Runner(runner.run, [known[0], second], print).time_left(1)
    assert half.after(60) == ", at least 29 min 00 s left in all, and 1 stage without an estimate"
    Runner(runner.run, [known[0]], print).execute()
    assert Runner(runner.run, known, print).time_left(2) == TimeLeft(1800.0, 0.0, 0)
    assert Runner(runner.run, [second, known[0]][::-1], print).time_left(1).later == 0.0  # the second has no estimate


def test_a_stage_without_an_estimate_takes_nothing_from_the_time_of_later_ones():
    assert TimeLeft(0.0, 3600.0, 1).after(7200) == ", at least 1 h 00 min left in all, and 1 stage without an estimate"
    assert TimeLeft(0.0, 60.0, 2).after(0).endswith("and 2 stages without an estimate")
    assert TimeLeft(60.0, 3600.0, 0).after(7200) == ", about 1 h 00 min left in all"


def test_a_stage_takes_as_long_as_others_of_its_kind_and_what_ran_already_counts(path_of_two):
    runner, _, _ = path_of_two
    first, second = (replace(stage, kind="seed", hours=0.5) for stage in runner.stages)
    runner = Runner(runner.run, [first, second], print)
    write_record(runner.decisions.record_path(first), StageRecord("first", {}, {}, 100.0, ""))
    assert runner.time_left(2) == TimeLeft(100.0, 0.0, 0)
    write_started(runner.decisions.started_path(second), StartedStage({}, 40.0))
    assert runner.time_left(2) == TimeLeft(60.0, 0.0, 0)


INTERRUPTED = """
import subprocess, sys
from pathlib import Path
from innovator_rl.paper import process, runner
from innovator_rl.paper.stage import Stage
from innovator_rl.runs.run_dir import RunDir

WAITS = "from innovator_rl.paper.child import *; listen_to_interrupts(); print('waits', flush=True); import time; time.sleep(90)"
start = subprocess.Popen
process.subprocess.Popen = lambda command, **options: start([sys.executable, "-c", WAITS], **options)
folder = Path(sys.argv[1])
runner.Runner(RunDir(folder / "run"), [Stage("endless", "wait", (), folder / "x")], print).execute()
"""


@pytest.mark.parametrize("background", [False, True])
def test_sigterm_stops_a_path_and_its_stage(tmp_path, background):
    """Also where a shell started it in the background, with SIGINT ignored."""
    ignore = signal.SIG_IGN if background else signal.default_int_handler
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, ignore),
    )
    log = tmp_path / "run" / "logs" / "endless.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "waits" in log.read_text()):
        assert time.monotonic() < deadline, "the stage did not start"
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    process.terminate()
    started = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - started < 30, "the stage was ended by force"  # after GRACE_SECONDS
    assert RunDir(tmp_path / "run").state().status == "stopped"


def test_a_stage_without_its_result_failed(path_of_two):
    _, folder, _ = path_of_two
    stage = Stage(
        "silent",
        "print",
        (str(folder / "stage.py"), str(folder / "raw"), os.devnull, str(folder / "n")),
        folder / "nothing",
    )
    with pytest.raises(StageFailed, match="without its result"):
        Runner(RunDir(folder / "other"), [stage], print).execute()


UNFINISHED = """
import os, pathlib, sys
source, folder = map(pathlib.Path, sys.argv[1:3])
folder.mkdir(exist_ok=True)
checkpoint = folder / "checkpoint"
if not checkpoint.exists():
    checkpoint.write_text(source.read_text())
    os._exit(9)  # as a killed process leaves it
(folder / "result").write_text(checkpoint.read_text())
"""


def test_unfinished_work_of_other_inputs_is_not_continued(path_of_two):
    _, folder, _ = path_of_two
    script, source, out = folder / "unfinished.py", folder / "raw", folder / "out"
    script.write_text(UNFINISHED)
    words = (str(script), str(source), str(out))
    stage = Stage("long", "train", words, out / "result", inputs=(source,), clean=(out,))
    runner = Runner(RunDir(folder / "other"), [stage], print)
    with pytest.raises(StageFailed):
        runner.execute()
    assert runner.decide()[0].reason == "not finished, continues"
    source.write_text("other")
    assert runner.decide()[0].reason == f"not finished, starts again, changed: file {source}"
    with pytest.raises(StageFailed):  # it starts again, with a checkpoint of its own
        runner.execute()
    runner.execute()
    assert (out / "result").read_text() == "other"
    assert not runner.decide()[0].runs


TRAINED = """
import pathlib, sys
source, folder = map(pathlib.Path, sys.argv[1:3])
text = source.read_text()
folder.mkdir(exist_ok=True)
if text == "stops":
    (folder / "checkpoint").write_text(text)
    source.write_text("stopped")
    sys.exit(1)
(folder / "result").write_text((folder / "checkpoint").read_text() if text == "stopped" else text)
"""


@pytest.fixture
def trained(path_of_two):
    """A stage with a folder of its own, which was complete with the input "one" and then failed with "stops"."""
    _, folder, _ = path_of_two
    script, source, out = folder / "trained.py", folder / "raw", folder / "out"
    script.write_text(TRAINED)
    source.write_text("one")
    stage = Stage("long", "train", (str(script), str(source), str(out)), out / "result", inputs=(source,), clean=(out,))
    lines: list[str] = []
    runner = Runner(RunDir(folder / "other"), [stage], lines.append)
    runner.execute()
    source.write_text("stops")
    assert runner.decide()[0].replaces == (out,)
    with pytest.raises(StageFailed, match="exit code 1"):
        runner.execute()
    assert (folder / "out.changed" / "result").read_text() == "one", "what was complete stays until there is another"
    return runner, source, out, lines


def test_what_was_complete_goes_when_the_new_result_is_there(trained):
    runner, source, out, _ = trained
    source.write_text("stops")
    (decision,) = runner.decide()
    assert (decision.reason, decision.replaces) == ("not finished, continues", ())
    source.write_text("two")
    (decision,) = runner.decide()
    assert decision.reason == f"not finished, starts again, changed: file {source}"
    runner.execute()
    assert sorted(path.name for path in out.iterdir()) == ["result"], (
        "unfinished work of another input is not continued"
    )
    assert (out / "result").read_text() == "two"
    assert not out.with_name("out.changed").exists()
    assert not runner.decide()[0].runs


def test_what_was_complete_comes_back_with_its_configuration(trained):
    runner, source, out, lines = trained
    source.write_text("one")
    (decision,) = runner.decide()
    assert (decision.runs, decision.reason) == (False, "its result was set aside and comes back")
    runner.execute()
    assert sorted(path.name for path in out.iterdir()) == ["result"]
    assert (out / "result").read_text() == "one"
    assert not out.with_name("out.changed").exists()
    assert not runner.decisions.started_path(runner.stages[0]).exists()
    assert "[1/1] long: what was set aside is put back" in lines


def test_a_command_that_makes_nothing_gives_a_complete_result_back(path_of_two):
    _, folder, _ = path_of_two
    script, source, out = folder / "trained.py", folder / "raw", folder / "out"
    script.write_text(TRAINED)
    stage = Stage("long", "train", (str(script), str(source), str(out)), out / "result", inputs=(source,), clean=(out,))
    runner = Runner(RunDir(folder / "other"), [stage], print)
    runner.execute()
    source.unlink()
    with pytest.raises(StageFailed, match="No such file"):
        runner.execute()
    assert (out / "result").read_text() == "text"
    assert runner.decide()[0].reason == f"changed: file {source}"


def test_a_complete_stage_runs_again_where_it_is_asked_for(path_of_two):
    runner, folder, lines = path_of_two
    runner.execute()
    again = Runner(runner.run, runner.stages, lines.append, repeat=["first"])
    assert next(decision.reason for decision in again.decide()) == "changed: asked for with --repeat"
    again.execute()
    assert counts(folder) == ["2", "1"], "a result of equal content repeats nothing after it"
    assert not any(decision.runs for decision in again.decide())
    assert not any(decision.runs for decision in runner.decide())
    with pytest.raises(UserError, match="--repeat frist: unknown stage: did you mean first"):
        Runner(runner.run, runner.stages, print, repeat=["frist"])


def test_an_interrupted_repetition_gives_the_complete_result_back(path_of_two):
    _, folder, _ = path_of_two
    script, source, out = folder / "trained.py", folder / "raw", folder / "out"
    script.write_text(TRAINED)
    stage = Stage("long", "train", (str(script), str(source), str(out)), out / "result", clean=(out,))
    run = RunDir(folder / "other")
    Runner(run, [stage], print).execute()
    source.write_text("stops")
    with pytest.raises(StageFailed):
        Runner(run, [stage], print, repeat=["long"]).execute()
    assert Runner(run, [stage], print, repeat=["long"]).decide()[0].reason == "not finished, continues"
    Runner(run, [stage], print).execute()
    assert (out / "result").read_text() == "text"


def test_only_the_stages_that_are_asked_for_run(path_of_two):
    runner, folder, lines = path_of_two
    second = Runner(runner.run, runner.stages, lines.append, only=["second"])
    with pytest.raises(
        UserError, match=r"--only second: it reads the result of 'first', .* \(not run yet\): add --only"
    ):
        second.execute()
    assert not (folder / "first.count").exists()
    Runner(runner.run, runner.stages, lines.append, only=["first"]).execute()
    assert not (folder / "second").exists()
    second.execute()
    assert counts(folder) == ["1", "1"]
    with pytest.raises(UserError, match="--only thrid: unknown stage"):
        Runner(runner.run, runner.stages, print, only=["thrid"])


def test_a_comment_in_a_configuration_is_no_change(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("disciplines: {physics: 1, chemistry: 2}\nseed: 0\n")
    before = input_checksum(path)
    path.write_text("# a comment\ndisciplines:\n  physics: 1\n  chemistry: 2\nseed: 0  # another\n")
    assert input_checksum(path) == before
    path.write_text("disciplines: {chemistry: 2, physics: 1}\nseed: 0\n")
    assert input_checksum(path) != before, "the order of the disciplines is that of the experts"
    for text in ("a: [", "- 1\n"):
        path.write_text(text)
        assert input_checksum(path) == file_checksum(path)


def test_every_result_of_a_stage_counts(path_of_two):
    runner, folder, _ = path_of_two
    more = folder / "more"
    stage = Stage(**{**vars(runner.stages[0]), "also": (more,)})
    runner = Runner(RunDir(folder / "other"), [stage], print)
    with pytest.raises(StageFailed, match=r"without its result .*first' and .*more'"):
        runner.execute()
    more.mkdir()
    (more / "weights").write_text("1")
    before = runner.execute()[0].checksum
    assert not runner.decide()[0].runs
    (more / "weights").write_text("22")
    assert runner.decide()[0].reason == "result changed since: more/weights"
    with pytest.raises(StageFailed, match="without its result"):  # the script does not make it
        runner.execute()
    assert (more / "weights").read_text() == "22", "what was there is put back"
    (more / "weights").write_text("1")
    assert runner.execute()[0].checksum == before
    (more / "weights").unlink()
    more.rmdir()
    assert runner.decide()[0].reason == f"result not found: {more}"


ENDED = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
if not (folder / "checkpoint").exists():
    (folder / "checkpoint").write_text("trained")
    (folder / "result").write_text("trained")
"""


def test_a_damaged_result_that_its_command_does_not_make_again_is_never_used(path_of_two):
    """A training run that has ended trains no more; its checkpoints are not removed for a changed file."""
    _, folder, _ = path_of_two
    script, out = folder / "ended.py", folder / "out"
    script.write_text(ENDED)
    stage = Stage("long", "train", (str(script), str(out)), out / "result", clean=(out,))
    runner = Runner(RunDir(folder / "other"), [stage], print)
    runner.execute()
    (out / "result").write_text("damaged")
    for _ in range(2):
        assert runner.decide()[0].reason == "result changed since: result"
        with pytest.raises(
            StageFailed, match=rf"put back what changed, or remove {re.escape(str(out))} to make it from"
        ):
            runner.execute()
        assert sorted(path.name for path in out.iterdir()) == ["checkpoint", "result"]
        assert (out / "result").read_text() == "damaged"
    (out / "result").rename(out / "result.changed")  # as a run leaves it that is killed meanwhile
    with pytest.raises(StageFailed, match="put back what changed"):
        runner.execute()
    assert [path.name for path in sorted(out.iterdir())] == ["checkpoint", "result"]
    (out / "result").write_text("trained")
    runner.execute()
    (out / "result").write_text("damaged")
    shutil.rmtree(out)
    runner.execute()
    assert (out / "result").read_text() == "trained"


def test_a_stage_always_has_a_record_of_what_is_in_its_folders(path_of_two, monkeypatch):
    runner, folder, _ = path_of_two
    (folder / "work").mkdir()
    stage = replace(runner.stages[0], clean=(folder / "work",))
    runner = Runner(runner.run, [stage], print)
    (folder / "work").rmdir()
    runner.execute()
    (folder / "work").mkdir()
    (folder / "raw").write_text("other")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runner_module, "write_started", full)
    with pytest.raises(
        UserError, match=rf"^{re.escape(str(folder))}.*: No space left on device; free some space .*again$"
    ):
        runner.execute()
    monkeypatch.undo()
    assert runner.decisions.record_path(stage).exists()


def test_a_stage_outlasts_a_note_of_its_time_that_cannot_be_written(path_of_two, monkeypatch):
    runner, folder, _ = path_of_two
    monkeypatch.setattr(process_module, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(process_module, "POLL_SECONDS", 0.05)
    script = folder / "slow.py"
    script.write_text(SLOW)
    stage = Stage("slow", "wait", (str(script), "0.5", str(folder / "slow")), folder / "slow")

    def full(path: Path, started: StartedStage) -> None:
        if started.seconds:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_started(path, started)

    monkeypatch.setattr(runner_module, "write_started", full)
    (record,) = Runner(runner.run, [stage], print).execute()
    assert record.name == "slow"


def test_a_record_names_the_code_and_the_cores(path_of_two, monkeypatch):
    runner, _, _ = path_of_two
    monkeypatch.setattr(runner_module, "git_state", lambda: {"revision": "abc", "dirty": True})
    for record in runner.execute():
        assert (record.revision, record.cores) == ("abc+", len(os.sched_getaffinity(0)))
        assert read_record(runner.decisions.record_path(Stage(record.name, "", (), Path()))) == record


def test_two_processes_never_work_on_one_stage(path_of_two, monkeypatch):
    runner, folder, _ = path_of_two
    monkeypatch.setattr(runner_module, "EARLIER_SECONDS", 0.5)
    runner = Runner(runner.run, runner.stages, print, grace_seconds=0.1)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", CHILD]) as left:
        write_started(runner.decisions.started_path(runner.stages[0]), StartedStage({}, 0.0, left.pid))
        with pytest.raises(UserError, match=rf"'first': process {left.pid} of an earlier run still .*kill {left.pid}"):
            runner.execute()
        assert not (folder / "first.count").exists()
        left.kill()


def test_what_an_interrupted_stage_wrote_is_not_needed_again(path_of_two):
    runner, folder, _ = path_of_two
    _, free = runner._free_space()
    (folder / "work").mkdir()
    (folder / "work" / "checkpoint").write_bytes(b"x" * 10**6)
    stage = replace(runner.stages[0], disk_bytes=free + 5 * 10**8, clean=(folder / "work",))
    runner = Runner(runner.run, [stage], print)
    write_started(runner.decisions.started_path(stage), StartedStage({}))
    assert f"'first' needs {(stage.disk_bytes - 10**6) / 1e9:,.1f} of its" in runner._space_problem(stage)
    assert runner._bytes_to_come(replace(stage, disk_bytes=10**5)) == 0


def test_a_stage_that_does_not_fit_after_the_earlier_ones_is_a_warning(path_of_two):
    runner, _, _ = path_of_two
    _, free = runner._free_space()
    stages = [replace(stage, disk_bytes=int(0.7 * free)) for stage in runner.stages]
    runner = Runner(runner.run, stages, print)
    assert runner.short_of_space() == [], "the first one needs the space and gives it back"
    (line,) = runner.short_of_space({"first": int(0.5 * free)})
    assert re.match(r"stage 'second' needs [\d,.]+ GB of disk after earlier stages leave [\d,.]+ GB, and", line)


def test_a_launcher_starts_the_command_and_gets_the_signals(path_of_two, monkeypatch):
    runner, _, _ = path_of_two
    stage = replace(runner.stages[0], launcher=("srun", "--nodes=2"))
    started: list[list[str]] = []

    original = subprocess.Popen

    def refuse(command: list[str], **options: object) -> object:
        if command[2:3] != [CHILD]:
            return original(command, **options)
        started.append(command)
        raise OSError("not here")

    monkeypatch.setattr(process_module.subprocess, "Popen", refuse)
    with pytest.raises(UserError, match="not here"):
        Runner(runner.run, [stage], print).execute()
    assert started[0][4:8] == ["--", "srun", "--nodes=2", sys.executable]
    assert started[0][-len(stage.command) :] == list(stage.command)
    assert stage.words()[:3] == ("srun", "--nodes=2", "innovator")
    monkeypatch.undo()
    waits = 'trap "exit 7" INT; echo waits; while :; do sleep 0.05; done'
    words = [sys.executable, "-m", CHILD, str(os.getpid()), "--", "sh", "-c", waits]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waits\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 7


def test_a_full_disk_stops_before_the_stage_that_would_not_fit(path_of_two):
    runner, folder, _ = path_of_two
    large = Stage(**{**vars(runner.stages[1]), "disk_bytes": 10**18})
    with pytest.raises(UserError, match=r"'second' needs 1,000,000,000\.0 GB"):
        Runner(runner.run, [runner.stages[0], large], print).execute()
    assert (folder / "first.count").read_text() == "1"
    assert not (folder / "second.count").exists()


def test_an_endless_stage_is_ended_at_its_limit(tmp_path):
    run = RunDir(tmp_path / "run")
    stage = Stage("endless", "wait", ("dashboard", "--help"), tmp_path / "x")
    runner = Runner(run, [stage], print, limit_seconds=0.0)
    with pytest.raises(StageFailed, match="passed its limit of 0 s"):
        runner.execute()


def test_the_last_line_is_readable_text(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"first\nsecond\r\x1b[1mthird\x07 \xff\n\n")
    assert last_line(log) == "[1mthird �"
    assert last_line(tmp_path / "none") == ""


def test_a_child_ends_with_a_killed_parent(tmp_path):
    """SIGKILL on the runner leaves no command behind."""
    program = (
        "import subprocess, sys, os, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'from innovator_rl.paper.child import end_with_parent; "
        "end_with_parent(%d); print(1, flush=True); import time; time.sleep(60)' % os.getpid()], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (
        Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    ):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)
