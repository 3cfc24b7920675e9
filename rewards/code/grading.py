"""Grade a program by its tests.

    with Sandbox() as sandbox:
        graded = grade(sandbox, program, tests, budget=60.0)

The program and each test's input go into one sandbox; the data set's own code and what it expects into another (see
`referee`); outputs are compared here. The first failed test ends it, unless a fraction of the tests is what counts
(`every`). Whatever happens after the program started is its result, or a failure of the sandbox, and never the data
set's fault.
"""

from __future__ import annotations

import ast
import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

from rewards.code.referee import CHECK_SECONDS, BadTests, CaseResult, Referee
from rewards.code.sandbox.compiler import LIMITS as COMPILER_LIMITS
from rewards.code.sandbox.compiler import CompileError, compile_cpp
from rewards.code.sandbox.executor import Sandbox, SolutionProcess
from rewards.code.sandbox.inside import comparison
from rewards.code.sandbox.limits import Limits

__all__ = ["RESULTS", "BadTests", "GradingResult", "grade"]

RESULTS = (
    "accepted",
    "wrong_answer",
    "time_limit_exceeded",
    "memory_limit_exceeded",
    "output_limit_exceeded",
    "runtime_error",
    "compile_error",
    "forbidden",
    "sandbox_failure",
)
DEFAULT_SECONDS, DEFAULT_MEMORY_MB = 5.0, 512
MIN_SECONDS = 0.05
WALL_FACTOR = 2.0
MAX_NAME_CHARS = 500
_RAISED = {
    "MemoryError": "memory_limit_exceeded",
    "PermissionError": "forbidden",
    "ModuleNotFoundError": "forbidden",
}


@dataclasses.dataclass
class GradingResult:
    """The result of a program against its tests.

    Attributes:
        result: One of `RESULTS`.
        failed_test: The first failed test, counted from 1.
        passed: Tests passed.
        total: Tests there are.
        detail: A few words that hold no expected value.
    """

    result: str = "accepted"
    failed_test: int | None = None
    passed: int = 0
    total: int = 0
    detail: str = ""

    def fail(self, result: str, number: int, detail: str = "") -> None:
        """Note a failed test; the first one decides the result."""
        if self.failed_test is None:
            self.result, self.failed_test, self.detail = result, number, detail


@dataclasses.dataclass
class _Task:
    sandbox: Sandbox
    program: str
    limits: Limits
    seconds_left: float
    deadline: float
    check_seconds: float
    every: bool
    language: str

    def spent(self) -> bool:
        """Return whether nothing is left of the time of the whole solution."""
        return self.seconds_left <= 0 or time.monotonic() > self.deadline

    def limits_left(self) -> Limits:
        """Return the limits of what comes next."""
        seconds = max(MIN_SECONDS, min(self.limits.seconds, self.seconds_left))
        return dataclasses.replace(self.limits, seconds=seconds)

    def open(self) -> SolutionProcess:
        """Return the process of the program, which is compiled here where it is not in Python."""
        if self.language == "python":
            return self.sandbox.open(self.program, limits=self.limits)
        seconds = max(MIN_SECONDS, min(COMPILER_LIMITS.seconds, self.seconds_left))
        library, run = compile_cpp(self.sandbox, self.program, dataclasses.replace(COMPILER_LIMITS, seconds=seconds))
        self.seconds_left -= run.cpu
        return self.sandbox.open_compiled(library, self.limits)

    def referee(self, tests: dict[str, Any]) -> Referee:
        return Referee(
            self.sandbox, self.program, {**tests, "every": self.every}, self.limits_left(), self.check_seconds
        )


class _Tests(Protocol):
    """Tests that were read and can be used."""

    def grade(self, task: _Task) -> GradingResult: ...


def grade(
    sandbox: Sandbox,
    program: str,
    tests: dict[str, Any],
    budget: float,
    limits: Limits | None = None,
    every: bool = False,
    check_seconds: float = CHECK_SECONDS,
    language: str = "python",
) -> GradingResult:
    """Grade one program.

    Args:
        sandbox: Where the program runs.
        program: Its source.
        tests: Tests of type stdio, call or check (see `rewards.code.reward`).
        budget: Processor seconds for all of the tests; `WALL_FACTOR` times that is the guard of their wall time.
        limits: Bounds of one run.
        every: Run every test, also behind a failed one.
        check_seconds: Processor seconds of the data set's own code.
        language: `python`; or `cpp`, for tests of type stdio.

    Raises:
        BadTests: Where the tests cannot be used.
        NoCompiler: Where there is no compiler for the language.
        SandboxFailure: Where the sandbox fails.
    """
    deadline = time.monotonic() + WALL_FACTOR * budget
    task = _Task(sandbox, program, limits or Limits(), budget, deadline, check_seconds, every, language)
    return _read(tests).grade(task)


def _read(tests: dict[str, Any]) -> _Tests:
    """Return the tests ready to be used; any fault here is the data set's."""
    kind = tests.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadTests(f"tests of type {str(kind)[:60]!r}; known: {', '.join(_KINDS)}")
    for name in ("prelude", "judge", "check"):
        if not isinstance(tests.get(name) or "", str):
            raise BadTests(f"{name} must be text")
    try:
        return _KINDS[kind](tests)
    except BadTests:
        raise
    except Exception as error:  # of a missing key, or of source text of the data set
        raise BadTests(f"{type(error).__name__}: {error}") from error


