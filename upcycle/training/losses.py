"""The losses of the stages, as sums that add up over ranks and slices to the loss of the whole global batch.

Every term is divided by a count of the global batch, never of the rank's part: one rank and many compute the same loss
and the same gradient. That holds for load balance too, where the share of tokens an expert got (f) must be the global
one before it meets the local probabilities.

Shapes: L layers, T tokens of this rank's part, S slots (experts, then null experts), E experts, k chosen.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from upcycle.data.packing import NO_LABEL

LOGITS_AT_ONCE = 2**27  # more than this many logits are computed in parts and again in the backward pass


def cross_entropy(head: Any, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Next-token cross-entropy in nats (B, S) of hidden (B, S, H) against labels (B, S); 0 where there is no label."""
    kept = labels.flatten() != NO_LABEL
    states, targets = hidden.flatten(0, 1)[kept], labels.flatten()[kept]

    def part(piece: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(head(piece).float(), target, reduction="none")

    rows = max(1, LOGITS_AT_ONCE // head.weight.shape[0])
    if len(states) <= rows:
        values = part(states, targets)
    else:
        pieces = zip(states.split(rows), targets.split(rows), strict=True)
        values = torch.cat([checkpoint(part, piece, target, use_reentrant=False) for piece, target in pieces])
    return values.new_zeros(kept.shape).masked_scatter(kept, values).view_as(labels)


def expert_targets(discipline: torch.Tensor, slots: int, disciplines: int, split: int, null: bool) -> torch.Tensor:
    """Equation 3's labels (T, S) float32: 1 for the experts of the token's discipline.

    General tokens (discipline -1) want the null experts where `null` is true, and no slot where it is false.
    """
    group = torch.arange(slots, device=discipline.device) // split
    group = torch.where(group >= disciplines, -1 if null else disciplines, group)  # rows behind the experts: null
    return (discipline[:, None] == group[None, :]).float()


def classification_sum(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of every slot, averaged over slots, summed over tokens; logits and targets (T, S)."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1).sum()


def z_sum(logits: torch.Tensor) -> torch.Tensor:
    """Squared log-sum-exp of the router's logits (T, S), summed over tokens (ST-MoE, equation 5)."""
    return logits.logsumexp(1).square().sum()


def balance_terms(logits: torch.Tensor, selected: torch.Tensor, experts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What load balance needs of one layer's tokens: (tokens an expert got (E,), summed probability of an expert (E,)).

    Both are over the experts with weights; probabilities are renormalised over them, so that the null experts neither
    fill a share nor have to.
    """
    counts = torch.bincount(selected.flatten(), minlength=logits.shape[1])[:experts]
    return counts.float(), logits[:, :experts].softmax(1).sum(0)


def balance_loss(counts: torch.Tensor, probability: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Switch Transformer's E x sum(f x P), averaged over layers; 1 when even. This rank's share of the global loss.

    Args:
        counts: (L, E) tokens an expert got, over all ranks; no gradient flows through it.
        probability: (L, E) this rank's summed probabilities.
        tokens: () tokens that were routed, over all ranks.
    """
    share = counts / counts.sum(1, keepdim=True).clamp(min=1)
    return counts.shape[1] * (share * probability / tokens.clamp(min=1)).sum() / counts.shape[0]


def add_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks of a tensor without gradient."""
    total = values.detach().clone()
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(total)
    return total
