"""Load and entropy per layer are those of the routers' own choices."""

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
    assert load.tokens == {0: 24, 1: 24}
    assert all(int(counts.sum()) == 48 for counts in load.load.values())


def test_a_dense_model_has_none() -> None:
    assert RouterLoad.attach(AutoModelForCausalLM.from_config(Qwen2Config(**SIZES))) is None
