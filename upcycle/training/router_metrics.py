"""What a router does, read off one table: how often each discipline's tokens chose each slot, layer by layer.

The table `counts` has the shape (L, D + 1, S): layers, disciplines and last general text, slots (E experts, discipline by
discipline, then null experts). It adds up over batches and ranks, so every figure is one of the whole set.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

DEAD_BELOW = 0.05  # an expert with less than this part of its fair share is dead


def count_choices(selected: torch.Tensor, discipline: torch.Tensor, disciplines: int, slots: int) -> torch.Tensor:
    """One layer's table (D + 1, S), float64, from selected (T, k) and discipline (T,), -1 for general text."""
    row = torch.where(discipline < 0, disciplines, discipline)
    cell = (row[:, None] * slots + selected).flatten()
    return torch.bincount(cell, minlength=(disciplines + 1) * slots).double().view(disciplines + 1, slots)


def routing_accuracy(counts: torch.Tensor, split: int) -> torch.Tensor:
    """(D,) share of a discipline's choices that fell on its own experts, mean of layers; chance is split / E, NaN where it has none."""
    layers, rows, _ = counts.shape
    science = counts[:, : rows - 1]
    own = science[:, :, : (rows - 1) * split].view(layers, rows - 1, rows - 1, split).sum(3)
    hits = torch.diagonal(own, dim1=1, dim2=2)
    return (hits / science.sum(2)).mean(0)  # 0 / 0 for a discipline without a token


def max_violation(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """() largest load of an expert over its fair share, minus 1, mean of layers; 0 when even."""
    load = _science_load(counts, experts)
    return (load.amax(1) / load.mean(1).clamp(min=1e-9) - 1).clamp(min=0).mean()


def dead_experts(counts: torch.Tensor, experts: int) -> int:
    """Experts of all layers with less than 5 % of their fair share."""
    load = _science_load(counts, experts)
    return int((load < DEAD_BELOW * load.mean(1, keepdim=True)).sum())


def load_entropy(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """() entropy of the load over its largest possible value, mean of layers; 1 when even."""
    load = _science_load(counts, experts)
    share = load / load.sum(1, keepdim=True).clamp(min=1e-9)
    return (-torch.xlogy(share, share).sum(1) / torch.log(torch.tensor(float(max(experts, 2))))).mean()


def specialisation(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """() mutual information of discipline and chosen expert over the entropy of the discipline, mean of layers.

    0: the expert says nothing about the discipline; 1: it tells the discipline. General text is left out.
    """
    joint = counts[:, :-1, :experts]
    joint = joint / joint.sum((1, 2), keepdim=True).clamp(min=1e-9)
    domain, expert = joint.sum(2), joint.sum(1)
    information = torch.xlogy(joint, joint).sum((1, 2)) - torch.xlogy(domain, domain).sum(1)
    information -= torch.xlogy(expert, expert).sum(1)
    return (information / (-torch.xlogy(domain, domain).sum(1)).clamp(min=1e-9)).mean()


def abstention(counts: torch.Tensor, experts: int) -> tuple[float, float]:
    """Share of choices that fell on null experts: of the disciplines' text and of general text."""
    null = counts[:, :, experts:].sum(2)
    whole = counts.sum(2)
    science = null[:, :-1].sum() / whole[:, :-1].sum().clamp(min=1)
    general = null[:, -1].sum() / whole[:, -1].sum().clamp(min=1)
    return float(science), float(general)


def router_figures(counts: torch.Tensor, disciplines: Sequence[str], split: int) -> dict[str, float]:
    """Every figure of a table under the names of metrics.jsonl; accuracy of the disciplines that the table has tokens of."""
    experts = len(disciplines) * split
    accuracy = routing_accuracy(counts, split)
    figures = {
        f"router/accuracy/{name}": float(value)
        for name, value in zip(disciplines, accuracy, strict=True)
        if not value.isnan()
    }
    if figures:
        figures["router/accuracy"] = float(accuracy.nanmean())
    figures |= {
        "router/max_violation": float(max_violation(counts, experts)),
        "router/dead_experts": float(dead_experts(counts, experts)),
        "router/entropy": float(load_entropy(counts, experts)),
        "router/specialisation": float(specialisation(counts, experts)),
    }
    if counts.shape[2] > experts:
        figures["router/null_science"], figures["router/null_general"] = abstention(counts, experts)
    return figures


def _science_load(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """(L, E) what each expert got of the disciplines' text."""
    return counts[:, :-1, :experts].sum(1)
