"""The feed-forward blocks: induced (equation 1) and mixture (equation 4), as they train.

The shared expert has no gate, the router takes the top k logits and then the softmax, and the fine experts are two
fused 3-D tensors, multiplied by one grouped GEMM where the type and the widths allow and expert by expert elsewhere.
Shapes: T tokens, H hidden, F fine width, E experts, S slots (E + null experts), k chosen.
"""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from upcycle.model.architecture import FORM_WEIGHT, Spec

GROUPED_BYTES = 16  # grouped GEMM wants every row to start on such a boundary


class Routing(NamedTuple):
    """What a layer's router decided: `logits` (T, S), `selected` (T, k) slots, `gates` (T, k) weights before the routed scale."""

    logits: torch.Tensor
    selected: torch.Tensor
    gates: torch.Tensor


class SwiGLU(nn.Module):
    """down(silu(gate x) * up x), the feed-forward network of both donor families."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, width, bias=False)
        self.up_proj = nn.Linear(hidden, width, bias=False)
        self.down_proj = nn.Linear(width, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class InducedBlock(nn.Module):
    """Equation 1: the frozen original network and the trained coarse expert on the same input, added (or averaged)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shared_expert = SwiGLU(spec.hidden, spec.intermediate)
        self.expert = SwiGLU(spec.hidden, spec.intermediate)
        self.shared_expert.requires_grad_(False)
        self.weight = FORM_WEIGHT[spec.form]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = self.shared_expert(x) + self.expert(x)
        return total if self.weight == 1 else self.weight * total


class Router(nn.Module):
    """Token to slots. Same name and weight as the router of a Qwen2-MoE layer."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(spec.slots, spec.hidden))
        self.top_k, self.gating = spec.top_k, spec.gating
        self.constant = False  # True: the gates enter the sum without a gradient; the logits keep theirs

    def forward(self, x: torch.Tensor) -> Routing:
        """`x` (T, H). Logits are float32 whatever the model's type, so that rounding hardly moves a choice."""
        logits = functional.linear(x.float(), self.weight.float())
        if self.gating == "topk_softmax":
            top, selected = logits.topk(self.top_k, dim=-1)
            gates = top.softmax(-1)
        else:
            gates, selected = logits.softmax(-1).topk(self.top_k, dim=-1)
        if self.constant:
            gates = gates.detach()
        return Routing(logits, selected, gates.to(x.dtype))


class FineExperts(nn.Module):
    """All fine experts of a layer: `gate_up_proj` (E, 2F, H), gate rows first; `down_proj` (E, H, F)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(spec.experts, 2 * spec.fine, spec.hidden))
        self.down_proj = nn.Parameter(torch.empty(spec.experts, spec.hidden, spec.fine))

    def forward(self, x: torch.Tensor, selected: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """Sum over the chosen experts of gate x expert(x): (T, H). Slots past the last expert add nothing."""
        experts, k = self.gate_up_proj.shape[0], selected.shape[1]
        order = selected.reshape(-1).argsort(stable=True)
        counts = torch.bincount(selected.reshape(-1).clamp(max=experts), minlength=experts + 1)[:experts]
        if int(counts.sum()) < len(order):  # the null experts' rows are last and cost nothing
            order = order[: int(counts.sum())]
        token = order // k
        rows = (self._grouped if self._fits_grouped(x) else self._each)(x[token], counts)
        return torch.zeros_like(x).index_add(0, token, rows * gates.reshape(-1)[order, None])

    def _fits_grouped(self, x: torch.Tensor) -> bool:
        widths = (self.gate_up_proj.shape[2], self.down_proj.shape[2])
        aligned = all(width * x.element_size() % GROUPED_BYTES == 0 for width in widths)
        return aligned and x.dtype in (torch.float32, torch.bfloat16) and x.dtype == self.gate_up_proj.dtype

    def _grouped(self, rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        ends = counts.cumsum(0).to(torch.int32)
        gate, up = functional.grouped_mm(rows, self.gate_up_proj.mT, offs=ends).chunk(2, dim=-1)
        return functional.grouped_mm(functional.silu(gate) * up, self.down_proj.mT, offs=ends)

    def _each(self, rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        parts = []
        for e, part in enumerate(rows.split(counts.tolist())):
            gate, up = functional.linear(part, self.gate_up_proj[e]).chunk(2, dim=-1)
            parts.append(functional.linear(functional.silu(gate) * up, self.down_proj[e]))
        return torch.cat(parts)


class MixtureBlock(nn.Module):
    """Equation 4: shared expert + routed_scale x sum of gate x fine expert.

    `routing` holds the last forward pass's decision. `oracle` (T,), when set, takes the router's place: each token goes
    with equal gates to its discipline's experts, or with -1 to none.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shared_expert = SwiGLU(spec.hidden, spec.intermediate)
        self.gate = Router(spec)
        self.experts = FineExperts(spec)
        scale = torch.full((1,), spec.routed_weight)
        if spec.routed_scale == "learned":
            self.routed_scale = nn.Parameter(scale)
        else:
            self.register_buffer("routed_scale", scale)
        self.shared_weight, self.split, self.slots = spec.shared_weight, spec.split, spec.slots
        self.routing: Routing | None = None
        self.oracle: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        self.routing = routing = self.gate(flat)
        selected, gates = routing.selected, routing.gates
        if self.oracle is not None:
            selected, gates = self._by_discipline(self.oracle, flat)
        routed = self.experts(flat, selected, gates) * self.routed_scale.to(x.dtype)
        shared = self.shared_expert(flat)
        if self.shared_weight != 1:
            shared = self.shared_weight * shared
        return (shared + routed).view_as(x)

    def _by_discipline(self, discipline: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slice_of = torch.arange(self.split, device=x.device)
        selected = discipline[:, None] * self.split + slice_of
        selected = torch.where(discipline[:, None] < 0, self.slots, selected)
        return selected, x.new_full(selected.shape, 1 / self.split)


def feed_forward(spec: Spec) -> Any:
    """The block of a layer for the spec's kind."""
    if spec.kind == "dense":
        return SwiGLU(spec.hidden, spec.intermediate)
    return InducedBlock(spec) if spec.kind == "induced" else MixtureBlock(spec)
