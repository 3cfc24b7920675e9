"""Commands, configuration keys and recorded folders of the previous release are still accepted."""

import inspect
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from base_models import make_base_model, make_experts, spec_of

from innovator_rl.cli.main import main
from innovator_rl.cli.upcycle import RENAMED_COMMANDS, app
from innovator_rl.errors import UserError
from innovator_rl.runs.metrics import read_metrics
from innovator_rl.runs.run_dir import RunDir
from upcycle.checkpoint.convert import digest, synthetic_export
from upcycle.checkpoint.readers import EXPERT, base_model_fingerprint, open_experts
from upcycle.config.aliases import RENAMED_KEYS, current_document, current_key, renamed_keys
from upcycle.config.schema import UpcycleConfig, load
from upcycle.config.stages import StageConfig
from upcycle.model.architecture import FILE, LOGITS_AT_ONCE, ModelSpec
from upcycle.planning import memory
from upcycle.stages import common, report
from upcycle.stages.common import StageContext
from upcycle.training import losses
from upcycle.training.distributed import DistributedContext

ROOT = Path(__file__).resolve().parents[2]
FULL_SIZE = ROOT / "configs/upcycle/innovator-53b.yaml"
OLD_COMMANDS = {
    "induct": "train-experts",
    "route": "train-router",
    "integrate": "train-joint",
    "dense": "train-dense",
    "ablate": "ablation",
    "rehearse": "dry-run",
}
OLD_CONFIG = """
name: small
donor: tiny-qwen2
donor_config: {model_type: qwen2}
disciplines: {physics: a.txt}
mixture: {split: 4, top_k: 2}
induct: {tokens: 1024, batch_tokens: 512}
route: {tokens: 2048, batch_tokens: 512, start_tokens: 1024}
integrate: {tokens: 4096, train: experts}
dense: {tokens: 8192}
engine: {threads: 1, dtype: float32}
"""


@pytest.mark.parametrize(("old", "new"), OLD_COMMANDS.items())
def test_an_old_command_calls_the_new_one_and_is_not_listed(old: str, new: str) -> None:
    group: Any = typer.main.get_command(app)
    commands = group.commands
    assert inspect.unwrap(commands[old].callback) is inspect.unwrap(commands[new].callback)
    assert (commands[old].hidden, commands[new].hidden) == (True, False)
    assert set(RENAMED_COMMANDS) == set(OLD_COMMANDS)


def test_the_help_lists_the_new_commands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["upcycle", "--help"])
    words = capsys.readouterr().out.replace("│", " ").split("\n")
    listed = {line.split()[0] for line in words if line.split()}
    assert set(OLD_COMMANDS.values()) <= listed
    assert not set(OLD_COMMANDS) & listed
    with pytest.raises(SystemExit):
        main(["upcycle", "dry-run", "--help"])
    shown = capsys.readouterr().out
    assert "--round-trip" in shown
    assert "--rolling" not in shown


def test_the_old_dry_run_still_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(f"donor: {make_base_model(tmp_path / 'base')}\ndisciplines: {{physics: , biology: }}\n")
    words = ["rehearse", str(config), "mixture.split=4", "mixture.top_k=2", "--rolling", str(tmp_path / "files")]
    with pytest.raises(SystemExit) as ended:
        main(["upcycle", *words])
    assert not ended.value.code
    shown = capsys.readouterr()
    assert "read back, equal, deleted" in shown.out
    for old, new in (("upcycle rehearse", "upcycle dry-run"), ("--rolling", "--round-trip"), ("donor", "base_model")):
        assert f"innovator: {old} is now {new}; the old name works for one more release" in shown.err


def test_only_old_names_are_warned_of() -> None:
    assert renamed_keys({"base_model": "x", "mixture": {"split": 2}}, ["train_dense.tokens=8"]) == []
    old = renamed_keys({"donor": "x", "route": {"start_tokens": 8}}, ["engine.dtype=float32"])
    assert [name for name, _ in old] == ["donor", "route", "route.start_tokens", "engine"]


def test_old_configuration_keys_mean_the_new_ones(tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(OLD_CONFIG)
    new = tmp_path / "new.yaml"
    document = current_document(yaml.safe_load(OLD_CONFIG))
    new.write_text(yaml.safe_dump(document, sort_keys=False))
    assert not set(RENAMED_KEYS) & set(document)
    old_words = [
        "donor=other",
        "route.start_tokens=512",
        "induct.tokens=2048",
        "engine.keep=5",
        "donor_config.layers=2",
    ]
    new_words = [f"{current_key(word.partition('=')[0])}={word.partition('=')[2]}" for word in old_words]
    assert new_words[1] == "train_router.init_tokens=512"
    config = load(file, old_words)
    assert config == load(new, new_words) == load(file, new_words)
    assert (config.base_model, config.train_router.init_tokens, config.train_experts.tokens) == ("other", 512, 2048)
    assert (config.trainer.keep, config.trainer.threads, config.base_config["layers"]) == (5, 1, 2)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"donor": "a", "base_model": "b"}, "base_model"),
        ({"route": {"start_tokens": 1, "init_tokens": 2}}, "train_router.init_tokens"),
    ],
)
def test_a_key_under_both_names_is_a_mistake(document: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"renamed to {message}, which is also given"):
        current_document(document)


