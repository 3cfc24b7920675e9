"""Answer requests with vLLM.

Requests go into the engine together and leave it as they finish, so nothing waits for the longest response of a chunk
and each response can be stored at once. An option of one token is read from the distribution of the next token, which
costs one request for all options of a question; longer options need the log-probabilities of the prompt.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.requests import GenerateRequest, Generation, OptionRequest, OptionScore, Request, Response

BATCHED_TOKENS = 8192  # of one step on a CPU, as in training
MAX_IN_ONE = 100  # options of one token read from one distribution; vLLM takes at most 128


class VllmBackend:
    """A model in vLLM's engine, in this process."""

    def __init__(self, settings: EngineSettings) -> None:
        from innovator_rl.platform import CPU_BLOCK_TOKENS
        from innovator_rl.platform.accelerator import detect
        from innovator_rl.platform.private_folder import use_private_folder

        started = time.monotonic()
        use_private_folder()
        from vllm import LLM

        self._platform = detect()[0]
        extra: dict[str, Any] = {"dtype": settings.dtype}
        if self._platform == "cpu":
            # A prompt that is read in two parts rewinds the generator of its seed, which one of a CPU cannot do.
            extra |= {"enable_chunked_prefill": False, "max_num_batched_tokens": max(BATCHED_TOKENS, settings.context)}
            extra["block_size"] = CPU_BLOCK_TOKENS
        else:
            extra["gpu_memory_utilization"] = settings.gpu_memory
        self._engine = LLM(
            settings.model,
            max_model_len=settings.context,
            enforce_eager=self._platform == "cpu",
            tensor_parallel_size=settings.tensor_parallel,
            seed=0,
            **extra,
        ).llm_engine
        self._settings = settings
        self._load_seconds = time.monotonic() - started

    def describe(self) -> dict[str, Any]:
        """Return versions and settings for the report."""
        import torch
        import vllm

        return {
            "backend": "vllm",
            "vllm": vllm.__version__,
            "torch": torch.__version__,
            "platform": self._platform,
            "dtype": self._settings.dtype,
            "load_seconds": round(self._load_seconds, 1),
        }

    def answer(self, requests: list[Request]) -> Iterator[tuple[int, Response]]:
        """Yield the index and the response of each request as it finishes."""
        yield from self._generate([(i, r) for i, r in enumerate(requests) if isinstance(r, GenerateRequest)])
        options = [(i, r) for i, r in enumerate(requests) if isinstance(r, OptionRequest)]
        yield from self._next_tokens([(i, r) for i, r in options if len(r.option) == 1])
        yield from self._sequences([(i, r) for i, r in options if len(r.option) > 1])

    def _run(self, asked: dict[str, tuple[tuple[int, ...], Any]]) -> Iterator[tuple[str, Any, float]]:
        started = time.monotonic()
        for name, (tokens, parameters) in asked.items():
            self._engine.add_request(name, {"prompt_token_ids": list(tokens)}, parameters)
        while self._engine.has_unfinished_requests():
            for output in self._engine.step():
                if output.finished:
                    yield output.request_id, output, time.monotonic() - started

    def _generate(self, requests: list[tuple[int, GenerateRequest]]) -> Iterator[tuple[int, Response]]:
        from vllm import SamplingParams

        asked = {
            str(index): (
                request.tokens,
                SamplingParams(
                    max_tokens=request.max_new_tokens,
                    stop=list(request.stop),
                    temperature=request.temperature,
                    top_p=request.top_p,
                    seed=request.seed if request.temperature > 0 else None,
                    skip_special_tokens=False,
                    spaces_between_special_tokens=False,
                ),
            )
            for index, request in requests
        }
        for name, output, seconds in self._run(asked):
            best = output.outputs[0]
            yield int(name), Generation(best.text, tuple(best.token_ids), str(best.finish_reason), round(seconds, 3))

    def _next_tokens(self, requests: list[tuple[int, OptionRequest]]) -> Iterator[tuple[int, Response]]:
        from vllm import SamplingParams

        by_prompt: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
        for index, request in requests:
            by_prompt[request.tokens].append((index, request.option[0]))
        asked, members = {}, {}
        for number, (tokens, options) in enumerate(by_prompt.items()):
            for start in range(0, len(options), MAX_IN_ONE):
                part = options[start : start + MAX_IN_ONE]
                wanted = sorted({token for _, token in part})
                name = f"next-{number}-{start}"
                asked[name] = (
                    tokens,
                    SamplingParams(temperature=0, max_tokens=1, detokenize=False, logprob_token_ids=wanted),
                )
                members[name] = part
        for name, output, _ in self._run(asked):
            best = output.outputs[0]
            chosen, logprobs = best.token_ids[0], best.logprobs[0]
            for index, token in members[name]:
                yield index, OptionScore(float(logprobs[token].logprob), token == chosen)

    def _sequences(self, requests: list[tuple[int, OptionRequest]]) -> Iterator[tuple[int, Response]]:
        from vllm import SamplingParams

        parameters = SamplingParams(temperature=0, prompt_logprobs=1, max_tokens=1, detokenize=False)
        asked = {str(index): (request.tokens + request.option, parameters) for index, request in requests}
        by_index = dict(requests)
        for name, output, _ in self._run(asked):
            request = by_index[int(name)]
            places = output.prompt_logprobs[len(request.tokens) :]
            found = [place[token] for place, token in zip(places, request.option, strict=True)]
            total = sum(float(entry.logprob) for entry in found)
            yield int(name), OptionScore(total, all(entry.rank == 1 for entry in found))
