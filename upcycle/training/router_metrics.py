"""Compute router metrics from one table.

It counts how often each discipline's tokens chose each slot, layer by layer.

The table `counts` has the shape (L, D + 1, S): L layers; D disciplines, then general text; S slots (E experts,
discipline by discipline, then null experts). Tables add up over batches and ranks, so every metric describes all tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

DEAD_BELOW = 0.05  # an expert with less than this fraction of its fair share is dead


def count_choices(selected: torch.Tensor, discipline: torch.Tensor, disciplines: int, slots: int) -> torch.Tensor:
    """Count one layer's choices.

    Args:
        selected: (T, k) chosen slots of T tokens.
        discipline: (T,) number of each token's discipline, -1 for general text.
        disciplines: Number of disciplines, D.
        slots: Number of slots, S.

    Returns:
        (D + 1, S) float64 table.
    """
    row = torch.where(discipline < 0, disciplines, discipline)
    cell = (row[:, None] * slots + selected).flatten()
    # Not bincount: it reads the largest value on the host, so a GPU would wait in every layer.
    table = torch.zeros((disciplines + 1) * slots, dtype=torch.int64, device=cell.device)
    return table.index_add(0, cell, torch.ones_like(cell)).double().view(disciplines + 1, slots)


def routing_accuracy(counts: torch.Tensor, split: int) -> torch.Tensor:
    """Compute the share of choices that fell on the discipline's own experts.

    It is averaged over layers.

    Returns:
        (D,) shares; chance is split / E, and NaN stands for a discipline without tokens.
    """
    layers, rows, _ = counts.shape
    science = counts[:, : rows - 1]
    own = science[:, :, : (rows - 1) * split].view(layers, rows - 1, rows - 1, split).sum(3)
    hits = torch.diagonal(own, dim1=1, dim2=2)
    return (hits / science.sum(2)).mean(0)  # 0 / 0 for a discipline without a token


def max_violation(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """Compute the largest load of an expert over its fair share, minus 1.

    It is averaged over layers.

    Returns:
        () violation; 0 when the load is even.
    """
    load = _science_load(counts, experts)
    return (load.amax(1) / load.mean(1).clamp(min=1e-9) - 1).clamp(min=0).mean()


def dead_experts(counts: torch.Tensor, experts: int) -> int:
    """Count the experts of all layers with less than 5 % of their fair share."""
    load = _science_load(counts, experts)
    return int((load < DEAD_BELOW * load.mean(1, keepdim=True)).sum())


def load_entropy(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """Compute the entropy of the load over its largest possible value.

    It is averaged over layers.

    Returns:
        () entropy; 1 when the load is even.
    """
    load = _science_load(counts, experts)
    share = load / load.sum(1, keepdim=True).clamp(min=1e-9)
    return (-torch.xlogy(share, share).sum(1) / torch.log(torch.tensor(float(max(experts, 2))))).mean()


def specialization(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """Compute how much the chosen expert reveals about the discipline.

    It is averaged over layers.

    This is the mutual information of discipline and chosen expert over the entropy of the discipline, without general
    text.

    Returns:
        () ratio; 0 when both are independent, 1 when the expert determines the discipline.
    """
    joint = counts[:, :-1, :experts]
    joint = joint / joint.sum((1, 2), keepdim=True).clamp(min=1e-9)
    domain, expert = joint.sum(2), joint.sum(1)
    information = torch.xlogy(joint, joint).sum((1, 2)) - torch.xlogy(domain, domain).sum(1)
    information -= torch.xlogy(expert, expert).sum(1)
    return (information / (-torch.xlogy(domain, domain).sum(1)).clamp(min=1e-9)).mean()


def abstention(counts: torch.Tensor, experts: int) -> tuple[float, float]:
    """Compute the share of choices that fell on null experts.

    Returns:
        The share for the disciplines' text and the share for general text.
    """
    null = counts[:, :, experts:].sum(2)
    whole = counts.sum(2)
    science = null[:, :-1].sum() / whole[:, :-1].sum().clamp(min=1)
    general = null[:, -1].sum() / whole[:, -1].sum().clamp(min=1)
    return float(science), float(general)


def router_figures(counts: torch.Tensor, disciplines: Sequence[str], split: int) -> dict[str, float]:
    """Compute every router metric of a table, by its name in metrics.jsonl.

    Disciplines without tokens in the table have no accuracy.
    """
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
        "router/specialization": float(specialization(counts, experts)),
    }
    if counts.shape[2] > experts:
        figures["router/null_science"], figures["router/null_general"] = abstention(counts, experts)
    return figures


def _science_load(counts: torch.Tensor, experts: int) -> torch.Tensor:
    """Return (L, E) choices of the disciplines' text per expert."""
    return counts[:, :-1, :experts].sum(1)
