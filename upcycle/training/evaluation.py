"""Measure held-out loss per discipline and on general text, and routing.

Every sequence's loss is kept as well. All stages of a run measure the same sequences, so two models can be compared
sequence by sequence, which gives a difference its interval (`innovator_rl.paper.report.held_out`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch

from upcycle.data.packing import GENERAL, NO_LABEL, Batch, Corpora
from upcycle.training.distributed import DistributedContext
from upcycle.training.losses import add_over_ranks, cross_entropy
from upcycle.training.router_metrics import count_choices, router_figures

AT_ONCE = 4  # sequences of one forward pass on a rank, at most
Losses = dict[str, dict[int, tuple[float, int]]]
"""Name of a text -> index of a sequence -> sum of its losses in nats, and its tokens with a label."""


class HeldOut(NamedTuple):
    """What `evaluate` measured.

    Attributes:
        figures: `val/loss/NAME` in nats per token, `val/loss/science` (mean of the disciplines) and, for a mixture,
            `val/router/...`.
        losses: The loss of every sequence.
    """

    figures: dict[str, float]
    losses: Losses


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
) -> HeldOut:
    """Measure a model on held-out sequences.

    All ranks call this together and return the same.

    Args:
        model: The model, sharded or not.
        corpora: Token files of the held-out split.
        ids: Number of each discipline, -1 for general text; disciplines that share an expert share a number.
        distributed: This process among the ranks, which share the sequences.
        sequences: Sequences per discipline, spread over its documents.
        at_once: Sequences of one forward pass per rank.
        route: `oracle` sends every token to the experts of its discipline instead of asking the router.
    """
    was_training = model.training
    model.eval()
    picks = [(name, index) for name in ids for index in spread(corpora.size(name), sequences)]
    disciplines = len(model.spec.disciplines)
    losses = torch.zeros(len(picks), 2, dtype=torch.float64, device=distributed.device)
    tables: list[torch.Tensor] = []
    for start in range(0, len(picks), at_once * distributed.world_size):
        end = min(start + at_once * distributed.world_size, len(picks))
        places = list(range(start, end))[distributed.rank :: distributed.world_size]
        batch = _batch(corpora, picks, places, ids).to(distributed.device)
        oracle = batch.discipline if route == "oracle" else None
        out = model(batch.tokens, position_ids=batch.positions, route=oracle, logits=False)
        values = cross_entropy(model.lm_head, out.hidden, batch.labels).double()
        pairs = torch.stack([values.sum(1), (batch.labels != NO_LABEL).sum(1).double()], dim=1)
        losses.index_add_(0, torch.tensor(places or [0], device=distributed.device), pairs)
        if out.routing:
            tables.append(_tables(out.routing, batch, disciplines))
    if hasattr(model, "reshard"):
        model.reshard()
    model.train(was_training)
    by_text: Losses = {name: {} for name in ids}
    for (name, index), (nats, labels) in zip(picks, add_over_ranks(losses).tolist(), strict=True):
        by_text[name][index] = (nats, int(labels))
    figures = {f"val/loss/{name}": _mean(found) for name, found in by_text.items()}
    science = [figures[f"val/loss/{name}"] for name in ids if name != GENERAL]
    if len(science) > 1:
        figures["val/loss/science"] = sum(science) / len(science)
    if tables and route == "router":
        counts = add_over_ranks(torch.stack(tables).sum(0))
        router = router_figures(counts, model.spec.disciplines, model.spec.split)
        figures |= {f"val/{name}": value for name, value in router.items()}
    return HeldOut(figures, by_text)


def _mean(losses: Mapping[int, tuple[float, int]]) -> float:
    """Return nats per token."""
    return sum(nats for nats, _ in losses.values()) / max(1, sum(labels for _, labels in losses.values()))


def spread(size: int, wanted: int) -> list[int]:
    """Return `wanted` places spread evenly over range(size).

    All places if there are fewer.
    """
    count = min(size, wanted)
    return [place * size // count for place in range(count)]


def _batch(corpora: Corpora, picks: list[tuple[str, int]], places: list[int], ids: Mapping[str, int]) -> Batch:
    """Return a rank's sequences.

    A rank without one takes the first without labels, because a sharded forward pass needs every rank.
    """
    batch = corpora.batch([picks[place] for place in places or [0]], ids)
    return batch if places else batch._replace(labels=torch.full_like(batch.labels, NO_LABEL))


def _tables(routing: list[Any], batch: Batch, disciplines: int) -> torch.Tensor:
    labeled = (batch.labels != NO_LABEL).flatten()
    discipline = batch.discipline[:, None].expand_as(batch.tokens).flatten()[labeled]
    slots = routing[0].logits.shape[1]
    return torch.stack([count_choices(r.selected[labeled], discipline, disciplines, slots) for r in routing])
