"""What the report of a path shows, and what it claims."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_path import small_path

from innovator_rl.paper.plan import probe_file, stages_of
from innovator_rl.paper.report.claims import change_of, claims
from innovator_rl.paper.report.held_out import relative
from innovator_rl.paper.report.held_out import upcycling as upcycling_section
from innovator_rl.paper.report.markdown import percent, table
from innovator_rl.paper.report.sections import evaluations, probes, trained_tokens, untrained
from innovator_rl.paper.report.sections import learning as learning_section
from innovator_rl.paper.report.write import markdown, pdf, write_report
from innovator_rl.paper.stage import FileState, StageRecord
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir


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
    shown = "\n".join(claims(config))
    assert [line.split(", from ")[0].partition("]")[0].lstrip("[") for line in shown.splitlines() if ", from " in line] == [
        "dense", "mixture", "sft-base", "a-0",
    ]  # fmt: skip
    assert "| sums | 100 | 10.0 | 10.0 | 40.0 | +30.0 [" in shown
    assert "| sums | 100 | 10.0 | 50.0 | 90.0 | +40.0 [" in shown
    assert "a-1" not in shown
    assert "no difference seen" in shown
    assert "Evaluated, and not trained by reinforcement learning: sums." in "\n".join(untrained(config))


def test_a_task_that_one_model_skipped_is_shown_for_the_others(tmp_path):
    config = small_path(runs_dir=tmp_path, evaluations=[{"suite": "smoke", "models": ["base", "dense"]}])
    report(tmp_path, "smoke", "base", {"q": 1.0})
    report(tmp_path, "smoke", "dense", {}, skipped="no data")
    shown = "\n".join(evaluations(config))
    assert "| sums (acc) | 1 | 10.0 | 100.0 [0.0, 100.0] | - |" in shown
    assert "- sums (acc): skipped for dense, no data" in shown


def test_the_report_shows_what_the_probes_say(tmp_path):
    arm = {"name": "a", "model": "base", "tasks": ["product"], "probe_rows": 40}
    config = small_path(runs_dir=tmp_path, learning={"config": "configs/train/moe.yaml", "arms": [arm]}, evaluations=[])
    assert probes(config) == []
    row = {
        "task": "runs/t/data/product/validation.parquet", "prompts": 40, "samples": 8, "accuracy": 0.2, "constant": 0.15, "usable": 0.7,
        "unreadable": 0.01, "cut": 0.5, "passes": False, "reasons": ["under 10 points above the best constant answer"],
    }  # fmt: skip
    probe_file(config, config.learning.arms[0]).parent.mkdir(parents=True)
    probe_file(config, config.learning.arms[0]).write_text(json.dumps({"model": "m", "rows": [row]}))
    assert (
        "| a | base | product | 40 x 8 | 20.0 | 15.0 | 70.0 | 1.0 | 50.0 | no: under 10 points above the best constant answer |"
        in probes(config)
    )


def test_the_report_names_what_did_not_run_and_what_was_skipped(tmp_path):
    config = small_path(runs_dir=tmp_path)
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
    record = StageRecord("upcycle", {}, {"x": FileState(1, 1, "c")}, 61.0, "2026-01-01T00:00:00+00:00", ("upcycle",))
    path = write_report(config, directory, stages, [record])
    text = path.read_text()
    assert "1 of 10 stages ran in 1 min 01 s" in text
    assert "| train-a-0 | train mixture with GRPO, seed 0 | not run |" in text
    assert "| sums (acc) | 4 | 12.5 | 25.0 [10.0, 50.0] |" in text
    assert "mmlu (acc): skipped, no network: cais/mmlu" in text
    assert (directory.path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "<table>" in (directory.path / "report.html").read_text()
    assert markdown(config, directory, stages, [record]).splitlines()[4:] == text.splitlines()[4:]


def test_the_report_shows_the_results_of_the_scaling_benchmark_in_every_format(tmp_path):
    with pytest.raises(ValueError, match=r"scaling = .*: upcycle-scaling.md not found there; .*upcycle_scaling --out"):
        small_path(scaling=tmp_path)
    (tmp_path / "upcycle-scaling.md").write_text(
        "# Page\n\nAbout it.\n\n### What holds\n\n| way | loss |\n|---|---:|\n| printed-2 | 3.210 |\n"
    )
    picture = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
    )
    (tmp_path / "upcycle-scaling.png").write_bytes(picture)
    run = RunDir(tmp_path / "t").create()
    text = write_report(small_path(scaling=tmp_path), run, [], []).read_text()
    assert "| printed-2 | 3.210 |" in text
    assert "About it." not in text
    assert "(upcycle-scaling.png)" in text
    assert (run.path / "upcycle-scaling.png").read_bytes() == picture
    assert b"/Subtype /Image" in (run.path / "report.pdf").read_bytes()


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
    assert "[upcycle.route]" in shown
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
    shown = "\n".join(learning_section(small_path(runs_dir=tmp_path)))
    assert "| mixture | product | 3 | 25.0 (step 0) | 50.0 (step 5) | +25.0 |" in shown


def test_losses_are_compared_with_the_base_model(tmp_path):
    losses = {"dense": [(0, 2.0, 4.0), (5, 2.2, 3.0)], "integrate": [(0, 2.0, 4.0), (9, 2.01, 3.2)]}
    for ending, rows in losses.items():
        (tmp_path / f"t-upcycle.{ending}").mkdir()
        lines = [
            {"step": step, "val/loss/general": general, "val/loss/science": science, "val/loss/physics": science}
            for step, general, science in rows
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"t-upcycle.{ending}" / "metrics.jsonl").write_text(text)
    shown = "\n".join(upcycling_section(small_path(runs_dir=tmp_path)))
    assert "- integrated, against base model: general text +0.5 %, science text -20.0 %." in shown
    assert "- dense, continued, against base model: general text +10.0 %, science text -25.0 %." in shown
    assert "- integrated, against dense, continued: general text -8.6 %, science text +6.7 %." in shown


def test_a_change_of_losses_has_the_interval_of_its_sequences(tmp_path):
    """All sequences get the same share worse, so resampling them finds no other change, whatever their lengths and losses."""
    before = {
        text: {str(n): [(1.0 + n % 3) * n, n] for n in range(10, 40)} for text in ("general", "physics", "biology")
    }
    after = {text: {key: [1.1 * nats, tokens] for key, (nats, tokens) in one.items()} for text, one in before.items()}
    for ending, step, losses in (("dense", 0, before), ("dense", 5, after), ("integrate", 9, before)):
        folder = tmp_path / f"t-upcycle.{ending}"
        (folder / "held_out").mkdir(parents=True, exist_ok=True)
        (folder / "held_out" / f"step-{step}.json").write_text(json.dumps(losses))
        with (folder / "metrics.jsonl").open("a") as lines:
            lines.write(json.dumps({"step": step, "val/loss/general": 2.0, "val/loss/science": 2.0}) + "\n")
    shown = "\n".join(upcycling_section(small_path(runs_dir=tmp_path)))
    assert "Intervals (95 %) resample the 30 to 30 sequences of each text." in shown
    kept = "- dense, continued, against base model: general text +10.0 % [+10.0, +10.0], science text +10.0 % [+10.0, +10.0]."
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
