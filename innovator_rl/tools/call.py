"""Call tools in processes that can be killed; whatever happens, the model gets text.

A tool runs where rewarders run, in the workers of a `ScoringPool`: its time and memory are bounded, a call that hangs or
kills its process costs itself alone, and a call whose process died is tried once more. `ToolCall` is the rewarder that
carries a call there and its text back.

    caller = ToolCaller(["calculator"], timeout_seconds=10)
    text = await caller("calculator", {"expression": "12 * 12"})     # "144"
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool, right
from innovator_rl.tools import registry

MAX_CHARS = 20_000
"""A result is cut here before it leaves the tool's process."""
FAILED = {
    "timeout": "no result within {timeout:g} s",
    "memory": "it asked for more than {memory} MiB",
    "crashed": "its process died",
}
"""Reason of the pool -> what the model reads."""


class ToolCall:
    """Call one tool with the JSON object of arguments that a request has as its response.

    Args:
        tool: Name of the tool.
        code_isolation: Level below which a tool refuses to run programs.
        timeout_seconds: Deadline of a call.
        memory_mb: Memory of the process.

    Attributes:
        call_seconds: The deadline that the tool itself asks for, where it bounds its work; 0 by default.
    """

    def __init__(
        self, tool: str, code_isolation: str = "standard", timeout_seconds: float = 10.0, memory_mb: int = 1024
    ) -> None:
        settings = {"code_isolation": code_isolation, "timeout_seconds": timeout_seconds, "memory_mb": memory_mb}
        self.tool = registry.load(tool, settings)
        self.call_seconds = float(getattr(self.tool, "call_seconds", 0.0))

    def __call__(self, response: str) -> Score:
        """Return a score that carries the result, or what the tool raised, as `extracted`."""
        arguments: dict[str, Any] = json.loads(response)
        try:
            inspect.signature(self.tool).bind(**arguments)
            result = self.tool(**arguments)
            text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)
        except MemoryError:
            raise
        except Exception as error:  # what a tool raises is for the model to read
            text = f"error: {type(error).__name__}: {error}"
        return right(text[:MAX_CHARS].encode("utf-8", "replace").decode())


class ToolDescription:
    """Return what the model reads about a tool; constructed and called like `ToolCall`."""

    def __init__(self, tool: str, **settings: Any) -> None:
        self.name, self.tool = tool, registry.load(tool, settings)

    def __call__(self, response: str) -> Score:
        """Return a score that carries the description as JSON, or what is wrong with the tool."""
        try:
            return right(json.dumps(registry.describe(self.name, self.tool)))
        except UserError as error:
            return right(json.dumps({"problem": str(error)}))


class ToolCaller:
    """The tools of a run behind one pool; close it when the run ends."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        workers: int = 2,
        timeout_seconds: float = 10.0,
        memory_mb: int = 1024,
        code_isolation: str = "standard",
    ) -> None:
        self._rewarders = {name: f"innovator_rl.tools.call:ToolCall(tool={name!r})" for name in names}
        self._bounds = {"timeout": timeout_seconds, "memory": memory_mb}
        self._pool = ScoringPool(
            workers,
            timeout_seconds,
            memory_mb,
            code_isolation=code_isolation,
            warm=sorted(self._rewarders.values()),
        )

    async def __call__(self, name: str, arguments: dict[str, Any]) -> str:
        """Return the text of a call; an error of any kind is text that begins with `error:`."""
        score = await self._pool.ascore(ScoreRequest(self._rewarders[name], json.dumps(arguments)))
        if score.scored:
            return score.extracted or ""
        failed = FAILED.get(score.reason, f"the tool could not be run ({score.reason})")
        return f"error: {failed.format(**self._bounds)}"

    def problem(self, name: str) -> str:
        """Load a tool in a worker and return why it cannot be used; empty where it can."""
        return str(self._pool.describe(self._rewarders[name])["problem"])

    def description(self, name: str) -> dict[str, Any]:
        """Return a tool's description in OpenAI's form, read in a worker.

        Raises:
            UserError: A type hint or a part of the docstring is missing, or the tool cannot be loaded.
        """
        score = self._pool.score(ScoreRequest(f"innovator_rl.tools.call:ToolDescription(tool={name!r})", "{}"))
        found: dict[str, Any] = json.loads(score.extracted or "{}") if score.scored else {"problem": score.reason}
        if "problem" in found:
            raise UserError(found["problem"])
        return found

    def close(self) -> None:
        """End the tools' processes."""
        self._pool.close()
