"""What the report of a path shows, and what it claims."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_path import small_path
from typer.testing import CliRunner

from innovator_rl.cli.paper import app
from innovator_rl.errors import UserError
from innovator_rl.paper.plan import checks_file, probe_file, stages_of
from innovator_rl.paper.report import sections
from innovator_rl.paper.report.claims import (
    Comparison,
    Finding,
    change_of,
    claims,
    findings,
    holm,
    question_kinds,
)
from innovator_rl.paper.report.held_out import relative
from innovator_rl.paper.report.held_out import upcycling as upcycling_section
from innovator_rl.paper.report.markdown import percent, table
from innovator_rl.paper.report.methods import methods, stage_title
from innovator_rl.paper.report.picture import forest
from innovator_rl.paper.report.sections import domains, evaluations, probes, trained_tokens
from innovator_rl.paper.report.sections import learning as learning_section
from innovator_rl.paper.report.sections import stages as stages_section
from innovator_rl.paper.report.write import markdown, pdf, without_local_places, write_report
from innovator_rl.paper.stage import Decision, Stage, StageRecord
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")


def report(folder: Path, suite: str, model: str, values: dict[str, float], skipped: str | None = None) -> None:
    """Write what an evaluation leaves."""
    score = sum(values.values()) / len(values) if values else None
    row = {
        "task": "sums", "metric": "acc", "score": score, "interval": [0, 1] if values else None, "n": len(values),
        "skipped": skipped, "main": True, "constant": 0.1,
    }  # fmt: skip
    target = folder / "t" / "evaluations" / suite / model
    target.mkdir(parents=True)
    tasks = {"sums": {"values": values}} if values else {}
    (target / "report.json").write_text(json.dumps({"run": str(folder / model), "tasks": tasks, "rows": [row]}))


def test_every_trained_model_is_compared_with_the_one_it_started_from(tmp_path):
    arms = [{"name": "a", "model": "sft-base", "seeds": [0, 1], "tasks": ["product"]}]
    config = small_path(
        runs_dir=tmp_path,
        sft={"config": "configs/sft/tiny.yaml"},
        learning={"config": "configs/train/moe.yaml", "arms": arms},
        evaluations=[{"suite": "smoke", "models": ["base", "dense", "mixture", "sft-base", "a-0"]}],
    )
    right = {"base": 10, "dense": 10, "mixture": 40, "sft-base": 50, "a-0": 90}
    for model, count in right.items():
        report(tmp_path, "smoke", model, {f"q{n}": float(n < count) for n in range(100)})
    shown = "\n".join(claims(findings(config)))
    assert [line.split(", from ")[0].partition("]")[0].lstrip("[") for line in shown.splitlines() if ", from " in line] == [
        "dense", "mixture", "sft-base", "a-0",
    ]  # fmt: skip
    assert "| - | sums | 100 (100) | 10.0 | 10.0 | 40.0 | +30.0 [" in shown
    assert "| - | sums | 100 (100) | 10.0 | 50.0 | 90.0 | +40.0 [" in shown
    assert "- All tasks: higher on 1 of 1 tasks (sums), lower on 0." in shown
    assert "a-1" not in shown
    assert "no difference seen" in shown


def test_a_task_that_one_model_skipped_is_shown_for_the_others(tmp_path):
    config = small_path(runs_dir=tmp_path, evaluations=[{"suite": "smoke", "models": ["base", "dense"]}])
    report(tmp_path, "smoke", "base", {"q": 1.0})
    report(tmp_path, "smoke", "dense", {}, skipped="no data")
    shown = "\n".join(evaluations(config))
    assert "| sums (acc) | 1 | 10.0 | 100.0 [0.0, 100.0] | - |" in shown
    assert "- sums (acc): skipped for dense, no data" in shown


def test_the_papers_figures_and_averages_stand_next_to_those_of_the_models(tmp_path):
    config = small_path(runs_dir=tmp_path, evaluations=[{"suite": "smoke", "models": ["base", "dense"]}])
    for model, scores in (("base", (0.2, 0.4)), ("dense", (0.3, None))):
        rows = [
            {"task": task, "metric": "acc", "score": score, "interval": None, "n": 4, "main": True, "paper": {"7B": 66.4},
             "skipped": None if score is not None else "no data"}
            for task, score in zip(("one", "two"), scores, strict=True)
        ]  # fmt: skip
        folder = tmp_path / "t" / "evaluations" / "smoke" / model
        folder.mkdir(parents=True)
        document = {
            "run": str(folder),
            "tasks": {},
            "rows": rows,
            "columns": ["7B"],
            "averages": {"one": "All", "two": "All"},
        }
        (folder / "report.json").write_text(json.dumps(document))
    shown = "\n".join(evaluations(config))
    assert "| one (acc) | 4 | - | 20.0 | 30.0 | 66.4 |" in shown
    assert "| **Average: All**, 1 of 2 tasks |  |  | 20.0 | 30.0 | - |" in shown, (
        "models are averaged over the same tasks"
    )


def test_the_report_shows_what_the_probes_say(tmp_path):
    arm = {"name": "a", "model": "base", "tasks": ["product"], "probe_rows": 40}
    config = small_path(runs_dir=tmp_path, learning={"config": "configs/train/moe.yaml", "arms": [arm]}, evaluations=[])
    assert probes(config) == []
    row = {
        "task": "runs/t/data/product/validation.parquet", "prompts": 40, "samples": 8, "accuracy": 0.2, "error": 0.021,
        "constant": 0.15, "usable": 0.7, "unreadable": 0.01, "cut": 0.5, "passes": False, "reasons": ["usable share below 50%"],
    }  # fmt: skip
    other = {**row, "task": "runs/t/data/sums/validation.parquet", "passes": True}
    probe_file(config, "base").parent.mkdir(parents=True)
    probe_file(config, "base").write_text(json.dumps({"model": "m", "rows": [row, other]}))
    shown = probes(config)
    measured = "40 x 8 | 20.0 ± 2.1 | 15.0 | 70.0 | 1.0 | 50.0"
    assert f"| base | product | {measured} | no: usable share below 50% | a |" in shown
    assert f"| base | sums | {measured} | yes | - |" in shown
    assert "- Arm a trains on tasks that do not pass: product." in shown
    more = [arm, {"name": "b", "model": "mixture", "tasks": ["product"]}]
    config = small_path(runs_dir=tmp_path, learning={"config": "configs/train/moe.yaml", "arms": more}, evaluations=[])
    assert "- The starting model of arm b was not measured." in probes(config)


def test_the_report_names_what_did_not_run_and_what_was_skipped(tmp_path):
    config = small_path(runs_dir=tmp_path, deviations=["No GPU."])
    stages = stages_of(config)
    directory = RunDir(tmp_path / "t").create()
    document = {
        "run": str(tmp_path / "t-eval-smoke-base"),
        "tasks": {},
        "rows": [
            {"task": "sums", "metric": "acc", "score": 0.25, "interval": [0.1, 0.5], "n": 4, "skipped": None, "main": True,
             "constant": 0.125},
            {"task": "mmlu", "metric": "acc", "score": None, "interval": None, "n": 0, "skipped": "no network: cais/mmlu"},
        ],
    }  # fmt: skip
    folder = tmp_path / "t" / "evaluations" / "smoke" / "base"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(document))
    decisions = [
        Decision(stage, stage.name != "upcycle", "not run yet", 61.0 if stage.name == "upcycle" else None)
        for stage in stages
    ]
    path = write_report(config, directory, decisions)
    text = path.read_text()
    assert "1 of 11 stages ran in 1 min 01 s" in text
    assert "Out of date" not in text
    assert "**Not complete:** 10 of 11 stages have not run" in text
    assert "- No GPU." in text
    assert "| [upcycle](logs/upcycle.log) | " in text
    assert "| train-a-0 | train mixture with GRPO, seed 0 | not run |" in text
    assert "| sums (acc) | 4 | 12.5 | 25.0 [10.0, 50.0] |" in text
    assert "mmlu (acc): skipped, no network: cais/mmlu" in text
    assert (directory.path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "<table>" in (directory.path / "report.html").read_text()
    assert markdown(config, decisions, [], []).splitlines()[4:] == text.splitlines()[4:]
    decisions[0] = Decision(stages[0], True, "changed: command", 9.0)
    shown = markdown(config, decisions, [], [])
    assert f"**Out of date: {stages[0].name}.**" in shown
    assert "| 9 s, out of date (changed: command) |" in shown
    assert "1 of 11 stages ran in 1 min 01 s" in shown


def test_a_copy_for_others_has_no_place_of_this_machine(tmp_path):
    data, model = tmp_path / "runs-data", tmp_path / "models" / "base"
    data.mkdir()
    config = small_path(
        runs_dir=tmp_path / "runs",
        data=str(data),
        base_model=str(model),
        evaluations=[{"suite": "smoke", "models": ["base", "dense"]}, {"suite": "paper-small", "models": ["base"]}],
    )
    for name, right in (("base", 20), ("dense", 50)):
        report(tmp_path / "runs", "smoke", name, {f"q{n}": float(n < right) for n in range(100)})
    report(
        tmp_path / "runs", "paper-small", "base", {}, skipped=f"no set below the data folder ({data}; --data or ../x)"
    )
    run = RunDir(tmp_path / "runs" / "t").create()
    decisions = [Decision(stage, True, "not run yet", None) for stage in stages_of(config)]
    decisions[0] = Decision(decisions[0].stage, False, "took 1 s", 1.0)
    own = write_report(config, run, decisions).read_text()
    assert "(http://127.0.0.1:8000/#/runs/dense)" in own
    assert "](logs/" in own
    assert str(tmp_path) in own
    copied = write_report(config, run, decisions, tmp_path / "copy").read_text()
    assert "dense, from `base`, on smoke." in copied
    assert "(changes.svg)" in copied
    assert " runs/t/" in copied
    assert "below the data folder (data; --data or ../x)" in copied
    assert "Base model `base`." in copied
    names = {"report.md", "report.html", "report.pdf", "changes.svg"}
    assert {file.name for file in (tmp_path / "copy").iterdir()} == names
    for text in (copied, (tmp_path / "copy" / "report.html").read_text()):
        assert [place for place in ("127.0.0.1", "logs/", str(tmp_path), str(Path.cwd())) if place in text] == []


def test_the_command_writes_a_copy_and_nothing_else(tmp_path):
    found = CliRunner().invoke(
        app, ["report", "quick", f"runs_dir={tmp_path / 'runs'}", "--out", str(tmp_path / "copy")]
    )
    assert (found.exit_code, found.stdout.strip()) == (0, str(tmp_path / "copy" / "report.md"))
    text = (tmp_path / "copy" / "report.md").read_text()
    assert "No held-out loss has been measured yet." in text
    assert str(tmp_path) not in text
    assert not (tmp_path / "runs").exists()


def test_a_short_name_replaces_whole_folders_only(tmp_path, monkeypatch):
    config = small_path(runs_dir=Path("/data"))
    text = "/data/t /shared/data/x /data-old/x https://a.b/data/c `/data`"
    assert without_local_places(text, config) == "runs/t /shared/data/x /data-old/x https://a.b/data/c `runs`"
    monkeypatch.chdir("/")
    assert without_local_places("https://a.b and /data", config) == "https://a.b and runs"


def test_a_report_is_written_next_to_the_results_that_it_shows(tmp_path):
    (tmp_path / "upcycle-scaling.md").write_text("### What holds\n")
    (tmp_path / "upcycle-scaling.png").write_bytes(PIXEL)
    config = small_path(runs_dir=tmp_path / "runs", scaling=tmp_path)
    assert write_report(config, RunDir(tmp_path / "runs" / "t"), [], tmp_path) == tmp_path / "report.md"
    with pytest.raises(
        UserError, match=r"the report cannot be written to .*report.md \(File exists\): choose another folder"
    ):
        write_report(config, RunDir(tmp_path / "runs" / "t"), [], tmp_path / "report.md")
    assert not (tmp_path / "runs").exists()


def test_the_report_shows_the_results_of_the_scaling_benchmark_in_every_format(tmp_path):
    with pytest.raises(ValueError, match=r"scaling = .*: upcycle-scaling.md not found there; .*upcycle_scaling --out"):
        small_path(scaling=tmp_path)
    (tmp_path / "upcycle-scaling.md").write_text(
        "# Page\n\nAbout it.\n\n### What holds\n\n| way | loss |\n|---|---:|\n| printed-2 | 3.210 |\n"
    )
    (tmp_path / "upcycle-scaling.png").write_bytes(PIXEL)
    run = RunDir(tmp_path / "t").create()
    text = write_report(small_path(scaling=tmp_path), run, []).read_text()
    assert "| printed-2 | 3.210 |" in text
    assert "About it." not in text
    assert "(upcycle-scaling.png)" in text
    assert (run.path / "upcycle-scaling.png").read_bytes() == PIXEL
    assert b"/Subtype /Image" in (run.path / "report.pdf").read_bytes()


def test_marks_that_the_font_of_the_pdf_lacks_are_written_otherwise(tmp_path, monkeypatch):
    import fpdf

    drawn = []
    original = fpdf.table.Table.row
    monkeypatch.setattr(
        fpdf.table.Table, "row", lambda self, cells=(), **words: drawn.append(cells) or original(self, cells, **words)
    )
    pdf("| score | share |\n|---|---|\n| 1.0 † | ≤ 2 – 3 |\n", tmp_path)
    assert [list(cells) for cells in drawn][1] == ["1.0 *", "<= 2 - 3"]


def test_a_table_of_a_page_has_no_row_of_dashes_in_the_pdf(tmp_path, monkeypatch):
    import fpdf

    drawn = []
    original = fpdf.table.Table.row
    monkeypatch.setattr(
        fpdf.table.Table, "row", lambda self, cells=(), **words: drawn.append(cells) or original(self, cells, **words)
    )
    pdf("| way | loss |\n|---|---:|\n| a | 1 |\n", tmp_path)
    assert drawn == [["way", "loss"], ["a", "1"]]


def test_an_arm_is_compared_with_its_start_by_question_over_all_seeds():
    before = {f"q{n}": float(n < 20) for n in range(100)}
    better = {f"q{n}": float(n < 50) for n in range(100)}
    change = change_of("laws", before, [better, better | {"q0": 0.0}], 0.1)
    assert change is not None
    assert (change.n, change.before, change.after, change.outcome) == (100, 0.2, pytest.approx(0.495), "higher")
    assert change.seeds == pytest.approx((0.3, 0.29))
    same = change_of("laws", before, [before], None)
    assert same is not None
    assert same.outcome == "no difference seen"
    worse = change_of("laws", better, [before], None)
    assert worse is not None
    assert worse.outcome == "lower"
    assert change_of("laws", before, [{"other": 1.0}], None) is None
    few = change_of("laws", {"a": 0.0, "b": 0.0}, [{"a": 1.0, "b": 1.0}], None)
    assert few is not None
    assert few.outcome == "too few questions (under 30)"


def test_the_picture_has_every_difference_on_one_scale(tmp_path):
    arms = [{"name": "a", "model": "base", "seeds": [0, 1], "tasks": ["product"]}]
    config = small_path(
        runs_dir=tmp_path,
        upcycle=None,
        learning={"config": "configs/train/moe.yaml", "arms": arms},
        evaluations=[{"suite": "smoke", "models": ["base", "a"]}],
    )
    assert forest(findings(config)) == ""
    for model, right in (("base", 20), ("a-0", 50), ("a-1", 70)):
        report(tmp_path, "smoke", model, {f"q{n}": float(n < right) for n in range(100)})
    run = RunDir(tmp_path / "t").create()
    text = write_report(config, run, []).read_text()
    assert "(changes.svg)" in text
    drawn = (run.path / "changes.svg").read_text()
    root = ElementTree.fromstring(drawn)
    words = [element.text for element in root.iter() if element.text]
    assert {"a, from base", "sums: 20 to 60 %", "0", "+50"} <= set(words)
    axis = {word.text: float(word.attrib["x"]) for word in root.iterfind(".//{*}text") if word.text in ("0", "+50")}
    seeds = sorted(float(dot.attrib["cx"]) for dot in root.iterfind(".//{*}circle"))
    assert seeds == pytest.approx([axis["0"] + 0.6 * (axis["+50"] - axis["0"]), axis["+50"]], abs=0.1)
    assert (run.path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_laws_that_differ_more_than_pairs_of_numbers_widen_an_interval():
    """One of twelve conversions was learned: every pair of numbers gains alike, and eleven conversions gain nothing."""
    keys = [f"{n}-c{c}" for n in range(25) for c in range(12)]
    groups, kinds = {key: key.partition("-")[0] for key in keys}, {key: key.partition("-")[2] for key in keys}
    before = dict.fromkeys(keys, 0.0)
    after = {key: float(kind == "c3") for key, kind in kinds.items()}
    narrow = change_of("units", before, [after], None, groups)
    wide = change_of("units", before, [after], None, groups, kinds=kinds)
    assert narrow is not None
    assert wide is not None
    assert narrow.outcome == "higher"
    assert wide.outcome == "no difference seen"
    assert wide.kinds == (0.0,) * 11 + (1.0,)
    assert wide.p == pytest.approx(0.339, abs=0.001)  # one of twelve against zero
    assert change_of("units", before, [after], None, kinds={key: kinds[key][:1] for key in keys}).kinds == ()


def test_an_outcome_is_one_that_the_number_of_rows_of_its_table_allows():
    keys = [f"q{n}" for n in range(100)]
    before = dict.fromkeys(keys, 0.0)
    change = change_of("laws", before, [{key: float(n < 6) for n, key in enumerate(keys)}], 0.1)
    assert change is not None
    assert change.interval[0] > 0
    assert change.p == pytest.approx(0.031, abs=0.001)
    assert change.outcome == "higher"
    finding = Finding(Comparison("a", "base", ("a-0",)), "smoke", {}, [replace(change, adjusted_p=0.062)], {})
    shown = "\n".join(claims([finding]))
    assert "| 10.0 | 0.0 | 6.0 † | +6.0 [+1.3, +10.7] | 0.062 |" in shown, "below the best constant"
    assert "| no difference seen |" in shown


def test_upcycling_stages_are_named_after_their_commands():
    names = ["t-upcycle.induct-life-science", "t-upcycle.route", "t-upcycle.dense", "t-sft-base", "t.route-0"]
    assert [stage_title(name) for name in names] == [
        "t-upcycle.train-experts life-science", "t-upcycle.train-router", "t-upcycle.train-dense", "t-sft-base", "t.route-0",
    ]  # fmt: skip


def test_p_values_are_adjusted_for_their_number():
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_the_kinds_of_a_shipped_task_are_those_of_its_test_questions():
    kinds = question_kinds("paper-small-skill")
    assert len(set(kinds["unit-step-avg8"].values())) == 12
    assert len(set(kinds["one-step-law-avg8"].values())) == 10
    assert "linear-equation-avg8" not in kinds


def test_the_share_of_cut_responses_stands_next_to_a_difference(tmp_path):
    config = small_path(runs_dir=tmp_path, evaluations=[{"suite": "smoke", "models": ["base", "dense"]}])
    for model, right, cut in (("base", 10, 90), ("dense", 40, 5)):
        report(tmp_path, "smoke", model, {f"q{n}": float(n < right) for n in range(100)})
        file = tmp_path / "t" / "evaluations" / "smoke" / model / "report.json"
        document = json.loads(file.read_text())
        document["tasks"]["sums"]["facts"] = {"truncated": cut, "responses": 100}
        file.write_text(json.dumps(document))
    assert "| 90.0 to 5.0 | higher |" in "\n".join(claims(findings(config)))


def test_a_table_of_scores_has_intervals_over_groups(tmp_path):
    config = small_path(runs_dir=tmp_path, evaluations=[{"suite": "smoke", "models": ["base"]}])
    report(tmp_path, "smoke", "base", {f"{f}-{n}": float(f < 3) for f in range(14) for n in range(23)})
    file = tmp_path / "t" / "evaluations" / "smoke" / "base" / "report.json"
    document = json.loads(file.read_text())
    document["tasks"]["sums"]["groups"] = {f"{f}-{n}": f"f{f}" for f in range(14) for n in range(23)}
    file.write_text(json.dumps(document))
    assert "| sums (acc) | 322 (14) | 10.0 | 21.4 [0.0, 46.0] |" in "\n".join(evaluations(config))


def test_a_table_of_scores_has_intervals_over_kinds_where_these_are_wider(tmp_path, monkeypatch):
    keys = [f"{n}-c{c}" for n in range(25) for c in range(12)]
    kinds = {"sums": {key: key.partition("-")[2] for key in keys}}
    config = small_path(runs_dir=tmp_path, evaluations=[{"suite": "smoke", "models": ["base"]}])
    report(tmp_path, "smoke", "base", {key: float(key.endswith("-c3")) for key in keys})
    assert "8.3 [0.0, 100.0]" in "\n".join(evaluations(config))
    monkeypatch.setattr(sections, "question_kinds", lambda suite: kinds)
    assert "8.3 [0.0, 26.7]" in "\n".join(evaluations(config)), "one of twelve conversions was learned"


def test_what_ran_names_revisions_and_counts_the_devices_of_the_path():
    first, second = stages_of(small_path())[:2]

    def decision(stage: Stage, revision: str) -> Decision:
        record = StageRecord(stage.name, {}, {}, 1800.0, "", (), revision, 4)
        return Decision(stage, False, "took 30 min", 1800.0, "", record)

    text = "\n".join(stages_section([decision(first, "a" * 40), decision(second, "b" * 40 + "+")]))
    assert "2 of 2 stages ran in 1 h 00 min: at most 4.00 core-hours on 4 cores." in text
    named = f"`aaaaaaaaaaaa` ({first.name}); `bbbbbbbbbbbb+` ({second.name})"
    assert f"Revisions of the code, and what each ran: {named}. A revision with + had changed files." in text
    mixed = "\n".join(stages_section([decision(first, "a" * 40), decision(second, "")]))
    assert f"`aaaaaaaaaaaa` ({first.name}); not recorded ({second.name})." in mixed
    assert "Revision of the code: `aaaaaaaaaaaa`." in "\n".join(stages_section([decision(first, "a" * 40)]))
    assert "at most 32.00 GPU-hours on 64 accelerators" in "\n".join(stages_section([decision(first, "")], 64))


def test_questions_of_one_group_count_as_one():
    """Three of fourteen functions learned whole: 21 points over 322 questions, and next to nothing over functions."""
    groups = {f"f{f}-{n}": f"function {f}" for f in range(14) for n in range(23)}
    before = dict.fromkeys(groups, 0.0)
    after = {key: float(group in ("function 0", "function 1", "function 2")) for key, group in groups.items()}
    alone, grouped = change_of("code", before, [after], None), change_of("code", before, [after], None, groups)
    assert alone is not None
    assert grouped is not None
    assert (alone.groups, grouped.groups, grouped.n) == (322, 14, 322)
    assert alone.interval is not None
    assert grouped.interval is not None
    assert alone.interval[1] - alone.interval[0] == pytest.approx(0.09, abs=0.01)
    assert grouped.interval[1] - grouped.interval[0] == pytest.approx(2 * 2.160 * 0.1138, rel=0.01)
    few = {key: f"{ord(group[-1]) % 5}" for key, group in groups.items()}
    fewer = change_of("code", before, [after], None, few)
    assert fewer is not None
    assert fewer.outcome == "too few groups (under 10)"


def test_a_domain_is_trained_or_evaluated_or_neither(tmp_path):
    arms = [{"name": "a", "model": "base", "seeds": [0], "tasks": ["product"]}]
    config = small_path(
        runs_dir=tmp_path,
        learning={"config": "configs/train/moe.yaml", "arms": arms},
        evaluations=[{"suite": "paper-small", "models": ["base"]}],
    )
    folder = tmp_path / "t" / "evaluations" / "paper-small" / "base"
    folder.mkdir(parents=True)
    rows = [
        {"task": name, "skipped": why}
        for name, why in (("one-step-law", None), ("unit-step", "no data"), ("product", None), ("formula-count", None))
    ]
    (tmp_path / "formula.yaml").write_text((Path("datasets") / "formula-count" / "dataset.yaml").read_text())
    (folder / "report.json").write_text(json.dumps({"rows": rows}))
    assert "| math | product (a, not run yet) | - |" in domains(config)
    RunDir(tmp_path / "t-a-0").create().metrics_jsonl.write_text('{"step": 1, "train/tokens": 8}\n')
    shown = domains(config)
    assert "| math | product (a) | - |" in shown
    assert "| physics | - | one-step-law |" in shown
    tasks = [str(tmp_path / "formula.yaml")]
    learning = {"config": "configs/train/moe.yaml", "arms": [{**arms[0], "tasks": tasks}]}
    other = small_path(runs_dir=tmp_path, tasks=tasks, learning=learning, evaluations=config.evaluations)
    assert "| chemistry | formula (a) | formula-count |" in domains(other), (
        "a name that begins with that of another task"
    )
    assert "| stem | - | - |" in shown
    assert domains(small_path(learning=None, evaluations=[])) == []


def test_the_methods_are_those_that_the_runs_recorded(tmp_path):
    config = small_path(runs_dir=tmp_path)
    assert methods(config) == []
    learned = {
        "model": {"dtype": "float32"}, "schedule": {"steps": 7},
        "rollout": {"samples_per_prompt": 8, "max_response_tokens": 48, "temperature": 1.0},
        "algorithm": {"prompts_per_step": 12, "learning_rate": 3e-5, "clip_low": 0.2, "clip_high": 0.28},
    }  # fmt: skip
    stage = {"stage": {"tokens": 10240, "batch_tokens": 2048, "learning_rate": 2e-5}}
    for name, document in (("t-a-0", learned), ("t-upcycle.integrate", stage)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(json.dumps(document))
    shown = "\n".join(methods(config))
    assert "| mixture | 0 | 7 | 12 x 8 | 48 | 1 | 3e-05 | 0.8 to 1.28 | float32 |" in shown
    (tmp_path / "t-a-3").mkdir()
    (tmp_path / "t-a-3" / "config.yaml").write_text(json.dumps(learned))
    assert "| mixture | 0, 3 | 7 | 12 x 8" in "\n".join(methods(config))
    assert "| all parameters of the mixture | 10,240 | 2,048 | 2e-05 |" in shown


def test_the_report_counts_the_tokens_of_every_run_of_the_path(tmp_path):
    config = small_path(runs_dir=tmp_path)
    for name, key in (
        ("t-upcycle.route", "train/tokens"),
        ("t-a-3", "perf/total_num_tokens"),
        ("t-other", "train/tokens"),
    ):
        (tmp_path / name).mkdir()
        lines = [{"step": 0}, {"step": 1, key: 1000.0}, {"step": 2, key: 500.0, "val/loss/general": 1.0}]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = "\n".join(trained_tokens(config))
    assert "[upcycle.train-router]" in shown
    assert "[a-3]" in shown
    assert shown.count("| 2 | 1,500 |") == 2


def test_the_table_of_training_counts_the_questions_of_a_validation(tmp_path):
    """Samples of a question, and a validation that an earlier attempt began, count once."""
    run = RunDir(tmp_path / "t-a-0")
    for _ in range(2):
        attempt = run.open_attempt(total_steps=5)
        recorder = Recorder(run.path, writer="test", attempt=attempt)
        for number in range(5):
            row = {"data_source": "product" if number < 3 else "unit-sum", "prompt_id": f"q{number}"}
            for sample in range(2):
                recorder.rollout(RolloutRow(step=0, prompt_uid=f"g{number}", sample=sample, kind="validation", **row))
            recorder.rollout(
                RolloutRow(step=0, prompt_uid="trained", sample=0, data_source="product", prompt_id="other")
            )
        recorder.close()
        for step, accuracy in ((0, 0.25), (5, 0.5)):
            run.write_metrics(step, {"val-core/product/acc/mean@1": accuracy})
        run.finish("finished")
    shown = "\n".join(learning_section(small_path(runs_dir=tmp_path), []))
    assert "| mixture | product | 3 | 25.0 (step 0) | 50.0 (step 5) | +25.0 |" in shown


def run_that_ended(folder: Path) -> None:
    run = RunDir(folder)
    run.open_attempt()
    run.finish("finished")


def test_losses_are_compared_with_the_base_model(tmp_path):
    losses = {"dense": [(0, 2.0, 4.0), (5, 2.2, 3.0)], "integrate": [(0, 2.0, 4.0), (9, 2.01, 3.2)]}
    for ending, rows in losses.items():
        run_that_ended(tmp_path / f"t-upcycle.{ending}")
        lines = [
            {"step": step, "val/loss/general": general, "val/loss/science": science, "val/loss/physics": science}
            for step, general, science in rows
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"t-upcycle.{ending}" / "metrics.jsonl").write_text(text)
    shown = "\n".join(upcycling_section(small_path(runs_dir=tmp_path)))
    assert "- mixture, against base: general text +0.5 %, science text -20.0 %." in shown
    assert "- dense, against base: general text +10.0 %, science text -25.0 %." in shown
    assert "- mixture, against dense: general text -8.6 %, science text +6.7 %." in shown
    ended = RunDir(tmp_path / "t-upcycle.dense")
    ended.open_attempt()
    ended.finish("stopped", cause="interrupted")
    shown = "\n".join(upcycling_section(small_path(runs_dir=tmp_path)))
    assert "| base |" in shown
    assert "| dense |" not in shown, "training that has not ended is no result"
    assert "against dense" not in shown


def test_the_checks_of_the_exported_mixture_are_shown(tmp_path):
    config = small_path(runs_dir=tmp_path)
    checks_file(config).parent.mkdir(parents=True)
    check = {"name": "vllm", "ok": True, "figure": "same greedy token 100.00%", "bound": "0.0001 nat in float32"}
    checks_file(config).write_text(json.dumps({"checkpoint": "c", "checks": [check]}))
    assert "| vllm | same greedy token 100.00% | 0.0001 nat in float32 |" in upcycling_section(config)


def test_a_change_of_losses_has_the_interval_of_its_sequences(tmp_path):
    """All sequences get the same share worse, so resampling them finds no other change, whatever their lengths and losses."""
    before = {
        text: {str(n): [(1.0 + n % 3) * n, n] for n in range(10, 40)} for text in ("general", "physics", "biology")
    }
    after = {text: {key: [1.1 * nats, tokens] for key, (nats, tokens) in one.items()} for text, one in before.items()}
    for ending in ("dense", "integrate"):
        run_that_ended(tmp_path / f"t-upcycle.{ending}")
    for ending, step, losses in (("dense", 0, before), ("dense", 5, after), ("integrate", 9, before)):
        folder = tmp_path / f"t-upcycle.{ending}"
        (folder / "held_out").mkdir(parents=True, exist_ok=True)
        (folder / "held_out" / f"step-{step}.json").write_text(json.dumps(losses))
        with (folder / "metrics.jsonl").open("a") as lines:
            lines.write(json.dumps({"step": step, "val/loss/general": 2.0, "val/loss/science": 2.0}) + "\n")
    shown = "\n".join(upcycling_section(small_path(runs_dir=tmp_path)))
    assert "Intervals (95 %) resample the 30 sequences of each text." in shown
    kept = "- dense, against base: general text +10.0 % [+10.0, +10.0], science text +10.0 % [+10.0, +10.0]."
    assert kept in shown


@given(losses=st.lists(st.tuples(st.floats(1, 900), st.floats(1, 900), st.integers(1, 256)), min_size=2, max_size=20))
def test_the_interval_of_a_change_holds_the_changes_of_single_sequences_at_most(losses):
    before = {"a": {str(n): [x, tokens] for n, (x, _, tokens) in enumerate(losses)}}
    after = {"a": {str(n): [y, tokens] for n, (_, y, tokens) in enumerate(losses)}}
    value, interval = relative(before, after, ["a"])
    changes = [y / x - 1 for x, y, _ in losses]
    assert interval is not None
    low, high = interval
    assert low <= high
    for bound in (value, low, high):
        assert min(changes) - 1e-9 <= bound <= max(changes) + 1e-9


def test_one_sequence_has_a_change_and_no_interval():
    assert relative({"a": {"0": [2.0, 1]}}, {"a": {"0": [3.0, 1]}}, ["a"]) == (0.5, None)


def test_tables_escape_their_cells():
    assert table(("a",), [("x|y\nz",)]) == ["| a |", "| --- |", "| x\\|y z |", ""]
    assert table(("a",), []) == []
    assert percent(None) == "-"
    assert percent(0.5, (0.4, 0.6)) == "50.0 [40.0, 60.0]"


def test_a_pdf_takes_any_text(tmp_path):
    text = "# Größe \N{GREEK SMALL LETTER ALPHA}\n\n| a | command |\n| --- | --- |\n| 数 | x |\n\n- item `code` [text](address)\n"
    assert pdf(text, tmp_path).startswith(b"%PDF")
