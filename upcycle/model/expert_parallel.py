"""Exchange tokens between the ranks of an expert-parallel group.

Every rank of the group holds some of a layer's experts and all of its own tokens. `send` brings each chosen token to the
rank of its expert, and `back` brings the results home. Both are torch's all-to-all with gradients. The split sizes must
be known on the host, so this costs one wait per layer; the caller enqueues the shared expert before it.
"""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch.distributed import _functional_collectives as collectives


class Exchange(NamedTuple):
    """Rows under way in a group.

    Attributes:
        rows: (R, H) received rows, sorted by this rank's experts.
        ends: (E / ranks,) int32 end of each expert's rows.
        order: (R,) place in the received order of each sorted row.
        sent: Rows sent to each rank.
        received: Rows received from each rank.
    """

    rows: torch.Tensor
    ends: torch.Tensor
    order: torch.Tensor
    sent: list[int]
    received: list[int]


def send(rows: torch.Tensor, counts: torch.Tensor, group: Any) -> Exchange:
    """Bring rows to the ranks of their experts.

    Args:
        rows: (N, H) rows sorted by expert; those past the counts go nowhere.
        counts: (E,) rows of each expert.
        group: The process group of the expert axis.
    """
    ranks = dist.get_world_size(group)
    outgoing = counts.view(ranks, -1)
    incoming = torch.empty_like(outgoing)
    dist.all_to_all_single(incoming, outgoing.contiguous(), group=group)
    sent, received = torch.stack([outgoing.sum(1), incoming.sum(1)]).tolist()
    moved = _move(rows[: sum(sent)], received, sent, group)
    own = outgoing.shape[1]
    expert = torch.arange(own, device=rows.device).repeat(ranks)
    expert = expert.repeat_interleave(incoming.flatten(), output_size=sum(received))
    order = expert.argsort(stable=True)
    ends = incoming.sum(0).cumsum(0).to(torch.int32)
    return Exchange(moved[order], ends, order, sent, received)


def back(rows: torch.Tensor, exchange: Exchange, group: Any) -> torch.Tensor:
    """Bring results home.

    Args:
        rows: (R, H) results in the order of `exchange.rows`.
        exchange: What `send` returned.
        group: The process group of the expert axis.

    Returns:
        (N, H) results of the rows that were sent, in their order.
    """
    home = torch.empty_like(exchange.order)
    home[exchange.order] = torch.arange(len(exchange.order), device=rows.device)
    return _move(rows[home], exchange.sent, exchange.received, group)


def _move(rows: torch.Tensor, into: list[int], out: list[int], group: Any) -> torch.Tensor:
    moved: torch.Tensor = collectives.all_to_all_single_autograd(rows.contiguous(), into, out, group)
    return collectives.wait_tensor(moved)
