"""List the shims, one module each, in the order in which they are applied."""

from innovator_rl.platform.shims import (
    duplicate_gloo_backend,
    qwen2_moe_flops,
    register_fsdp_engine_cpu,
    vllm_distribution_name,
    weight_sync_timeout,
)
from innovator_rl.platform.shims.base import Shim

ALL: tuple[Shim, ...] = (
    vllm_distribution_name.SHIM,
    duplicate_gloo_backend.SHIM,
    register_fsdp_engine_cpu.SHIM,
    weight_sync_timeout.SHIM,
    qwen2_moe_flops.SHIM,
)
