"""`innovator upcycle plan`, `split`, `export` and `verify` as people call them."""

import json
import os
import shutil
from pathlib import Path

import pytest
from base_models import make_base_model, make_experts, spec_of
from safetensors.torch import load_file, save_file

from innovator_rl.cli.main import main

FULL_SIZE = str(Path(__file__).parents[2] / "configs/upcycle/innovator-53b.yaml")


def run(*words: str) -> int:
    """The command's exit code."""
    try:
        main(["upcycle", *words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_plan_as_json_lists_every_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", FULL_SIZE, "--json") == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["parameters"]["total"] == 53_247_778_304
    assert sum(len(shard["tensors"]) for shard in counted["shards"]) == counted["tensors"] == 5771
    assert {stage["stage"] for stage in counted["stages"]} == {"train-experts", "train-router", "train-joint"}
    assert {stage["folder"] for stage in counted["stages"]} == {"induct", "route", "integrate"}, (
        "as in the last release"
    )
    assert all(stage["stage"] == stage["command"] for stage in counted["stages"])
    assert counted["bytes"]["training"] == counted["bytes"]["native"]
    assert all(stage["memory_bytes_per_gpu"] > 0 and stage["total_flops"] > 0 for stage in counted["stages"])


def test_the_plan_for_people_says_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", FULL_SIZE, "mixture.top_k=4", "--gpus", "8", "--gpu-memory", "80") == 0
    text = capsys.readouterr().out
    assert "53,247,778,304 in all" in text
    assert "model-00022-of-00022.safetensors" in text
    assert "DOES NOT FIT 80 GB" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", FULL_SIZE, "mixture.spilt=4"), "mixture.spilt: unknown key; did you mean split?"),
        (("plan", FULL_SIZE, "mixture.split=5"), "intermediate_size 18944 is not divisible"),
        (("plan", FULL_SIZE, "mixture.top_k=65"), "mixture.top_k = 65: only 64 experts"),
        (("plan", FULL_SIZE, "mixture.gating=softmax"), "mixture.gating = 'softmax'"),
        (("plan", FULL_SIZE, "base_config.model_type=mamba"), "model_type = 'mamba'"),
        (("plan", FULL_SIZE, "base_config.head_dim=64"), "head_dim = 64: vLLM's Qwen2-MoE takes"),
        (
            ("plan", FULL_SIZE, "base_model=/nowhere/base", "base_config={}"),
            "base_model '/nowhere/base' must be a folder",
        ),
        (("plan", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("split", FULL_SIZE), "base model 'Qwen/Qwen2.5-7B': not in the local hub cache"),
        (("verify",), "give a configuration, or --checkpoint"),
        (("verify", "--checkpoint", "nowhere"), "nowhere/config.json: no such file"),
        (("train-experts", FULL_SIZE, "--discipline", "alchemy"), "--discipline 'alchemy'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A configuration file, its base model, and induced experts in the run's folder."""
    base_model = make_base_model(tmp_path / "base_model", "llama", tie_word_embeddings=True)
    config = tmp_path / "small.yaml"
    config.write_text(
        f"name: small\nruns_dir: {tmp_path / 'runs'}\nbase_model: {base_model}\ndisciplines: {{physics: , biology: }}\n"
        "mixture: {split: 4, top_k: 2, null_experts: 1}\n"
    )
    make_experts(tmp_path / "runs/small/experts", base_model, spec_of(base_model, null_experts=1))
    return config


def test_split_export_verify_and_a_checkpoint_that_was_trained_wrongly(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = tmp_path / "runs/small"
    assert run("export", str(project)) == 2
    assert "run the stages first" in capsys.readouterr().err
    assert run("split", str(project)) == 0
    assert run("export", str(project)) == 0
    assert run("split", str(project)) == run("export", str(project)) == 0
    assert "already exported" in capsys.readouterr().out
    assert run("verify", str(project), "--out", str(tmp_path / "checks" / "small.json")) == 0
    shown = capsys.readouterr().out
    assert shown.count("ok    ") == 8
    kept = json.loads((tmp_path / "checks" / "small.json").read_text())
    assert [check["ok"] for check in kept["checks"]] == [True] * 8
    assert "FAILED" not in shown
    assert run("split", str(project), "seed=1") == 2
    assert "was made from other weights or settings" in capsys.readouterr().err
    trained = tmp_path / "trained"
    shutil.copytree(run_folder / "export", trained)
    _move_gate(trained)
    assert run("verify", "--checkpoint", str(trained), "--out", str(tmp_path / "wrong.json")) == 3
    assert not (tmp_path / "wrong.json").exists(), "checks that fail are no result"
    assert "FAILED  form: shared gate: 1 of 2 gates are not zero" in capsys.readouterr().out


def _move_gate(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.shared_expert_gate.weight"][0, 3] = 1e-8
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def test_copied_inputs_are_the_same_and_a_changed_byte_is_not(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", str(project)) == 0
    weights = tmp_path / "runs/small/experts/physics/model.safetensors"
    os.utime(weights, ns=(0, 0))  # as in a copy
    capsys.readouterr()
    for _ in range(2):
        assert run("split", str(project)) == 0
        assert "already split" in capsys.readouterr().out
    content = bytearray(weights.read_bytes())
    content[-4] ^= 1  # the last bit of a number
    weights.write_bytes(content)
    assert run("split", str(project)) == 2
    assert "was made from other weights" in capsys.readouterr().err


def test_a_base_model_that_disagrees_with_the_configuration_is_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", str(project), "base_config.hidden_size=64") == 2
    assert "base_config.hidden_size = 64: the base model's config.json has 32" in capsys.readouterr().err


def test_a_round_trip_leaves_nothing(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "round-trip"
    assert run("dry-run", str(project), "export.shard_bytes=1000000", "--round-trip", str(folder)) == 0
    assert "read back, equal, deleted" in capsys.readouterr().out
    assert not folder.exists()
    assert run("dry-run", str(project), "--round-trip", str(folder), "--out", str(folder)) == 2
    for _ in range(2):
        assert run("dry-run", str(project), "--out", str(folder)) == 0
    assert "already written" in capsys.readouterr().out


@pytest.mark.slow
def test_vllm_serves_the_export(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: starts vLLM on the smallest shape that its CPU attention takes."""
    pytest.importorskip("vllm")
    base_model = make_base_model(
        tmp_path / "wide", "llama", hidden_size=128, intermediate_size=256, tie_word_embeddings=True
    )
    config = tmp_path / "wide.yaml"
    config.write_text(
        project.read_text().replace(str(tmp_path / "base_model"), str(base_model)).replace("small", "wide")
    )
    make_experts(tmp_path / "runs/wide/experts", base_model, spec_of(base_model, null_experts=1), std=0.05)
    assert run("split", str(config)) == run("export", str(config)) == 0
    assert run("verify", str(config), "--vllm", "--vllm-seconds", "240") == 0
    assert "same greedy token 100.00%" in capsys.readouterr().out
