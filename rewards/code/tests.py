"""Programs judged by tests: LeetCode and TACO style. UNSAFE until its sandbox stands; see `rewards.code.child`.

`info` is one of, under the key `tests` or by itself:

    {"type": "stdio", "inputs": ["1 2\\n", ...], "outputs": ["3\\n", ...]}
    {"type": "call", "entry_point": "Solution().f", "cases": [{"args": [...], "kwargs": {...}, "expected": ...}]}
    {"type": "check", "entry_point": "f", "prelude": "...", "check": "def check(candidate): ..."}

with optional `time_limit` (seconds, one test of stdio, all calls of the others) and `memory_limit` (MiB). All tests
must pass; the first failure ends the judging. A `check` belongs to the data set, not to the model: it runs here, and
its `candidate` is a stub that sends the arguments to the child and brings the result back, so that the expected
values it holds stay outside.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.code.child import ProgramFailed, Session, run_stdio
from rewards.extraction import final_part

DEFAULT_SECONDS, DEFAULT_MEMORY_MB = 5.0, 512
MAX_PROGRAM_CHARS = 100_000
SHARE_OF_DEADLINE = 0.8
TOLERANCE = 1e-6
_FENCE = re.compile(r"```[ \t]*([A-Za-z0-9+]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_LOOKS_LIKE_CODE = re.compile(
    r"^\s*(?:def |class |import |from \w+ import |print\(|for |while |\w+\s*=|async def )", re.MULTILINE
)


class CodeTests:
    """UNSAFE: runs the response as a program in a limited child process. Abstains unless `allow_unsafe_code` is
    set.
    """

    def __init__(self, allow_unsafe_code: bool = False, timeout_seconds: float = 10.0, memory_mb: int = 2048) -> None:
        self.allowed = allow_unsafe_code
        self.budget = SHARE_OF_DEADLINE * timeout_seconds
        self.memory_mb = memory_mb or DEFAULT_MEMORY_MB

    def __call__(self, response: str, info: dict[str, Any]) -> Score:
        if not self.allowed:
            return abstain("unsafe_code_refused")
        tests = info.get("tests", info)
        run = _RUNNERS.get(tests.get("type")) if isinstance(tests, dict) else None
        if run is None:
            return wrong("bad_info")
        program = program_of(response)
        if program is None:
            return wrong("no_answer")
        if len(program) > MAX_PROGRAM_CHARS:
            return wrong("too_long", program[:200])
        limits = {**info, **tests}
        seconds = min(float(limits.get("time_limit") or DEFAULT_SECONDS), self.budget)
        memory = min(int(limits.get("memory_limit") or DEFAULT_MEMORY_MB), self.memory_mb)
        passed = _Passed()
        try:
            run(program, tests, seconds, memory, passed, time.monotonic() + self.budget)
        except ProgramFailed as failure:
            return wrong(failure.reason, program[:500], passed=float(passed.count))
        except (KeyError, TypeError, AttributeError, SyntaxError):
            return wrong("bad_info")
        return right(program[:500], passed=float(passed.count))


class _Passed:
    count = 0


def program_of(response: str) -> str | None:
    """The last fenced Python block of the final part, or the whole of it when it is code without a fence."""
    text = final_part(response)
    blocks = [body for language, body in _FENCE.findall(text) if language.lower() in ("", "python", "python3", "py")]
    if blocks:
        return str(blocks[-1])
    return text if _LOOKS_LIKE_CODE.search(text) and "```" not in text else None


def same_output(expected: str, said: str) -> bool:
    """Equal line by line up to trailing spaces, else token by token with numbers to six decimals."""
    wanted, given = ([line.rstrip() for line in text.strip().splitlines()] for text in (expected, said))
    if wanted == given:
        return True
    left, right_ = expected.split(), said.split()
    return len(left) == len(right_) and all(a == b or _close(a, b) for a, b in zip(left, right_, strict=True))


def _close(a: str, b: str) -> bool:
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    decimal = "." in a or "e" in a.lower()
    return decimal and math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def same_value(expected: Any, said: Any) -> bool:
    """Plain equality of JSON data, with a tolerance for floats; the child's objects never take part in a
    comparison.
    """
    if isinstance(expected, bool) or isinstance(said, bool):
        return expected is said
    if isinstance(expected, (int, float)) and isinstance(said, (int, float)):
        if isinstance(expected, float) or isinstance(said, float):
            return math.isclose(expected, said, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return expected == said
    if isinstance(expected, (list, tuple)) and isinstance(said, (list, tuple)):
        return len(expected) == len(said) and all(map(same_value, expected, said))
    if isinstance(expected, dict) and isinstance(said, dict):
        theirs = {str(key): value for key, value in said.items()}
        return {str(key) for key in expected} == set(theirs) and all(
            same_value(value, theirs[str(key)]) for key, value in expected.items()
        )
    return type(expected) is type(said) and bool(expected == said)


def _stdio(program: str, tests: dict[str, Any], seconds: float, memory: int, passed: _Passed, deadline: float) -> None:
    for text, expected in zip(tests["inputs"], tests["outputs"], strict=False):
        left = deadline - time.monotonic()
        if left <= 0:
            raise ProgramFailed("time_limit_exceeded")
        texts = ("\n".join(map(str, part)) if isinstance(part, list) else str(part) for part in (text, expected))
        given, wanted = texts
        if not same_output(wanted, run_stdio(program, given, min(seconds, left), memory)):
            raise ProgramFailed("wrong")
        passed.count += 1


def _call(program: str, tests: dict[str, Any], seconds: float, memory: int, passed: _Passed, deadline: float) -> None:
    with Session(program, tests["entry_point"], tests.get("prelude", ""), seconds, memory) as session:
        for case in tests["cases"]:
            said = session.call(_encode(case.get("args") or []), _fields(case.get("kwargs") or {}))
            if not same_value(case["expected"], _decode(said, {})):
                raise ProgramFailed("wrong")
            passed.count += 1


def _check(program: str, tests: dict[str, Any], seconds: float, memory: int, passed: _Passed, deadline: float) -> None:
    prelude = tests.get("prelude", "")
    space: dict[str, Any] = {"__name__": "check"}
    exec(compile(prelude, "prelude.py", "exec"), space)  # of the data set, as is the check
    exec(compile(tests["check"], "check.py", "exec"), space)
    with Session(program, tests["entry_point"], prelude, seconds, memory) as session:

        def candidate(*args: Any, **kwargs: Any) -> Any:
            value = _decode(session.call(_encode(list(args)), _fields(kwargs)), space)
            passed.count += 1
            return value

        try:
            space["check"](candidate)
        except AssertionError as error:
            raise ProgramFailed("wrong") from error
        except ProgramFailed:
            raise
        except Exception as error:  # the check tripped over a result of the wrong type
            raise ProgramFailed("wrong", type(error).__name__) from error


def _encode(value: Any) -> Any:
    """Arguments as the child's harness reads them."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"__set__": [_encode(item) for item in value]}
    if isinstance(value, dict):
        return {"__dict__": [[_encode(key), _encode(item)] for key, item in value.items()]}
    return {"__object__": type(value).__name__, "fields": _encode(vars(value))}


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _encode(value) for key, value in values.items()}


def _decode(value: Any, space: dict[str, Any]) -> Any:
    """A result of the child as plain data; an object only of a class that the data set's prelude defines."""
    if isinstance(value, list):
        return [_decode(item, space) for item in value]
    if not isinstance(value, dict):
        return value
    if "__set__" in value:
        return set(map(_hashable, _decode(value["__set__"], space)))
    if "__dict__" in value:
        return {_hashable(_decode(key, space)): _decode(item, space) for key, item in value["__dict__"]}
    kind = space.get(str(value.get("__object__")))
    if not isinstance(kind, type) or kind.__module__ != "check":
        raise ProgramFailed("wrong", "an object of an unknown class")
    thing: Any = object.__new__(kind)
    thing.__dict__.update(_decode(value.get("fields"), space))
    return thing


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


_RUNNERS: dict[Any, Callable[..., None]] = {"stdio": _stdio, "call": _call, "check": _check}
