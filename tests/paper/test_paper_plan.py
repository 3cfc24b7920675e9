"""The configuration of a path and the stages that it becomes."""

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from innovator_rl.cli.application import run
from innovator_rl.cli.paper import app
from innovator_rl.data.corpus.recipe import load_corpus_recipe
from innovator_rl.data.corpus.tokens import resolve_tokenizer
from innovator_rl.errors import UserError
from innovator_rl.models import resolve
from innovator_rl.packaged_files import config_names, find_config
from innovator_rl.paper.config import PaperConfig, load_paper
from innovator_rl.paper.costs import cost_of, describe, learning, total, upcycling
from innovator_rl.paper.plan import evaluated_models, probe_file, stages_of
from innovator_rl.paper.report.claims import change_of, claims
from innovator_rl.paper.report.held_out import relative
from innovator_rl.paper.report.held_out import upcycling as upcycling_section
from innovator_rl.paper.report.markdown import percent, table
from innovator_rl.paper.report.sections import evaluations, probes, trained_tokens, untrained
from innovator_rl.paper.report.sections import learning as learning_section
from innovator_rl.paper.report.write import markdown, pdf, write_report
from innovator_rl.paper.stage import FileState, StageRecord
from innovator_rl.preflight.machine import Machine
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir
from upcycle.config import schema as upcycle_config


def small(**changes) -> PaperConfig:
    document = {
        "name": "t",
        "base_model": "tiny-qwen2",
        "tasks": ["product"],
        "upcycle": {"config": "configs/upcycle/tiny.yaml"},
        "learning": {
            "config": "configs/train/moe.yaml",
            "disk_gb": 2,
            "settings": ["schedule.steps=5"],
            "arms": [{"name": "a", "model": "mixture", "seeds": [0, 3], "settings": ["schedule.steps=7"]}],
        },
        "evaluations": [{"suite": "smoke", "models": ["base", "dense", "a"], "limit": 4, "dtype": "bfloat16"}],
    }
    return PaperConfig.model_validate({**document, **changes})


def test_each_stage_follows_what_it_needs_and_reads_its_model():
    stages = {stage.name: stage for stage in stages_of(small())}
    assert list(stages) == [
        "rows-product", "eval-smoke-base", "upcycle", "train-a-0", "export-a-0", "eval-smoke-dense", "eval-smoke-a-0",
        "train-a-3", "export-a-3", "eval-smoke-a-3",
    ]  # fmt: skip
    assert stages["train-a-3"].needs == ("upcycle", "rows-product")
    assert stages["train-a-3"].disk_bytes == 2 * 10**9
    assert "data.seed=3" in stages["train-a-3"].command
    assert [word for word in stages["train-a-3"].command if "steps" in word] == ["schedule.steps=7"]
    assert f"data.train=[{stages['rows-product'].result}/train.parquet]" in stages["train-a-3"].command
    assert f"model.path={stages['upcycle'].result}" in stages["train-a-3"].command
    assert stages["eval-smoke-a-3"].needs == ("export-a-3",)
    assert str(stages["export-a-3"].result) in stages["eval-smoke-a-3"].command
    assert stages["eval-smoke-base"].needs == ()
    assert stages["eval-smoke-base"].command[-4:] == ("--limit", "4", "--dtype", "bfloat16")
    assert "tiny-qwen2" in stages["eval-smoke-base"].command


def test_upcycling_reads_every_discipline_from_the_corpus_that_the_path_builds():
    stages = {stage.name: stage for stage in stages_of(small(corpus={"config": "configs/data/corpus-tiny.yaml"}))}
    corpus, command = stages["corpus"].result, stages["upcycle"].command
    assert stages["upcycle"].needs == ("corpus",)
    config = upcycle_config.load(Path("configs/upcycle/tiny.yaml"), [word for word in command[3:] if "=" in word])
    sources = [*config.disciplines.values(), config.general]
    assert len(sources) == 5
    assert {source.corpus for group in sources for source in group} == {str(corpus)}
    assert not any(source.paths for group in sources for source in group)


