"""The results of a path without its weights: packed, unpacked elsewhere, and weights made again for a stage that reads them."""

import errno
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from small_path import small_path

from innovator_rl.data.corpus.manifest import CorpusManifest, StageEntry
from innovator_rl.errors import UserError
from innovator_rl.paper import pack as pack_module
from innovator_rl.paper import process as process_module
from innovator_rl.paper import runner as runner_module
from innovator_rl.paper.config import PaperConfig
from innovator_rl.paper.decisions import Decisions
from innovator_rl.paper.pack import CONTENTS, LARGEST_BYTES, Packed, pack, unpack
from innovator_rl.paper.plan import corpus_name, probe_file, stages_of
from innovator_rl.paper.process import CHILD
from innovator_rl.paper.report.claims import findings
from innovator_rl.paper.report.curves import panels
from innovator_rl.paper.report.write import markdown
from innovator_rl.paper.runner import Runner, StageFailed
from innovator_rl.paper.set_aside import drop
from innovator_rl.paper.stage import (
    Stage,
    StageRecord,
    StartedStage,
    read_record,
    stage_states,
    write_record,
    write_started,
)
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir

SCRIPT = f"""
import json, pathlib, sys
part, source, target = sys.argv[1], *map(pathlib.Path, sys.argv[2:4])
counts = target.parents[2] / "counts"
with counts.open("a") as handle:
    handle.write(part + " ")
target.parent.mkdir(parents=True, exist_ok=True)
if part == "train":
    if target.exists():
        sys.exit("it has ended and trains no more")
    (target.parent / "checkpoints").mkdir()
    (target.parent / "checkpoints" / "weights.bin").write_text(source.read_text())
    (target.parent / "rollouts").mkdir()
    (target.parent / "rollouts" / "train-1.parquet").write_text("many")
    (target.parent / "rollouts" / "validation-1.parquet").write_text("few")
    target.write_text("1")
elif part == "tune":
    if (target.parent / "metrics.jsonl").exists():
        sys.exit("it has ended and tunes no more")
    (target.parent / "metrics.jsonl").write_text("1")
    target.mkdir()
    (target / "model.bin").write_text(source.read_text() * {LARGEST_BYTES})
elif part == "export":
    target.mkdir()
    (target / "model.bin").write_text((source.parent / "checkpoints" / "weights.bin").read_text() * {LARGEST_BYTES})
    (target / "config.json").write_text(json.dumps({{"from": str(source)}}))
else:
    target.write_text(json.dumps({{"part": part, "run": str(target.parent), "sees": (source / "model.bin").read_text()[:5]}}))
"""


@pytest.fixture
def path_at(tmp_path, monkeypatch):
    """Make the runner of a path in a folder: a training run, its model, and evaluations of it."""
    script = tmp_path / "part.py"
    script.write_text(SCRIPT)
    original = subprocess.Popen

    def start(command, **options):
        if command[2:3] == [CHILD]:
            command = [sys.executable, *command[4:]]  # without `-m module parent`
        return original(command, **options)

    monkeypatch.setattr(process_module.subprocess, "Popen", start)

    def make(folder: Path, suites: tuple[str, ...] = ("one",), tuned: bool = False, **options) -> Runner:
        runs = folder / "runs"
        (runs / "path").mkdir(parents=True, exist_ok=True)
        raw = tmp_path / "raw"
        if not raw.exists():
            raw.write_text("learned")
        run, model = runs / "path-train", runs / "path" / "models" / "a"

        def stage(name: str, source: Path, target: Path, **more) -> Stage:
            return Stage(name, f"make {name}", (str(script), name, str(source), str(target)), target, **more)

        metrics = run / "metrics.jsonl"
        stages = [
            stage("train", raw, metrics, weights=run / "checkpoints", inputs=(raw,), clean=(run,)),
            stage("export", metrics, model, needs=("train",), clean=(model,)),
        ]
        if tuned:
            model = runs / "path-tune" / "model"
            stages = [stage("tune", raw, model, inputs=(raw,), clean=(model.parent,))]
        for suite in suites:
            report = runs / "path" / "evaluations" / suite / "report.json"
            stages.append(stage(suite, model, report, needs=(stages[0 if tuned else 1].name,), clean=(report.parent,)))
        return Runner(RunDir(runs / "path"), stages, [].append, **options)

    return make


