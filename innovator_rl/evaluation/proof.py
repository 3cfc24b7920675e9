"""Prove that a model folder can be served: load it once in vLLM and generate a few tokens."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.evaluation.engine.client import EngineClient
from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.requests import GenerateRequest, Generation
from innovator_rl.platform.accelerator import detect

PROMPT = (1, 2, 3, 4, 5, 6, 7, 8)
NEW_TOKENS = 8
CONTEXT = 64


def prove_servable(folder: Path, dtype: str) -> int:
    """Load a model folder in vLLM, and return how many tokens it generated.

    Args:
        folder: A Hugging Face folder.
        dtype: Precision in which it is served.

    Raises:
        UserError: vLLM cannot load it, or generates nothing; the message has the end of the engine's log.
    """
    on_cpu = detect()[0] == "cpu"
    settings = EngineSettings(
        model=str(folder),
        backend="vllm",
        dtype="float32" if on_cpu and dtype == "float16" else dtype,  # vLLM's CPU build has no half precision
        context=CONTEXT,
        threads=len(os.sched_getaffinity(0)),
        kv_cache_gb=1,
    )
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "engine.log"
        try:
            with EngineClient(settings, log) as engine:
                answers = dict(engine.answer([GenerateRequest(PROMPT, NEW_TOKENS)]))
        except UserError as error:
            cause = " ".join(log.read_text(errors="replace").split()[-60:])
            raise UserError(f"{folder}: vLLM cannot serve it: {error.args[0].split('; see')[0]}; {cause}") from None
    found = answers.get(0)
    if not isinstance(found, Generation) or not found.token_ids:
        raise UserError(f"{folder}: vLLM loaded it and generated no token; its weights may not be finite")
    return len(found.token_ids)