def test_an_arm_is_probed_once_before_its_first_seed():
    arm = {"name": "a", "model": "mixture", "seeds": [0, 3], "tasks": ["product"], "probe_rows": 40}
    config = small(learning={"config": "configs/train/moe.yaml", "arms": [arm]}, evaluations=[])
    stages = {stage.name: stage for stage in stages_of(config)}
    assert [name for name in stages if name.startswith(("probe", "train"))] == ["probe-a", "train-a-0", "train-a-3"]
    probe = stages["probe-a"]
    rows = str(stages["rows-product"].result / "validation.parquet")
    assert probe.command[:5] == ("data", "probe", rows, "--model", str(stages["upcycle"].result))
    assert probe.command[5:] == ("--rows", "40", "--max-tokens", "48", "--out", str(probe.result))
    assert probe.needs == ("upcycle", "rows-product")
    stages = {stage.name: stage for stage in stages_of(config.model_copy(update={"dtype": "float32"}))}
    assert stages["probe-a"].command[5:7] == ("--dtype", "float32")


def test_what_a_name_stands_for_is_an_input(tmp_path):
    stages = {stage.name: stage for stage in stages_of(small(runs_dir=tmp_path))}
    assert [path.name for path in stages["eval-smoke-base"].inputs] == ["smoke.yaml"]
    assert [path.parts[-2:] for path in stages["rows-product"].inputs] == [("product", "dataset.yaml")]
    with pytest.raises(UserError, match="unknown dataset 'products'; did you mean 'product'"):
        stages_of(small(tasks=["products"]))


def test_work_that_is_out_of_date_is_removed_whole(tmp_path):
    (tmp_path / "t-upcycle.induct-physics").mkdir()
    stages = {stage.name: stage for stage in stages_of(small(runs_dir=tmp_path))}
    assert set(stages["upcycle"].clean) == {tmp_path / "t-upcycle", tmp_path / "t-upcycle.induct-physics"}
    evaluation = stages["eval-smoke-base"]
    assert set(evaluation.clean) == {tmp_path / "t-eval-smoke-base", evaluation.result.parent}
    assert "--replace" in stages["export-a-0"].command