@dataclasses.dataclass(frozen=True)
class _Stdio:
    cases: list[tuple[str, list[str]]]
    accepts: Callable[[str, str], bool]
    tests: dict[str, Any]

    @classmethod
    def read(cls, tests: dict[str, Any]) -> _Stdio:
        inputs, outputs = _list(tests["inputs"], "inputs"), _list(tests["outputs"], "outputs")
        if len(inputs) != len(outputs) or not inputs:
            raise BadTests(f"{len(inputs)} inputs and {len(outputs)} outputs")
        cases = [(_text(i), [_text(right) for right in _right(o)]) for i, o in zip(inputs, outputs, strict=True)]
        kept = {key: value for key, value in tests.items() if key not in ("inputs", "outputs")}
        return cls(cases, comparison.comparison(tests, True), kept)

    def grade(self, task: _Task) -> GradingResult:
        graded = GradingResult(total=len(self.cases))
        if not self.tests.get("judge"):
            return self._run(
                task, graded, lambda _, said, wanted: CaseResult(any(self.accepts(r, said) for r in wanted))
            )
        with task.referee(self.tests) as referee:
            return self._run(task, graded, lambda text, said, wanted: referee.grade(_fields(text, said, wanted)))

    def _run(
        self, task: _Task, graded: GradingResult, judge: Callable[[str, str, list[str]], CaseResult]
    ) -> GradingResult:
        try:
            solution = task.open()
        except CompileError as error:
            graded.fail("compile_error", 1, str(error))
            return graded
        for number, (text, wanted) in enumerate(self.cases, 1):
            if number > 1 and task.spent():  # what came before the first test was the sandbox's start
                graded.fail("time_limit_exceeded", number, "time of the whole solution")
                break
            limits = task.limits_left()
            run = solution.run(text.encode("utf-8", "surrogatepass"), limits.seconds, limits.wall)
            task.seconds_left -= run.cpu
            if run.ending == "finished":
                _note(graded, number, judge(text, run.stdout.decode("utf-8", "replace"), wanted))
            else:
                graded.fail(run.ending, number, run.detail)
            if graded.failed_test is not None and (not task.every or run.ending == "compile_error"):
                break
        return graded


def _fields(text: str, said: str, wanted: list[str]) -> dict[str, Any]:
    return {"input": text, "said": said, "expected": wanted[0]}


def _note(graded: GradingResult, number: int, result: CaseResult) -> None:
    """Note what the checker found about a test."""
    if result.failure is not None:
        graded.fail(result.failure.ending, number, result.failure.detail)
    elif result.passed:
        graded.passed += 1
    elif result.raised:
        graded.fail(_RAISED.get(result.raised, "runtime_error"), number, result.raised)
    else:
        graded.fail("wrong_answer", number, result.why)


@dataclasses.dataclass(frozen=True)
class _Call:
    tests: dict[str, Any]
    count: int

    @classmethod
    def read(cls, tests: dict[str, Any]) -> _Call:
        cases, in_place = _list(tests["cases"], "cases"), tests.get("in_place")
        for case in cases:
            _list(case.get("args") or [], "args"), dict(case.get("kwargs") or {}), _right(case.get("expected"))
        if not cases or isinstance(in_place, bool) or not (in_place is None or isinstance(in_place, int)):
            raise BadTests(f"{len(cases)} cases, in_place {str(in_place)[:60]!r}")
        comparison.comparison(tests, False)
        return cls({**tests, "entry_point": _entry_point(tests)}, len(cases))

    def grade(self, task: _Task) -> GradingResult:
        graded = GradingResult(total=self.count)
        with task.referee(self.tests) as referee:
            for number in range(1, self.count + 1):
                if number > 1 and time.monotonic() > task.deadline:
                    graded.fail("time_limit_exceeded", number, "time of the whole solution")
                    break
                _note(graded, number, referee.grade({"case": number - 1}))
                if graded.failed_test is not None and (not task.every or graded.result == "compile_error"):
                    break
        return graded


@dataclasses.dataclass(frozen=True)
class _Check:
    tests: dict[str, Any]

    @classmethod
    def read(cls, tests: dict[str, Any]) -> _Check:
        if not isinstance(tests["check"], str):
            raise BadTests("check must be text")
        return cls({**tests, "entry_point": _entry_point(tests)})

    def grade(self, task: _Task) -> GradingResult:
        graded = GradingResult()
        with task.referee(self.tests) as referee:
            result = referee.grade({"case": 0})
            cut = task.every and (result.cut or result.failure is not None)  # how much was left, nobody knows
            graded.passed = 0 if cut else result.held
            number = graded.passed + 1
            if result.passed and result.failure is None:
                graded.passed = graded.total = max(1, result.held)
                return graded
            _note(graded, number, dataclasses.replace(result, passed=False))
            graded.total = max(
                result.asserts, referee.asserts if cut or not task.every else 0, 1, number * (not task.every)
            )
        return graded


def _text(value: Any) -> str:
    """Input or output of a test: text, or lines of it; nothing is empty text."""
    if value is None:
        return ""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise BadTests(f"{name} must be a list")
    return list(value)


def _right(expected: Any) -> list[Any]:
    """Return the right answers of a test, of which there is at least one."""
    found = comparison.alternatives(expected)
    if not found:
        raise BadTests("an expected value with no right answer")
    return found


def _entry_point(tests: dict[str, Any]) -> str:
    entry_point = tests["entry_point"]
    if not isinstance(entry_point, str) or len(entry_point) > MAX_NAME_CHARS:
        raise BadTests("entry_point must be an expression such as f or Solution().f")
    ast.parse(entry_point, mode="eval")
    return entry_point


_KINDS: dict[str, Callable[[dict[str, Any]], _Tests]] = {"stdio": _Stdio.read, "call": _Call.read, "check": _Check.read}
