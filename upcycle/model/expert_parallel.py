"""Exchange tokens between the ranks of an expert-parallel group.

Every rank of the group holds some of a layer's experts and all of its own tokens. `send` brings each chosen token to the
rank of its expert, and `back` brings the results home. Both are torch's all-to-all with gradients. There are two forms:

- Exact: as many rows as were chosen. The sizes must be known on the host, so the host waits once per layer for what is
  enqueued up to there, and the device idles while the host enqueues what follows.
- With a capacity: as many rows for every rank, known in advance. Nothing waits and memory is bounded whatever the router
  does; empty places are padding, and choices past the capacity are dropped. Without drops both give the same sums.
"""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch.distributed import _functional_collectives as collectives


class Exchange(NamedTuple):
    """Rows under way in a group.

    Attributes:
        rows: (R, H) received rows, sorted by this rank's experts; padding comes last.
        weight: (R,) their weights.
        ends: (E / ranks,) int32 end of each expert's rows.
        order: (R,) place in the received order of each sorted row.
        source: (M,) row of the caller behind each row that was sent; N, one past its last, for padding.
        sent: Rows sent to each rank.
        received: Rows received from each rank.
    """

    rows: torch.Tensor
    weight: torch.Tensor
    ends: torch.Tensor
    order: torch.Tensor
    source: torch.Tensor
    sent: list[int]
    received: list[int]


def send(rows: torch.Tensor, weight: torch.Tensor, counts: torch.Tensor, group: Any, capacity: int = 0) -> Exchange:
    """Bring rows and their weights to the ranks of their experts.

    Args:
        rows: (N, H) rows sorted by expert; those past the counts go nowhere.
        weight: (N,) weight of each row.
        counts: (E,) rows of each expert.
        group: The process group of the expert axis.
        capacity: Rows for each rank, on the way from every other; 0: as many as there are.
    """
    ranks = dist.get_world_size(group)
    outgoing = counts.view(ranks, -1)
    first = outgoing.sum(1).cumsum(0) - outgoing.sum(1)
    if capacity:  # each rank's first rows fit
        outgoing = outgoing.cumsum(1).clamp(max=capacity).diff(dim=1, prepend=outgoing.new_zeros(ranks, 1))
    incoming = collectives.wait_tensor(collectives.all_to_all_single(outgoing.contiguous(), None, None, group))
    if capacity:
        sent = received = [capacity] * ranks
        place = torch.arange(capacity, device=rows.device).expand(ranks, -1).contiguous()
        source = torch.where(place < outgoing.sum(1, keepdim=True), first[:, None] + place, len(rows)).flatten()
        rows = torch.cat([rows, rows.new_zeros(1, rows.shape[1])]).index_select(0, source)
        weight = torch.cat([weight, weight.new_zeros(1)])[source]
        expert = torch.searchsorted(incoming.cumsum(1), place, right=True).flatten()  # one past the last: padding
    else:
        sent, received = torch.stack([outgoing.sum(1), incoming.sum(1)]).tolist()
        source = torch.arange(sum(sent), device=rows.device)
        rows, weight = rows[: sum(sent)], weight[: sum(sent)]
        own = torch.arange(outgoing.shape[1], device=rows.device).repeat(ranks)
        expert = own.repeat_interleave(incoming.flatten(), output_size=sum(received))
    order = expert.argsort(stable=True)
    ends = incoming.sum(0).cumsum(0).to(torch.int32)
    rows = _move(rows, received, sent, group).index_select(0, order)
    weight = _move(weight[:, None], received, sent, group)[:, 0][order]
    return Exchange(rows, weight, ends, order, source, sent, received)


def back(rows: torch.Tensor, exchange: Exchange, group: Any) -> torch.Tensor:
    """Bring results home.

    Args:
        rows: (R, H) results in the order of `exchange.rows`.
        exchange: What `send` returned.
        group: The process group of the expert axis.

    Returns:
        (M, H) results of the rows that were sent, as `exchange.source` lists them; those of padding are undefined.
    """
    home = torch.empty_like(exchange.order)
    home[exchange.order] = torch.arange(len(exchange.order), device=rows.device)
    return _move(rows.index_select(0, home), exchange.sent, exchange.received, group)


def overflow(counts: torch.Tensor, ranks: int, capacity: int) -> torch.Tensor:
    """Return the number of rows, (), that `send` drops of those of each expert, (E,)."""
    return (counts.view(ranks, -1).sum(1) - capacity).clamp(min=0).sum()


def _move(rows: torch.Tensor, into: list[int], out: list[int], group: Any) -> torch.Tensor:
    moved: torch.Tensor = collectives.all_to_all_single_autograd(rows.contiguous(), into, out, group)
    return collectives.wait_tensor(moved)
