"""Define what each stage minimizes.

The loss is a weighted sum of next-token loss, expert classification, load balance and z-loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from upcycle.data.packing import Batch
from upcycle.training.losses import (
    add_over_ranks,
    balance_loss,
    balance_terms,
    classification_sum,
    cross_entropy,
    expert_targets,
    z_sum,
)
from upcycle.training.router_metrics import count_choices, router_figures
from upcycle.training.trainer import BatchTotals

GeneralTarget = Literal["null", "none", "skip"]


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term of the loss; a term of weight 0 is not computed."""

    language: float = 1.0
    classification: float = 0.0
    balance: float = 0.0
    z_loss: float = 0.0


class LanguageObjective:
    """Next-token loss alone, for stage 1 and the dense baseline."""

    def loss(self, model: Any, batch: Batch, totals: BatchTotals) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute this rank's share of the loss; see `upcycle.training.trainer.Objective`."""
        out = model(batch.tokens, position_ids=batch.positions, logits=False)
        return cross_entropy(model.lm_head, out.hidden, batch.labels).sum() / totals.labels, {}

    def figures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return no metrics besides the loss."""
        return {}


class MixtureObjective:
    """Weighted sum of the terms of a mixture's stages."""

    def __init__(
        self, weights: LossWeights, disciplines: Sequence[str], split: int, general_target: GeneralTarget
    ) -> None:
        self.weights, self.disciplines, self.split = weights, tuple(disciplines), split
        self.general_target = general_target

    def loss(self, model: Any, batch: Batch, totals: BatchTotals) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute this rank's share of the loss; see `upcycle.training.trainer.Objective`."""
        out = model(batch.tokens, position_ids=batch.positions, logits=False)
        discipline = batch.discipline[:, None].expand_as(batch.tokens).flatten()
        terms = self._router_terms(out.routing, discipline, totals)
        if self.weights.language:
            terms["language"] = cross_entropy(model.lm_head, out.hidden, batch.labels).sum() / totals.labels
        loss = torch.stack([getattr(self.weights, name) * value.float() for name, value in terms.items()]).sum()
        slots = out.routing[0].logits.shape[1]
        tables = [count_choices(r.selected, discipline, len(self.disciplines), slots) for r in out.routing]
        return loss, {**terms, "choices": torch.stack(tables)}

    def _router_terms(
        self, routing: Sequence[Any], discipline: torch.Tensor, totals: BatchTotals
    ) -> dict[str, torch.Tensor]:
        weights, terms, layers = self.weights, {}, len(routing)
        logits = [layer.logits.float() for layer in routing]
        slots, count = logits[0].shape[1], len(self.disciplines)
        science = discipline >= 0
        if weights.classification:
            null = self.general_target == "null"
            targets = expert_targets(discipline, slots, count, self.split, null)
            kept = science if self.general_target == "skip" else torch.ones_like(science)
            sums = [classification_sum(layer[kept], targets[kept]) for layer in logits]
            tokens = totals.science if self.general_target == "skip" else totals.tokens
            terms["classification"] = torch.stack(sums).sum() / (layers * tokens)
        if weights.balance:
            pairs = [
                balance_terms(layer[science], choice.selected[science], count * self.split)
                for layer, choice in zip(logits, routing, strict=True)
            ]
            counts, probability = (torch.stack(side) for side in zip(*pairs, strict=True))
            terms["balance"] = balance_loss(add_over_ranks(counts), probability, totals.science)
        if weights.z_loss:
            terms["z_loss"] = torch.stack([z_sum(layer) for layer in logits]).sum() / (layers * totals.tokens)
        return terms

    def figures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the terms before their weights, and the router metrics."""
        terms = {f"train/{name}": float(value) for name, value in sums.items() if name != "choices"}
        return {**terms, **router_figures(sums["choices"], self.disciplines, self.split)}
