"""A plan counts what torch allocates, refuses what cannot fit, and proposes settings that do."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from innovator_rl.cli.main import main
from innovator_rl.config import load
from innovator_rl.config.load import apply_overrides, validate
from innovator_rl.planning import Hardware, Shape, memory, plan, timing
from innovator_rl.planning.hardware import GIB

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs/train/innovator-53b.yaml"
LARGE = Shape.of_file(ROOT / "configs/train/innovator-53b.config.json")
TOKENS, VOCABULARY = 192, 512

DENSE = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
SPARSE = {
    **DENSE,
    "moe_intermediate_size": 48,
    "shared_expert_intermediate_size": 96,
    "num_experts": 8,
    "num_experts_per_tok": 2,
}
TINY = [
    ("qwen2", DENSE),
    ("qwen2", {**DENSE, "hidden_size": 128, "num_attention_heads": 8}),
    ("llama", {**DENSE, "intermediate_size": 224}),
    ("qwen2_moe", SPARSE),
    ("qwen2_moe", {**SPARSE, "num_experts": 16, "num_experts_per_tok": 4}),
]


def model_of(family: str, sizes: dict[str, int]) -> tuple[Any, Shape]:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        family, **sizes, num_hidden_layers=3, vocab_size=VOCABULARY, max_position_embeddings=512
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    return model.train(), Shape.read(config.to_dict())


def kept_bytes(model: Any, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes that autograd keeps for the layers, and for the logits, of one forward pass; parameters are not counted."""
    model = model.to(dtype)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage
        return tensor

    tokens = torch.randint(0, VOCABULARY, (1, TOKENS))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        hidden = model.model(tokens, use_cache=False).last_hidden_state
        layers = sum(storage.nbytes() for storage in kept.values())
        logits = model.lm_head(hidden).float()
        torch.nn.functional.cross_entropy(logits[0], tokens[0])
    return layers, sum(storage.nbytes() for storage in kept.values()) - layers


@pytest.mark.parametrize(("family", "sizes"), TINY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_those_that_autograd_keeps(family: str, sizes: dict[str, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, shape = model_of(family, sizes)
    layers, _ = kept_bytes(model, dtype)
    planned = memory.activation_bytes(shape, TOKENS, dtype.itemsize, checkpointing=False)
    assert planned == pytest.approx(layers, rel=0.1)


@pytest.mark.parametrize(("family", "sizes"), [TINY[0], TINY[3]])
def test_states_are_those_of_a_step_of_adamw(family: str, sizes: dict[str, int]) -> None:
    model, shape = model_of(family, sizes)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randint(0, VOCABULARY, (1, 8))).logits.float().pow(2).mean().backward()
    for parameter in model.parameters():  # an expert that no token chose has no gradient
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    optimizer.step()
    moments = sum(
        t.nbytes for state in optimizer.state.values() for t in state.values() if torch.is_tensor(t) and t.ndim
    )
    setup = memory.Setup(1, 8, 4, False, False, False, 4, 1, 0.5, 64)
    planned = memory.update_phase(shape, setup)
    assert planned.parameters == sum(parameter.nbytes for parameter in model.parameters())
    assert planned.gradients == sum(parameter.grad.nbytes for parameter in model.parameters())
    assert planned.optimizer == moments


def test_the_53b_is_what_the_meta_device_builds() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    content = json.loads((ROOT / "configs/train/innovator-53b.config.json").read_text())
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**content))
    assert LARGE.total == sum(parameter.numel() for parameter in model.parameters())
    layer = sum(parameter.numel() for parameter in model.model.layers[0].parameters())
    assert LARGE.largest_layer == layer


def config_of(*words: str) -> Any:
    return load(CONFIG, list(words))


def test_the_shipped_53b_fits_the_machines_that_its_file_names() -> None:
    found = plan(config_of(), Hardware.named("h100-80", 64), LARGE)
    assert found.problems == ()
    assert found.update.total < 79 * GIB
    assert found.sequences_per_replica >= 1


@pytest.mark.parametrize(("kind", "gpus"), [("h100-80", 8), ("h200", 4)])
def test_what_cannot_fit_is_refused_and_the_proposal_does_fit(kind: str, gpus: int) -> None:
    hardware = Hardware.named(kind, gpus)
    found = plan(config_of(), hardware, LARGE)
    assert found.problems
    assert found.proposal
    words = dict(word.split("=") for word in found.proposal)
    nodes = int(words.pop("resources.nodes", hardware.nodes))
    words.pop("resources.accelerators_per_node", None)
    changed = validate(
        apply_overrides(config_of().model_dump(mode="json"), [f"{key}={value}" for key, value in words.items()])
    )
    assert plan(changed, Hardware.named(kind, nodes * 8), LARGE).problems == ()


def test_where_one_sequence_is_too_long_for_any_number_of_gpus_nothing_is_proposed() -> None:
    found = plan(config_of(), Hardware.named("a100-40", 32), LARGE)
    assert "the largest part is logits" in found.problems[0]
    assert found.proposal == ()


def test_more_gpus_never_need_more_memory_each() -> None:
    sizes = [plan(config_of(), Hardware.named("h100-80", gpus), LARGE, propose=False) for gpus in (16, 64, 256)]
    assert [p.update.total for p in sizes] == sorted((p.update.total for p in sizes), reverse=True)
    assert sizes[0].seconds.total > sizes[1].seconds.total > sizes[2].seconds.total


def test_each_saving_saves() -> None:
    base = memory.Setup(64, 18432, 2, False, False, False, 2, 4, 0.6, 18432)
    whole = memory.update_phase(LARGE, base)
    assert memory.update_phase(LARGE, replace(base, checkpointing=True)).activations < whole.activations
    assert memory.update_phase(LARGE, replace(base, optimizer_offload=True)).total < whole.total
    kept = memory.rollout_phase(LARGE, base, 79 * GIB)
    assert memory.rollout_phase(LARGE, replace(base, tensor_parallel=8), 79 * GIB).kv_cache > kept.kv_cache
    assert memory.rollout_phase(LARGE, replace(base, param_offload=True), 79 * GIB).parameters == 0


def test_a_larger_batch_reads_more_experts_but_never_more_than_all() -> None:
    setup = memory.Setup(64, 18432, 2, True, True, True, 2, 4, 0.6, 18432)
    read = [timing.read_bytes(LARGE, setup, sequences) for sequences in (1, 8, 64, 4096)]
    assert read == sorted(read)
    assert read[0] < 0.5 * read[-1]
    assert read[-1] == pytest.approx(LARGE.total * 2 / 4, rel=1e-6)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "plan", str(CONFIG), "--gpus", "64", "--json"])
    assert stop.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["memory_bytes_per_gpu"]["update"]["total"]
        == plan(config_of(), Hardware.named("h100-80", 64), LARGE).update.total
    )
    with pytest.raises(SystemExit) as stop:
        main(["train", "plan", str(CONFIG), "--gpus", "8"])
    assert stop.value.code == 2
    shown = capsys.readouterr().out
    assert "cannot fit: " in shown
    assert "fits with:  resources.nodes=" in shown or "fits with:  rollout" in shown or "fits with:  verl" in shown
    for words, message in (
        (["--gpu", "h10"], "did you mean h100-80"),
        (["--gpus", "12"], "must be a multiple of the 8"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["train", "plan", str(CONFIG), *words])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_every_assumption_is_in_the_plan() -> None:
    found = plan(config_of(), Hardware.named("h100-80", 64), LARGE).as_dict()
    assert found["assumptions"] == asdict(timing.Assumptions())
