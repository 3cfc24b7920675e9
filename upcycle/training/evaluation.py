"""Measure held-out loss per discipline and on general text, and routing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from upcycle.data.packing import GENERAL, NO_LABEL, Batch, Corpora
from upcycle.training.distributed import DistributedContext
from upcycle.training.losses import add_over_ranks, cross_entropy
from upcycle.training.router_metrics import count_choices, router_figures

AT_ONCE = 4  # sequences of one forward pass on a rank, at most


@torch.no_grad()
def evaluate(
    model: Any,
    corpora: Corpora,
    ids: Mapping[str, int],
    distributed: DistributedContext,
    *,
    sequences: int,
    at_once: int = AT_ONCE,
    route: Literal["router", "oracle"] = "router",
) -> dict[str, float]:
    """Measure a model on held-out sequences.

    All ranks call this together and return the same metrics.

    Args:
        model: The model, sharded or not.
        corpora: Token files of the held-out split.
        ids: Number of each discipline, -1 for general text; disciplines that share an expert share a number.
        distributed: This process among the ranks, which share the sequences.
        sequences: Sequences per discipline, spread over its documents.
        at_once: Sequences of one forward pass per rank.
        route: `oracle` sends every token to the experts of its discipline instead of asking the router.

    Returns:
        `val/loss/NAME` in nats per token, `val/loss/science` (mean of the disciplines) and, for a mixture,
        `val/router/...`.
    """
    was_training = model.training
    model.eval()
    picks = [(name, index) for name in ids for index in spread(corpora.size(name), sequences)]
    names, disciplines = list(ids), len(model.spec.disciplines)
    losses = torch.zeros(len(names), 2, dtype=torch.float64, device=distributed.device)
    tables: list[torch.Tensor] = []
    for start in range(0, len(picks), at_once * distributed.world_size):
        mine, batch = _part(corpora, picks[start : start + at_once * distributed.world_size], ids, distributed)
        oracle = batch.discipline if route == "oracle" else None
        out = model(batch.tokens, position_ids=batch.positions, route=oracle, logits=False)
        values = cross_entropy(model.lm_head, out.hidden, batch.labels).double()
        pairs = torch.stack([values.sum(1), (batch.labels != NO_LABEL).sum(1).double()], dim=1)
        place = torch.tensor([names.index(name) for name, _ in mine], device=distributed.device)
        losses.index_add_(0, place, pairs)
        if out.routing:
            tables.append(_tables(out.routing, batch, disciplines))
    if hasattr(model, "reshard"):
        model.reshard()
    model.train(was_training)
    losses = add_over_ranks(losses)
    means = (losses[:, 0] / losses[:, 1].clamp(min=1)).tolist()
    figures = {f"val/loss/{name}": mean for name, mean in zip(names, means, strict=True)}
    science = [figures[f"val/loss/{name}"] for name in names if name != GENERAL]
    if len(science) > 1:
        figures["val/loss/science"] = sum(science) / len(science)
    if tables and route == "router":
        counts = add_over_ranks(torch.stack(tables).sum(0))
        router = router_figures(counts, model.spec.disciplines, model.spec.split)
        figures |= {f"val/{name}": value for name, value in router.items()}
    return figures


def spread(size: int, wanted: int) -> list[int]:
    """Return `wanted` places spread evenly over range(size).

    All places if there are fewer.
    """
    count = min(size, wanted)
    return [place * size // count for place in range(count)]


def _part(
    corpora: Corpora, picks: list[tuple[str, int]], ids: Mapping[str, int], distributed: DistributedContext
) -> tuple[list[tuple[str, int]], Batch]:
    """Return this rank's sequences.

    A rank without one repeats the first without labels, because a sharded forward pass needs every rank.
    """
    mine = picks[distributed.rank :: distributed.world_size]
    batch = corpora.batch(mine or picks[:1], ids)
    if not mine:
        batch = batch._replace(labels=torch.full_like(batch.labels, NO_LABEL))
    return mine or picks[:1], batch.to(distributed.device)


def _tables(routing: list[Any], batch: Batch, disciplines: int) -> torch.Tensor:
    labeled = (batch.labels != NO_LABEL).flatten()
    discipline = batch.discipline[:, None].expand_as(batch.tokens).flatten()[labeled]
    slots = routing[0].logits.shape[1]
    return torch.stack([count_choices(r.selected[labeled], discipline, disciplines, slots) for r in routing])
