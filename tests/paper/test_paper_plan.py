"""The configuration of a path and the stages that it becomes."""

import json
import os
from pathlib import Path

import pytest
from small_path import small_path
from transformers import AutoTokenizer

from innovator_rl.cli.application import run
from innovator_rl.cli.paper import app
from innovator_rl.config.load import read_yaml
from innovator_rl.data.corpus.recipe import load_corpus_recipe
from innovator_rl.data.corpus.tokens import resolve_tokenizer
from innovator_rl.errors import UserError
from innovator_rl.models import resolve
from innovator_rl.packaged_files import config_names, find_config
from innovator_rl.paper.config import load_paper
from innovator_rl.paper.contents import Contents
from innovator_rl.paper.costs import Cost, cost_of, describe, learning, total, upcycling, warnings
from innovator_rl.paper.estimates import expected
from innovator_rl.paper.parts import missing_data
from innovator_rl.paper.places import Places
from innovator_rl.paper.plan import evaluated_models, stages_of
from innovator_rl.paper.stage import StageRecord, changed_parts, fingerprint_parts
from innovator_rl.preflight.machine import Machine
from upcycle.config import schema as upcycle_config


def test_each_stage_follows_what_it_needs_and_reads_its_model():
    stages = {stage.name: stage for stage in stages_of(small_path())}
    assert list(stages) == [
        "rows-product", "eval-smoke-base", "upcycle", "verify-mixture", "train-a-0", "export-a-0", "eval-smoke-dense", "eval-smoke-a-0",
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
    stages = {stage.name: stage for stage in stages_of(small_path(corpus={"config": "configs/data/corpus-tiny.yaml"}))}
    corpus, command = stages["corpus"].result, stages["upcycle"].command
    assert stages["upcycle"].needs == ("corpus",)
    config = upcycle_config.load(Path("configs/upcycle/tiny.yaml"), [word for word in command[3:] if "=" in word])
    sources = [*config.disciplines.values(), config.general]
    assert len(sources) == 5
    assert {source.corpus for group in sources for source in group} == {str(corpus)}
    assert not any(source.paths for group in sources for source in group)


def test_an_arm_is_probed_once_before_its_first_seed():
    arm = {"name": "a", "model": "mixture", "seeds": [0, 3], "tasks": ["product"], "probe_rows": 40}
    config = small_path(learning={"config": "configs/train/moe.yaml", "arms": [arm]}, evaluations=[])
    stages = {stage.name: stage for stage in stages_of(config)}
    assert [name for name in stages if name.startswith(("probe", "train"))] == [
        "probe-mixture",
        "train-a-0",
        "train-a-3",
    ]
    probe = stages["probe-mixture"]
    rows = str(stages["rows-product"].result / "validation.parquet")
    assert probe.command[:5] == ("data", "probe", rows, "--model", str(stages["upcycle"].result))
    assert probe.command[5:] == ("--rows", "40", "--max-tokens", "48", "--out", str(probe.result))
    assert probe.needs == ("upcycle", "rows-product")
    stages = {stage.name: stage for stage in stages_of(config.model_copy(update={"dtype": "float32"}))}
    assert stages["probe-mixture"].command[5:7] == ("--dtype", "float32")


def test_a_probe_asks_every_task_once_per_model_before_any_arm_trains():
    arms = [
        {"name": "a", "model": "base", "tasks": ["product"], "probe_rows": 40},
        {"name": "b", "model": "base", "tasks": ["unit-sum"], "probe_rows": 20},
        {"name": "c", "model": "sft-base", "tasks": ["unit-sum"], "probe_rows": 10},
    ]
    config = small_path(
        tasks=["product", "unit-sum"],
        sft={"config": "configs/sft/tiny.yaml"},
        learning={"config": "configs/train/moe.yaml", "arms": arms},
        evaluations=[{"suite": "smoke", "models": ["base", "a"]}],
    )
    names = [stage.name for stage in stages_of(config)]
    assert [name for name in names if name.startswith("probe")] == ["probe-base", "probe-sft-base"]
    assert names.index("probe-sft-base") < names.index("train-a-0")
    assert names.index("probe-base") < names.index("eval-smoke-base")
    probe = next(stage for stage in stages_of(config) if stage.name == "probe-base")
    assert [Path(word).parent.name for word in probe.command if word.endswith(".parquet")] == ["product", "unit-sum"]
    assert probe.command[probe.command.index("--rows") + 1] == "40"


def test_what_a_name_stands_for_is_an_input(tmp_path):
    """A changed recipe changes training rows, worked solutions made from them, and the questions of a suite."""
    config = small_path(runs_dir=tmp_path, sft={"config": "configs/sft/smollm2.yaml"})
    stages = {stage.name: stage for stage in stages_of(config)}
    suite = [path.parts[-2:] for path in stages["eval-smoke-base"].inputs]
    assert suite[0] == ("eval", "smoke.yaml")
    assert ("data", "bbbp.yaml") in suite
    worked = [path.parts[-2:] for path in stages["sft-base"].inputs]
    assert ("data", "sft-worked.yaml") in worked
    assert ("one-step-law", "dataset.yaml") in worked
    assert [path.parts[-2:] for path in stages["rows-product"].inputs] == [("product", "dataset.yaml")]
    with pytest.raises(UserError, match="unknown dataset 'products'; did you mean 'product'"):
        stages_of(small_path(tasks=["products"]))


def test_work_that_is_out_of_date_is_removed_whole(tmp_path):
    (tmp_path / "t-upcycle.induct-physics").mkdir()
    stages = {stage.name: stage for stage in stages_of(small_path(runs_dir=tmp_path))}
    assert set(stages["upcycle"].clean) == {tmp_path / "t-upcycle", tmp_path / "t-upcycle.induct-physics"}
    evaluation = stages["eval-smoke-base"]
    assert set(evaluation.clean) == {tmp_path / "t-eval-smoke-base", evaluation.result.parent}
    assert "--replace" in stages["export-a-0"].command


def test_what_a_path_reads_counts_by_its_content(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "book.txt").write_text("text")
        (tmp_path / name / "items.jsonl").write_text('{"question": "one two three four five six seven eight"}\n')
    recipe = tmp_path / "corpus.yaml"
    shipped = read_yaml("configs/data/corpus-tiny.yaml")
    source = {**shipped["sources"][0], "path": "${INNOVATOR_DATA}/*.txt"}
    against = [{"name": "items", "path": "${INNOVATOR_DATA}/items.jsonl", "fields": ["question"]}]
    steps = [*shipped["steps"], {"step": "decontaminate", "against": against}]
    recipe.write_text(json.dumps({**shipped, "sources": [source], "steps": steps}))
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")

    def facts() -> dict[str, dict[str, str]]:
        found = stages_of(small_path(corpus={"config": str(recipe)}, base_model=str(model)))
        return {
            stage.name: fingerprint_parts(stage, dict.fromkeys(stage.needs, ""), "1", Contents(), Places(tmp_path))
            for stage in found
        }

    def changed() -> dict[str, list[str]]:
        return {name: parts for name, found in facts().items() if (parts := changed_parts(before[name], found))}

    monkeypatch.setenv("INNOVATOR_DATA", str(tmp_path / "one"))
    before = facts()
    for file in (tmp_path / "one" / "book.txt", model / "model.safetensors"):
        os.utime(file, (1, 1))
    assert changed() == {}
    (model / "model.safetensors").write_bytes(b"weighty")
    assert changed() == {"upcycle": ["base model"], "eval-smoke-base": ["base model"]}
    (model / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "one" / "book.txt").write_text("longer text")
    assert changed() == {"corpus": ["raw text"]}
    (tmp_path / "one" / "book.txt").write_text("text")
    (tmp_path / "one" / "items.jsonl").write_text("{}\n")
    assert changed() == {"corpus": ["sets that its steps read"]}
    monkeypatch.setenv("INNOVATOR_DATA", str(tmp_path / "two"))
    asked = {f"eval-smoke-{model}" for model in ("base", "dense", "a-0", "a-3")}
    assert changed() == {name: ["folder of published sets"] for name in asked}, (
        "what else is read counts by its content"
    )
    (tmp_path / "two" / "items.jsonl").unlink()
    assert missing_data(stages_of(small_path(corpus={"config": str(recipe)}))) == [
        f"stage 'corpus': step 'decontaminate': evaluation set 'items' is not found at '{tmp_path}/two/items.jsonl': get the "
        "file or take the set out of the recipe"
    ]


def test_code_of_own_rewarders_counts_wherever_it_grades(tmp_path):
    """A recipe names one in an expression, an arm another in its settings."""
    mine, other = tmp_path / "mine.py", tmp_path / "other.py"
    for file in (mine, other):
        file.write_text("one = 1\n")
    recipe = tmp_path / "own.yaml"
    sample = {"name": "own", "domain": "math", "license": "CC0-1.0", "reward": f"math + 0.2 * {mine}:brevity [-1, 1]"}
    recipe.write_text(json.dumps(sample))
    suite = tmp_path / "asked.yaml"
    rows = [{"name": "own", "section": "All", "recipe": str(recipe), "max_new_tokens": 8}]
    suite.write_text(json.dumps({"name": "asked", "title": "Asked", "rows": rows}))
    arm = {"name": "a", "model": "base", "probe_rows": 4, "settings": [f"reward.routes={{x: {other}:grade}}"]}
    config = small_path(
        upcycle=None,
        tasks=["product", str(recipe)],
        learning={"config": "configs/train/moe.yaml", "arms": [arm]},
        evaluations=[{"suite": str(suite), "models": ["base"]}, {"suite": "smoke", "models": ["base"]}],
    )

    def inputs(file: Path) -> list[str]:
        return [stage.name for stage in stages_of(config) if file in stage.inputs]

    assert inputs(mine) == ["rows-own", "probe-base", "eval-asked-base", "train-a-0"]
    assert inputs(other) == ["train-a-0"]


def test_what_a_recipe_reads_is_part_of_the_fingerprint_of_its_rows(tmp_path, monkeypatch):
    """Its source, the sample next to it, and the sets that its rows are checked against."""
    monkeypatch.setenv("INNOVATOR_DATA", str(tmp_path))
    source, items, sample = (tmp_path / name for name in ("rows.jsonl", "items.jsonl", "sample.jsonl"))
    recipe = {"name": "own", "domain": "math", "license": "CC0-1.0", "reader": "jsonl", "source": str(source)}
    against = [{"name": "items", "path": "${INNOVATOR_DATA}/items.jsonl"}]
    (tmp_path / "own.yaml").write_text(json.dumps({**recipe, "decontaminate": {"against": against}}))
    (tmp_path / "sampled.yaml").write_text(json.dumps({"name": "sampled", "domain": "math", "license": "CC0-1.0"}))
    tasks = [str(tmp_path / "own.yaml"), str(tmp_path / "sampled.yaml")]
    config = small_path(upcycle=None, learning=None, evaluations=[], tasks=tasks)

    def facts() -> dict[str, dict[str, str]]:
        places = Places(tmp_path)
        return {stage.name: fingerprint_parts(stage, {}, "1", Contents(), places) for stage in stages_of(config)}

    for file in (source, items, sample):
        file.write_text("{}\n")
    for file, stage in ((source, "rows-own"), (items, "rows-own"), (sample, "rows-sampled")):
        before = facts()
        file.write_text('{"question": "2 + 2"}\n')
        changed = {name: found for name, parts in facts().items() if (found := changed_parts(before[name], parts))}
        assert changed == {stage: ["data of its recipes"]}


def test_published_sets_are_named_once_and_checked_before_anything_starts(tmp_path, monkeypatch, capsys):
    with pytest.raises(ValueError, match=r"data = .*nowhere: not a folder"):
        small_path(data=tmp_path / "nowhere")
    monkeypatch.setenv("INNOVATOR_DATA", "")
    path = tmp_path / "p.yaml"
    path.write_text(
        f"name: p\nbase_model: smollm2-135m\nruns_dir: {tmp_path}\ncorpus: {{config: configs/data/corpus-textbooks.yaml}}\n"
    )
    assert run(app, ["run", str(path), f"data={tmp_path}", "--dry-run"]) == 0
    assert "warning: stage 'corpus': source 'university-physics': " in capsys.readouterr().out
    assert os.environ["INNOVATOR_DATA"] == str(tmp_path)
    assert run(app, ["run", str(path), f"data={tmp_path}"]) == 2
    assert "stage 'corpus': source 'university-physics': " in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
    monkeypatch.delenv("INNOVATOR_DATA")
    assert run(app, ["run", str(path)]) == 2
    assert "the environment variable INNOVATOR_DATA is not set" in capsys.readouterr().err


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
    stages = {stage.name: stage for stage in stages_of(small_path(dtype="fastest", **parts))}
    for name in ("sft-base", "train-a-0"):
        assert f"model.dtype={expected}" in stages[name].command
    assert stages["eval-smoke-base"].command[-2:] == ("--dtype", expected)
    own = {stage.name: stage for stage in stages_of(small_path(**parts))}
    assert not any("dtype" in word for stage in own.values() for word in stage.command)


def test_results_of_every_arm_come_before_further_seeds():
    arms = [
        {"name": "a", "model": "base", "seeds": [0, 1], "tasks": ["product"]},
        {"name": "b", "model": "mixture", "seeds": [0]},
        {"name": "c", "model": "sft-base", "seeds": [0, 1]},
    ]
    config = small_path(
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
    stages = stages_of(small_path(upcycle=None, learning=learning, evaluations=evaluations))
    assert [stage.name for stage in stages if stage.name.startswith(("train", "eval"))] == [
        "train-a-0", "eval-smoke-base", "eval-smoke-a-0",
        "train-b-0", "eval-reasoning-base", "eval-reasoning-b-0",
        "eval-general-base", "eval-general-a-0", "eval-general-b-0",
    ]  # fmt: skip


def test_an_arm_stands_for_its_seeds():
    config = small_path()
    assert evaluated_models(config, config.evaluations[0]) == ["base", "dense", "a-0", "a-3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluations": [{"suite": "smoke", "models": ["sft-base"]}]}, "'sft-base': unknown model; expected one of base, mixture"),
        ({"upcycle": None}, "learning.arms.model = 'mixture': unknown model"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "base"}] * 2}}, "two arms are named 'a'"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "base", "tasks": ["sums"]}]}},
         "'sums': unknown task"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "a"}]}}, "arm 'a' cannot start from it; expected one of base"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "b-0"}, {"name": "b", "model": "base"}]}},
         "'b-0': arm 'a' cannot start from it"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "base", "seeds": [0, 0]}]}, "evaluations": []},
         "arm 'a' has a seed twice"),
        ({"evaluations": [{"suite": "smoke", "models": ["base"]}, {"suite": "smoke", "models": ["dense", "base"]}]},
         "suite 'smoke' is asked of 'base' twice"),
        ({"learning": {"config": "c", "arms": [{"name": "dense", "model": "base"}]}, "evaluations": []},
         "'dense': this is the name of a model"),
        ({"learning": {"config": "c", "arms": [{"name": "sft-base", "model": "base"}]}, "evaluations": []},
         "'sft-base': this is the name of a model"),
        ({"learning": {"config": "c", "arms": [{"name": "a", "model": "base"}, {"name": "a-0", "model": "base"}]}},
         "'a-0': this is the name of a model"),
    ],
)  # fmt: skip
def test_models_that_no_stage_makes_are_mistakes(changes, message):
    with pytest.raises(ValueError, match="Value error") as caught:
        small_path(**changes)
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


