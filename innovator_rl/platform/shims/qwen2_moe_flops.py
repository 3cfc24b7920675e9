"""verl's count of operations for Qwen2-MoE leaves the shared experts out.

In an upcycled model of full size the shared experts are 43 % of the weights that multiply a token, so the stock count
reports about half of the real utilization. The shim adds them to the entry for this family in
`verl.utils.flops_counter.ESTIMATE_FUNC`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from innovator_rl.platform.import_hooks import after_import
from innovator_rl.platform.shims.base import Shim, require_parameters

NAME = "qwen2_moe_flops"
FAMILY = "qwen2_moe"

Estimate = Callable[[Any, int, list[int], float], float]


def needed() -> bool:
    """Return True.

    `_add_shared_experts` asks the stock count itself, once its module is imported.
    """
    return True


def counts_shared_experts(estimate: Estimate) -> bool:
    """Return whether a Qwen2-MoE operation count depends on the shared expert."""
    shape = {
        "hidden_size": 64,
        "vocab_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "moe_intermediate_size": 16,
        "num_experts_per_tok": 2,
        "num_experts": 4,
    }
    narrow, wide = (
        estimate(SimpleNamespace(**shape, shared_expert_intermediate_size=width), 64, [64], 1.0) for width in (16, 64)
    )
    return narrow != wide


def _add_shared_experts(module: ModuleType) -> None:
    stock: Estimate = module.ESTIMATE_FUNC[FAMILY]
    require_parameters(NAME, stock, ("config", "tokens_sum", "batch_seqlens", "delta_time"))
    if counts_shared_experts(stock):
        return

    def with_shared_experts(config: Any, tokens_sum: int, batch_seqlens: list[int], delta_time: float) -> float:
        """Return TFLOP/s with the shared experts' operations.

        That is the stock figure plus 6 operations per token for every weight of a shared expert and its gate.
        """
        width = int(getattr(config, "shared_expert_intermediate_size", 0) or 0)
        weights = config.num_hidden_layers * config.hidden_size * (3 * width + 1) if width else 0
        return float(
            stock(config, tokens_sum, batch_seqlens, delta_time) + 6 * weights * tokens_sum / delta_time / 1e12
        )

    module.ESTIMATE_FUNC[FAMILY] = with_shared_experts


def apply() -> None:
    """Count the shared experts as soon as verl's counter is imported."""
    after_import("verl.utils.flops_counter", _add_shared_experts)


SHIM = Shim(
    name=NAME,
    works_around="verl's count of operations for Qwen2-MoE leaves the shared experts out",
    seen_in="verl 0.9.1",
    platforms=("cpu", "cuda"),
    needed=needed,
    apply=apply,
)
