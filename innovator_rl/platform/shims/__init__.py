"""The shims, one file each, named after what it works around; `ALL` is the order in which they are applied."""

from innovator_rl.platform.shims import (
    backend_named_twice,
    fsdp_engines_for_cuda_only,
    vllm_distribution_name,
    weight_sender_waits_forever,
)
from innovator_rl.platform.shims.base import Shim

ALL: tuple[Shim, ...] = (
    vllm_distribution_name.SHIM,
    backend_named_twice.SHIM,
    fsdp_engines_for_cuda_only.SHIM,
    weight_sender_waits_forever.SHIM,
)