def test_an_unknown_key_of_a_section_is_answered_with_its_keys(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("name: p\nbase_model: x\nsft: {config: c, modelz: [base]}\nevaluations: [{suit: smoke}]\n")
    with pytest.raises(UserError) as caught:
        load_paper(path)
    lines = str(caught.value).splitlines()
    assert any("sft.modelz: unknown key; keys are config, settings, " in line and "models" in line for line in lines)
    assert any("evaluations.0.suit: unknown key; keys are suite, models" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("sft: {config: c, models: [bass]}", "sft.models.0"),
        ("tasks: [3]", "tasks.0"),
        ("learning: {config: c, arms: [{name: a, model: base, seeds: [x]}]}", "learning.arms.0.seeds.0"),
        ("deviations: [{Size: small}]", "deviations.0"),
    ],
)
def test_a_mistake_in_a_list_of_values_is_one_line(tmp_path, words, key):
    path = tmp_path / "p.yaml"
    path.write_text(f"name: p\nbase_model: x\n{words}\n")
    with pytest.raises(UserError) as caught:
        load_paper(path)
    assert str(caught.value).startswith(f"{path}: {key}: ")


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({"tasks": ["product", "product"]}, "rows-product"),
        ({"evaluations": [{"suite": "smoke", "models": ["a", "a-0"]}]}, "eval-smoke-a-0"),
        ({"evaluations": [{"suite": suite, "models": ["base"]} for suite in ("smoke", "configs/eval/smoke.yaml")]},
         "eval-smoke-base"),
    ],
)  # fmt: skip
def test_a_part_that_is_there_twice_is_a_mistake(changes, stage):
    with pytest.raises(UserError, match=f"two parts of the path are stage '{stage}'; leave one"):
        stages_of(small_path(**changes))


