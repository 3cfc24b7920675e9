"""Describe vLLM's limits for Qwen2-MoE: possible sizes and parallelism.

As of vLLM 0.28, attention takes head_dim = hidden_size / heads, a tensor-parallel degree must divide the heads and the
experts' width (key-value heads are repeated when the degree is a multiple of theirs), and the CPU's expert kernel works
in blocks of 32.
"""

from innovator_rl.errors import UserError
from upcycle.model.architecture import ModelSpec

CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
CPU_BLOCK = 32


def require_servable(spec: ModelSpec) -> None:
    """Check that a Qwen2-MoE checkpoint can express a shape.

    Raises:
        UserError: If it cannot.
    """
    if spec.head_dim * spec.heads != spec.hidden:
        raise UserError(
            f"base model's head_dim = {spec.head_dim}: vLLM's Qwen2-MoE takes hidden_size / num_attention_heads = "
            f"{spec.hidden / spec.heads:g}; give a base model where both agree"
        )


def tensor_parallel_degrees(spec: ModelSpec) -> list[int]:
    """Return the tensor-parallel degrees up to 64 that a checkpoint allows."""
    return [
        degree
        for degree in range(1, 65)
        if spec.heads % degree == 0
        and (spec.kv_heads % degree == 0 or degree % spec.kv_heads == 0)
        and spec.fine % degree == 0
        and spec.intermediate % degree == 0
    ]


def serving_notes(spec: ModelSpec) -> list[str]:
    """Return notes on serving a checkpoint, one sentence each."""
    degrees = ", ".join(map(str, tensor_parallel_degrees(spec)))
    notes = [f"serving with vLLM: tensor_parallel {degrees}; beyond that use expert or data parallelism"]
    if spec.head_dim not in CPU_HEAD_SIZES:
        notes.append(f"head_dim {spec.head_dim}: vLLM's CPU attention has no kernel for it; serve on a GPU")
    for name, width in (("hidden_size", spec.hidden), ("fine expert width", spec.fine)):
        if width % CPU_BLOCK:
            notes.append(
                f"{name} {width}: not a multiple of {CPU_BLOCK}, which vLLM's CPU expert kernel requires; "
                "choose another mixture.split or serve on a GPU"
            )
    if spec.fine % 128:
        notes.append(
            f"fine expert width {spec.fine}: not a multiple of 128, so block-FP8 weights need padding when served"
        )
    return notes
