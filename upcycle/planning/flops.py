"""Floating-point operations of a stage and the share of the hardware they use, with the shared expert counted.

A product of (a, b) by (b, c) is 2abc operations. Forward: 2 per weight that multiplies a token, plus attention's two
products over half the sequence (causal). Backward: as much again for the gradient of the activations and, for weights
that learn, as much again for theirs. Norms, softmax and rotary positions are left out. Recomputed activations are work
the method does not ask for: they are in `hardware`, not in the utilization (MFU).
"""

from dataclasses import dataclass
from typing import Literal

from upcycle.model.architecture import Spec

Stage = Literal["induct", "route", "integrate", "dense"]


@dataclass(frozen=True)
class Flops:
    """Operations for one token. `forward` of one pass; `training` with the backward pass; `hardware` with recomputation."""

    forward: float
    training: float
    hardware: float


@dataclass(frozen=True)
class Weights:
    """Weights by what they do to one token."""

    attention: int
    shared: int
    coarse: int
    router: int
    experts: int
    head: int

    @property
    def total(self) -> int:
        return self.attention + self.shared + self.coarse + self.router + self.experts + self.head


def active_weights(spec: Spec) -> Weights:
    """Weights that multiply one token (an embedding is looked up and multiplies nothing)."""
    h, layers = spec.hidden, spec.layers
    attention = 2 * h * (spec.heads + spec.kv_heads) * spec.head_dim
    swiglu = 3 * h * spec.intermediate
    mixture = spec.kind == "mixture"
    return Weights(
        attention=layers * attention,
        shared=layers * swiglu,
        coarse=layers * swiglu if spec.kind == "induced" else 0,
        router=layers * h * spec.slots if mixture else 0,
        experts=layers * spec.top_k * 3 * h * spec.fine if mixture else 0,
        head=spec.vocabulary * h,
    )


def flops_per_token(spec: Spec, stage: Stage, sequence_length: int) -> Flops:
    """Operations of a training stage on one token of a sequence of that length; `spec` is of the stage's kind."""
    weights = active_weights(spec)
    context = 2 * spec.layers * 2 * spec.heads * spec.head_dim * (sequence_length + 1) / 2
    forward = 2 * weights.total + context
    if stage == "route":
        # The gates enter the sum as constants, so the gradient ends at the router's own weights; the head is for metrics.
        training = forward + 2 * weights.router
        return Flops(forward, training, training)
    learns = weights.coarse if stage == "induct" else weights.total
    training = forward + (forward + context) + 2 * learns
    return Flops(forward, training, training + forward - 2 * weights.head)


def utilization(flops: Flops, tokens_per_second: float, peak_flops: float) -> float:
    """MFU: the training operations asked for, as a share of what the hardware could do in that time.

    Args:
        peak_flops: operations per second of all devices together.
    """
    return flops.training * tokens_per_second / peak_flops