def test_runs_that_cannot_be_written_end_a_dry_run_too(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "runs"):
        assert run(app, ["run", "quick", f"runs_dir={place}", "--dry-run"]) == 2
        assert f"runs_dir = '{place}': '{tmp_path}/file' is a file; expected" in capsys.readouterr().err


def test_an_arm_may_start_from_an_earlier_ones_model():
    arms = [{"name": "a", "model": "base", "seeds": [0, 1]}, {"name": "b", "model": "a-1"}]
    config = small_path(learning={"config": "configs/train/moe.yaml", "arms": arms}, evaluations=[])
    stages = {stage.name: stage for stage in stages_of(config)}
    assert stages["train-b-0"].needs == ("export-a-1", "rows-product")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"learning": {"config": "configs/train/moe.yaml", "settings": ["schedule.stpes=1"],
                       "arms": [{"name": "a", "model": "base"}]}, "evaluations": []},
         r"stage 'train-a-0': .*schedule.stpes"),
        ({"sft": {"config": "configs/sft/tiny.yaml", "settings": ["schedule.stpes=1"]}}, r"stage 'sft-base': .*schedule.stpes"),
        ({"upcycle": {"config": "configs/upcycle/tiny.yaml", "settings": ["trainer.replica=3"]}},
         r"stage 'upcycle': .*trainer.replica"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_later_part_is_found_before_the_first_one_starts(changes, line):
    with pytest.raises(UserError, match=line):
        stages_of(small_path(**changes))


def test_a_base_model_that_is_not_there_and_refused_settings_end_a_run_before_anything_starts(tmp_path, capsys):
    runs = f"runs_dir={tmp_path / 'runs'}"
    assert run(app, ["run", "quick", runs, f"base_model={tmp_path / 'none'}", "--dry-run"]) == 0
    assert "warning: base_model = " in capsys.readouterr().out
    assert run(app, ["run", "quick", runs, f"base_model={tmp_path / 'none'}"]) == 2
    assert "none': no such folder; expected a checkpoint's folder" in capsys.readouterr().err
    assert run(app, ["run", "quick", runs, "upcycle.settings=[trainer.replicas=3]"]) == 2
    assert "stage 'upcycle': trainer.replicas = 3" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_a_part_reads_is_part_of_its_fingerprint(tmp_path):
    """The base model's files, and rows that a part names itself."""
    model, rows = tmp_path / "model", tmp_path / "rows.parquet"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"one")
    rows.write_bytes(b"one")
    config = small_path(
        runs_dir=tmp_path / "runs",
        base_model=str(model),
        tasks=[],
        sft={"config": "configs/sft/tiny.yaml"},
        learning={
            "config": "configs/train/moe.yaml",
            "settings": [f"data.train=[{rows}]", "data.validation=[]"],
            "arms": [{"name": "a", "model": "sft-base"}],
        },
    )

    def facts() -> dict[str, dict[str, str]]:
        return {
            stage.name: fingerprint_parts(stage, dict.fromkeys(stage.needs, ""), "1", Contents(), Places(Path("runs")))
            for stage in stages_of(config)
        }

    before = facts()
    (model / "model.safetensors").write_bytes(b"three")
    changed = {name: found for name, parts in facts().items() if (found := changed_parts(before[name], parts))}
    assert changed == {name: ["base model"] for name in ("upcycle", "sft-base", "eval-smoke-base")}
    before = facts()
    rows.write_bytes(b"three")
    changed = {name: found for name, parts in facts().items() if (found := changed_parts(before[name], parts))}
    assert list(changed) == ["train-a-0"]
    rows.unlink()
    assert missing_data(stages_of(config)) == [f"stage 'train-a-0': '{rows}' is not found (data.train)"]
    assert missing_data(stages_of(small_path(runs_dir=tmp_path / "runs"))) == []


