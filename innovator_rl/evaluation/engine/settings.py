"""Define the settings of an engine process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Backend = Literal["vllm", "hf"]


@dataclass(frozen=True)
class EngineSettings:
    """What an engine process is started with.

    Attributes:
        model: The folder of the checkpoint.
        backend: `vllm`, or `hf` for transformers.
        dtype: The number format of the weights, for example `float32`.
        context: The longest sequence in tokens.
        threads: Threads on a CPU.
        kv_cache_gb: Size of vLLM's key-value cache on a CPU (GiB).
        gpu_memory: The share of an accelerator's memory that vLLM takes.
        tensor_parallel: The number of accelerators that share the model.
    """

    model: str
    backend: Backend
    dtype: str
    context: int
    threads: int = 1
    kv_cache_gb: int = 2
    gpu_memory: float = 0.9
    tensor_parallel: int = 1

    def to_json(self) -> str:
        """Return the settings as JSON; `from_json` is the inverse."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EngineSettings:
        """Return the settings that `to_json` wrote."""
        return cls(**json.loads(text))
