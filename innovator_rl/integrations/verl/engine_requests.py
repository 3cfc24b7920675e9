"""Ask the rollout engine of a run for text outside its data: token ids in, token ids out.

Validation suites use it between two steps, when the engine has the current weights and nothing else to do. Each request
has the patience of the run's own; one that brings nothing comes back as None, and the others are not affected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from innovator_rl.integrations.verl.request_patience import Patience

Asked = tuple[Sequence[int], dict[str, Any]]
"""Token ids of a prompt, and the sampling parameters of vLLM."""
TokenSource = Callable[[Sequence[Asked]], list[list[int] | None]]
"""Returns the token ids of a response per request, in order; None where the engine brought none."""
IN_FLIGHT = 512  # requests that wait in the engine; the patience of a request does not count the queue before it


def generate_tokens(client: Any, asked: Sequence[Asked], patience_seconds: float) -> list[list[int] | None]:
    """Return a response per request.

    Args:
        client: verl's client of the rollout engine (`LLMServerClient`).
        asked: The requests.
        patience_seconds: The time that any request may take at least.
    """
    patience = Patience(patience_seconds)

    async def every() -> list[list[int] | None]:
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(tokens: Sequence[int], parameters: dict[str, Any]) -> list[int] | None:
            def send() -> Any:  # the server takes parameters out of its copy
                return client.generate(uuid4().hex, prompt_ids=list(tokens), sampling_params=dict(parameters))

            async with slots:
                try:
                    return list((await patience.attempt(send)).token_ids)
                except Exception:  # a response that never came is an empty one; a dead engine ends the next phase
                    return None

        return await asyncio.gather(*(one(tokens, parameters) for tokens, parameters in asked))

    # A thread of its own, because ending an event loop here would take away the one that verl uses in this thread.
    with ThreadPoolExecutor(1, thread_name_prefix="suite-requests") as thread:
        return thread.submit(lambda: asyncio.run(every())).result()
