"""A run's checkpoint becomes a Hugging Face folder with exactly the trained weights, and damage is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from innovator_rl.cli.application import run as run_command
from innovator_rl.cli.main import app
from innovator_rl.errors import StorageError, UserError
from innovator_rl.evaluation.proof import prove_servable
from innovator_rl.integrations.verl.checkpoint_export import export_checkpoint, find_checkpoint
from innovator_rl.integrations.verl.checkpoints import mark_complete
from innovator_rl.models import resolve
from innovator_rl.runs.run_dir import RunDir

RANKS = Path(__file__).with_name("checkpoint_ranks.py")


@pytest.fixture(scope="module", params=["tiny-qwen2", "tiny-qwen2-moe"])
def trained(request, tmp_path_factory):
    """A run with one complete checkpoint of two ranks, and the folder of the model that it holds."""
    folder = tmp_path_factory.mktemp("runs")
    model = resolve(request.param)
    step = folder / "demo" / "checkpoints" / "global_step_3"
    store = folder / "store"
    command = [sys.executable, str(RANKS), str(model), str(step / "actor")]
    processes = [subprocess.Popen([*command, str(rank), "2", str(store)]) for rank in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    mark_complete(step)
    run = RunDir(folder / "demo")
    run.open_attempt()
    run.finish("finished")
    return folder, Path(model)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for path in folder.glob("*.safetensors"):
        found |= load_file(path)
    return found


def test_the_weights_are_those_of_the_ranks(trained, tmp_path):
    folder, model = trained
    checkpoint = find_checkpoint(folder / "demo" / "checkpoints", None)
    assert export_checkpoint(checkpoint, tmp_path / "out") == "float32"
    before, after = weights(model), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value.float(), after[name]), name
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (model / "tokenizer.json").read_bytes()


def test_a_named_precision_is_written_and_nothing_is_left_beside_it(trained, tmp_path):
    folder, model = trained
    checkpoint = find_checkpoint(folder / "demo" / "checkpoints", 3)
    assert export_checkpoint(checkpoint, tmp_path / "out", "bfloat16") == "bfloat16"
    after = weights(tmp_path / "out")
    for name, value in weights(model).items():
        assert torch.equal(value.to(torch.bfloat16), after[name]), name
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_writes_the_folder_and_refuses_to_replace_it(trained, tmp_path, capsys):
    folder, _ = trained
    words = ["runs", "export-model", "demo", str(tmp_path / "out"), "--runs-dir", str(folder), "--no-proof"]
    assert run_command(app, words) == 0
    assert f"vllm serve {tmp_path / 'out'} --dtype float32" in capsys.readouterr().out
    assert run_command(app, words) == 2
    assert "exists; give another folder, or --replace" in capsys.readouterr().err
    assert run_command(app, [*words, "--replace"]) == 0
    assert run_command(app, [*words, "--replace", "--step", "7"]) == 2
    assert "--step 7: no complete checkpoint of that step" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_result_is_loaded_in_vllm_before_it_counts(trained, tmp_path, capsys):
    folder, _ = trained
    out = tmp_path / "out"
    assert run_command(app, ["runs", "export-model", "demo", str(out), "--runs-dir", str(folder)]) == 0
    assert f"{out}: loaded in vLLM, which generated 8 tokens" in capsys.readouterr().err
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "hidden_size": 2 * config["hidden_size"]}))
    with pytest.raises(UserError, match="vLLM cannot serve it"):
        prove_servable(out, "float32")


def test_a_missing_or_damaged_rank_is_named(trained, tmp_path):
    folder, _ = trained
    checkpoint = find_checkpoint(folder / "demo" / "checkpoints", 3)
    rank = checkpoint.path / "actor" / "model_world_size_2_rank_1.pt"
    content = rank.read_bytes()
    try:
        rank.unlink()
        with pytest.raises(StorageError, match=r"expected one file per rank of \[2\] ranks, found ranks \[0\]"):
            export_checkpoint(checkpoint, tmp_path / "out")
        rank.write_bytes(content[:1000])
        with pytest.raises(StorageError, match=r"model_world_size_2_rank_1\.pt: cannot be read"):
            export_checkpoint(checkpoint, tmp_path / "out")
        rank.write_bytes(content[:-600] + bytes(64) + content[-536:])  # it still loads
        with pytest.raises(StorageError, match=r"model_world_size_2_rank_1\.pt: differs from its checksum"):
            export_checkpoint(checkpoint, tmp_path / "out")
    finally:
        rank.write_bytes(content)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_checkpoint_says_how_to_get_one(tmp_path):
    with pytest.raises(UserError, match=r"no complete checkpoint found; set schedule\.save_every"):
        find_checkpoint(tmp_path, None)