def test_a_discipline_may_have_the_name_of_an_old_key() -> None:
    document = {"disciplines": {"route": None, "engine": None}}
    assert current_document(document) == document


def test_fingerprints_of_equal_inputs_are_those_of_the_previous_release() -> None:
    """Otherwise a folder that it wrote would count as made from other inputs. The values were computed with it."""
    config = load(FULL_SIZE)
    spec = ModelSpec.from_config(config, config.base_config, "mixture")
    facts, weights = spec.fingerprint_facts(), [("model.safetensors", 10, 20)]
    split = digest(facts, "f" * 32, [weights], config.seed, config.mixture.router_std)
    assert split == "cbac55be7235b384042ad970db6c067b"
    assert digest(facts, weights, "keep") == "a6a5e01b4038077180aec64abc0f4b66"
    assert digest(facts, "f" * 32, "copied", 0) == "570ecf3921b3cb286c856f1c98f961d9"
    assert synthetic_export(config, config.base_config, layers=1)[1] == "372b6d78060b42eb01327c04b2746df3"


def test_folders_with_the_old_keys_are_read(tmp_path: Path) -> None:
    base_model = make_base_model(tmp_path / "base")
    spec = spec_of(base_model)
    content = {("donor_config" if key == "base_config" else key): value for key, value in asdict(spec).items()}
    (tmp_path / FILE).write_text(json.dumps(content))
    assert ModelSpec.load(tmp_path) == spec
    experts = make_experts(tmp_path / "experts", base_model, spec)
    for name in spec.disciplines:
        identity = json.loads((experts / name / EXPERT).read_text())
        identity["donor"] = identity.pop("base_model")
        (experts / name / EXPERT).write_text(json.dumps(identity))
    assert set(open_experts(experts, spec, base_model_fingerprint(base_model))) == set(spec.disciplines)


def test_a_stage_that_the_previous_release_began_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD_CONFIG)
    config = load(tmp_path / "old.yaml", [f"runs_dir={tmp_path}"])
    run = RunDir(tmp_path / "small.route")
    run.create()
    (run.checkpoints / "step=000001").mkdir(parents=True)
    whole = config.model_dump(mode="json")
    stage = {("start_tokens" if key == "init_tokens" else key): value for key, value in whole["train_router"].items()}
    recorded = {"seed": 0, "donor": "tiny-qwen2"} | {key: whole[key] for key in ("disciplines", "general", "mixture")}
    recorded |= {"data": whole["data"], "stage": stage, "engine": whole["trainer"]}
    run.config_yaml.write_text(yaml.safe_dump(recorded, sort_keys=False))
    _require_same(config, config.train_router, run)
    assert yaml.safe_load(run.config_yaml.read_text())["stage"]["init_tokens"] == 1024, "written under today's names"
    run.config_yaml.write_text(yaml.safe_dump(recorded | {"donor": "another"}, sort_keys=False))
    with pytest.raises(UserError, match="another base_model"):
        _require_same(config, config.train_router, run)


def _require_same(config: UpcycleConfig, stage: StageConfig, run: RunDir) -> None:
    alone: Any = DistributedContext(0, 1, None)  # type: ignore[arg-type]
    nothing: Any = None
    common._require_same_settings(
        StageContext(config, alone, Path(), {}, nothing, nothing, {}), stage, {"text": {}, "base_model": ""}, run
    )


def test_the_report_reads_metrics_under_their_old_names(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD_CONFIG)
    config = load(tmp_path / "old.yaml", [f"runs_dir={tmp_path}"])
    folder = tmp_path / "small.route"
    folder.mkdir()
    old = "val/router/specialisation"  # codespell:ignore specialisation
    lines = [{"step": step, "val/loss/physics": 2.0, old: 0.25 + step / 4} for step in (0, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(read_metrics(folder / "metrics.jsonl")) == 2
    before, after = report.measured_stages(config)
    assert (before.metrics["val/router/specialization"], after.metrics["val/router/specialization"]) == (0.25, 0.5)
    assert "0.500" in report.table(config)


def test_the_plan_counts_the_logits_that_the_loss_computes_at_once() -> None:
    assert memory.LOGITS_AT_ONCE is losses.LOGITS_AT_ONCE is LOGITS_AT_ONCE


@pytest.mark.parametrize("module", ["innovator_rl.cli.main", "upcycle.checkpoint.verify_vllm"])
def test_a_folder_named_upcycle_in_the_working_directory_does_not_hide_the_package(module: str, tmp_path: Path) -> None:
    """The first is how people and torchrun start commands, the second is the process that `verify --vllm` starts."""
    (tmp_path / "upcycle").mkdir()
    (tmp_path / "upcycle/__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = ["upcycle", "plan", str(ROOT / "configs/upcycle/innovator-53b.yaml"), "--json"]
    command = [sys.executable, "-m", module, *arguments]
    if module.startswith("upcycle"):
        from upcycle.checkpoint.verify_vllm import worker_command

        command = worker_command(tmp_path, "float32")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250)
    assert "the wrong package" not in done.stderr
    if module.startswith("innovator_rl"):
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["parameters"]["total"] == 53_247_778_304
    else:
        assert "config.json" in done.stderr or "No module named 'vllm'" in done.stderr, "it reached its own code"