def test_a_failed_check_or_probe_leaves_no_earlier_figures():
    arm = {"name": "a", "model": "mixture", "probe_rows": 40}
    stages = stages_of(
        small_path(learning={"config": "configs/train/moe.yaml", "arms": [arm]}, evaluations=[], tasks=["product"])
    )
    for stage in stages:
        if stage.name in ("verify-mixture", "probe-mixture"):
            assert stage.clean == (stage.result,)


def test_several_hosts_and_accelerators_are_words_of_the_commands():
    config = small_path(
        upcycle={"config": "configs/upcycle/tiny.yaml", "ranks": 8, "nodes": 2, "launcher": ["srun", "--nodes=2"]},
        evaluations=[{"suite": "smoke", "models": ["base"], "tensor_parallel": 4}],
    )
    stages = {stage.name: stage for stage in stages_of(config)}
    assert stages["upcycle"].words()[:5] == ("srun", "--nodes=2", "innovator", "upcycle", "run")
    assert stages["upcycle"].command[-5:] == ("--dense", "--ranks", "8", "--nodes", "2")
    assert stages["eval-smoke-base"].command[-2:] == ("--tensor-parallel", "4")
    assert warnings([(stages["upcycle"], None)], 16, 24.0) == []
    assert "trains with 16 processes and the path has 64" in warnings([(stages["upcycle"], None)], 64, 24.0)[0]


