"""What stops a run stops it before its first stage, and `plan` refuses the same in the same words."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from innovator_rl.cli.main import main
from innovator_rl.errors import UserError
from innovator_rl.models import make
from upcycle.config.schema import UpcycleConfig, load
from upcycle.planning.plan import plan
from upcycle.planning.preconditions import batch_problems
from upcycle.stages import induction, integration, pipeline, routing
from upcycle.stages.common import prepare

TEXT = "\n".join(
    json.dumps({"text": f"Body number {i} has a mass of {i} kilograms and a charge of {i * i}."}) for i in range(60)
)
CONFIG = """
name: small
runs_dir: {folder}/runs
base_model: tiny-qwen2
disciplines:
  physics: [{{paths: [{folder}/text.jsonl], template: "{{text}}"}}]
  biology: [{{paths: [{folder}/text.jsonl], template: "{{text}}"}}]
general: [{{paths: [{folder}/text.jsonl], template: "{{text}}"}}]
mixture: {{split: 4, top_k: 4}}
data: {{sequence_length: 32, held_out: 0.3, evaluation_sequences: 2}}
train_experts: {{tokens: 256, batch_tokens: 128}}
train_router: {{tokens: 128, batch_tokens: 128, init_tokens: 0}}
train_joint: {{tokens: 128, batch_tokens: 128}}
train_dense: {{tokens: 128, batch_tokens: 128}}
trainer: {{dtype: float32, checkpointing: false, save_every: 1, threads: 1}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with text and a configuration."""
    (tmp_path / "text.jsonl").write_text(TEXT)
    (tmp_path / "broken.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00 cut off")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "short.jsonl").write_text(TEXT.splitlines()[0])
    (tmp_path / "table.arrow").write_bytes(b"ARROW1")
    (tmp_path / "run.yaml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path


def base_model(folder: Path, **settings: object) -> Path:
    """A copy of the built-in base model with other settings in its config.json."""
    shutil.copytree(make("tiny-qwen2"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


def physics(file: str) -> str:
    """The setting that gives physics another file."""
    return f'disciplines.physics=[{{paths: [{file}], template: "{{text}}"}}]'


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("general=[]",), "`general` lists no text"),
        (("general=[]", "train_router.general_share=0"), "train_joint.general_share = 0.2, but"),
        (("data.weights={alchemy: 2}",), "data.weights.alchemy: unknown discipline"),
        (("data.weights={physics: 0, biology: 0}",), "at least one weight must be above 0"),
        (("trainer.expert_parallel=3",), "not a multiple of 3"),
        (("trainer.replicas=2",), "not a multiple of 2"),
        (("train_joint.batch_tokens=16",), "train_joint: batch_tokens = 16"),
        (("trainer.attention=flash_attention_2",), "flash-attn is not installed"),
        (("trainer.attention=flex_attention",), "it trains on a GPU only"),
        (("data.held_out=0",), "data.held_out = 0: must be above 0"),
        ((physics("{folder}/nowhere.jsonl"),), "no file matches"),
        ((physics("{folder}/table.arrow"),), "unknown format '.arrow'"),
        ((physics("{folder}/broken.jsonl.gz"),), "broken.jsonl.gz cannot be read"),
        ((physics("{folder}/empty.jsonl"),), "has no text"),
        ((physics("{folder}/short.jsonl"),), "less than one sequence"),
        ((physics("{folder}/text.jsonl").replace("{text}", "{question}"),), "does not fit the template"),
        (("disciplines.physics=[{corpus: {folder}/none}]",), "is not found: build the corpus"),
        (("disciplines.physics=[{paths: [/proc/self/mem], reader: text}]",), "cannot be read"),
    ],
)  # fmt: skip
def test_the_plan_refuses_what_the_run_refuses_before_any_training(
    settings: tuple[str, ...], told: str, project: Path
) -> None:
    chosen = [word.replace("{folder}", str(project)) for word in settings]
    config = load(project / "run.yaml", chosen)
    folder = make("tiny-qwen2")
    base_config = json.loads((folder / "config.json").read_text())
    try:
        refusals = plan(config, base_config, 1, base_model=folder).refusals
    except UserError as error:
        refusals = [str(error)]
    assert len(refusals) == 1
    assert told in refusals[0]

    def run() -> None:  # up to the first step
        pipeline.check(config, base_config, 1, base_model=folder)
        prepare(config)

    with pytest.raises(UserError, match=re.escape(told)):
        run()
    assert not list(project.glob("runs/small.*")), "no stage began"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vocab_size": 16}, "config.json means [16, "),
        ({"intermediate_size": 512}, "config.json means [512, "),
        ("tokenizer.json", "has no tokenizer"),
        ("model.safetensors", "give the folder of a safetensors checkpoint"),
    ],
)
def test_a_base_model_that_cannot_be_trained_is_refused_by_the_plan(
    change: dict[str, int] | str, told: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = base_model(project / "base", **(change if isinstance(change, dict) else {}))
    if isinstance(change, str):
        (folder / change).unlink()
    with pytest.raises(SystemExit) as ended:
        main(["upcycle", "plan", str(project / "run.yaml"), f"base_model={folder}", "--gpus", "1"])
    assert ended.value.code == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert told in errors[0]


def test_the_dense_baseline_is_planned_where_it_is_trained(project: Path) -> None:
    config = load(project / "run.yaml", ["general=[]", "train_router.general_share=0", "train_joint.general_share=0"])
    folder = make("tiny-qwen2")
    base_config = json.loads((folder / "config.json").read_text())
    assert not plan(config, base_config, 1, base_model=folder).refusals
    counted = plan(config, base_config, 1, base_model=folder, dense=True)
    assert "train_dense.general_share" in counted.refusals[0]
    assert counted.stages[-1].command == "train-dense"
    assert counted.stages[-1].trained == counted.dense


def test_too_little_disk_is_said_before_the_first_stage(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder = load(project / "run.yaml"), make("tiny-qwen2")
    base_config = json.loads((folder / "config.json").read_text())
    needed = sum(plan(config, base_config, 1).disk.values())
    usage = shutil.disk_usage(project)
    for free, refused in ((needed - 1, True), (needed, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path, free=free: usage._replace(free=free))
        assert bool(plan(config, base_config, 1, base_model=folder).refusals) == refused
    (project / "runs/small").mkdir(parents=True)
    (project / "runs/small/written").write_bytes(b"x")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=needed - 1))
    assert not plan(config, base_config, 1, base_model=folder).refusals, "what is written needs no room"


def test_without_the_base_model_the_text_need_not_be_here(project: Path) -> None:
    config = load(project / "run.yaml", [physics("nowhere.jsonl")])
    base_config = json.loads((make("tiny-qwen2") / "config.json").read_text())
    counted = plan(config, base_config, 1)
    assert not counted.refusals
    assert "no file matches" in counted.missing_text[0]


def test_equal_problems_of_several_stages_are_one_line(project: Path) -> None:
    config = load(project / "run.yaml", ["trainer.micro_batch_tokens=32"])
    assert len(batch_problems(config, 2)) == 1
    assert batch_problems(config, 2)[0].startswith("train_experts, train_router, train_joint: ")


def test_a_stage_without_the_one_before_names_its_command(project: Path) -> None:
    config = load(project / "run.yaml")
    for train, command in ((routing.train_router, "split"), (integration.train_joint, "train-router")):
        with pytest.raises(UserError, match=f"run `innovator upcycle {command} CONFIG` first"):
            train(config)
    assert not (project / "runs").exists(), "no text is tokenized"


def killed(config: UpcycleConfig) -> None:
    """Begin stage 1 as a run that was killed after its checkpoint would leave it."""
    induction.build_trainer(prepare(config), "physics", "as it was")
    checkpoint = Path(config.runs_dir) / "small.induct-physics/checkpoints/step=000001"
    checkpoint.mkdir(parents=True)


def test_another_text_or_base_model_is_refused_at_resume(project: Path) -> None:
    config = load(project / "run.yaml")
    killed(config)
    with pytest.raises(UserError, match=r"another base model \(its weights"):
        induction.build_trainer(prepare(config), "physics", "another")
    (project / "text.jsonl").write_text(TEXT.replace("charge", "spin"))
    with pytest.raises(UserError, match="another text of physics"):
        induction.build_trainer(prepare(config), "physics", "as it was")
    (project / "text.jsonl").write_text(TEXT)
    os.utime(project / "text.jsonl")
    with pytest.raises(UserError, match="does not fit this model or is damaged"):  # it went on to the checkpoint
        induction.build_trainer(prepare(config), "physics", "as it was")
    (project / "runs/small.induct-physics/config.yaml").write_text("{a: [")
    with pytest.raises(UserError, match="cannot be read, so it is unknown"):
        induction.build_trainer(prepare(config), "physics", "as it was")


@pytest.mark.parametrize(
    "file", ["physics.train.table.json", "physics.train.segments", "physics.train-0000.bin", "physics.json"]
)
def test_token_files_that_a_crash_cut_off_are_made_again(file: str, project: Path) -> None:
    config = load(project / "run.yaml")
    before = prepare(config).train
    expected = [before.batch([("physics", n)], {"physics": 0}).tokens.tolist() for n in range(before.size("physics"))]
    path = project / "runs/small/data" / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    after = prepare(config).train
    assert [
        after.batch([("physics", n)], {"physics": 0}).tokens.tolist() for n in range(after.size("physics"))
    ] == expected