def ran(runner: Runner) -> list[str]:
    counts = runner.run.path / "counts", runner.run.path.parent.parent / "counts", runner.run.path.parent / "counts"
    found = [word for file in counts if file.exists() for word in file.read_text().split()]
    for file in counts:
        file.unlink(missing_ok=True)
    return sorted(found)


def test_an_unpacked_path_is_complete_without_its_weights(path_at, tmp_path):
    here, there = path_at(tmp_path / "here"), path_at(tmp_path / "there")
    here.execute()
    assert pack(here.decisions, tmp_path / "small.tar.xz").stages == ("train", "export", "one")
    ran(here)
    found = unpack(there.decisions, tmp_path / "small.tar.xz")
    assert found.stages == ("train", "export", "one")
    assert [decision.runs for decision in there.decide()] == [False, False, False]
    there.execute()
    assert ran(there) == []
    report = json.loads((tmp_path / "there/runs/path/evaluations/one/report.json").read_text())
    assert report == {"part": "one", "run": str(tmp_path / "there/runs/path/evaluations/one"), "sees": "learn"}


def test_a_pack_holds_what_a_report_reads_and_nothing_of_the_machine(path_at, tmp_path, monkeypatch):
    here = path_at(tmp_path / "here")
    here.execute()
    run = tmp_path / "here/runs/path-train"
    (run / "run.json").write_text(
        json.dumps({"host": "node7", "command": ["/opt/bin/innovator"], "status": "finished"})
    )
    (run / "responses.sqlite").write_text(str(tmp_path / "here"))
    monkeypatch.setattr(pack_module, "LARGEST_BYTES", 0)
    pack(here.decisions, tmp_path / "small.tar.xz")
    with tarfile.open(tmp_path / "small.tar.xz") as archive:
        names = archive.getnames()
        texts = {name: handle.read() for name in names if (handle := archive.extractfile(name))}
    assert sorted(names) == [
        "pack.json", "path-train/metrics.jsonl", "path-train/rollouts/validation-1.parquet", "path-train/run.json",
        "path/evaluations/one/report.json", "path/stages/export.json", "path/stages/one.json", "path/stages/train.json",
    ]  # fmt: skip
    assert json.loads(texts["path-train/run.json"]) == {"status": "finished"}
    assert not any(str(tmp_path / "here").encode() in text for text in texts.values())


