"""An upcycled mixture keeps its ungated shared expert through training, and its operations are counted once."""

import pytest
import torch
import transformers
from verl.utils import flops_counter

from innovator_rl.integrations.verl.shared_expert_gate import SHARED_GATE, UNGATED_KEY, freeze_shared_gate
from innovator_rl.platform.shims.qwen2_moe_flops import apply, counts_shared_experts

pytestmark = pytest.mark.xdist_group("verl")


def mixture(**settings: object) -> torch.nn.Module:
    config = transformers.Qwen2MoeConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=32,
        **settings,
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if SHARED_GATE in name:
            torch.nn.init.zeros_(parameter)
    return model


def trained(model: torch.nn.Module) -> list[torch.Tensor]:
    """The shared gates after three steps with weight decay, as verl builds its optimizer: over all parameters."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(3):
        tokens = torch.arange(24).reshape(2, 12) + step
        model(tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return [parameter for name, parameter in model.named_parameters() if SHARED_GATE in name]


def test_the_gate_stays_exactly_zero_where_the_checkpoint_asks_for_it() -> None:
    gates = trained(freeze_shared_gate(mixture(**{UNGATED_KEY: True})))
    assert len(gates) == 2
    assert not any(gate.any() for gate in gates)


def test_a_gated_shared_expert_goes_on_learning() -> None:
    assert all(gate.any() for gate in trained(freeze_shared_gate(mixture())))


def test_verls_counter_sees_the_shared_expert_once() -> None:
    config = mixture().config
    apply()
    apply()
    counted = flops_counter.ESTIMATE_FUNC["qwen2_moe"](config, 100, [60, 40], 2.0)
    stock = flops_counter._estimate_qwen2_moe_flops(config, 100, [60, 40], 2.0)
    weights = 2 * (3 * 32 * 32 + 32)
    assert counts_shared_experts(flops_counter.ESTIMATE_FUNC["qwen2_moe"])
    assert not counts_shared_experts(flops_counter._estimate_qwen2_moe_flops)
    assert abs((counted - stock) - 6 * weights * 100 / 2.0 / 1e12) < 1e-18