def test_what_a_plan_refuses_and_a_limit_that_is_too_short_are_warnings():
    stage = next(stage for stage in stages_of(small_path()) if stage.name == "train-a-0")
    cost = Cost(30.0, 8, 1, "GPU", "a plan", problems=("it does not fit",))
    assert warnings([(stage, cost)], 8, 24.0) == [
        "stage 'train-a-0': it does not fit",
        "stage 'train-a-0' takes about 30 h and limit_hours = 24 ends it before that: raise limit_hours",
    ]


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
    config = small_path(accelerators=16, price={"per_hour": 2, "source": "a contract"})
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
        one for one in stages_of(small_path(upcycle={"config": "configs/upcycle/tiny.yaml", "hours": 0.5})) if one.hours
    )
    record = StageRecord("upcycle", {}, {}, 7200.0, "")
    stated = cost_of(stage, 0, expected(stage, [stage], lambda one: None))
    taken = cost_of(stage, 0, expected(stage, [stage], lambda one: record))
    assert stage.name == "upcycle"
    assert stated is not None
    assert (stated.hours, stated.unit, stated.source) == (
        0.5,
        "core",
        "hours in the configuration",
    )
    assert taken is not None
    assert (taken.hours, taken.source) == (2.0, "time of its last run")
    first = stages_of(small_path())[0]
    assert cost_of(first, 0, expected(first, [first], lambda one: None)) is None