def test_a_new_stage_makes_the_weights_that_it_reads_and_nothing_else(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there").decisions, tmp_path / "small.tar.xz")
    more = path_at(tmp_path / "there", suites=("one", "two"))
    decisions = {one.stage.name: one for one in more.decide()}
    assert [name for name, one in decisions.items() if one.runs] == ["train", "export", "two"]
    assert [name for name, one in decisions.items() if not one.complete] == ["two"]
    assert decisions["train"].reason.endswith("path-train/checkpoints is not here, and export reads it")
    more.execute()
    assert ran(more) == ["export", "train", "two"]
    assert not any(path.name.endswith(".changed") for path in (tmp_path / "there/runs").iterdir())
    assert [one.runs for one in more.decide()] == [False] * 4
    assert not any(
        read_record(more.decisions.record_path(stage)).from_start for stage in more.stages if stage.name != "one"
    )


def test_an_unpacked_run_starts_again_and_does_not_continue(path_at, tmp_path):
    here = path_at(tmp_path / "here", tuned=True)
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there", tuned=True).decisions, tmp_path / "small.tar.xz")
    assert (tmp_path / "there/runs/path-tune/metrics.jsonl").exists()
    more = path_at(tmp_path / "there", suites=("one", "two"), tuned=True)
    more.execute()
    assert json.loads((tmp_path / "there/runs/path/evaluations/two/report.json").read_text())["sees"] == "learn"


def test_weights_that_come_out_differently_repeat_what_read_them(path_at, tmp_path):
    here = path_at(tmp_path / "here", suites=("one", "two"))
    here.execute()
    ran(here)
    shutil.rmtree(tmp_path / "here/runs/path/models/a")
    shutil.rmtree(tmp_path / "here/runs/path-train/checkpoints")
    (tmp_path / "here/runs/path/evaluations/two/report.json").unlink()
    script = tmp_path / "part.py"
    script.write_text(script.read_text().replace("* 1000000)", '* 1000000 + "other")'))
    here.execute()
    assert ran(here) == ["export", "one", "train", "two"]


@pytest.mark.parametrize("place", ["path/models/a", "path/models/a/model.bin", "path-train/checkpoints"])
def test_removed_weights_are_missed_only_when_they_are_read(path_at, tmp_path, place):
    here = path_at(tmp_path / "here")
    here.execute()
    ran(here)
    removed = tmp_path / "here/runs" / place
    shutil.rmtree(removed) if removed.is_dir() else removed.unlink()
    here.execute()
    assert ran(here) == []
    (tmp_path / "here/runs/path/evaluations/one/report.json").unlink()
    here.execute()
    made = {"path-train/checkpoints": []}.get(place, ["export"])
    assert ran(here) == [*made, "one"]
    report = json.loads((tmp_path / "here/runs/path/evaluations/one/report.json").read_text())
    assert report["sees"] == "learn"


def test_only_names_the_weights_that_are_not_here(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    shutil.rmtree(tmp_path / "here/runs/path/models")
    runner = path_at(tmp_path / "here", suites=("one", "two"), only=("two",))
    with pytest.raises(
        UserError, match=r"--only two: it reads the result of 'export', which is not complete .*add --only export"
    ):
        runner.execute()


def test_making_weights_again_is_continued_after_it_was_stopped(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there").decisions, tmp_path / "small.tar.xz")
    (tmp_path / "there/runs/path/evaluations/one/report.json").unlink()
    script = tmp_path / "part.py"
    working = script.read_text()
    script.write_text(working.replace('    target.write_text("1")', "    sys.exit('out of memory')"))
    there = path_at(tmp_path / "there")
    with pytest.raises(StageFailed, match="'train' failed with exit code 1: out of memory"):
        there.execute()
    assert (tmp_path / "there/runs/path-train.changed/metrics.jsonl").exists()
    earlier = tmp_path / "there/runs/path-train/checkpoints/earlier"
    earlier.write_text("of the first attempt")
    script.write_text(working.replace(".mkdir()", ".mkdir(exist_ok=True)"))
    there = path_at(tmp_path / "there")
    there.execute()
    assert [one.runs for one in there.decide()] == [False] * 3
    assert not (tmp_path / "there/runs/path-train.changed").exists()
    assert earlier.exists()


def test_what_was_begun_here_stays(path_at, tmp_path):
    here, there = path_at(tmp_path / "here"), path_at(tmp_path / "there")
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    own = tmp_path / "there/runs/path-train"
    own.mkdir(parents=True)
    (own / "metrics.jsonl").write_text("own")
    found = unpack(there.decisions, tmp_path / "small.tar.xz")
    assert (found.stages, found.others) == (("export", "one"), ("train",))
    assert (own / "metrics.jsonl").read_text() == "own"


def test_only_complete_stages_are_packed(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    with pytest.raises(UserError, match="no stage is complete; run the path first"):
        pack(here.decisions, tmp_path / "small.tar.xz")
    here.execute()
    more = path_at(tmp_path / "here", suites=("one", "two"))
    assert pack(more.decisions, tmp_path / "small.tar.xz").others == ("two",)


def test_what_is_gone_without_figures_is_no_excuse_for_figures(path_at, tmp_path):
    """A file is for the report: it is made again for itself."""
    here = path_at(tmp_path / "here")
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    there = path_at(tmp_path / "there")
    unpack(there.decisions, tmp_path / "small.tar.xz")
    metrics, report = (
        tmp_path / "there/runs" / name for name in ("path-train/metrics.jsonl", "path/evaluations/one/report.json")
    )
    (tmp_path / "there/runs/path-train/checkpoints").mkdir()
    assert [one.runs for one in there.decide()] == [False] * 3, "an empty folder has no weights"
    whole = metrics.read_text()
    metrics.write_text("other")
    assert there.decide()[0].reason == "result changed since: metrics.jsonl"
    metrics.unlink()
    assert there.decide()[0].reason == f"result not found: {metrics}"
    metrics.write_text(whole)
    report.unlink()
    assert [one.runs for one in there.decide()] == [True] * 3
    assert there.decide()[2].reason == f"result not found: {report}"


def test_a_model_that_no_stage_reads_is_not_made_again_where_it_was_unpacked(path_at, tmp_path):
    here, there = (path_at(tmp_path / name, suites=()) for name in ("here", "there"))
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    unpack(there.decisions, tmp_path / "small.tar.xz")
    assert [one.runs for one in there.decide()] == [False, False]
    shutil.rmtree(tmp_path / "here/runs/path/models")
    assert [one.runs for one in here.decide()] == [False, True]


def test_a_stage_whose_weights_have_to_be_made_again_is_packed(path_at, tmp_path):
    path_at(tmp_path / "here").execute()
    shutil.rmtree(tmp_path / "here/runs/path/models")
    more = path_at(tmp_path / "here", suites=("one", "two"))
    assert pack(more.decisions, tmp_path / "small.tar.xz") == Packed(("train", "export", "one"), ("two",))


def test_a_result_that_is_set_aside_is_neither_packed_nor_read(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    ran(here)
    model = tmp_path / "here/runs/path/models/a"
    model.rename(model.with_name("a.changed"))
    model.mkdir()  # unfinished, of a configuration that was edited and is what it was again
    write_started(here.decisions.started_path(here.stages[1]), StartedStage({"command": "other"}))
    assert [one.complete for one in here.decide()] == [True, False, True]
    assert pack(here.decisions, tmp_path / "small.tar.xz").others == ("export",)
    with pytest.raises(UserError, match=r"'export', which is not complete .its result was set aside and comes back."):
        path_at(tmp_path / "here", suites=("one", "two"), only=("two",)).execute()
    path_at(tmp_path / "here", suites=("one", "two")).execute()
    assert ran(here) == ["two"]


@pytest.mark.parametrize("read", [True, False])
def test_a_run_that_was_killed_before_it_made_weights_again(path_at, tmp_path, read):
    """Its folder is set aside: it is made again where a stage reads it, with the same command, and comes back elsewhere."""
    here = path_at(tmp_path / "here")
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there").decisions, tmp_path / "small.tar.xz")
    run = tmp_path / "there/runs/path-train"
    run.rename(run.with_name("path-train.changed"))
    there = path_at(tmp_path / "there", suites=("one", "two") if read else ("one",))
    there.execute()
    assert ran(there) == (["export", "train", "two"] if read else [])
    assert (run / "metrics.jsonl").exists()
    assert (run / "checkpoints").exists() == read
    assert not run.with_name("path-train.changed").exists()


def test_weights_that_were_half_made_are_dropped_where_no_stage_reads_them_any_more(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there").decisions, tmp_path / "small.tar.xz")
    script = tmp_path / "part.py"
    script.write_text(script.read_text().replace('    target.write_text("1")', "    sys.exit('out of memory')"))
    with pytest.raises(StageFailed, match="out of memory"):
        path_at(tmp_path / "there", suites=("one", "two")).execute()
    there = path_at(tmp_path / "there")
    assert [one.complete for one in there.decide()] == [False, True, True], "its figures are set aside"
    there.execute()
    assert [one.complete for one in there.decide()] == [True, True, True]
    assert (tmp_path / "there/runs/path-train/metrics.jsonl").exists()


def test_a_run_that_is_killed_while_it_removes_the_earlier_result_keeps_the_new_one(path_at, tmp_path, monkeypatch):
    path_at(tmp_path / "here").execute()
    script = tmp_path / "part.py"
    script.write_text(script.read_text().replace("write_text(source.read_text())", 'write_text("other")'))

    def killed(paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner_module, "drop", killed)
    with pytest.raises(KeyboardInterrupt):
        path_at(tmp_path / "here", repeat=("train",)).execute()
    monkeypatch.setattr(runner_module, "drop", drop)
    run = tmp_path / "here/runs/path-train"
    assert run.with_name("path-train.changed").exists()
    here = path_at(tmp_path / "here", only=("train",))
    assert here.decide()[0].complete
    here.execute()
    assert (run / "checkpoints/weights.bin").read_text() == "other"
    assert not run.with_name("path-train.changed").exists()


def test_unpacking_that_was_stopped_is_done_again(path_at, tmp_path, monkeypatch):
    here, there = path_at(tmp_path / "here"), path_at(tmp_path / "there")
    here.execute()
    pack(here.decisions, tmp_path / "small.tar.xz")

    def full(path: Path, record: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(pack_module, "write_record", full)
    with pytest.raises(UserError, match=r"train\.json: No space left on device; free some space .* then unpack again$"):
        unpack(there.decisions, tmp_path / "small.tar.xz")
    assert (tmp_path / "there/runs/path-train/metrics.jsonl").exists()
    monkeypatch.setattr(pack_module, "write_record", write_record)
    assert unpack(there.decisions, tmp_path / "small.tar.xz").others == ()
    assert unpack(there.decisions, tmp_path / "small.tar.xz").stages == ()


def test_a_pack_that_cannot_be_written_is_named_in_one_line(path_at, tmp_path):
    here = path_at(tmp_path / "here", suites=())
    here.execute()
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "file" / "x", tmp_path / "folder"):
        with pytest.raises(UserError, match=r"; free some space, or name another file than") as caught:
            pack(here.decisions, out)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def archive(folder: Path, members: dict[str, str]) -> Path:
    with tarfile.open(folder / "pack.tar.xz", "w:xz") as out:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            out.addfile(member, io.BytesIO(text.encode()))
    return folder / "pack.tar.xz"


RECORD = '{"format": 1, "name": "train", "parts": {}, "files": {}, "seconds": 1, "finished": "", "command": []}'


def stages(member: str) -> str:
    return json.dumps({"format": 1, "stages": {"train": ["path/stages/train.json", member]}})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"other": "text"}, "not a pack"),
        ({CONTENTS: "[]"}, "not a pack"),
        ({CONTENTS: '{"format": 2, "stages": {}}'}, "format 2, expected 1"),
        ({CONTENTS: '{"format": 1, "stages": {"train": ["path-train/metrics.jsonl"]}}'}, "metrics.jsonl is missing"),
        ({CONTENTS: '{"format": 1, "stages": {"train": ["../x"]}}', "../x": "text"}, "not a pack"),
        ({CONTENTS: '{"format": 1, "stages": {"train": []}}'}, "'train' is of a path of another name"),
        ({CONTENTS: "[" * 100_000}, "not a pack"),
        (
            {CONTENTS: stages("other/run.json"), "path/stages/train.json": RECORD, "other/run.json": ""},
            "of another name",
        ),
        (
            {CONTENTS: stages("path-train/../x"), "path/stages/train.json": RECORD, "path-train/../x": ""},
            "of another name",
        ),
        (
            {CONTENTS: stages("path-train/x"), "path/stages/train.json": "{}", "path-train/x": ""},
            "of another name or version",
        ),
    ],
)
def test_a_file_that_is_no_pack_of_this_path_is_refused_in_one_line(path_at, tmp_path, members, message):
    runner = path_at(tmp_path / "there")
    with pytest.raises(UserError, match=message) as caught:
        unpack(runner.decisions, archive(tmp_path, members))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "there/runs/path/stages").exists()


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(path_at, tmp_path, monkeypatch):
    monkeypatch.setattr(pack_module, "MOST_BYTES", 9)
    with pytest.raises(UserError, match=r"not a pack .*its files have 10 bytes, expected at most 9"):
        unpack(path_at(tmp_path / "there").decisions, archive(tmp_path, {CONTENTS: " " * 10}))


def test_a_damaged_or_absent_file_is_refused_in_one_line(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    file = tmp_path / "small.tar.xz"
    with pytest.raises(UserError, match="file not found; `innovator paper pack` writes it"):
        unpack(here.decisions, file)
    pack(here.decisions, file)
    whole = file.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2], whole[:200] + bytes(20) + whole[220:]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="not a pack"):
            unpack(path_at(tmp_path / "there").decisions, file)


