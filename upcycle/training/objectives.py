"""Define what each stage minimizes.

The loss is a weighted sum of next-token loss, expert classification, load balance and z-loss. Load balance multiplies the
share of the batch's tokens that each expert got with its probability, so it needs the counts of the whole batch before
the first slice runs backward. `prepare` counts them: exactly by a forward pass without gradients over all slices, or as
the slices of the step so far (`balance_counts: running`), which costs nothing and depends on the slicing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from upcycle.data.batch import Batch
from upcycle.training.losses import (
    add_over_ranks,
    balance_loss,
    classification_sum,
    count_chosen,
    cross_entropy,
    expert_targets,
    summed_probability,
    z_sum,
)
from upcycle.training.router_metrics import count_choices, router_figures
from upcycle.training.trainer import BatchTotals

GeneralTarget = Literal["null", "none", "skip"]
BalanceCounts = Literal["batch", "running"]


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term of the loss; a term of weight 0 is not computed."""

    language: float = 1.0
    classification: float = 0.0
    balance: float = 0.0
    z_loss: float = 0.0


class LanguageObjective:
    """Next-token loss alone, for stage 1 and the dense baseline."""

    def prepare(self, model: Any, slices: Sequence[Batch]) -> None:
        """Do nothing: this loss needs no figure of the whole batch besides the totals."""

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
        self,
        weights: LossWeights,
        disciplines: Sequence[str],
        split: int,
        general_target: GeneralTarget,
        balance_counts: BalanceCounts = "batch",
    ) -> None:
        self.weights, self.disciplines, self.split = weights, tuple(disciplines), split
        self.general_target = general_target
        self.balance_counts = balance_counts
        self._counts: torch.Tensor | None = None  # (L, E) of the batch, or of its slices so far
        self._complete = False

    def prepare(self, model: Any, slices: Sequence[Batch]) -> None:
        """Count the batch's tokens per expert, where it comes in several slices; see `trainer.Objective`."""
        self._counts, self._complete = None, False
        if not self.weights.balance or len(slices) == 1 or self.balance_counts == "running":
            return
        counts = []
        with torch.no_grad():
            for batch in slices:
                out = model(batch.tokens, position_ids=batch.positions, logits=False)
                counts.append(self._chosen(out.routing, _science(batch)))
        self._counts, self._complete = add_over_ranks(torch.stack(counts).sum(0)), True

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
        dropped = [block.experts.dropped(r.selected) for block, r in zip(model.blocks(), out.routing, strict=True)]
        return loss, {**terms, "choices": torch.stack(tables), "dropped": torch.stack(dropped).sum()}

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
            sums = [classification_sum(layer, targets, kept) for layer in logits]
            tokens = totals.science if self.general_target == "skip" else totals.tokens
            terms["classification"] = torch.stack(sums).sum() / (layers * tokens)
        if weights.balance:
            probability = torch.stack([summed_probability(layer, science, count * self.split) for layer in logits])
            terms["balance"] = balance_loss(self._batch_counts(routing, science), probability, totals.science)
        if weights.z_loss:
            terms["z_loss"] = torch.stack([z_sum(layer) for layer in logits]).sum() / (layers * totals.tokens)
        return terms

    def _batch_counts(self, routing: Sequence[Any], science: torch.Tensor) -> torch.Tensor:
        if self._complete and self._counts is not None:
            return self._counts
        counts = add_over_ranks(self._chosen(routing, science))
        self._counts = counts if self._counts is None else self._counts + counts
        return self._counts

    def _chosen(self, routing: Sequence[Any], science: torch.Tensor) -> torch.Tensor:
        experts = len(self.disciplines) * self.split
        return torch.stack([count_chosen(layer.selected, science, experts) for layer in routing])

    def figures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the terms before their weights, and the router metrics."""
        terms = {f"train/{name}": float(value) for name, value in sums.items() if name not in ("choices", "dropped")}
        figures = router_figures(sums["choices"], self.disciplines, self.split)
        if dropped := float(sums["dropped"]):
            figures["router/dropped"] = dropped / float(sums["choices"].sum())
        return {**terms, **figures}


def _science(batch: Batch) -> torch.Tensor:
    """Return whether each token of a batch, (T,), is of a discipline's text."""
    return (batch.discipline[:, None] >= 0).expand_as(batch.tokens).flatten()
