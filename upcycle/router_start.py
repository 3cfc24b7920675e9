"""A router's start in closed form: ridge regression from a layer's hidden states to the discipline of their text.

Equation 3 asks every expert one question, "is this token of your discipline?". For a linear router that question has a best
answer in the least-squares sense, and one forward pass over a few thousand tokens finds it: with X (T, H) the tokens before a
layer's router and Y (T, D + 1) their disciplines, one hot, general text last, both summed up over batches and ranks,

    W = 4 (X'X + 0.1 tr(X'X)/H I)^-1 X'(Y - mean Y)

The experts of a discipline get its column, null experts that of general text, on top of the small random rows they had, so
that no two tie. All slices of a discipline therefore answer together, which is the induced expert again. Gradient descent on
equation 3 needs many steps to get there, because a few directions of a trained model's hidden states are far longer than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional

from upcycle.losses import add_over_ranks
from upcycle.packing import Batch

RIDGE = 0.1  # of the mean squared length of a coordinate; 0.01 to 1 change the held-out loss by 0.01 nat
SHARPNESS = 4.0  # logits a token's own discipline lies above another at a perfect fit; 12 is no better


@torch.no_grad()
def start_router(model: Any, slices: Iterable[Batch], use_general: bool, progress: Callable[[int], None]) -> None:
    """Set the routers of a mixture from what `slices` (this rank's part of the text) show. All ranks together.

    Args:
        use_general: whether general text is learned from; its direction goes to the null experts, where there are any.
        progress: told the number of this rank's tokens so far after every slice.
    """
    spec, blocks = model.spec, model.blocks()
    classes = len(spec.disciplines) + 1
    device = model.lm_head.weight.device
    gram = torch.zeros(len(blocks), spec.hidden, spec.hidden, dtype=torch.float64, device=device)
    moment = torch.zeros(len(blocks), spec.hidden, classes, dtype=torch.float64, device=device)
    counts = torch.zeros(classes, dtype=torch.float64, device=device)
    labels = torch.empty(0)

    def watch(layer: int) -> Callable[[Any, tuple[torch.Tensor, ...]], None]:
        def note(_router: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            states = inputs[0].float()
            if not use_general:
                states = states * (labels[:, -1:] == 0)
            gram[layer] += states.T @ states
            moment[layer] += states.T @ labels

        return note

    hooks = [block.gate.register_forward_pre_hook(watch(layer)) for layer, block in enumerate(blocks)]
    seen = 0
    try:
        for batch in slices:
            discipline = batch.discipline[:, None].expand_as(batch.tokens).flatten()
            row = torch.where(discipline < 0, classes - 1, discipline)
            labels = functional.one_hot(row, classes).float()
            model(batch.tokens, position_ids=batch.positions, route=batch.discipline, logits=False)
            counts += labels.sum(0)
            seen += batch.tokens.numel()
            progress(seen)
    finally:
        for hook in hooks:
            hook.remove()
    if hasattr(model, "reshard"):
        model.reshard()
    if not use_general:
        counts[-1] = 0
    gram, moment, counts = (add_over_ranks(total) for total in (gram, moment, counts))
    for block, squares, sums in zip(blocks, gram, moment, strict=True):
        _add_rows(block.gate.weight, _rows(_solve(squares, sums, counts), spec, use_general and float(counts[-1]) > 0))


def _solve(gram: torch.Tensor, moment: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The column (H,) of every class, (H, D + 1)."""
    centred = moment - torch.outer(moment.sum(1), counts / counts.sum())
    ridge = RIDGE * gram.diagonal().mean().clamp(min=1e-30)
    return SHARPNESS * torch.linalg.solve(gram + ridge * torch.eye(len(gram)).to(gram), centred)


def _rows(columns: torch.Tensor, spec: Any, general: bool) -> torch.Tensor:
    """(slots, H): each discipline's column for its experts, general text's for the null experts."""
    experts = columns[:, :-1].T.repeat_interleave(spec.split, 0)
    null = columns[:, -1:].T * general
    return torch.cat([experts, null.expand(spec.null_experts, -1)])


def _add_rows(weight: torch.Tensor, rows: torch.Tensor) -> None:
    rows = rows.to(weight.dtype)
    if isinstance(weight, DTensor):
        rows = distribute_tensor(rows, weight.device_mesh, weight.placements)
    weight += rows
