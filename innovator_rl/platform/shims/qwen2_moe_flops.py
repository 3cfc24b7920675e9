"""Adapt verl's Qwen2-MoE support to an upcycled mixture of experts.

The shared expert of such a model has no gate. In a Qwen2-MoE checkpoint that is a gate of exactly zero before a doubled
network, which training must leave alone: the first step of an optimizer would turn it into a gate. And verl's count of
operations for this family leaves the shared expert out, 43 % of what works on a token at full size.
"""

from __future__ import annotations

from typing import Any

from torch import nn

SHARED_GATE = "shared_expert_gate"
MARK = "ungated_shared_expert"  # written into config.json by the upcycling's export


def freeze_shared_gate(model: nn.Module) -> nn.Module:
    """Freeze the shared experts' gates of a model whose checkpoint marks them as unused.

    This happens before the optimizer is built: without a gradient AdamW neither moves nor decays them. Other models are
    returned as they are.
    """
    if getattr(getattr(model, "config", None), MARK, False):
        for name, module in model.named_modules():
            if name.rpartition(".")[2] == SHARED_GATE:
                module.requires_grad_(False)
    return model


def count_shared_experts() -> None:
    """Add Qwen2-MoE's shared experts to verl's `flops_counter`, once per process."""
    from verl.utils import flops_counter

    counted = flops_counter.ESTIMATE_FUNC["qwen2_moe"]
    if getattr(counted, "counts_shared_experts", False):
        return

    def with_shared_experts(config: Any, tokens_sum: int, batch_seqlens: list[int], delta_time: float) -> float:
        """Return achieved TFLOP/s with 6 operations per token and shared-expert weight."""
        width = int(getattr(config, "shared_expert_intermediate_size", 0) or 0)
        weights = config.num_hidden_layers * config.hidden_size * (3 * width + 1) if width else 0
        stock = counted(config, tokens_sum, batch_seqlens, delta_time)
        return float(stock + 6 * weights * tokens_sum / delta_time / 1e12)

    with_shared_experts.counts_shared_experts = True  # type: ignore[attr-defined]
    flops_counter.ESTIMATE_FUNC["qwen2_moe"] = with_shared_experts
