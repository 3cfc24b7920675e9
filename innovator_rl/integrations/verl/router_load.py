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
    """Counts per layer: tokens sent to each expert, summed entropy, tokens.

    `real` may be set before a pass: a boolean per token of the pass, False for padding, which is not counted.
    """

    def __init__(self) -> None:
        self.real: torch.Tensor | None = None
        self._seen: dict[int, torch.Tensor] = {}  # layer -> (experts + 2,): counts, entropy, tokens; on the device

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
                # Padding is weighted with 0, not cut out, and choices are added up, not by bincount: both would make
                # the host wait for the device in every layer.
                real = logits.new_ones(len(logits)) if self.real is None else self.real.reshape(-1).to(logits)
                chosen = logits.topk(int(module.top_k), dim=-1).indices  # type: ignore[arg-type]
                counts = torch.zeros(logits.shape[-1], dtype=torch.float64, device=logits.device)
                counts.index_add_(0, chosen.reshape(-1), real.double().repeat_interleave(chosen.shape[1]))
                log_p = torch.log_softmax(logits, dim=-1)
                entropy = -((log_p.exp() * log_p).sum(-1) * real).sum()
                seen = torch.cat([counts, entropy.double()[None], real.double().sum()[None]])
            self._seen[layer] = self._seen[layer] + seen if layer in self._seen else seen

        return count

    def take(self, group: Any = None) -> dict[str, float]:
        """Return the metrics since the last call and reset the counts.

        Args:
            group: process group of the ranks that train together; their counts are added first, so that every rank returns
                the figures of all tokens. None: this process alone.

        Returns:
            For each layer: `entropy` (nats, mean over tokens), `max_load` (the busiest expert's tokens over the mean; 1
            is perfect balance), `dead_experts` (experts without a token). Empty if nothing ran.
        """
        seen, self._seen = self._seen, {}
        if not seen:
            return {}
        layers = sorted(seen)
        table = torch.stack([seen[layer] for layer in layers])  # (layers, experts + 2)
        if group is not None:
            torch.distributed.all_reduce(table, group=group)
        metrics: dict[str, float] = {}
        for layer, (*counts, entropy, tokens) in zip(layers, table.tolist(), strict=True):
            mean = sum(counts) / len(counts)
            prefix = f"router/layer_{layer:02d}"
            metrics[f"{prefix}/entropy"] = entropy / max(1.0, tokens)
            metrics[f"{prefix}/max_load"] = max(counts) / mean if mean else 0.0
            metrics[f"{prefix}/dead_experts"] = float(counts.count(0.0))
        return metrics
