"""What the exported checkpoint meets in vLLM's Qwen2-MoE class: sizes it cannot take, and the parallelism it allows.

Read from vLLM 0.28: attention takes head_dim = hidden_size / heads, a tensor-parallel degree must divide the heads and
the experts' width (key-value heads are repeated when the degree is a multiple of theirs), the CPU's expert kernel works
in blocks of 32.
"""

from upcycle.model.architecture import Spec

CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
CPU_BLOCK = 32


def require_servable(spec: Spec) -> None:
    """`ValueError` for a shape that a Qwen2-MoE checkpoint cannot express."""
    if spec.head_dim * spec.heads != spec.hidden:
        raise ValueError(
            f"donor's head_dim = {spec.head_dim}: vLLM's Qwen2-MoE takes hidden_size / num_attention_heads = "
            f"{spec.hidden / spec.heads:g}; give a donor where both agree"
        )


def tensor_parallel_degrees(spec: Spec) -> list[int]:
    """The tensor-parallel degrees up to 64 that the checkpoint allows."""
    return [
        degree
        for degree in range(1, 65)
        if spec.heads % degree == 0
        and (spec.kv_heads % degree == 0 or degree % spec.kv_heads == 0)
        and spec.fine % degree == 0
        and spec.intermediate % degree == 0
    ]


def serving_notes(spec: Spec) -> list[str]:
    """What to know before serving, one sentence each."""
    degrees = ", ".join(map(str, tensor_parallel_degrees(spec)))
    notes = [f"tensor_parallel: {degrees}; beyond that use expert or data parallelism"]
    if spec.head_dim not in CPU_HEAD_SIZES:
        notes.append(f"head_dim {spec.head_dim}: vLLM's CPU attention has no kernel for it; serve on a GPU")
    for name, width in (("hidden_size", spec.hidden), ("fine expert width", spec.fine)):
        if width % CPU_BLOCK:
            notes.append(
                f"{name} {width}: not a multiple of {CPU_BLOCK}, which vLLM's CPU expert kernel wants; "
                "choose another mixture.split or serve on a GPU"
            )
    if spec.fine % 128:
        notes.append(f"fine expert width {spec.fine}: not a multiple of 128, so block-FP8 weights need padding")
    return notes
