"""The exported checkpoint is the training-format model in stock transformers, and `verify` notices when it is not."""

import fnmatch
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from base_models import make_base_model, spec_of, training
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from upcycle.checkpoint.convert import export
from upcycle.checkpoint.hf_export import sidecar_files
from upcycle.checkpoint.readers import BaseModelSource, open_training_folder
from upcycle.checkpoint.sharded_writer import finish, write
from upcycle.checkpoint.tensor_source import SafetensorsFolder
from upcycle.checkpoint.torch_io import load_weights
from upcycle.checkpoint.verify import Check, verify
from upcycle.model.architecture import FILE
from upcycle.model.modeling import InnovatorForCausalLM

TOKENS = torch.arange(2 * 24).reshape(2, 24) * 7 % 96


def quiet(_line: str) -> None:
    pass


def exported(tmp_path: Path, **settings: Any) -> tuple[Path, Path]:
    base_settings = {key: settings.pop(key) for key in ("family", "tie_word_embeddings") if key in settings}
    base_model = make_base_model(tmp_path / "base_model", **base_settings)
    folder = training(tmp_path / "trained", base_model, spec_of(base_model, **settings))
    return folder, export(folder, tmp_path / "export", "keep", 10**9, quiet)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"family": "llama", "tie_word_embeddings": True},
        {"family": "llama", "gating": "softmax_topk", "null_experts": 2},
        {"tie_word_embeddings": True, "routed_scale": "learned", "null_experts": 1},
        {"form": "half", "routed_scale": "one"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())) or "paper",
)
def test_transformers_gives_the_trained_logits(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder, checkpoint = exported(tmp_path, **settings)
    spec, source = open_training_folder(folder)
    ours = InnovatorForCausalLM(spec)
    load_weights(ours, source)
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, output_loading_info=True)
    assert type(theirs).__name__ == "Qwen2MoeForCausalLM"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        mine, its = ours(TOKENS).logits, theirs(TOKENS).logits
    assert (mine - its).abs().max() <= 1e-5 * mine.abs().max()
    failed = [check for check in verify(checkpoint, folder, progress=quiet) if not check.ok]
    assert not failed


def test_in_bfloat16_the_shared_path_is_exact_and_every_slice_keeps_its_bits(tmp_path: Path) -> None:
    folder, checkpoint = _of_dtype(tmp_path, torch.bfloat16)
    checks = {check.name: check for check in verify(checkpoint, folder, progress=quiet)}
    assert all(check.ok for check in checks.values())
    assert "bfloat16" in checks["shared path"].figure
    spec, source = open_training_folder(folder)
    stored = SafetensorsFolder(checkpoint)
    down = source.rows("model.layers.0.mlp.experts.down_proj", 0, spec.hidden)
    written = stored.rows("model.layers.0.mlp.experts.0.down_proj.weight", 0, spec.hidden)
    assert np.array_equal(written, down + np.uint16(2 << 7)), "times 4 is two exponent steps"


def _of_dtype(tmp_path: Path, dtype: torch.dtype) -> tuple[Path, Path]:
    base_model = make_base_model(tmp_path / "base_model", dtype=dtype)
    folder = training(tmp_path / "trained", base_model, spec_of(base_model), dtype)
    return folder, export(folder, tmp_path / "export", "keep", 10**9, quiet)


def test_a_learned_scale_is_folded_into_the_experts(tmp_path: Path) -> None:
    folder, _ = exported(tmp_path, routed_scale="learned")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.mlp.routed_scale"] = torch.tensor([1.7])
    save_file(tensors, folder / "model.safetensors")
    checkpoint = export(folder, tmp_path / "again", "keep", 10**9, quiet)
    written = load_file(checkpoint / "model.safetensors")
    name = "model.layers.{}.mlp.experts.5.down_proj.weight"
    for layer, scale in ((0, 1.7), (1, 4.0)):
        coarse = tensors[f"model.layers.{layer}.mlp.experts.down_proj"][5]
        assert torch.equal(written[name.format(layer)], coarse * torch.tensor(scale))
    assert not [check for check in verify(checkpoint, folder, progress=quiet) if not check.ok]


def test_the_type_can_be_changed_on_export(tmp_path: Path) -> None:
    folder, checkpoint = exported(tmp_path)
    half = export(folder, tmp_path / "half", "bfloat16", 10**9, quiet)
    assert json.loads((half / "config.json").read_text())["dtype"] == "bfloat16"
    one, other = (load_file(place / "model.safetensors") for place in (checkpoint, half))
    assert all(torch.equal(one[name].bfloat16(), tensor) for name, tensor in other.items())


def failing(checks: Any) -> set[str]:
    return {check.name for check in checks if not check.ok}


@pytest.mark.parametrize(
    ("tensor", "failed"),
    [
        ("mlp.shared_expert_gate.weight", {"form: shared gate", "tensors", "shared path", "logits"}),
        ("mlp.shared_expert.down_proj.weight", {"tensors", "shared path", "logits"}),
        ("mlp.gate.weight", {"tensors", "routing", "logits"}),
        ("mlp.experts.*.up_proj.weight", {"tensors", "logits"}),
        ("self_attn.k_proj.weight", {"tensors", "logits"}),
    ],
)
def test_verify_names_what_was_changed(tmp_path: Path, tensor: str, failed: set[str]) -> None:
    folder, checkpoint = exported(tmp_path)
    _change(checkpoint, f"model.layers.1.{tensor}")
    assert failing(verify(checkpoint, folder, progress=quiet)) == failed
    alone = list(verify(checkpoint, None, progress=quiet))
    assert failing(alone) == failed & {"form: shared gate"}
    assert all(isinstance(check, Check) for check in alone)


def _change(checkpoint: Path, name: str) -> None:
    file = checkpoint / "model.safetensors"
    tensors = load_file(file)
    for changed in fnmatch.filter(tensors, name):
        tensors[changed][0] += 0.5
    save_file(tensors, file, {"format": "pt"})


def test_verify_finds_weights_that_are_not_numbers_and_a_wrong_rule(tmp_path: Path) -> None:
    folder, checkpoint = exported(tmp_path)
    file = checkpoint / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, file, {"format": "pt"})
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "norm_topk_prob": False}))
    found = failing(verify(checkpoint, folder, logits=False, progress=quiet))
    assert found == {"form: finite weights", "configuration", "tensors", "routing"}


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    _, checkpoint = exported(tmp_path)
    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert file.get_tensor("model.layers.0.mlp.shared_expert_gate.weight").shape == (1, 32)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_the_dense_baseline_is_exported_under_the_base_models_architecture(tmp_path: Path, family: str) -> None:
    base_model = make_base_model(tmp_path / "base_model", family=family)
    spec = spec_of(base_model).of_kind("dense")
    folder = tmp_path / "trained"
    write(BaseModelSource(spec, base_model), folder, 10**9, "test", quiet)
    finish(folder, sidecar_files(base_model), {FILE: asdict(spec)})
    checkpoint = export(folder, tmp_path / "export", "keep", 10**9, quiet)
    ours = InnovatorForCausalLM(spec)
    load_weights(ours, open_training_folder(folder)[1])
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, output_loading_info=True)
    assert theirs.config.model_type == family
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        mine, its = ours(TOKENS).logits, theirs(TOKENS).logits
    assert (mine - its).abs().max() <= 1e-5 * mine.abs().max()
