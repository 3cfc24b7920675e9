"""Keep the shared experts of an upcycled mixture ungated while it trains.

The shared expert of an upcycled model has no gate. A Qwen2-MoE checkpoint expresses that as a gate of exactly zero
before a doubled network. The first step of an optimizer would turn the zeros into a gate, so they must not be trained.
"""

from __future__ import annotations

from torch import nn

SHARED_GATE = "shared_expert_gate"
UNGATED_KEY = "ungated_shared_expert"
"""The key that `innovator upcycle export` writes into config.json of such a checkpoint."""


def freeze_shared_gate(model: nn.Module) -> nn.Module:
    """Freeze the shared experts' gates where config.json has `UNGATED_KEY`.

    This must happen before the optimizer is built: without a gradient, AdamW neither moves nor decays the gates.

    Returns:
        The same model; other models are unchanged.
    """
    if getattr(getattr(model, "config", None), UNGATED_KEY, False):
        for name, module in model.named_modules():
            if name.rpartition(".")[2] == SHARED_GATE:
                module.requires_grad_(False)
    return model