def complete(decisions: Decisions) -> None:
    """Write the records of stages whose results are there."""
    results: dict[str, str] = {}
    for stage in decisions.stages:
        states = stage_states(stage, decisions.places)
        assert states, stage.result
        record = StageRecord(stage.name, decisions.parts(stage, results), states, 60.0, "", stage.command, "abc", 2)
        write_record(decisions.record_path(stage), record)
        results[stage.name] = record.checksum


def test_data_that_are_not_on_the_machine_that_unpacks_change_nothing(tmp_path):
    text = tmp_path / "text"
    text.write_text("learned")

    def decisions(folder: str, data: str, *files: Path) -> Decisions:
        runs = tmp_path / folder / "runs"
        result = runs / "path" / "corpus"
        stage = Stage("corpus", "", ("data",), result, reads={"raw text": files}, facts={"published sets": data})
        return Decisions(RunDir(runs / "path"), [stage])

    here, there = decisions("here", "/data", text), decisions("there", "")
    here.stages[0].result.mkdir(parents=True)
    (here.stages[0].result / "manifest.json").write_text("{}")
    complete(here)
    pack(here, tmp_path / "small.tar.xz")
    unpack(there, tmp_path / "small.tar.xz")
    assert not there.all()[0].runs
    text.write_text("other")
    assert decisions("there", "", text).all()[0].reason == "changed: raw text"
    assert decisions("there", "/sets").all()[0].reason == "changed: published sets"


