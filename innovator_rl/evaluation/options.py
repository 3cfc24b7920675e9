"""Define what an evaluation is started with, and what follows from it: the engine, the backends, the run's name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from innovator_rl.config.schema import NAME_PATTERN
from innovator_rl.errors import UserError
from innovator_rl.evaluation.checkpoint import Checkpoint
from innovator_rl.evaluation.driver import Backends
from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.suite import Suite
from innovator_rl.platform.accelerator import detect

BACKENDS = ("auto", "vllm", "hf")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class EvalOptions:
    """What an evaluation is started with.

    Attributes:
        model: A built-in model, a folder or a hub id.
        limit: Rows per task, drawn by `seed`; None for all.
        tasks: Only these rows of the suite.
        data: The data root; None for the environment's.
        runs_dir: The folder of run directories.
        name: The name of the run directory; None for one made of suite, model and settings.
        seed: The seed of the drawing of rows and of sampling.
        dtype: The number format; None for float32 on a CPU and bfloat16 elsewhere.
        max_new_tokens: Bound on every response, in place of the suite's.
        context: The longest sequence in tokens; None for the checkpoint's.
        threads: Threads on a CPU; None for all cores.
        workers: Responses scored at the same time.
        backend: `auto`, `vllm` or `hf` for log-probabilities; text is always vLLM's.
        tensor_parallel: Accelerators that share the model.
    """

    model: str
    limit: int | None = None
    tasks: tuple[str, ...] = ()
    data: str | None = None
    runs_dir: str = "runs"
    name: str | None = None
    seed: int = 0
    dtype: str | None = None
    max_new_tokens: int | None = None
    context: int | None = None
    threads: int | None = None
    workers: int = 2
    backend: str = "auto"
    tensor_parallel: int = 1


def require_possible(options: EvalOptions) -> None:
    """Check the options by themselves, before anything is read.

    Raises:
        UserError: A value is out of its range, or a name is unknown.
    """
    counts = ("limit", "max_new_tokens", "context", "threads", "workers", "tensor_parallel")
    for name in counts:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if options.backend not in BACKENDS:
        raise UserError(f"--backend must be auto, vllm or hf, got {options.backend!r}")
    if options.dtype is not None and options.dtype not in DTYPES:
        raise UserError(f"--dtype must be {', '.join(DTYPES[:-1])} or {DTYPES[-1]}, got {options.dtype!r}")
    if options.name is not None and not re.match(NAME_PATTERN, options.name):
        raise UserError(
            f"--name must be letters, digits and . _ - and begin with a letter or a digit, got {options.name!r}"
        )


def engine_settings(checkpoint: Checkpoint, options: EvalOptions) -> EngineSettings:
    """Return how an engine is started.

    Raises:
        UserError: The context is longer than the checkpoint's.
    """
    on_cpu = detect()[0] == "cpu"
    context = options.context or checkpoint.context
    if context > checkpoint.context:
        raise UserError(f"--context {context} must be at most the checkpoint's {checkpoint.context} tokens")
    return EngineSettings(
        model=str(checkpoint.path),
        backend="vllm",
        dtype=options.dtype or ("float32" if on_cpu else "bfloat16"),
        context=context,
        threads=options.threads or len(os.sched_getaffinity(0)),
        tensor_parallel=options.tensor_parallel,
    )


def backends(options: EvalOptions) -> Backends:
    """Return which backend answers which kind of request."""
    if options.backend == "auto":
        return Backends(one_token="hf" if detect()[0] == "cpu" else "vllm")
    chosen: Any = options.backend
    return Backends(one_token=chosen, options=chosen)


def run_name(suite: Suite, checkpoint: Checkpoint, options: EvalOptions) -> str:
    """Return a name under which the same command finds its earlier responses, and no other command does."""
    asked = [suite.model_dump(mode="json"), checkpoint.fingerprint, options.limit, options.seed, options.dtype]
    asked += [options.max_new_tokens, options.context, options.backend]
    mark = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
    model = Path(checkpoint.name).name or "model"
    limited = "" if options.limit is None else f"-limit{options.limit}"
    return f"eval-{suite.name}-{model}{limited}-{mark}"