def test_published_sets_are_named_once_and_checked_before_anything_starts(tmp_path, monkeypatch, capsys):
    with pytest.raises(ValueError, match=r"data = .*nowhere: not a folder"):
        small(data=tmp_path / "nowhere")
    monkeypatch.setenv("INNOVATOR_DATA", "")
    path = tmp_path / "p.yaml"
    path.write_text(
        f"name: p\nbase_model: smollm2-135m\nruns_dir: {tmp_path}\ncorpus: {{config: configs/data/corpus-textbooks.yaml}}\n"
    )
    assert run(app, ["run", str(path), f"data={tmp_path}", "--dry-run"]) == 0
    assert os.environ["INNOVATOR_DATA"] == str(tmp_path)
    assert run(app, ["run", str(path), f"data={tmp_path}"]) == 2
    assert "source 'university-physics': " in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
    monkeypatch.delenv("INNOVATOR_DATA")
    assert run(app, ["run", str(path)]) == 2
    assert "the environment variable INNOVATOR_DATA is not set" in capsys.readouterr().err


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
    config = small(
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
    config = small(runs_dir=tmp_path, evaluations=[{"suite": "smoke", "models": ["base", "dense"]}])
    report(tmp_path, "smoke", "base", {"q": 1.0})
    report(tmp_path, "smoke", "dense", {}, skipped="no data")
    shown = "\n".join(evaluations(config))
    assert "| sums (acc) | 1 | 10.0 | 100.0 [0.0, 100.0] | - |" in shown
    assert "- sums (acc): skipped for dense, no data" in shown


def test_the_report_shows_what_the_probes_say(tmp_path):
    arm = {"name": "a", "model": "base", "tasks": ["product"], "probe_rows": 40}
    config = small(runs_dir=tmp_path, learning={"config": "configs/train/moe.yaml", "arms": [arm]}, evaluations=[])
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


@pytest.mark.parametrize("name", ["quick", "small"])
def test_a_shipped_corpus_ends_documents_as_the_base_model_does(name, tmp_path, monkeypatch):
    monkeypatch.setenv("INNOVATOR_DATA", str(tmp_path))
    config = load_paper(Path(f"configs/paper/{name}.yaml"))
    tokens = load_corpus_recipe(config.corpus.config).outputs.tokens
    assert tokens.tokenizer == config.base_model
    assert resolve_tokenizer(tokens).end_token == AutoTokenizer.from_pretrained(resolve(config.base_model)).eos_token_id


@pytest.mark.parametrize(("has", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_the_fastest_number_format_is_that_of_the_processor(has, expected, monkeypatch):
    here = Machine(cores=2, memory=2**30, shared_memory=2**30, native_bfloat16=has)
    monkeypatch.setattr(Machine, "here", staticmethod(lambda: here))
    parts = {"sft": {"config": "configs/sft/tiny.yaml"}, "evaluations": [{"suite": "smoke", "models": ["base"]}]}
    stages = {stage.name: stage for stage in stages_of(small(dtype="fastest", **parts))}
    for name in ("sft-base", "train-a-0"):
        assert f"model.dtype={expected}" in stages[name].command
    assert stages["eval-smoke-base"].command[-2:] == ("--dtype", expected)
    own = {stage.name: stage for stage in stages_of(small(**parts))}
    assert not any("dtype" in word for stage in own.values() for word in stage.command)


def test_results_of_every_arm_come_before_further_seeds():
    arms = [
        {"name": "a", "model": "base", "seeds": [0, 1], "tasks": ["product"]},
        {"name": "b", "model": "mixture", "seeds": [0]},
        {"name": "c", "model": "sft-base", "seeds": [0, 1]},
    ]
    config = small(
        tasks=["product", "unit-sum"],
        sft={"config": "configs/sft/tiny.yaml"},
        learning={"config": "configs/train/moe.yaml", "arms": arms},
        evaluations=[{"suite": "smoke", "models": ["a", "b"]}],
    )
    stages = {stage.name: stage for stage in stages_of(config)}
    assert [name for name in stages if name.startswith(("train", "upcycle", "eval"))] == [
        "train-a-0", "eval-smoke-a-0", "train-c-0", "upcycle", "train-b-0", "eval-smoke-b-0", "train-a-1",
        "eval-smoke-a-1", "train-c-1",
    ]  # fmt: skip
    assert stages["train-a-0"].needs == ("rows-product",)
    assert not any("unit-sum" in word for word in stages["train-a-0"].command)
    assert any("unit-sum" in word for word in stages["train-b-0"].command)
    assert Path("configs/data/sft-worked.yaml") in stages["sft-base"].inputs


def test_an_arm_is_evaluated_next_to_its_start_before_the_next_arm_trains():
    arms = [{"name": name, "model": "base", "seeds": [0], "tasks": ["product"]} for name in ("a", "b")]
    evaluations = [
        {"suite": "smoke", "models": ["base", "a"]},
        {"suite": "reasoning", "models": ["base", "b"]},
        {"suite": "general", "models": ["base", "a-0", "b"]},
    ]
    learning = {"config": "configs/train/moe.yaml", "arms": arms}
    stages = stages_of(small(upcycle=None, learning=learning, evaluations=evaluations))
    assert [stage.name for stage in stages if stage.name.startswith(("train", "eval"))] == [
        "train-a-0", "eval-smoke-base", "eval-smoke-a-0",
        "train-b-0", "eval-reasoning-base", "eval-reasoning-b-0",
        "eval-general-base", "eval-general-a-0", "eval-general-b-0",
    ]  # fmt: skip


def test_an_arm_stands_for_its_seeds():
    config = small()
    assert evaluated_models(config, config.evaluations[0]) == ["base", "dense", "a-0", "a-3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluations": [{"suite": "smoke", "models": ["sft-base"]}]}, "'sft-base': unknown model; expected one of base, mixture"),
        ({"upcycle": None}, "learning.arms.model = 'mixture': unknown model"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "base"}] * 2}}, "two arms are named 'a'"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "base", "tasks": ["sums"]}]}},
         "'sums': unknown task"),
    ],
)  # fmt: skip
def test_models_that_no_stage_makes_are_mistakes(changes, message):
    with pytest.raises(ValueError, match="Value error") as caught:
        small(**changes)
    assert message in str(caught.value)


