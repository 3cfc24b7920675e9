"""Send chat requests to one endpoint: cached, rate-limited, within a budget, with bounded retries and timeouts.

The `openai` package does the transport with its own retries off, because a retry here must pass the rate limit and the
budget as well. Its answers are parsed here, because it hands a body that is no JSON over as text.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from innovator_rl.endpoints.cache import ReplyCache
from innovator_rl.endpoints.config import EndpointConfig
from innovator_rl.endpoints.limits import Budget, TokenBucket
from innovator_rl.endpoints.messages import ChatReply, ChatRequest
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    import openai

RETRIED = ("rate_limited", "timeout", "connection", "server_error", "not_json", "no_choices")
"""Faults that may pass."""
FIRST_PAUSE_S = 0.5
CHECK_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class _Try:
    """The outcome of one request: the reply, the wait that the endpoint asked for, and the tokens that it used."""

    reply: ChatReply
    retry_after: float | None = None
    used: int = 0


class EndpointClient:
    """A client of one endpoint, used as an asynchronous context manager.

    Args:
        config: The endpoint and its limits.
        cache: A cache, or the path of one that this client opens and closes; None keeps nothing.
        budget: Shared with other clients; by default the one of `config`.

    Attributes:
        counts: Requests by outcome: "answered", "cached", "retried", and the reasons of failures.
    """

    def __init__(
        self, config: EndpointConfig, cache: ReplyCache | Path | None = None, budget: Budget | None = None
    ) -> None:
        self.config = config
        self.budget = budget or Budget(config.max_requests, config.max_tokens_total)
        self.counts: Counter[str] = Counter()
        self._own_cache = isinstance(cache, Path)
        self._cache = ReplyCache(cache) if isinstance(cache, Path) else cache
        self._requests = TokenBucket(config.requests_per_minute)
        self._tokens = TokenBucket(config.tokens_per_minute)
        self._slots = asyncio.Semaphore(config.concurrency)
        self._running: dict[str, asyncio.Future[ChatReply]] = {}
        self._openai: openai.AsyncOpenAI | None = None

    async def __aenter__(self) -> EndpointClient:
        import openai

        self._openai = openai.AsyncOpenAI(
            base_url=self.config.url,
            api_key=self.config.api_key(),
            max_retries=0,
            timeout=self.config.timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not self.config.is_local),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = list(self._running.values())
        if running and (kind is None or issubclass(kind, Exception)):
            # What is on its way is paid for: let it reach the cache. An interrupt does not wait.
            await asyncio.wait(running, timeout=self.config.timeout_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._openai is not None:
            await self._openai.close()
        if self._own_cache and self._cache is not None:
            self._cache.close()

    async def check(self) -> None:
        """Ask the endpoint which models it serves.

        Raises:
            UserError: Nothing answers there, the key is refused, or it does not serve the model.
        """
        import openai

        where = f"endpoint {self.config.url}"
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                models = [model.id async for model in self._connected().models.list()]
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise UserError(f"{where} refuses the key of api_key_env: {_line(error)}") from None
        except openai.APIStatusError:
            return  # it answers, and does not offer the list
        except (openai.OpenAIError, TimeoutError, OSError) as error:
            raise UserError(f"{where} does not answer ({_line(error)}): start it, or correct its url") from None
        except (ValueError, TypeError, AttributeError):
            return  # no list of models
        if models and self.config.model not in models:
            raise UserError(f"{where}: unknown model {self.config.model!r}; expected one of {', '.join(models[:10])}")

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer a request from the cache or the endpoint; a failed reply has its reason.

        The same request asked twice at the same time is sent once.
        """
        key = request.key(self.config)
        found = self._cache.get(key) if self._cache is not None else None
        if found is not None:
            self.counts["cached"] += 1
            return found
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._send(key, request))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(running)

    async def _send(self, key: str, request: ChatRequest) -> ChatReply:
        started, tries = time.monotonic(), 0
        estimate = request.estimated_tokens()
        reply = ChatReply(model=self.config.model)
        for number in range(self.config.retries + 1):
            if not self.budget.reserve(estimate):
                detail = f"used: {self.budget.describe()}" + (f"; last fault: {reply.reason}" if reply.reason else "")
                reply = replace(reply, reason="budget", detail=detail)
                break
            outcome = await self._once(request, estimate)
            reply, tries = outcome.reply, tries + 1
            pause = outcome.retry_after if outcome.retry_after is not None else _backoff(number, key)
            if reply.reason not in RETRIED or number == self.config.retries:
                break
            if pause > self.config.longest_wait_s:
                limit = f"longest_wait_s is {self.config.longest_wait_s:g}"
                reply = replace(reply, detail=f"{reply.detail}; asked to wait {pause:g} s, {limit}")
                break
            self.counts["retried"] += 1
            if outcome.retry_after is not None:
                self._requests.pause(pause)
            else:
                await asyncio.sleep(pause)
        reply = replace(reply, seconds=round(time.monotonic() - started, 3), tries=tries)
        self.counts[reply.reason or "answered"] += 1
        if self._cache is not None:
            self._cache.put(key, reply)
        return reply

    async def _once(self, request: ChatRequest, estimate: int) -> _Try:
        used = estimate  # of a request whose end is unknown, the endpoint may have counted everything
        try:
            async with self._slots:
                await self._requests.acquire()
                await self._tokens.acquire(estimate)
                outcome = await self._post(request, estimate)
            used = outcome.used
            return outcome
        finally:
            self.budget.settle(estimate, used)

    async def _post(self, request: ChatRequest, estimate: int) -> _Try:
        import openai

        try:
            async with asyncio.timeout(self.config.timeout_s):
                response = await self._connected().chat.completions.with_raw_response.create(
                    **request.body(self.config), extra_body=self.config.extra or None
                )
                text = response.text
                body = text if isinstance(text, str) else text()
        except (openai.APITimeoutError, TimeoutError):
            return self._failed("timeout", f"no complete answer after {self.config.timeout_s:g} s", used=estimate)
        except openai.APIConnectionError as error:
            return self._failed("connection", _line(error.__cause__ or error), used=estimate)
        except openai.APIStatusError as error:
            return self._refused(error)
        except UnicodeError as error:  # a lone surrogate in a message cannot be sent
            return self._failed("rejected", _line(error))
        return self._read(body, estimate)

    def _refused(self, error: openai.APIStatusError) -> _Try:
        status, detail = error.status_code, f"{error.status_code}: {_line(error)}"
        if status == 429:
            return self._failed("rate_limited", detail, retry_after=_retry_after(error.response.headers))
        if status >= 500 or status == 408:
            return self._failed("server_error", detail, retry_after=_retry_after(error.response.headers))
        return self._failed("rejected", detail)

    def _read(self, body: str, estimate: int) -> _Try:
        """Read a body of status 200, whatever it is."""
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            return self._failed("not_json", f"{error}: {body[:80]!r}", used=estimate)
        if not isinstance(answer, dict):
            return self._failed("not_json", f"expected an object, found {body[:80]!r}", used=estimate)
        choices = answer.get("choices")
        prompt, response = _usage(answer.get("usage"))
        used = prompt + response or estimate
        if not isinstance(choices, list) or not choices:
            return self._failed("no_choices", f"keys are {', '.join(map(str, answer))}"[:200], used=used)
        message = choices[0].get("message") if isinstance(choices[0], dict) else None
        if not isinstance(message, dict):
            return self._failed("not_json", "expected a message in the first choice", used=used)
        text = message.get("content")
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        finish = str(choices[0].get("finish_reason") or "")
        reply = ChatReply(
            text=text if isinstance(text, str) else "",
            finish_reason=finish,
            reasoning=reasoning if isinstance(reasoning, str) else "",
            prompt_tokens=prompt,
            response_tokens=response,
            cost=self.config.cost(prompt, response),
            model=self.config.model,
        )
        if not reply.text.strip():
            detail = f"finish_reason {finish or 'missing'}, {len(reply.reasoning)} characters of reasoning"
            reply = replace(reply, text="", reason="no_content", detail=detail)
        return _Try(reply, used=used)

    def _failed(self, reason: str, detail: str, retry_after: float | None = None, used: int = 0) -> _Try:
        return _Try(ChatReply(reason=reason, detail=detail, model=self.config.model), retry_after, used)

    def _connected(self) -> openai.AsyncOpenAI:
        assert self._openai is not None, "use the client in `async with`"
        return self._openai


def _backoff(number: int, key: str) -> float:
    """Return the pause before a retry: doubling, spread by the request so that not all come at once."""
    return FIRST_PAUSE_S * float(2**number) * (1.0 + int(key[:4], 16) / 0xFFFF)


def _retry_after(headers: Any) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or as a date."""
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _usage(usage: Any) -> tuple[int, int]:
    """Return prompt and response tokens of the endpoint's count, 0 where it gave none."""
    if not isinstance(usage, dict):
        return 0, 0
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return tuple(value if isinstance(value, int) and value >= 0 else 0 for value in counts)  # type: ignore[return-value]


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
