r"""Grade programs by tests in the style of LeetCode, TACO and HumanEval.

`info` is one of, under the key `tests` or by itself:

    {"type": "stdio", "inputs": ["1 2\n", ...], "outputs": ["3\n", ...]}
    {"type": "call", "entry_point": "Solution().f", "cases": [{"args": [...], "kwargs": {...}, "expected": ...}]}
    {"type": "check", "entry_point": "f", "prelude": "...", "check": "def check(candidate): ..."}

or a row of a public data set as it is published (see `formats`), with, all optional: `time_limit` (seconds of processor
time of all processes together, of one test of stdio or of all calls of the others), `memory_limit` (MiB), `packages`
(importable besides the standard library, `numpy` and `sortedcontainers`), `scoring` (`all`, or `fraction` for the share
of tests passed, of a check the share of its assertions), `language` (`python` or `cpp`, where only one will do); for
stdio and call `compare` (`exact`, `unordered`), `tolerance` for decimal numbers, `{"any": [...]}` as an expected value
with several right ones, `judge` (source of `judge(input, output, expected)` or `judge(args, kwargs, value, expected)`
for a custom checker); for call `in_place` (the number of the argument that is the result). A check, a prelude and a
custom checker run in a sandbox of their own. A program in C++ is scored by tests of type stdio.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from innovator_rl.scoring import Score, UserError, abstain, wrong
from rewards.code.formats import read_tests
from rewards.code.grading import DEFAULT_MEMORY_MB, DEFAULT_SECONDS, BadTests, GradingResult, grade
from rewards.code.program import LANGUAGES, find_program
from rewards.code.sandbox.compiler import probe_compiler
from rewards.code.sandbox.executor import Sandbox
from rewards.code.sandbox.layers import LEVELS, PROPERTIES, probe_isolation
from rewards.code.sandbox.limits import Limits, SandboxFailure
from rewards.code.sandbox.python_files import NEEDS, installed

MAX_PROGRAM_CHARS = 100_000
MAX_EXTRACTED_CHARS = 500
BUDGET_FACTOR = 6.0
CALL_FACTOR, CALL_MARGIN_SECONDS = 16.0, 30.0
MIN_CHECK_SECONDS = 0.5
PACKAGES = ("numpy", "sortedcontainers")


class CodeReward:
    """Reward a program that passes all of its tests in the sandbox.

    Args:
        code_isolation: The least level of isolation; below it the reward abstains and runs nothing (see
            `sandbox.layers`).
        timeout_seconds: Processor seconds of the data set's own code, which has `MIN_CHECK_SECONDS` at least; a
            solution with all of its tests has `BUDGET_FACTOR` times as many.
        memory_mb: The most MiB that a row may ask for.

    Attributes:
        call_seconds: Wall seconds after which the pool may take a call for hung; no score depends on it.
    """

    every = False

    def __init__(self, code_isolation: str = "standard", timeout_seconds: float = 10.0, memory_mb: int = 2048) -> None:
        self.refused = code_isolation != "none" and bool(probe_isolation().missing(_level(code_isolation)))
        self.check_seconds = max(timeout_seconds, MIN_CHECK_SECONDS)
        self.budget = BUDGET_FACTOR * timeout_seconds
        self.call_seconds = CALL_FACTOR * timeout_seconds + CALL_MARGIN_SECONDS
        self.memory_mb = memory_mb or DEFAULT_MEMORY_MB
        self._sandboxes: dict[tuple[tuple[str, ...], tuple[str, ...]], Sandbox] = {}
        self._owner = os.getpid()

    def __call__(self, response: str, info: dict[str, Any]) -> Score:
        """Score one response."""
        if self.refused:
            return abstain("unsafe_code_refused")
        try:
            tests, options = read_tests(info)
            limits, packages = self._limits(options), _packages(options)
        except BadTests:
            return abstain("bad_info")
        wanted, kind = str(options.get("language", "")), tests.get("type")
        if wanted == "cpp" and kind != "stdio":
            return abstain("bad_info")
        found = find_program(response, str(tests.get("entry_point", "")), wanted)
        if found is None:
            return wrong("no_answer")
        program, language = found.source, found.language
        if language not in LANGUAGES or (wanted and language != wanted):
            return wrong("language_not_offered", program[:MAX_EXTRACTED_CHARS])
        if len(program) > MAX_PROGRAM_CHARS:
            return wrong("too_long", program[:MAX_EXTRACTED_CHARS])
        fraction = options.get("scoring", "fraction" if self.every else "all") == "fraction"
        try:
            if language == "cpp" and kind != "stdio":
                return wrong("language_needs_stdio", program[:MAX_EXTRACTED_CHARS])
            if language == "cpp" and not probe_compiler()[1]:  # for one language only, no program can be scored here
                return abstain("no_compiler") if wanted else wrong("no_compiler", program[:MAX_EXTRACTED_CHARS])
            source = program + str(tests.get("prelude", ""))
            sandbox = self._sandbox(packages, source) if language == "python" else self._sandbox((), "")
            graded = grade(sandbox, program, tests, self.budget, limits, fraction, self.check_seconds, language)
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

    def _sandbox(self, packages: tuple[str, ...], source: str) -> Sandbox:
        """Return this process's sandbox, never one that an ancestor started.

        A package that the source names is imported beforehand, so that no test pays for it.
        """
        if self._owner != os.getpid():
            self._sandboxes, self._owner = {}, os.getpid()
        key = packages, tuple(name for name in packages if name in source)
        if key not in self._sandboxes:
            self._sandboxes[key] = Sandbox(packages, warm=key[1])
        return self._sandboxes[key]

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
            fix = "allow user namespaces (in Docker: a seccomp profile that permits unshare), or lower the level"
            return [{**finding, "severity": "error", "fix": fix}]
        if level == "none":
            fix = f"this machine could hold {report.level!r}" if report.level != "none" else "use a disposable machine"
            return [{**finding, "severity": "warning", "fix": fix}, _compiler_finding()]
        return [{**finding, "severity": "info", "fix": "nothing to do"}, _compiler_finding()]


class FractionOfTests(CodeReward):
    """Reward a program by the share of tests that it passes."""

    every = True


def _compiler_finding() -> dict[str, Any]:
    """Report whether programs in C++ can be scored here."""
    found, works = probe_compiler()
    why = f"programs in C++ are compiled and run, verified by one ({found})"
    if not works:
        why = f"programs in C++ score 0 here with the reason no_compiler: {found}"
    finding = {"setting": "reward function code, C++", "value": found if works else "no compiler", "why": why}
    fix = "nothing to do" if works else "install g++ on every node, or let no node have it"
    return {**finding, "severity": "info", "fix": fix, "section": "reward-code_isolation"}


def _packages(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the row lets a program import. Raises `BadTests`."""
    names = options.get("packages") or []
    if not isinstance(names, list) or any(name not in NEEDS or not installed(name) for name in names):
        raise BadTests(f"packages {str(names)[:60]}; known: {', '.join(NEEDS)}")
    asked = dict.fromkeys([*filter(installed, PACKAGES), *names])
    return tuple(dict.fromkeys([*asked, *(need for name in asked for need in NEEDS[name] if installed(need))]))


def _level(name: str) -> Any:
    if name not in LEVELS:
        raise UserError(f"code_isolation is {name!r}; it must be {', '.join(LEVELS)}")
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
