"""The configuration of fine-tuning reaches verl whole, and what is wrong with it is named before a rank starts."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from innovator_rl.cli import main
from innovator_rl.cli.application import run
from innovator_rl.config.load import load_as
from innovator_rl.config.nodes import node_rank
from innovator_rl.config.sft import SftConfig
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.sft_settings import sft_settings, stock_sft, to_verl_sft
from innovator_rl.packaged_files import config_names, find_config
from innovator_rl.preflight.machine import Machine
from innovator_rl.sft.preflight import check_sft, is_sft
from innovator_rl.sft.ranks import last_error

MACHINE = Machine(cores=4, memory=32 * 2**30, shared_memory=2**30)


def configured(*words: str) -> SftConfig:
    merged = {word.partition("=")[0]: word for word in ("data.train=[rows.jsonl]", "model.path=tiny-qwen2", *words)}
    return load_as(SftConfig, None, list(merged.values()))


def composed(config: SftConfig, platform: Any = "cpu") -> Any:
    return to_verl_sft(config, platform, "/model", "/train.parquet", None, 7, "/checkpoints")


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("optimizer.learning_rate=3e-4", "optim.lr", 3e-4),
        ("optimizer.batch_rows=24", "data.train_batch_size", 24),
        ("optimizer.decay=constant", "optim.lr_scheduler_type", "constant"),
        ("optimizer.warmup_steps=9", "optim.lr_warmup_steps", 9),
        ("optimizer.weight_decay=0.2", "optim.weight_decay", 0.2),
        ("optimizer.gradient_clip=0.5", "optim.clip_grad", 0.5),
        ("optimizer.micro_batch_tokens=5000", "data.max_token_len_per_gpu", 5000),
        ("data.max_tokens=99", "data.max_length", 99),
        ("data.seed=5", "data.seed", 5),
        ("schedule.save_every=4", "trainer.save_freq", 4),
        ("schedule.save_every=0", "trainer.save_freq", -1),
        ("schedule.validate_every=6", "trainer.test_freq", 6),
        ("model.gradient_checkpointing=true", "model.enable_gradient_checkpointing", True),
        ("model.lora.rank=16", "model.lora_rank", 16),
        ("model={path: tiny-qwen2, lora: {rank: 16, alpha: 32}}", "model.lora_alpha", 32),
        ("model.lora.target_modules=[q_proj]", "model.target_modules", ["q_proj"]),
        ("model.dtype=bfloat16", "engine.mixed_precision.param_dtype", "bf16"),
        ("export.dtype=float32", "innovator.export_dtype", "float32"),
        ("verl.optim.betas=[0.9, 0.95]", "optim.betas", [0.9, 0.95]),
    ],
)
def test_a_setting_reaches_its_key_of_verl(word: str, key: str, value: Any) -> None:
    assert OmegaConf.select(composed(configured(word)), key) == value


def test_every_key_exists_in_the_installed_verl() -> None:
    stock = stock_sft()
    added = {"engine.mixed_precision", "model.override_config.attn_implementation", "data.seed", "innovator"}
    keys = set(sft_settings(configured(), "cpu", "", "", None, 1)) - added
    assert [key for key in keys if OmegaConf.select(stock, key, default="none") == "none"] == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("verl.optim.lr=1", "verl.optim.lr: decided by optimizer.learning_rate"),
        ("verl.optim.lrr=1", "verl.optim.lrr: unknown key of verl; did you mean optim.lr"),
        ("verl.model.lora_rank=16", "verl.model.lora_rank: decided by model.lora.rank"),
        ("verl.engine.mixed_precision.param_dtype=fp16", "decided by model.dtype"),
    ],
)
def test_keys_under_verl_are_checked(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        composed(configured(word))


def test_a_mistyped_key_names_the_near_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("optimizer: {learning_rat: 1.0e-3}\n")
    assert run(main.app, ["sft", str(file)]) == 2
    assert "optimizer.learning_rat: unknown key; did you mean optimizer.learning_rate" in capsys.readouterr().err
    assert run(main.app, ["sft", "tiny", "schedule.step=3"]) == 2
    assert "did you mean schedule.steps?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["data.train=[]"], "data.train"),
        (["optimizer.batch_rows=7", "resources.accelerators_per_node=2"], "optimizer.batch_rows"),
        (["optimizer.micro_batch_tokens=10"], "optimizer.micro_batch_tokens"),
        (["model.path=tiny-qwen"], "model.path"),
        (["model.lora.target_modules=[q_proj]"], "model.lora.target_modules"),
        (["model.path=tiny-qwen2-moe", "model.lora.rank=16"], "model.lora.rank"),
        (["resources.nodes=2"], "resources.nodes"),
        (["verl.nothing=1"], "verl"),
    ],
)
def test_what_would_spoil_a_run_is_an_error(words: list[str], setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NODE_RANK", "SLURM_NODEID"):
        monkeypatch.delenv(variable, raising=False)
    found = [
        item for item in check_sft(configured("resources.platform=cpu", *words), MACHINE) if item.severity == "error"
    ]
    assert [item.setting for item in found] == [setting]


def test_a_model_that_does_not_fit_is_an_error() -> None:
    small = dataclasses.replace(MACHINE, memory=2**20)
    config = configured("resources.platform=cpu")
    assert [item.setting for item in check_sft(config, small)] == ["model.path"]
    assert check_sft(config, MACHINE) == []


def test_bfloat16_on_a_processor_without_its_instructions_is_a_warning() -> None:
    without = dataclasses.replace(MACHINE, native_bfloat16=False)
    slow = configured("resources.platform=cpu", "model.dtype=bfloat16")
    found = check_sft(slow, without)
    assert [(item.setting, item.severity) for item in found] == [("model.dtype", "warning")]
    assert check_sft(slow, MACHINE) == check_sft(configured("resources.platform=cpu"), without) == []


def test_the_first_of_several_machines_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NODE_RANK", "1"), ("MASTER_ADDR", "10.0.0.1"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    assert node_rank(2) == 1
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(UserError, match="MASTER_ADDR must be set"):
        node_rank(2)


def test_the_cause_of_a_rank_that_died_is_its_exception() -> None:
    trace = "Traceback (most recent call last):\n  File x\nAttributeError: no NoSuchOptimizer\nAfter FSDP, memory 1\n\n"
    assert last_error(trace) == "AttributeError: no NoSuchOptimizer"
    assert last_error("a\nb\n") == "b"
    assert last_error("") == "no output"


def test_shipped_configurations_are_valid_and_doctor_knows_them(capsys: pytest.CaptureFixture[str]) -> None:
    names = config_names("sft")
    assert {"tiny", "smollm2", "innovator-53b"} <= set(names)
    for name in names:
        path = find_config(name, "sft")
        load_as(SftConfig, path)
        assert is_sft(path)
    assert not is_sft(find_config("demo", "train"))
    assert run(main.app, ["doctor", "configs/sft/tiny.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["optimizer"]["batch_rows"] == 16