def test_a_seed_costs_what_others_of_its_arm_took_or_what_its_arm_states():
    arms = [{"name": "a", "model": "base", "seeds": [0, 1], "hours": 2}, {"name": "b", "model": "base"}]
    learning = {"config": "configs/train/moe.yaml", "hours": 3, "arms": arms}
    stages = stages_of(small_path(upcycle=None, learning=learning, evaluations=[]))
    seeds = {stage.name: stage for stage in stages if stage.name.startswith("train-")}
    records = {"train-a-0": StageRecord("train-a-0", {}, {}, 5400.0, "")}

    def cost(name: str) -> Cost | None:
        return cost_of(seeds[name], 0, expected(seeds[name], stages, lambda one: records.get(one.name)))

    found = cost("train-a-1")
    assert (found.hours, found.source) == (1.5, "mean of 1 stage of its kind")
    records.clear()
    assert cost("train-a-1").hours == 2
    assert cost("train-b-0").hours == 3


def test_the_dry_run_of_the_papers_size_plans_and_warns_of_the_disk(tmp_path, capsys):
    assert run(app, ["run", "53b", f"runs_dir={tmp_path}", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "641.0 billion tokens" in shown
    assert "8 hosts" in shown
    assert "warning: stage 'upcycle' needs 4,200.0 GB of disk" in shown
    assert "limit_hours" not in shown
    assert "processes" not in shown
    assert "srun --nodes=8 --ntasks-per-node=1 innovator upcycle run" in shown
    assert "warning: stage 'upcycle': 'data/pretraining' is not found (disciplines.biology" in shown


def test_paths_are_below_the_runs_folder(tmp_path):
    for stage in stages_of(small_path(runs_dir=tmp_path)):
        assert Path(stage.result).is_relative_to(tmp_path)
