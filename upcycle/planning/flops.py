"""Count a stage's floating-point operations and the share of peak they use.

A product of (a, b) by (b, c) is 2abc operations. The forward pass takes 2 per weight that multiplies a token, plus
attention's two products over half the sequence (causal). The backward pass takes as much again for the gradient of the
activations and, for weights that learn, as much again for theirs. The shared expert is counted; norms, softmax and
rotary positions are not. Recomputed activations count in `hardware` but not in the utilization (MFU), because the
method does not ask for them.
"""

from dataclasses import dataclass

from upcycle.config.stages import Stage
from upcycle.model.architecture import ModelSpec

PEAK_TFLOPS = 989.0
PEAK_SOURCE = "NVIDIA H100/H200 data sheet, dense bfloat16"


@dataclass(frozen=True)
class Flops:
    """Operations per token.

    Attributes:
        forward: One forward pass.
        training: Forward and backward pass.
        hardware: The same with recomputed activations.
    """

    forward: float
    training: float
    hardware: float


@dataclass(frozen=True)
class WeightCounts:
    """Number of weights that multiply one token, by part of the model."""

    attention: int
    shared: int
    coarse: int
    router: int
    experts: int
    head: int

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return self.attention + self.shared + self.coarse + self.router + self.experts + self.head


def active_weights(spec: ModelSpec) -> WeightCounts:
    """Count the weights that multiply one token.

    An embedding is looked up and multiplies nothing.
    """
    h, layers = spec.hidden, spec.layers
    attention = 2 * h * (spec.heads + spec.kv_heads) * spec.head_dim
    swiglu = 3 * h * spec.intermediate
    mixture = spec.kind == "mixture"
    return WeightCounts(
        attention=layers * attention,
        shared=layers * swiglu,
        coarse=layers * swiglu if spec.kind == "induced" else 0,
        router=layers * h * spec.slots if mixture else 0,
        experts=layers * spec.top_k * 3 * h * spec.fine if mixture else 0,
        head=spec.vocabulary * h,
    )


def flops_per_token(spec: ModelSpec, stage: Stage, sequence_length: int) -> Flops:
    """Count a stage's operations per token.

    Args:
        spec: Shape of the model, of the stage's kind.
        stage: The stage.
        sequence_length: Tokens of a sequence.
    """
    weights = active_weights(spec)
    context = 2 * spec.layers * 2 * spec.heads * spec.head_dim * (sequence_length + 1) / 2
    forward = 2 * weights.total + context
    if stage == "train_router":
        # The gates enter the sum as constants, so the gradient ends at the router's own weights; the head is for metrics.
        training = forward + 2 * weights.router
        return Flops(forward, training, training)
    learns = weights.coarse if stage == "train_experts" else weights.total
    training = forward + (forward + context) + 2 * learns
    return Flops(forward, training, training + forward - 2 * weights.head)


def utilization(flops: Flops, tokens_per_second: float, peak_flops: float) -> float:
    """Return the model FLOPs utilization (MFU).

    It is the training operations as a share of the hardware's peak.

    Args:
        flops: Operations per token.
        tokens_per_second: Measured speed, over all devices.
        peak_flops: Peak operations per second of all devices together.
    """
    return flops.training * tokens_per_second / peak_flops
