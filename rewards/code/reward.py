r"""Grade programs by tests in the style of LeetCode, TACO and HumanEval.

`info` is one of, under the key `tests` or by itself:

    {"type": "stdio", "inputs": ["1 2\n", ...], "outputs": ["3\n", ...]}
    {"type": "call", "entry_point": "Solution().f", "cases": [{"args": [...], "kwargs": {...}, "expected": ...}]}
    {"type": "check", "entry_point": "f", "prelude": "...", "check": "def check(candidate): ..."}

with, all optional: `time_limit` (seconds of processor time, of one test of stdio or of all calls of the others),
`memory_limit` (MiB), `packages` (`numpy` and `sortedcontainers` may be imported if listed), `scoring` (`all`, or
`fraction` for the share of tests passed); for stdio and call `compare` (`exact`, `unordered`), `tolerance` for floats,
`{"any": [...]}` as an expected value with several right ones, `judge` (source of `judge(input, output, expected)` or
`judge(args, kwargs, value, expected)` for a custom checker); for call `in_place` (the number of the argument that is the
result). A check and a custom checker belong to the data set, not to the model: they run here and see plain values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from innovator_rl.scoring import Score, abstain, wrong
from rewards.code.grading import DEFAULT_MEMORY_MB, DEFAULT_SECONDS, BadTests, GradingResult, grade
from rewards.code.program import program_of
from rewards.code.sandbox.executor import Sandbox
from rewards.code.sandbox.layers import LEVELS, PROPERTIES, probe_isolation
from rewards.code.sandbox.limits import Limits, SandboxFailure

MAX_PROGRAM_CHARS = 100_000
MAX_EXTRACTED_CHARS = 500
SHARE_OF_DEADLINE = 0.8
PACKAGES = ("numpy", "sortedcontainers")


class CodeReward:
    """Reward a program that passes all of its tests in the sandbox.

    Args:
        code_isolation: The least level of isolation; below it the reward abstains and runs nothing (see
            `sandbox.layers`).
        timeout_seconds: Four fifths of it are the deadline of a whole solution.
        memory_mb: The most MiB that a row may ask for.
    """

    every = False

    def __init__(self, code_isolation: str = "standard", timeout_seconds: float = 10.0, memory_mb: int = 2048) -> None:
        self.refused = code_isolation != "none" and bool(probe_isolation().missing(_level(code_isolation)))
        self.budget = SHARE_OF_DEADLINE * timeout_seconds
        self.memory_mb = memory_mb or DEFAULT_MEMORY_MB
        self._sandboxes: dict[tuple[str, ...], Sandbox] = {}
        self._owner = os.getpid()

    def __call__(self, response: str, info: dict[str, Any]) -> Score:
        """Score one response."""
        if self.refused:
            return abstain("unsafe_code_refused")
        tests = info.get("tests", info)
        if not isinstance(tests, dict) or not isinstance(tests.get("type"), str):
            return abstain("bad_info")
        program = program_of(response, str(tests.get("entry_point", "")))
        if program is None:
            return wrong("no_answer")
        if len(program) > MAX_PROGRAM_CHARS:
            return wrong("too_long", program[:MAX_EXTRACTED_CHARS])
        options = {**info, **tests}
        fraction = options.get("scoring", "fraction" if self.every else "all") == "fraction"
        try:
            sandbox = self._sandbox(_packages(options))
            graded = grade(sandbox, program, tests, self.budget, self._limits(options), every=fraction)
        except BadTests:
            return abstain("bad_info")
        except SandboxFailure as failure:
            return Score(0.0, False, "sandbox_failure", str(failure)[:MAX_EXTRACTED_CHARS], outcome="error")
        return score_of(graded, program[:MAX_EXTRACTED_CHARS], fraction)

    def _limits(self, options: Mapping[str, Any]) -> Limits:
        try:
            seconds = float(options.get("time_limit") or DEFAULT_SECONDS)
            memory_mb = int(options.get("memory_limit") or DEFAULT_MEMORY_MB)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadTests(str(error)) from None
        if not seconds > 0 or not memory_mb > 0:
            raise BadTests(f"time_limit {seconds}, memory_limit {memory_mb}")
        return Limits(seconds=min(seconds, self.budget), memory_mb=min(memory_mb, self.memory_mb))

    def _sandbox(self, packages: tuple[str, ...]) -> Sandbox:
        """Return this process's sandbox, never one that an ancestor started."""
        if self._owner != os.getpid():
            self._sandboxes, self._owner = {}, os.getpid()
        if packages not in self._sandboxes:
            self._sandboxes[packages] = Sandbox(packages)
        return self._sandboxes[packages]

    def close(self) -> None:
        """End the sandboxes of this process."""
        for sandbox in self._sandboxes.values():
            sandbox.close()
        self._sandboxes.clear()

    @staticmethod
    def health(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Report what the sandbox isolates here, for `innovator doctor` and the preflight."""
        level = str(settings.get("code_isolation", "standard"))
        report = probe_isolation()
        missing = [] if level == "none" else report.missing(_level(level))
        finding = {"setting": "reward.code_isolation", "value": level, "why": report.describe()}
        if missing:
            lacks = ", ".join(f"{name} ({PROPERTIES[name]})" for name in missing)
            finding["why"] = f"programs are refused here: {lacks} does not hold; {report.describe()}"
            fix = "allow user namespaces, or a kernel with Landlock (5.13 or later) and libseccomp; or a lower level"
            return [{**finding, "severity": "error", "fix": fix}]
        if level == "none":
            fix = f"this machine could hold {report.level!r}" if report.level != "none" else "use a disposable machine"
            return [{**finding, "severity": "warning", "fix": fix}]
        return [{**finding, "severity": "info", "fix": "nothing to do"}]


class FractionOfTests(CodeReward):
    """Reward a program by the share of tests that it passes."""

    every = True


def _packages(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the row lets a program import. Raises `BadTests`."""
    names = options.get("packages") or []
    if not isinstance(names, list) or any(name not in PACKAGES for name in names):
        raise BadTests(f"packages {str(names)[:60]}; allowed: {', '.join(PACKAGES)}")
    return tuple(names)


def _level(name: str) -> Any:
    if name not in LEVELS:
        raise ValueError(f"code_isolation is {name!r}; it can be {', '.join(LEVELS)}")
    return name


def score_of(graded: GradingResult, extracted: str, fraction: bool) -> Score:
    """Return the score of a result: all or nothing, or the fraction of tests passed."""
    terms = {"passed": float(graded.passed), "total": float(graded.total)}
    if graded.result == "accepted":
        return Score(1.0, True, "correct", extracted, terms)
    terms["failed_test"] = float(graded.failed_test or 0)
    value = graded.passed / graded.total if fraction and graded.total else 0.0
    return Score(value, False, _REASONS.get(graded.result, graded.result), extracted, terms)


_REASONS = {"wrong_answer": "wrong"}


CodeTests = CodeReward
"""The former name, for configurations that give the class by module."""
