"""What an upcycled mixture of experts needs from a training engine that knows Qwen2-MoE only.

Its shared expert has no gate. In a Qwen2-MoE checkpoint that is a gate of exactly zero before a doubled network, which
training must leave alone: the first step of an optimizer would turn it into a gate. And verl's count of operations for
this family leaves the shared expert out, 43 % of what works on a token at full size.
"""

from __future__ import annotations

from typing import Any

from torch import nn

SHARED_GATE = "shared_expert_gate"
MARK = "ungated_shared_expert"  # written into config.json by the upcycling's export


def freeze_shared_gate(model: nn.Module) -> nn.Module:
    """Take the shared experts' gates out of training where the checkpoint says that they stand for none.

    Frozen before the optimizer is made: without a gradient AdamW neither moves nor decays them. Other models are returned untouched.
    """
    if getattr(getattr(model, "config", None), MARK, False):
        for name, module in model.named_modules():
            if name.rpartition(".")[2] == SHARED_GATE:
                module.requires_grad_(False)
    return model


def count_shared_experts() -> None:
    """Let verl's counter of operations see Qwen2-MoE's shared experts (`verl.utils.flops_counter`); calling it twice is once."""
    from verl.utils import flops_counter

    counted = flops_counter.ESTIMATE_FUNC["qwen2_moe"]
    if getattr(counted, "counts_shared_experts", False):
        return

    def with_shared_experts(config: Any, tokens_sum: int, batch_seqlens: list[int], delta_time: float) -> float:
        """Achieved TFLOP/s: verl's own figure plus 6 operations a token for every weight of a shared expert and its gate."""
        width = int(getattr(config, "shared_expert_intermediate_size", 0) or 0)
        weights = config.num_hidden_layers * config.hidden_size * (3 * width + 1) if width else 0
        stock = counted(config, tokens_sum, batch_seqlens, delta_time)
        return float(stock + 6 * weights * tokens_sum / delta_time / 1e12)

    with_shared_experts.counts_shared_experts = True  # type: ignore[attr-defined]
    flops_counter.ESTIMATE_FUNC["qwen2_moe"] = with_shared_experts