def test_a_wrong_file_is_explained_in_lines(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("name: p\nbase_model: x\nbase_modle: y\nlimit_hours: 0\n")
    with pytest.raises(UserError) as caught:
        load_paper(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert any("base_modle: unknown key; keys are name" in line for line in lines)
    assert any("limit_hours" in line and "greater than 0" in line for line in lines)


@pytest.mark.parametrize("name", config_names("paper"))
def test_every_shipped_path_plans(name, tmp_path, monkeypatch):
    monkeypatch.setenv("INNOVATOR_DATA", str(tmp_path))
    stages = stages_of(load_paper(find_config(name, "paper")))
    assert len(stages) > 5
    for stage in stages:
        assert all(path.is_file() for path in stage.inputs), stage


def test_the_dry_run_starts_nothing_and_prints_json(tmp_path, capsys):
    code = run(app, ["run", "quick", f"runs_dir={tmp_path}", "--dry-run", "--json"])
    found = json.loads(capsys.readouterr().out)["stages"]
    assert code == 0
    assert all(stage["runs"] and stage["reason"] == "not run yet" for stage in found)
    assert list(tmp_path.iterdir()) == []


def test_costs_have_a_source_and_what_has_none_is_named():
    config = small(accelerators=16, price={"per_hour": 2, "source": "a contract"})
    train = {
        "hardware": {"gpus": 16, "per_node": 8, "tflops": 989.0},
        "run_hours": 3.0,
        "assumptions": {"mfu": 0.2},
        "checkpoint_disk_bytes": 4 * 10**9,
    }
    upcycle = {
        "gpus": 16,
        "speed": {"mfu": 0.21, "peak_tflops": 989.0},
        "stages": [{"hours": 1.5, "tokens": 10**9, "runs": 8}, {"hours": 0.5, "tokens": 2 * 10**9, "runs": 1}],
        "disk": {"export": 10**9, "checkpoints": 2 * 10**9},
    }
    costs = [("upcycle", upcycling(upcycle)), ("train", learning(train)), ("eval", None)]
    assert "2.00 h on 2 hosts, 32.0 GPU-hours (planned at 21% of 989 TFLOP/s)" in describe(costs[0][1], config.price)
    assert "10.0 billion tokens, leaves 3.0 GB, 64 USD" in describe(costs[0][1], config.price)
    assert total(costs, config.price) == [
        "in all 5.00 h, 80.0 GPU-hours, 160 USD",
        "not estimated, and not in the sum: eval",
        "price: 2 USD per GPU-hour (a contract)",
    ]


def test_a_stage_costs_what_it_took_or_what_its_part_states():
    stage = next(
        one for one in stages_of(small(upcycle={"config": "configs/upcycle/tiny.yaml", "hours": 0.5})) if one.hours
    )
    stated, taken = cost_of(stage, 0, None), cost_of(stage, 0, 7200.0)
    assert stage.name == "upcycle"
    assert stated is not None
    assert (stated.hours, stated.unit, stated.source) == (
        0.5,
        "core",
        "hours in the configuration",
    )
    assert taken is not None
    assert (taken.hours, taken.source) == (2.0, "time of its last run")
    assert cost_of(stages_of(small())[0], 0, None) is None


def test_the_dry_run_of_the_papers_size_plans_and_warns_of_the_disk(tmp_path, capsys):
    assert run(app, ["run", "53b", f"runs_dir={tmp_path}", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "341.0 billion tokens" in shown
    assert "8 hosts" in shown
    assert "warning: stage 'upcycle' needs 2,850.0 GB of disk" in shown


def test_the_report_names_what_did_not_run_and_what_was_skipped(tmp_path):
    config = small(runs_dir=tmp_path)
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
        small(scaling=tmp_path)
    (tmp_path / "upcycle-scaling.md").write_text(
        "# Page\n\nAbout it.\n\n### What holds\n\n| way | loss |\n|---|---:|\n| printed-2 | 3.210 |\n"
    )
    picture = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
    )
    (tmp_path / "upcycle-scaling.png").write_bytes(picture)
    run = RunDir(tmp_path / "t").create()
    text = write_report(small(scaling=tmp_path), run, [], []).read_text()
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
    config = small(runs_dir=tmp_path)
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
    shown = "\n".join(learning_section(small(runs_dir=tmp_path)))
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
    shown = "\n".join(upcycling_section(small(runs_dir=tmp_path)))
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
    shown = "\n".join(upcycling_section(small(runs_dir=tmp_path)))
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


def test_paths_are_below_the_runs_folder(tmp_path):
    for stage in stages_of(small(runs_dir=tmp_path)):
        assert Path(stage.result).is_relative_to(tmp_path)
