"""Measure how a mixture of experts spreads its tokens.

Load and entropy per layer are gathered while training runs.

Forward hooks on the routers count which experts each token chose and the entropy of its routing distribution; `take()`
returns the figures since the last call. Nothing is computed for a dense model, and nothing of a model is changed.

A router is a module named `gate` or `router` whose output is a tuple (logits, scores, indices), as in transformers' Qwen2-MoE, or
the logits alone together with a `top_k` on itself or its parent.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn


class RouterLoad:
    """Counts per layer. `load[layer]`: (experts,) tokens sent to each expert."""

    def __init__(self) -> None:
        self.load: dict[int, torch.Tensor] = {}
        self.entropy: dict[int, torch.Tensor] = {}
        self.tokens: dict[int, int] = {}

    @classmethod
    def attach(cls, model: nn.Module) -> RouterLoad | None:
        """Attach hooks to every router of `model`; return None for a dense model."""
        load = cls()
        found = False
        for name, module in model.named_modules():
            layer = re.search(r"layers\.(\d+)\.", name)
            leaf = name.rpartition(".")[2]
            if layer and leaf in ("gate", "router") and hasattr(module, "top_k"):
                module.register_forward_hook(load._hook(int(layer.group(1))))
                found = True
        return load if found else None

    def _hook(self, layer: int) -> Any:
        def count(module: nn.Module, _inputs: Any, output: Any) -> None:
            with torch.no_grad():
                logits = output[0] if isinstance(output, tuple) else output
                logits = logits.detach().reshape(-1, logits.shape[-1]).float()  # (tokens, experts)
                chosen = logits.topk(int(module.top_k), dim=-1).indices  # type: ignore[arg-type]
                counts = torch.bincount(chosen.reshape(-1), minlength=logits.shape[-1]).cpu()
                log_p = torch.log_softmax(logits, dim=-1)
                entropy = -(log_p.exp() * log_p).sum().cpu()
            self.load[layer] = self.load.get(layer, 0) + counts
            self.entropy[layer] = self.entropy.get(layer, 0.0) + entropy
            self.tokens[layer] = self.tokens.get(layer, 0) + logits.shape[0]

        return count

    def take(self) -> dict[str, float]:
        """Return the metrics since the last call and reset the counts.

        Returns:
            For each layer: `entropy` (nats, mean over tokens), `max_load` (the busiest expert's tokens over the mean; 1
            is perfect balance), `dead_experts` (experts without a token). Empty if nothing ran.
        """
        metrics: dict[str, float] = {}
        for layer, counts in sorted(self.load.items()):
            mean = counts.sum().item() / counts.numel()
            prefix = f"router/layer_{layer:02d}"
            metrics[f"{prefix}/entropy"] = float(self.entropy[layer]) / max(1, self.tokens[layer])
            metrics[f"{prefix}/max_load"] = counts.max().item() / mean if mean else 0.0
            metrics[f"{prefix}/dead_experts"] = float((counts == 0).sum())
        self.load, self.entropy, self.tokens = {}, {}, {}
        return metrics
