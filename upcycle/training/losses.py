"""Compute the losses as sums over ranks and slices.

They add up to the loss of the global batch.

Every term is divided by a count of the global batch, never of the rank's part, so one rank and many compute the same
loss and gradient. This includes load balance, where the fraction of tokens per expert (f) must be global before it is
multiplied by the local probabilities.

Shapes: L layers, T tokens of this rank's part, S slots (experts, then null experts), E experts, k chosen.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from upcycle.data.batch import NO_LABEL
from upcycle.model.architecture import LOGITS_AT_ONCE


def cross_entropy(head: Any, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute next-token cross-entropy.

    More than `LOGITS_AT_ONCE` logits are computed in parts, and again in the backward pass.

    Args:
        head: The language-model head, a linear layer of weight (V, H).
        hidden: (B, S, H) hidden states after the last norm.
        labels: (B, S) token ids; `NO_LABEL` where there is none.

    Returns:
        (B, S) losses in nats; 0 where there is no label.
    """
    kept = labels.flatten() != NO_LABEL
    states, targets = hidden.flatten(0, 1)[kept], labels.flatten()[kept]

    def part(recipe: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(head(recipe).float(), target, reduction="none")

    rows = max(1, LOGITS_AT_ONCE // head.weight.shape[0])
    if len(states) <= rows:
        values = part(states, targets)
    else:
        recipes = zip(states.split(rows), targets.split(rows), strict=True)
        values = torch.cat([checkpoint(part, recipe, target, use_reentrant=False) for recipe, target in recipes])
    return values.new_zeros(kept.shape).masked_scatter(kept, values).view_as(labels)


def expert_targets(discipline: torch.Tensor, slots: int, disciplines: int, split: int, null: bool) -> torch.Tensor:
    """Build the labels of equation 3: 1 for the experts of a token's discipline.

    Args:
        discipline: (T,) number of each token's discipline, -1 for general text.
        slots: Number of slots, S.
        disciplines: Number of disciplines.
        split: Fine experts per discipline.
        null: Whether general text belongs to the null experts; otherwise it belongs to no slot.

    Returns:
        (T, S) float32 labels.
    """
    group = torch.arange(slots, device=discipline.device) // split
    group = torch.where(group >= disciplines, -1 if null else disciplines, group)  # rows behind the experts: null
    return (discipline[:, None] == group[None, :]).float()


def classification_sum(logits: torch.Tensor, targets: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Compute binary cross-entropy, mean over slots, sum over tokens (equation 3).

    Args:
        logits: (T, S) router logits.
        targets: (T, S) labels of `expert_targets`.
        kept: (T,) whether a token takes part.

    Returns:
        () loss in nats.
    """
    values = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
    return (values * kept).sum()


def z_sum(logits: torch.Tensor) -> torch.Tensor:
    """Sum the squared log-sum-exp of router logits (T, S) over tokens.

    ST-MoE, equation 5.
    """
    return logits.logsumexp(1).square().sum()


def count_chosen(selected: torch.Tensor, kept: torch.Tensor, experts: int) -> torch.Tensor:
    """Count the tokens of each expert.

    Args:
        selected: (T, k) chosen slots.
        kept: (T,) whether a token takes part.
        experts: Number of experts with weights, E.

    Returns:
        (E,) float32 counts. The experts' tokens are summed on the device; no count is read on the host.
    """
    slot = selected.clamp(max=experts).flatten()
    counts = torch.zeros(experts + 1, dtype=torch.int64, device=selected.device)
    return counts.index_add(0, slot, kept.long()[:, None].expand_as(selected).flatten())[:experts].float()


def summed_probability(logits: torch.Tensor, kept: torch.Tensor, experts: int) -> torch.Tensor:
    """Sum the router's probabilities over tokens, (E,).

    They are renormalized over the experts with weights, so that null experts neither take part in the balance nor change
    it.

    Args:
        logits: (T, S) router logits.
        kept: (T,) whether a token takes part.
        experts: Number of experts with weights, E.
    """
    return (logits[:, :experts].softmax(1) * kept[:, None]).sum(0)


def balance_loss(counts: torch.Tensor, probability: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Compute this rank's share of the load-balance loss, E x sum(f x P).

    Switch Transformer, equation 4.

    Args:
        counts: (L, E) tokens per expert, over all ranks and slices; no gradient flows through it.
        probability: (L, E) this rank's summed probabilities of one slice.
        tokens: () tokens that were routed, over all ranks.

    Returns:
        () loss, averaged over layers; summed over ranks and slices it is 1 when the load is even.
    """
    share = counts / counts.sum(1, keepdim=True).clamp(min=1)
    return counts.shape[1] * (share * probability / tokens.clamp(min=1)).sum() / counts.shape[0]


def add_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over all ranks, without gradient."""
    total = values.detach().clone()
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(total)
    return total
