"""Define the feed-forward blocks: induced (equation 1), mixture (equation 4).

The shared expert has no gate, the router takes the top k logits and then the softmax, and the fine experts are two
fused 3-D tensors, multiplied by one grouped GEMM where the type and the widths allow and expert by expert elsewhere.
Shapes: T tokens, H hidden width, F fine width, E experts, S slots (E + null experts), k chosen slots.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

from upcycle.model.architecture import FORM_WEIGHT, ModelSpec
from upcycle.model.expert_parallel import back, overflow, send

GROUPED_BYTES = 16  # alignment that grouped GEMM requires of every row


class Routing(NamedTuple):
    """Decision of a layer's router.

    Attributes:
        logits: (T, S) float32 logits.
        selected: (T, k) chosen slots.
        gates: (T, k) weights of the chosen slots, before the routed scale.
    """

    logits: torch.Tensor
    selected: torch.Tensor
    gates: torch.Tensor


class SwiGLU(nn.Module):
    """Feed-forward network of both base model families, down(silu(gate x) * up x)."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, width, bias=False)
        self.up_proj = nn.Linear(hidden, width, bias=False)
        self.down_proj = nn.Linear(width, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the network to `x` (..., H)."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class InducedBlock(nn.Module):
    """Sum or mean of the frozen network and the coarse expert (equation 1)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.shared_expert = SwiGLU(spec.hidden, spec.intermediate)
        self.expert = SwiGLU(spec.hidden, spec.intermediate)
        self.shared_expert.requires_grad_(False)
        self.weight = FORM_WEIGHT[spec.form]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply both networks to `x` (..., H)."""
        total = self.shared_expert(x) + self.expert(x)
        return total if self.weight == 1 else self.weight * total


class Router(nn.Module):
    """Linear router from tokens to slots, named as in a Qwen2-MoE layer."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(spec.slots, spec.hidden))
        self.top_k, self.gating = spec.top_k, spec.gating
        self.constant = False  # True: gates enter the sum without a gradient; logits keep theirs

    def forward(self, x: torch.Tensor) -> Routing:
        """Choose the slots of every token in `x` (T, H).

        Logits are float32 whatever the model's type, so that rounding hardly changes a choice.
        """
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
    """All fine experts of a layer, fused into two parameters.

    `gate_up_proj` is (E, 2F, H) with the gate rows first, `down_proj` is (E, H, F). No count is read on the host, so a GPU
    never waits for it; only the exact exchange of expert parallelism needs one.

    Attributes:
        group: Process group of the expert axis, whose ranks hold E / ranks experts each; None: this rank has them all.
        capacity: Rows that a rank sends to each rank of the group over the even share of its choices; 0: as many as there are.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(spec.experts, 2 * spec.fine, spec.hidden))
        self.down_proj = nn.Parameter(torch.empty(spec.experts, spec.hidden, spec.fine))
        self.experts = spec.experts
        self.group: Any = None
        self.capacity = 0.0

    def forward(self, x: torch.Tensor, selected: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """Compute the sum over the chosen experts of gate x expert(x).

        Args:
            x: (T, H) hidden states.
            selected: (T, k) chosen slots; those past the last expert add nothing.
            gates: (T, k) their weights.

        Returns:
            (T, H) sums.
        """
        tokens, k = selected.shape
        slot, order = selected.reshape(-1).sort(stable=True)
        edges = torch.arange(1, self.experts + 1, device=x.device)
        ends = torch.searchsorted(slot, edges).to(torch.int32)
        # Rows of null experts come last. No product computes them, so they are read from and written to a row that is
        # dropped, behind the last token.
        null = slot >= self.experts
        token = torch.where(null, tokens, order // k)
        weight = gates.reshape(-1)[order].masked_fill(null, 0)
        # `index_select` and not an index: its backward pass adds rows up, where that of an index looks for equal ones.
        rows = torch.cat([x, x.new_zeros(1, x.shape[1])]).index_select(0, token)
        if self.group is None:
            rows = self._products(rows, weight, ends)
        else:
            counts = ends.diff(prepend=ends.new_zeros(1)).long()  # without the null experts' rows
            exchange = send(rows, weight, counts, self.group, self._rows_per_rank(tokens * k))
            rows = back(self._products(exchange.rows, exchange.weight, exchange.ends), exchange, self.group)
            # What padding brought goes to the row behind the last token, too.
            token = torch.cat([token, token.new_full((1,), tokens)])[exchange.source]
        return x.new_zeros(tokens + 1, x.shape[1]).index_add(0, token, rows)[:tokens]

    def dropped(self, selected: torch.Tensor) -> torch.Tensor:
        """Return how many choices, (), the exchange with a capacity drops.

        Args:
            selected: (T, k) chosen slots.
        """
        if self.group is None or not self.capacity:
            return selected.new_zeros(())
        counts = torch.zeros(self.experts + 1, dtype=torch.int64, device=selected.device)
        slot = selected.clamp(max=self.experts).flatten()
        counts = counts.index_add(0, slot, torch.ones_like(slot))[: self.experts]
        return overflow(counts, dist.get_world_size(self.group), self._rows_per_rank(slot.numel()))

    def _rows_per_rank(self, choices: int) -> int:
        return math.ceil(self.capacity * choices / dist.get_world_size(self.group)) if self.capacity else 0

    def _products(self, rows: torch.Tensor, weight: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        """Apply each expert to its rows and weight them; rows past the last end come back undefined.

        The weights are multiplied in between the two products, where the rows are narrow.
        """
        gate_up, down = _own(self.gate_up_proj), _own(self.down_proj)
        if _fits_grouped(rows, gate_up, down):
            gate, up = grouped_product(rows, gate_up.mT, ends).chunk(2, dim=-1)
            return grouped_product(functional.silu(gate) * up * weight[:, None], down.mT, ends)
        parts, start = [], 0
        for e, end in enumerate(ends.tolist()):
            gate, up = functional.linear(rows[start:end], gate_up[e]).chunk(2, dim=-1)
            parts.append(functional.linear(functional.silu(gate) * up * weight[start:end, None], down[e]))
            start = end
        return torch.cat([*parts, rows[start:]])


@torch.compiler.disable
def grouped_product(rows: torch.Tensor, weights: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Multiply groups of rows (N, A) by their matrices (E, A, B); group e ends at row `ends[e]`.

    It is left out of compiled layers: tracing knows its bfloat16 form alone, and there is nothing to fuse.
    """
    grouped = getattr(functional, "grouped_mm", None) or torch._grouped_mm  # its private name before torch 2.10
    return grouped(rows, weights, offs=ends)


def _own(parameter: torch.Tensor) -> torch.Tensor:
    """Return the part of a parameter that the expert axis left to this rank."""
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def _fits_grouped(rows: torch.Tensor, gate_up: torch.Tensor, down: torch.Tensor) -> bool:
    aligned = all(weight.shape[2] * rows.element_size() % GROUPED_BYTES == 0 for weight in (gate_up, down))
    return aligned and rows.dtype in (torch.float32, torch.bfloat16) and rows.dtype == gate_up.dtype


class MixtureBlock(nn.Module):
    """Mixture block of the shared expert and fine experts (equation 4).

    Its output is shared expert + routed_scale x sum of gate x fine expert.

    Attributes:
        routing: Decision of the last forward pass.
        oracle: (T,) discipline of each token, or None. If set, it replaces the router: each token goes with equal gates
            to the experts of its discipline, or with -1 to none.
    """

    def __init__(self, spec: ModelSpec) -> None:
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
        """Apply the block to `x` (..., H)."""
        flat = x.reshape(-1, x.shape[-1])
        self.routing = routing = self.gate(flat)
        selected, gates = routing.selected, routing.gates
        if self.oracle is not None:
            selected, gates = self._by_discipline(self.oracle, flat)
        shared = self.shared_expert(flat)  # enqueued before the routed part, which may wait for counts
        if self.shared_weight != 1:
            shared = self.shared_weight * shared
        return (shared + self.experts(flat, selected, gates * self.routed_scale.to(x.dtype))).view_as(x)

    def _by_discipline(self, discipline: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slice_of = torch.arange(self.split, device=x.device)
        selected = discipline[:, None] * self.split + slice_of
        selected = torch.where(discipline[:, None] < 0, self.slots, selected)
        return selected, x.new_full(selected.shape, 1 / self.split)


def feed_forward(spec: ModelSpec) -> Any:
    """Build the feed-forward block of a layer for the spec's kind."""
    if spec.kind == "dense":
        return SwiGLU(spec.hidden, spec.intermediate)
    return InducedBlock(spec) if spec.kind == "induced" else MixtureBlock(spec)
