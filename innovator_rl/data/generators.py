"""Sample responses of a model to prompts, through vLLM on this machine or any OpenAI-compatible server.

Both yield answers prompt by prompt, so that whoever scores them can keep what is done when the rest is interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from innovator_rl.data.rows import Message
from innovator_rl.errors import UserError

CALL_RESPONSES, CALL_RESPONSES_ON_CPU = 1024, 128
"""Responses per call of vLLM: enough to keep it busy, few enough that an interruption loses little."""

ENDPOINT_PROMPTS = 64
CONCURRENT = 16
REQUEST_SECONDS = 600.0
RETRIES = 4


@dataclass(frozen=True)
class Answer:
    """One response, and whether it was cut at the token limit."""

    text: str
    cut: bool


@dataclass(frozen=True)
class Sampling:
    """How responses are sampled."""

    samples: int
    temperature: float
    max_tokens: int
    seed: int = 0


class Generator(Protocol):
    """What samples responses."""

    def answers(self, prompts: Sequence[Sequence[Message]], sampling: Sampling) -> Iterator[list[Answer] | str]:
        """Yield the responses to each prompt in order, or the reason why there are none."""
        ...

    def close(self) -> None:
        """Release what the generator holds."""
        ...


def make_generator(
    model: str, endpoint: str = "", max_model_len: int | None = None, dtype: str | None = None
) -> Generator:
    """Return a generator.

    Args:
        model: A built-in model, a folder or a hub id; with `endpoint`, its name on the server.
        endpoint: The base URL of an OpenAI-compatible server; empty for vLLM in this process.
        max_model_len: The tokens of prompt and response that vLLM allows for.
        dtype: The number format in vLLM; None for float32 on a CPU and the checkpoint's elsewhere.

    Raises:
        UserError: The model or vLLM is not found.
    """
    return EndpointGenerator(model, endpoint) if endpoint else VllmGenerator(model, max_model_len, dtype)


class VllmGenerator:
    """Sample with vLLM in this process. The engine starts at the first prompt."""

    def __init__(self, model: str, max_model_len: int | None = None, dtype: str | None = None) -> None:
        from innovator_rl.models import resolve
        from innovator_rl.platform.accelerator import detect

        self._model = str(resolve(model))
        self._length = max_model_len
        self._on_cpu = detect()[0] == "cpu"
        # Without bfloat16 instructions a CPU takes thirty times as long in the format of most checkpoints.
        self._dtype = dtype or ("float32" if self._on_cpu else "auto")
        self._engine: Any = None

    def answers(self, prompts: Sequence[Sequence[Message]], sampling: Sampling) -> Iterator[list[Answer] | str]:
        """Yield the responses to each prompt; a prompt that is too long for the model has none."""
        engine, params = self._start(sampling)
        tokenizer = engine.get_tokenizer()
        room = engine.llm_engine.model_config.max_model_len - sampling.max_tokens
        responses = CALL_RESPONSES_ON_CPU if self._on_cpu else CALL_RESPONSES
        per_call = max(responses // sampling.samples, 1)
        for start in range(0, len(prompts), per_call):
            batch = [
                tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, tokenize=False)
                for prompt in prompts[start : start + per_call]
            ]
            tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in batch]
            fitting = [{"prompt_token_ids": ids} for ids in tokens if len(ids) <= room]
            found = iter(engine.generate(fitting, params, use_tqdm=False) if fitting else [])
            for ids in tokens:
                if len(ids) > room:
                    yield "prompt_too_long"
                else:
                    yield [Answer(output.text, output.finish_reason == "length") for output in next(found).outputs]

    def close(self) -> None:
        """Shut the engine down."""
        self._engine = None

    def _start(self, sampling: Sampling) -> tuple[Any, Any]:
        if self._engine is None:
            from innovator_rl import platform
            from innovator_rl.platform.private_folder import use_private_folder

            use_private_folder()
            for key, value in platform.environment(os.cpu_count() or 1, kv_cache_gb=1).items():
                os.environ.setdefault(key, value)
            try:
                import vllm
            except ModuleNotFoundError:
                raise UserError("vLLM is not installed here: install it, or give --endpoint URL") from None
            library: Any = vllm
            options = {"max_model_len": self._length} if self._length else {}
            if self._on_cpu:
                options["block_size"] = platform.CPU_BLOCK_TOKENS
            self._engine = library.LLM(
                self._model, dtype=self._dtype, enforce_eager=True, seed=sampling.seed, **options
            )
        # No seed per request: on a CPU it fails as soon as a prompt is prefilled in two parts. The engine has one.
        library = __import__("vllm")
        params = library.SamplingParams(
            n=sampling.samples, temperature=sampling.temperature, max_tokens=sampling.max_tokens
        )
        return self._engine, params


class EndpointGenerator:
    """Sample through an OpenAI-compatible server.

    The key is read from `OPENAI_API_KEY`. A call that fails is repeated by the client with growing pauses, as long as the
    server asks for (`Retry-After`); what fails still has a reason instead of answers.
    """

    def __init__(self, model: str, endpoint: str) -> None:
        from innovator_rl.data.corpus.optional import require

        openai = require("openai", "openai", "an endpoint")
        self._model = model
        self._error: type[Exception] = openai.OpenAIError
        self._client = openai.OpenAI(
            base_url=endpoint,
            api_key=os.environ.get("OPENAI_API_KEY", "none"),
            timeout=REQUEST_SECONDS,
            max_retries=RETRIES,
        )

    def answers(self, prompts: Sequence[Sequence[Message]], sampling: Sampling) -> Iterator[list[Answer] | str]:
        """Yield the responses to each prompt, with a bounded number of calls at a time."""
        with ThreadPoolExecutor(CONCURRENT) as threads:
            for start in range(0, len(prompts), ENDPOINT_PROMPTS):
                yield from threads.map(
                    lambda prompt: self._one(prompt, sampling), prompts[start : start + ENDPOINT_PROMPTS]
                )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _one(self, prompt: Sequence[Message], sampling: Sampling) -> list[Answer] | str:
        found: list[Answer] = []
        while len(found) < sampling.samples:  # a server may give fewer than `n` choices, some give one
            try:
                reply = self._client.chat.completions.create(
                    model=self._model,
                    messages=list(prompt),  # type: ignore[arg-type]
                    n=sampling.samples - len(found),
                    temperature=sampling.temperature,
                    max_tokens=sampling.max_tokens,
                    seed=sampling.seed + len(found),
                )
                choices = list(reply.choices or ())
                new = [Answer(choice.message.content or "", choice.finish_reason == "length") for choice in choices]
            except self._error as error:
                return f"endpoint failed: {type(error).__name__}"
            except (AttributeError, TypeError, ValueError):  # a reply that is not one of the API
                return "endpoint gave no completion"
            if not new:
                return "endpoint gave no completion"
            found += new
        return found[: sampling.samples]
