"""Grade a program by its tests.

    with Sandbox() as sandbox:
        graded = grade(sandbox, program, tests, budget=8.0)

The program and each test's input go into the sandbox; the comparison happens here. One deadline, `budget` seconds of
wall time, holds for all of it. The first failed test ends it, unless a fraction of the tests is what counts (`every`).
The tests are read before anything runs: whatever happens afterwards is the program's result, or a failure of the
sandbox, and never the data set's fault.
"""

from __future__ import annotations

import ast
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

from rewards.code import compare
from rewards.code.deadline import DeadlineExceeded, deadline
from rewards.code.sandbox.calls import CallFailed, Calls, calls
from rewards.code.sandbox.executor import Sandbox, SolutionProcess
from rewards.code.sandbox.inside import values
from rewards.code.sandbox.limits import Limits

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


class BadTests(ValueError):
    """The tests do not have the form that this module documents."""


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


@dataclasses.dataclass(frozen=True)
class _Task:
    sandbox: Sandbox
    program: str
    limits: Limits
    deadline: float
    every: bool

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def open(self, prelude: str = "") -> SolutionProcess:
        return self.sandbox.open(self.program, prelude, self.limits)

    def times(self) -> tuple[float, float]:
        """Seconds of processor and of wall time for what comes next."""
        left = max(MIN_SECONDS, self.left())
        return min(self.limits.seconds, left), min(self.limits.wall, left)

    def note(self, graded: GradingResult, number: int, accepts: Callable[..., Any], *given: Any) -> None:
        """Note whether the data set accepts a result.

        Its code runs in what is left of the solution's time; where it trips over a result, it does not accept it.
        """
        try:
            with deadline(max(MIN_SECONDS, self.left())):
                accepted = bool(accepts(*given))
        except DeadlineExceeded:
            graded.fail("time_limit_exceeded", number, "the comparison of the result did not end in time")
        except (Exception, SystemExit) as error:
            graded.fail("wrong_answer", number, f"the comparison ended with {type(error).__name__}")
        else:
            if accepted:
                graded.passed += 1
            else:
                graded.fail("wrong_answer", number)


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
) -> GradingResult:
    """Grade one program.

    Args:
        sandbox: Where the program runs.
        program: Python source.
        tests: Tests of type stdio, call or check (see `rewards.code.reward`).
        budget: Seconds of wall time for all of the tests.
        limits: Bounds of one run.
        every: Run every test, also behind a failed one.

    Raises:
        BadTests: Where the tests cannot be used.
        SandboxFailure: Where the sandbox fails.
    """
    return _read(tests).grade(_Task(sandbox, program, limits or Limits(), time.monotonic() + budget, every))


