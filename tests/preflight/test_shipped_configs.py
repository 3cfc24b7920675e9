"""No configuration that ships is stopped by preflight, and the settings' page is the schema's."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from config_rows import row, write_rows

from innovator_rl.config import load
from innovator_rl.preflight import Machine, check, errors, resources
from innovator_rl.preflight.data import files, is_path
from tools.config_reference import page

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "configs" / "train").glob("*.yaml"))
UPCYCLED = {  # Qwen2.5-7B's shape with 64 experts of which 8 answer
    "model_type": "qwen2_moe",
    "architectures": ["Qwen2MoeForCausalLM"],
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "vocab_size": 152064,
    "num_experts": 64,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2368,
    "shared_expert_intermediate_size": 2368,
}


def _cluster(machine: Machine) -> Machine:
    packages = {"verl": "0.9.1", "vllm": "0.24.0", "TransferQueue": "0.1.11", "tensorboard": "2.21.0"}
    return dataclasses.replace(machine, cores=96, memory=2**40, accelerator_memory=(80 * 2**30,) * 8, packages=packages)


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_a_shipped_configuration_is_not_stopped(
    path: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    monkeypatch.setattr("innovator_rl.preflight.resources._unreachable", lambda address: "")
    monkeypatch.setattr("innovator_rl.preflight.resources.free_disk", lambda folder: 2**44)
    config = load(path)
    if config.resources.platform == "cuda":
        machine = _cluster(machine)
        folder = tmp_path / config.model.path
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(UPCYCLED))
        (folder / "model.safetensors").write_bytes(b"")
        (folder / "tokenizer.json").write_text("{}")
        (folder / "chat_template.jinja").write_text("{{ messages }}")
    sources = [*config.data.mixture, *config.reward.routes] or ["gsm8k"]
    rows = [row(i, source) for source in sources for i in range(config.algorithm.prompts_per_step)]
    train, validation = write_rows(tmp_path / "t.parquet", rows), write_rows(tmp_path / "v.parquet", rows[:8])
    findings = check(config, machine=machine, train_files=[train], validation_files=[validation])
    assert [finding.line() for finding in errors(findings)] == []


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_the_datasets_of_a_shipped_configuration_are_shipped_too(path: Path) -> None:
    data = load(path).data
    names = [entry for entry in (*data.train, *data.validation) if not is_path(entry)]
    assert files(names, "data.train")[1] == []


def test_there_are_configurations_to_check() -> None:
    assert {"demo", "moe", "innovator-53b"} <= {path.stem for path in SHIPPED}


def test_the_settings_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m tools.config_reference > docs/configuration.md"


def test_a_record_that_outgrows_the_disk_is_named_with_the_share_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("innovator_rl.preflight.resources.free_disk", lambda folder: 250 * 2**30)
    config = load(ROOT / "configs/train/innovator-53b.yaml", ["logging.token_share=1.0"])
    (found,) = resources._record(SimpleNamespace(config=config, run_dir=tmp_path))  # type: ignore[arg-type]
    assert found.line().startswith(
        "warning: logging.token_share = 1.0: responses and their tokens take about 3.2 GiB per step"
    )
    share = float(found.fix.split()[2].rstrip(","))
    fits = config.model_copy(update={"logging": config.logging.model_copy(update={"token_share": share})})
    assert 0 < share < 0.3
    assert list(resources._record(SimpleNamespace(config=fits, run_dir=tmp_path))) == []  # type: ignore[arg-type]
