"""A program against its tests: what goes into the sandbox is the program and each test's input; the comparison is here.

    with Sandbox() as sandbox:
        verdict = judge(sandbox, program, tests, budget=8.0)

One deadline, `budget` seconds of wall time, holds for all of it. The first failed test ends it, unless a fraction of
the tests is what counts (`every`).
"""

from __future__ import annotations

import ast
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from rewards.code import compare
from rewards.code.sandbox.calls import CallFailed, Calls, calls
from rewards.code.sandbox.engine import Box, Sandbox
from rewards.code.sandbox.limits import Limits

VERDICTS = (
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
class Verdict:
    """What became of a program. `verdict` is one of `VERDICTS`; `failed_test` counts from 1; `detail` is a few words
    that hold no expected value.
    """

    verdict: str = "accepted"
    failed_test: int | None = None
    passed: int = 0
    total: int = 0
    detail: str = ""

    def fail(self, verdict: str, number: int, detail: str = "") -> None:
        """Note a failed test; the first one gives the verdict."""
        if self.failed_test is None:
            self.verdict, self.failed_test, self.detail = verdict, number, detail


@dataclasses.dataclass(frozen=True)
class _Task:
    sandbox: Sandbox
    program: str
    tests: dict[str, Any]
    limits: Limits
    deadline: float
    every: bool

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def box(self, prelude: str = "") -> Box:
        return self.sandbox.open(self.program, prelude, self.limits)

    def times(self) -> tuple[float, float]:
        """Seconds of processor and of wall time for what comes next."""
        left = max(MIN_SECONDS, self.left())
        return min(self.limits.seconds, left), min(self.limits.wall, left)


def judge(
    sandbox: Sandbox,
    program: str,
    tests: dict[str, Any],
    budget: float,
    limits: Limits | None = None,
    every: bool = False,
) -> Verdict:
    """Judge one program. `tests` is of type stdio, call or check (see `rewards.code.tests`).

    Raises `BadTests` where the tests cannot be used, and `SandboxFailure` where the sandbox cannot.
    """
    kind = tests.get("type")
    if kind not in _KINDS:
        raise BadTests(f"tests of type {kind!r}; known: {', '.join(_KINDS)}")
    task = _Task(sandbox, program, tests, limits or Limits(), time.monotonic() + budget, every)
    try:
        return _KINDS[kind](task)
    except (KeyError, TypeError, AttributeError, SyntaxError, ValueError) as error:
        raise BadTests(f"{type(error).__name__}: {error}") from error


def _stdio(task: _Task) -> Verdict:
    inputs, outputs = list(task.tests["inputs"]), list(task.tests["outputs"])
    same, special = compare.comparison(task.tests, True), compare.judge_of(task.tests)
    verdict = Verdict(total=len(inputs))
    if len(inputs) != len(outputs) or not inputs:
        raise BadTests(f"{len(inputs)} inputs and {len(outputs)} outputs")
    with task.box() as box:
        for number, (given, expected) in enumerate(zip(inputs, outputs, strict=True), 1):
            text = _text(given)
            if task.left() <= 0:
                verdict.fail("time_limit_exceeded", number, "deadline of the whole solution")
                break
            run = box.run(text.encode("utf-8", "surrogatepass"), *task.times())
            said = run.stdout.decode("utf-8", "replace")
            wanted = [_text(answer) for answer in compare.alternatives(expected)]
            if run.ending != "finished":
                verdict.fail(run.ending, number, run.detail)
            elif _accepts(special, text, said, wanted[0]) if special else any(same(answer, said) for answer in wanted):
                verdict.passed += 1
            else:
                verdict.fail("wrong_answer", number)
            if verdict.failed_test is not None and (not task.every or run.ending == "compile_error"):
                break
    return verdict


def _accepts(special: Callable[..., Any], *given: Any) -> bool:
    """What a special judge says; one that trips over a result does not accept it."""
    try:
        return bool(special(*given))
    except Exception:
        return False


def _text(value: Any) -> str:
    """Input or output of a test: text, or lines of it."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _call(task: _Task) -> Verdict:
    cases = list(task.tests["cases"])
    same, special = compare.comparison(task.tests, False), compare.judge_of(task.tests)
    verdict = Verdict(total=len(cases))
    if not cases:
        raise BadTests("no cases")
    with task.box(task.tests.get("prelude", "")) as box, ExitStack() as stack:
        for session, (number, case) in zip(_sessions(task, box, stack), enumerate(cases, 1), strict=False):
            args, kwargs = case.get("args") or [], case.get("kwargs") or {}
            try:
                value = session().call(args, kwargs, in_place=task.tests.get("in_place"))
            except CallFailed as failure:
                verdict.fail(failure.run.ending, number, failure.run.detail)
                stack.close()
            else:
                expected = compare.alternatives(case.get("expected"))
                if (
                    _accepts(special, args, kwargs, value, expected[0])
                    if special
                    else any(same(e, value) for e in expected)
                ):
                    verdict.passed += 1
                else:
                    verdict.fail("wrong_answer", number)
            if verdict.failed_test is not None and (not task.every or box.compile_error or task.left() <= 0):
                break
    return verdict


def _sessions(task: _Task, box: Box, stack: ExitStack) -> Iterator[Callable[[], Calls]]:
    """For each case, how to get at the running program; one that has ended is started again."""
    current: list[Calls] = []

    def session() -> Calls:
        if not current:
            entry_point = task.tests["entry_point"]
            current.append(stack.enter_context(calls(box, entry_point, *task.times(), fresh=True)))
            stack.callback(current.clear)
        return current[0]

    while True:
        yield session


def _check(task: _Task) -> Verdict:
    prelude = task.tests.get("prelude", "")
    space: dict[str, Any] = {"__name__": "check"}
    exec(compile(prelude, "prelude.py", "exec"), space)  # of the data set, as is the check
    exec(compile(task.tests["check"], "check.py", "exec"), space)
    verdict = Verdict(total=_count_calls(task.tests["check"]))
    try:
        with task.box(prelude) as box, calls(box, task.tests["entry_point"], *task.times()) as session:

            def candidate(*args: Any, **kwargs: Any) -> Any:
                value = session.call(list(args), kwargs, _own_classes(space))
                verdict.passed += 1
                return value

            space["check"](candidate)
    except CallFailed as failure:
        verdict.fail(failure.run.ending, verdict.passed + 1, failure.run.detail)
    except AssertionError:
        verdict.passed = max(0, verdict.passed - 1)  # the call whose result the assertion refused
        verdict.fail("wrong_answer", verdict.passed + 1)
    except Exception as error:  # the check tripped over a result of the wrong type
        verdict.passed = max(0, verdict.passed - 1)
        verdict.fail("wrong_answer", verdict.passed + 1, f"the check ended with {type(error).__name__}")
    verdict.total = max(verdict.total, verdict.passed)
    return verdict


def _own_classes(space: dict[str, Any]) -> dict[str, Any]:
    """Classes that the data set's prelude or check defines itself."""
    return {name: value for name, value in space.items() if isinstance(value, type) and value.__module__ == "check"}


def _count_calls(source: str) -> int:
    """Calls of the candidate that stand in the check."""
    calls_of = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return sum(isinstance(node.func, ast.Name) and node.func.id == "candidate" for node in calls_of)


_KINDS: dict[Any, Callable[[_Task], Verdict]] = {"stdio": _stdio, "call": _call, "check": _check}