def fill(config: PaperConfig) -> None:
    """Write what the report of a path reads, and weights."""
    learned = {
        "model": {"dtype": "float32"}, "schedule": {"steps": 7, "epochs": 1}, "optimizer": {"batch_rows": 4, "learning_rate": 1e-5},
        "rollout": {"samples_per_prompt": 8, "max_response_tokens": 48, "temperature": 1.0},
        "algorithm": {"prompts_per_step": 12, "learning_rate": 3e-5, "clip_low": 0.2, "clip_high": 0.28},
    }  # fmt: skip
    losses = {text: {str(n): [1.5 * n, n] for n in range(10, 40)} for text in ("general", "physics")}
    trained = {"stage": {"tokens": 10240, "batch_tokens": 2048, "learning_rate": 2e-5}}
    upcycled = ("t-upcycle.route", "t-upcycle.integrate", "t-upcycle.dense")
    for name in (*upcycled, "t-sft-base", "t-a-0", "t-a-3"):
        run = RunDir(config.runs_dir / name)
        attempt = run.open_attempt(total_steps=5)
        recorder = Recorder(run.path, writer="test", attempt=attempt)
        row = RolloutRow(step=0, prompt_uid="g", sample=0, kind="validation", data_source="product", prompt_id="q")
        if name.startswith("t-a-"):
            recorder.rollout(row)
        recorder.close()
        for step, accuracy in ((0, 0.25), (5, 0.5)):
            values = {"train/tokens": 8.0, "val/loss/general": 2.0, "val/loss/science": 2.0 - accuracy}
            shares = {
                "val-core/product/acc/mean@1": accuracy,
                "source/product/responses": 8,
                "source/product/correct": 4,
            }
            run.write_metrics(step, values if name in upcycled else values | shares)
            if name in upcycled:
                run.write_held_out(step, losses)
        run.config_yaml.write_text(json.dumps(trained if name in upcycled else learned))
        (run.checkpoints / "weights").write_text("large")
        run.finish("finished")
    paper = config.runs_dir / "t"
    for stage in stages_of(config):
        if not stage.result.suffix:
            for folder in (stage.result, *stage.also):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "weights.bin").write_bytes(bytes(LARGEST_BYTES + 1))
        elif not stage.result.exists():
            stage.result.parent.mkdir(parents=True, exist_ok=True)
            values = {f"q{n}": float(n % 3 == 0) for n in range(100)}
            rows = [
                {
                    "task": "sums",
                    "metric": "acc",
                    "score": 0.3,
                    "interval": [0, 1],
                    "n": 100,
                    "skipped": None,
                    "main": True,
                }
            ]
            document = {"run": str(config.runs_dir / stage.name), "tasks": {"sums": {"values": values}}, "rows": rows}
            document["checks"] = [{"name": "vllm", "figure": "same", "bound": "0.1"}]
            stage.result.write_text(json.dumps(document))
    manifest = CorpusManifest(name=corpus_name(config.corpus.config), stages=[StageEntry(name="deduplicate")])
    manifest.save(paper / "data" / manifest.name)
    probe = {
        "task": f"{paper}/data/product/validation.parquet", "prompts": 40, "samples": 8, "accuracy": 0.2, "error": 0.02,
        "constant": 0.15, "usable": 0.7, "unreadable": 0.01, "cut": 0.5, "passes": True, "reasons": [],
    }  # fmt: skip
    probe_file(config, "mixture").write_text(json.dumps({"rows": [probe]}))


