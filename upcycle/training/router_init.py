"""Initialize the router by ridge regression from hidden states to disciplines.

Equation 3 asks every expert whether a token belongs to its discipline. For a linear router, ridge regression answers
that from one forward pass over a few thousand tokens, each sent to the experts of its own discipline. With X (T, H) the
hidden states before a layer's router and Y (T, D + 1) their disciplines as one-hot rows, general text last,

    W = 4 (X'X + 0.1 tr(X'X)/H I)^-1 X'(Y - mean Y)

where X'X and X'Y are summed over batches and ranks. The experts of a discipline get its column and the null experts
that of general text, added to the small random rows they had, so that no two experts tie. All slices of a discipline
therefore answer together, which reproduces the coarse expert. Gradient descent on equation 3 needs many steps to get
there, because a few directions of a trained model's hidden states are far longer than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional

from upcycle.data.batch import Batch
from upcycle.training.losses import add_over_ranks

# On SmolLM2-135M, 10,240 tokens: ridges of 0.01, 0.1, 1 gave science 1.948, 1.945, 1.953 nat; logits of 4 and 12 1.945 and 1.947.
RIDGE = 0.1  # times the mean squared length of a coordinate
LOGIT = 4.0  # margin of a token's own discipline over another at a perfect fit


@torch.no_grad()
def init_router(
    model: Any, slices: Iterable[Batch], general: Literal["null", "none", "skip"], progress: Callable[[int], None]
) -> None:
    """Initialize the routers of a mixture from labeled text.

    All ranks call this together.

    Args:
        model: The mixture, sharded or not.
        slices: This rank's part of the text, on the model's device.
        general: Treatment of general text, as in `train_router.general_target`: null: a class of its own, whose column
            goes to the null experts; none: a class that no slot belongs to; skip: left out.
        progress: Called after every slice with the number of this rank's tokens so far.
    """
    spec, blocks = model.spec, model.blocks()
    classes = len(spec.disciplines) + 1
    grams: dict[int, torch.Tensor] = {}  # layer: X'X (H, H)
    products: dict[int, torch.Tensor] = {}  # layer: X'Y (H, D + 1)
    counts = labels = torch.zeros(classes)

    def watch(layer: int) -> Callable[[Any, tuple[torch.Tensor, ...]], None]:
        def note(_router: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            states = inputs[0].float()
            if general == "skip":
                states = states * (labels[:, -1:] == 0)
            for sums, product in ((grams, states.T @ states), (products, states.T @ labels)):
                sums[layer] = sums[layer] + product if layer in sums else product.double()

        return note

    hooks = [block.gate.register_forward_pre_hook(watch(layer)) for layer, block in enumerate(blocks)]
    seen = 0
    try:
        for batch in slices:
            discipline = batch.discipline[:, None].expand_as(batch.tokens).flatten()
            row = torch.where(discipline < 0, classes - 1, discipline)
            labels = functional.one_hot(row, classes).float()
            model(batch.tokens, position_ids=batch.positions, route=batch.discipline, logits=False)
            counts = counts.to(labels.device) + labels.sum(0).double()
            seen += batch.tokens.numel()
            progress(seen)
    finally:
        for hook in hooks:
            hook.remove()
    if hasattr(model, "reshard"):
        model.reshard()
    if general == "skip":
        counts[-1] = 0
    counts = add_over_ranks(counts)
    for layer, block in enumerate(blocks):
        columns = _solve(add_over_ranks(grams.pop(layer)), add_over_ranks(products.pop(layer)), counts)
        _add_rows(block.gate.weight, _rows(columns, spec, null=general == "null"))


def _solve(gram: torch.Tensor, product: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Solve for the column (H,) of every class, (H, D + 1)."""
    centered = product - torch.outer(product.sum(1), counts / counts.sum().clamp(min=1))
    ridge = RIDGE * gram.diagonal().mean().clamp(min=1e-30)
    return LOGIT * torch.linalg.solve(gram + ridge * torch.eye(len(gram)).to(gram), centered)


def _rows(columns: torch.Tensor, spec: Any, null: bool) -> torch.Tensor:
    """Return (slots, H): each discipline's column for its experts.

    That of general text, or zeros, for null experts.
    """
    experts = columns[:, :-1].T.repeat_interleave(spec.split, 0)
    return torch.cat([experts, (columns[:, -1:].T * null).expand(spec.null_experts, -1)])


def _add_rows(weight: torch.Tensor, rows: torch.Tensor) -> None:
    rows = rows.to(weight.dtype)
    if isinstance(weight, DTensor):  # an offloaded shard lies in host memory, its mesh does not
        rows, weight = distribute_tensor(rows, weight.device_mesh, weight.placements).to_local(), weight.to_local()
    weight += rows.to(weight.device)
