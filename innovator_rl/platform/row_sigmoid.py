"""Round the shared expert's gate of a token in the same way in every batch, on a CPU.

`torch.sigmoid` computes the last elements of a tensor one by one and the others several at a time, and the two ways round
differently: of 1,000 random numbers 39 have another last bit alone than together (AVX2). The gate of a shared expert has
one number per token, so which way a token takes depends on the others in its batch. vLLM forms batches by the time at
which requests arrive: the log-probabilities of a mixture of experts then differ in the last bit between two runs of one
seed, and with them the importance weights and every parameter of the next update. `sigmoid` here is made of operations
that round each element alike wherever it is.

`vllm.model_executor.models.qwen2_moe` gets it in place of the one in `torch.nn.functional`; nothing else is touched.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch.nn import functional

MODEL = "vllm.model_executor.models.qwen2_moe"


def sigmoid(values: torch.Tensor) -> torch.Tensor:
    """Return 1 / (1 + exp(-x)) of each element, whose bits do not depend on its place in the tensor."""
    return 1.0 / (1.0 + torch.exp(-values))


class _Functional:
    """`torch.nn.functional` with the sigmoid of this module."""

    sigmoid = staticmethod(sigmoid)

    def __getattr__(self, name: str) -> Any:
        return getattr(functional, name)


def install() -> None:
    """Correct the model at its import; a second call changes nothing."""
    from innovator_rl.platform.import_hooks import after_import

    after_import(MODEL, _replace)


def _replace(model: ModuleType) -> None:
    if not isinstance(model.F, _Functional):
        model.F = _Functional()  # type: ignore[attr-defined]