def test_the_report_of_an_unpacked_path_is_that_of_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(pack_module, "LARGEST_BYTES", 0)
    arm = {"name": "a", "model": "mixture", "seeds": [0, 3], "probe_rows": 40}

    def config_in(folder: str) -> PaperConfig:
        return small_path(
            runs_dir=tmp_path / folder / "runs",
            corpus={"config": "configs/data/corpus-tiny.yaml"},
            sft={"config": "configs/sft/tiny.yaml"},
            learning={"config": "configs/train/moe.yaml", "arms": [arm]},
        )

    shown = []
    for folder in ("here", "there"):
        config = config_in(folder)
        if folder == "here":
            fill(config)
        decisions = Decisions(RunDir(config.runs_dir / "t"), stages_of(config))
        if folder == "here":
            complete(decisions)
            pack(decisions, tmp_path / "small.tar.xz")
        else:
            unpack(decisions, tmp_path / "small.tar.xz")
            assert not list((tmp_path / "there").rglob("weights*"))
            decisions = Decisions(decisions.run, stages_of(config))
        assert [one.reason for one in decisions.all() if not one.complete or one.runs] == []
        text = markdown(config, decisions.all(), findings(config), panels(config))
        shown.append(re.sub(r"Written .* UTC", "", text.replace(str(config.runs_dir), "")))
    for heading in (
        "What training changed",
        "Upcycling",
        "Text",
        "Choice of tasks",
        "Reinforcement learning",
        "Tokens",
        "Methods",
    ):
        assert f"## {heading}\n" in shown[0]
    assert "| product | 1 | 25.0 (step 0) | 50.0 (step 5) |" in shown[0]
    assert "resample the 30 sequences" in shown[0]
    assert shown[1] == shown[0]
