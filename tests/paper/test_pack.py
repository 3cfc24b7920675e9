"""The results of a path without its weights: packed, unpacked elsewhere, and weights made again for a stage that reads them."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from innovator_rl.errors import UserError
from innovator_rl.paper import process as process_module
from innovator_rl.paper.pack import CONTENTS, LARGEST_BYTES, pack, unpack
from innovator_rl.paper.places import Places
from innovator_rl.paper.process import CHILD
from innovator_rl.paper.runner import Runner, StageFailed
from innovator_rl.paper.stage import Stage, read_record
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
    (target / "config.json").write_text("{{}}")
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
    assert pack(here, tmp_path / "small.tar.xz").stages == ("train", "export", "one")
    ran(here)
    found = unpack(there, tmp_path / "small.tar.xz")
    assert found.stages == ("train", "export", "one")
    assert [decision.runs for decision in there.decide()] == [False, False, False]
    there.execute()
    assert ran(there) == []
    report = json.loads((tmp_path / "there/runs/path/evaluations/one/report.json").read_text())
    assert report == {"part": "one", "run": str(tmp_path / "there/runs/path/evaluations/one"), "sees": "learn"}


def test_a_pack_holds_what_a_report_reads_and_no_folder_of_the_machine(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    pack(here, tmp_path / "small.tar.xz")
    with tarfile.open(tmp_path / "small.tar.xz") as archive:
        names = archive.getnames()
        texts = [handle.read() for name in names if (handle := archive.extractfile(name))]
    assert sorted(names) == [
        "pack.json", "path-train/metrics.jsonl", "path-train/rollouts/validation-1.parquet", "path/evaluations/one/report.json",
        "path/models/a/config.json", "path/stages/export.json", "path/stages/one.json", "path/stages/train.json",
    ]  # fmt: skip
    assert not any(str(tmp_path / "here").encode() in text for text in texts)


def test_a_new_stage_makes_the_weights_that_it_reads_and_nothing_else(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    pack(here, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there"), tmp_path / "small.tar.xz")
    more = path_at(tmp_path / "there", suites=("one", "two"))
    decisions = {one.stage.name: one for one in more.decide()}
    assert [name for name, one in decisions.items() if one.runs] == ["train", "export", "two"]
    assert [name for name, one in decisions.items() if not one.complete] == ["two"]
    assert decisions["train"].reason.endswith("path-train/checkpoints is not here, and export reads it")
    more.execute()
    assert ran(more) == ["export", "train", "two"]
    assert not any(path.name.endswith(".changed") for path in (tmp_path / "there/runs").iterdir())
    assert [one.runs for one in more.decide()] == [False] * 4
    assert not any(read_record(more.record_path(stage)).from_start for stage in more.stages if stage.name != "one")


def test_an_unpacked_run_starts_again_and_does_not_continue(path_at, tmp_path):
    here = path_at(tmp_path / "here", tuned=True)
    here.execute()
    pack(here, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there", tuned=True), tmp_path / "small.tar.xz")
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
    pack(here, tmp_path / "small.tar.xz")
    unpack(path_at(tmp_path / "there"), tmp_path / "small.tar.xz")
    (tmp_path / "there/runs/path/evaluations/one/report.json").unlink()
    script = tmp_path / "part.py"
    working = script.read_text()
    script.write_text(working.replace('    target.write_text("1")', "    sys.exit('out of memory')"))
    there = path_at(tmp_path / "there")
    with pytest.raises(StageFailed, match="'train' failed with exit code 1: out of memory"):
        there.execute()
    assert (tmp_path / "there/runs/path-train.changed/metrics.jsonl").exists()
    script.write_text(working.replace(".mkdir()", ".mkdir(exist_ok=True)"))
    there = path_at(tmp_path / "there")
    there.execute()
    assert [one.runs for one in there.decide()] == [False] * 3
    assert not (tmp_path / "there/runs/path-train.changed").exists()


def test_what_was_begun_here_stays(path_at, tmp_path):
    here, there = path_at(tmp_path / "here"), path_at(tmp_path / "there")
    here.execute()
    pack(here, tmp_path / "small.tar.xz")
    own = tmp_path / "there/runs/path-train"
    own.mkdir(parents=True)
    (own / "metrics.jsonl").write_text("own")
    found = unpack(there, tmp_path / "small.tar.xz")
    assert (found.stages, found.others) == (("export", "one"), ("train",))
    assert (own / "metrics.jsonl").read_text() == "own"


def test_only_complete_stages_are_packed(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    with pytest.raises(UserError, match="no stage is complete; run the path first"):
        pack(here, tmp_path / "small.tar.xz")
    here.execute()
    more = path_at(tmp_path / "here", suites=("one", "two"))
    assert pack(more, tmp_path / "small.tar.xz").others == ("two",)


def archive(folder: Path, members: dict[str, str]) -> Path:
    with tarfile.open(folder / "pack.tar.xz", "w:xz") as out:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            out.addfile(member, io.BytesIO(text.encode()))
    return folder / "pack.tar.xz"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"other": "text"}, "not a pack"),
        ({CONTENTS: "[]"}, "not a pack"),
        ({CONTENTS: '{"format": 2, "stages": {}}'}, "format 2, expected 1"),
        ({CONTENTS: '{"format": 1, "stages": {"train": ["path-train/metrics.jsonl"]}}'}, "metrics.jsonl is missing"),
        ({CONTENTS: '{"format": 1, "stages": {"train": ["../x"]}}', "../x": "text"}, "not a pack"),
        ({CONTENTS: '{"format": 1, "stages": {"train": []}}'}, "'train' is of a path of another name"),
    ],
)
def test_a_file_that_is_no_pack_of_this_path_is_refused_in_one_line(path_at, tmp_path, members, message):
    runner = path_at(tmp_path / "there")
    with pytest.raises(UserError, match=message) as caught:
        unpack(runner, archive(tmp_path, members))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "there/runs/path/stages").exists()


def test_a_damaged_or_absent_file_is_refused_in_one_line(path_at, tmp_path):
    here = path_at(tmp_path / "here")
    here.execute()
    file = tmp_path / "small.tar.xz"
    with pytest.raises(UserError, match="file not found; `innovator paper pack` writes it"):
        unpack(here, file)
    pack(here, file)
    whole = file.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2], whole[:200] + bytes(20) + whole[220:]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="not a pack"):
            unpack(path_at(tmp_path / "there"), file)


def test_names_of_folders_replace_whole_paths_only():
    places = Places(Path("/work/project/runs"), here=Path("/work/project"))
    text = "a=/work/project/runs/x b=[/work/project/runs, /work/project/y] c=/work/projects /work/project-2 /other/work/project"
    short = places.short(text)
    assert short == "a={runs}/x b=[{runs}, {here}/y] c=/work/projects /work/project-2 /other/work/project"
    assert places.long(short) == text
    assert Places(Path("/"), here=Path("/")).short("/a/b") == "/a/b"