def _read(tests: dict[str, Any]) -> _Tests:
    """Return the tests ready to be used; any fault here is the data set's."""
    kind = tests.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadTests(f"tests of type {str(kind)[:60]!r}; known: {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](tests)
    except BadTests:
        raise
    except (Exception, SystemExit) as error:  # of a missing key, or of source text of the data set
        raise BadTests(f"{type(error).__name__}: {error}") from error


@dataclasses.dataclass(frozen=True)
class _Stdio:
    cases: list[tuple[str, list[str]]]
    accepts: Callable[..., Any]

    @classmethod
    def read(cls, tests: dict[str, Any]) -> _Stdio:
        inputs, outputs = _list(tests["inputs"], "inputs"), _list(tests["outputs"], "outputs")
        if len(inputs) != len(outputs) or not inputs:
            raise BadTests(f"{len(inputs)} inputs and {len(outputs)} outputs")
        cases = [(_text(i), [_text(right) for right in _right(o)]) for i, o in zip(inputs, outputs, strict=True)]
        equal, special = compare.comparison(tests, True), compare.custom_checker_of(tests)
        if special is not None:
            return cls(cases, lambda text, actual, wanted: special(text, actual, wanted[0]))
        return cls(cases, lambda _, actual, wanted: any(equal(right, actual) for right in wanted))

    def grade(self, task: _Task) -> GradingResult:
        graded = GradingResult(total=len(self.cases))
        with task.open() as solution:
            for number, (text, wanted) in enumerate(self.cases, 1):
                if task.left() <= 0:
                    graded.fail("time_limit_exceeded", number, "deadline of the whole solution")
                    break
                run = solution.run(text.encode("utf-8", "surrogatepass"), *task.times())
                if run.ending == "finished":
                    task.note(graded, number, self.accepts, text, run.stdout.decode("utf-8", "replace"), wanted)
                else:
                    graded.fail(run.ending, number, run.detail)
                if graded.failed_test is not None and (not task.every or run.ending == "compile_error"):
                    break
        return graded


@dataclasses.dataclass(frozen=True)
class _Call:
    entry_point: str
    prelude: str
    in_place: int | None
    cases: list[tuple[list[Any], dict[str, Any], list[Any]]]
    accepts: Callable[..., Any]

    @classmethod
    def read(cls, tests: dict[str, Any]) -> _Call:
        cases = [
            (_list(case.get("args") or [], "args"), dict(case.get("kwargs") or {}), _right(case.get("expected")))
            for case in _list(tests["cases"], "cases")
        ]
        in_place = tests.get("in_place")
        if not cases or not (in_place is None or isinstance(in_place, int)):
            raise BadTests(f"{len(cases)} cases, in_place {str(in_place)[:60]!r}")
        for args, kwargs, _ in cases:
            values.encode([args, kwargs])
        equal, special = compare.comparison(tests, False), compare.custom_checker_of(tests)
        common = _entry_point(tests), _prelude(tests), in_place, cases
        if special is not None:
            return cls(*common, lambda args, kwargs, value, wanted: special(args, kwargs, value, wanted[0]))
        return cls(*common, lambda _, __, value, wanted: any(equal(right, value) for right in wanted))

    def grade(self, task: _Task) -> GradingResult:
        graded = GradingResult(total=len(self.cases))
        with task.open(self.prelude) as solution, ExitStack() as stack:
            sessions = _sessions(task, solution, stack, self.entry_point)
            for session, (number, case) in zip(sessions, enumerate(self.cases, 1), strict=False):
                args, kwargs, wanted = case
                try:
                    running = session()
                    with deadline(max(MIN_SECONDS, task.left())):  # reading a result takes time of the solution, too
                        value = running.call(args, kwargs, in_place=self.in_place)
                except DeadlineExceeded:
                    graded.fail("time_limit_exceeded", number, "its result was not read in time")
                    stack.close()
                except CallFailed as failure:
                    graded.fail(failure.run.ending, number, failure.run.detail)
                    stack.close()
                else:
                    task.note(graded, number, self.accepts, args, kwargs, value, wanted)
                if graded.failed_test is not None and (not task.every or solution.compile_error or task.left() <= 0):
                    break
        return graded


def _sessions(
    task: _Task, solution: SolutionProcess, stack: ExitStack, entry_point: str
) -> Iterator[Callable[[], Calls]]:
    """For each case, how to get at the running program.

    One that has ended is started again.
    """
    current: list[Calls] = []

    def session() -> Calls:
        if not current:
            current.append(stack.enter_context(calls(solution, entry_point, *task.times(), fresh=True)))
            stack.callback(current.clear)
        return current[0]

    while True:
        yield session


@dataclasses.dataclass(frozen=True)
class _Check:
    entry_point: str
    prelude: str
    total: int
    space: dict[str, Any]

    @classmethod
    def read(cls, tests: dict[str, Any]) -> _Check:
        source, prelude = tests["check"], _prelude(tests)
        space: dict[str, Any] = {"__name__": "check"}
        for name, text in (("prelude", prelude), ("check", source)):  # of the data set: they run here
            exec(compile(text, f"{name}.py", "exec"), space)
        if not callable(space["check"]):
            raise BadTests("check is no function")
        return cls(_entry_point(tests), prelude, _count_calls(source), space)

    def grade(self, task: _Task) -> GradingResult:
        graded, begun = GradingResult(total=self.total), 0
        own = {name: kind for name, kind in self.space.items() if isinstance(kind, type) and kind.__module__ == "check"}
        failures: list[CallFailed] = []
        with ExitStack() as stack:
            try:
                solution = stack.enter_context(task.open(self.prelude))
                session = stack.enter_context(calls(solution, self.entry_point, *task.times()))
            except CallFailed as failure:
                graded.fail(failure.run.ending, 1, failure.run.detail)
                return graded

            def candidate(*args: Any, **kwargs: Any) -> Any:
                nonlocal begun
                begun += 1
                try:
                    value = session.call(list(args), kwargs, own)
                except CallFailed as failure:  # kept: whatever the check makes of it, the program has failed
                    failures.append(failure)
                    raise
                graded.passed += 1
                return value

            ended = _end_of(self.space["check"], candidate, max(MIN_SECONDS, task.left()))
        if failures:
            graded.fail(failures[0].run.ending, graded.passed + 1, failures[0].run.detail)
        elif not begun:
            raise BadTests("the check calls nothing")
        elif ended is not None:
            graded.passed = max(0, graded.passed - 1)  # the call whose result was refused
            late = isinstance(ended, DeadlineExceeded)
            detail = "" if isinstance(ended, AssertionError) else f"the check ended with {type(ended).__name__}"
            graded.fail("time_limit_exceeded" if late else "wrong_answer", graded.passed + 1, detail)
        graded.total = max(graded.total, graded.passed)
        return graded


def _end_of(check: Callable[..., Any], candidate: Callable[..., Any], seconds: float) -> BaseException | None:
    """Return what the check ended with, None where it accepts."""
    try:
        with deadline(seconds):
            check(candidate)
    except (Exception, CallFailed, DeadlineExceeded, SystemExit) as error:
        return error
    return None


def _text(value: Any) -> str:
    """Input or output of a test: text, or lines of it."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise BadTests(f"{name} is no list")
    return list(value)


def _right(expected: Any) -> list[Any]:
    """Return the right answers of a test, of which there is at least one."""
    found = compare.alternatives(expected)
    if not found:
        raise BadTests("an expected value with no right answer")
    return found


def _entry_point(tests: dict[str, Any]) -> str:
    entry_point: str = tests["entry_point"]
    ast.parse(entry_point, mode="eval")
    return entry_point


def _prelude(tests: dict[str, Any]) -> str:
    prelude = tests.get("prelude") or ""
    if not isinstance(prelude, str):
        raise BadTests("prelude is no text")
    return prelude


def _count_calls(source: str) -> int:
    """Count the calls of the candidate that stand in the check."""
    calls_of = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return sum(isinstance(node.func, ast.Name) and node.func.id == "candidate" for node in calls_of)


_KINDS: dict[str, Callable[[dict[str, Any]], _Tests]] = {"stdio": _Stdio.read, "call": _Call.read, "check": _Check.read}
