"""Load and entropy per layer are those of the routers' own choices."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2MoeConfig

from innovator_rl.integrations.verl.router_load import RouterLoad

SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def moe() -> torch.nn.Module:
    torch.manual_seed(0)
    config = Qwen2MoeConfig(
        **SIZES, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16
    )
    return AutoModelForCausalLM.from_config(config)


def test_a_collapsed_router_shows_as_one() -> None:
    model = moe()
    load = RouterLoad.attach(model)
    assert load is not None
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.gate.weight.zero_()  # equal logits: uniform distribution, the same two experts for every token
    model(torch.arange(10)[None])
    metrics = load.take()
    for layer in ("00", "01"):
        assert metrics[f"router/layer_{layer}/entropy"] == pytest.approx(torch.log(torch.tensor(4.0)).item())
        assert metrics[f"router/layer_{layer}/max_load"] == pytest.approx(2.0)  # two experts take all of four
        assert metrics[f"router/layer_{layer}/dead_experts"] == 2
    assert load.take() == {}


def test_figures_gather_over_passes() -> None:
    model = moe()
    load = RouterLoad.attach(model)
    assert load is not None
    tokens = torch.arange(24)
    model(tokens[None, :8])
    model(tokens[None, 8:])
    seen = {layer: values[:4].sum().item() for layer, values in load._seen.items()}
    assert seen == {0: 48, 1: 48}  # two experts per token
    assert {layer: values[-1].item() for layer, values in load._seen.items()} == {0: 24, 1: 24}


def test_a_dense_model_has_none() -> None:
    assert RouterLoad.attach(AutoModelForCausalLM.from_config(Qwen2Config(**SIZES))) is None


def _half_of_the_experts(rank: int, store: str, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    load = RouterLoad()
    counts = torch.zeros(8)
    counts[4 * rank : 4 * rank + 4] = 5.0  # rank 0 on experts 0 to 3, rank 1 on 4 to 7
    load._seen = {0: torch.cat([counts, torch.tensor([10.0 * (rank + 1), 10.0])]).double()}
    Path(folder, f"{rank}.json").write_text(json.dumps(load.take(torch.distributed.group.WORLD)))
    torch.distributed.destroy_process_group()


def test_ranks_report_the_load_of_all_tokens(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_half_of_the_experts, (str(tmp_path / "store"), str(tmp_path)), nprocs=2)
    for rank in range(2):
        metrics = json.loads((tmp_path / f"{rank}.json").read_text())
        assert metrics == {
            "router/layer_00/entropy": 1.5,
            "router/layer_00/max_load": 1.0,  # alone each rank has 2.0 and 4 dead experts
            "router/layer_00/dead_experts": 0.0,
        }
