"""Report a program and the result of each of its tests from what was recorded.

Nothing runs here.

The record contains the tests (the row's `info`), how many passed or the result of each (`terms` such as `test_3` or
`passed`), and the reason code of the score.
"""

from __future__ import annotations

import re
from typing import Any

MOST_TESTS = 200
MOST_CHARS = 2_000
FENCE = re.compile(r"```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
TEST_TERM = re.compile(r"^(?:test|case)[_ ]?(\d+)$")
REASONS = {
    "wrong": "wrong_output",
    "wrong_output": "wrong_output",
    "time_limit_exceeded": "timeout",
    "time_limit": "timeout",
    "timeout": "timeout",
    "memory_limit_exceeded": "memory",
    "memory_limit": "memory",
    "memory": "memory",
}

Row = dict[str, Any]


def code_report(row: Row, response: str, info: Any, terms: list[Row]) -> Row | None:
    """Return the program and its tests, or None for a response that is not a program."""
    if row.get("rewarder") != "code" and row.get("domain") != "code":
        return None
    fences = FENCE.findall(response[-1_000_000:])
    language, program = fences[-1] if fences else ("", row.get("extracted") or "")
    tests = _tests(info)
    values = {term["name"]: term["value"] for term in terms}
    results = _results(len(tests), values, row)
    for test, result in zip(tests, results, strict=True):
        test["result"] = result
    passed, total = _count(values, ("passed", "tests_passed")), _count(values, ("total", "tests", "tests_total"))
    return {
        "program": program[:200_000],
        "language": language.lower() or "python",
        "passed": results.count("passed") if passed is None or not tests else passed,
        "total": len(tests) if total is None else total,
        "tests": tests,
    }


def _count(values: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = values.get(name)
        if value is not None and float(value).is_integer():
            return int(value)
    return None


def _results(count: int, values: dict[str, Any], row: Row) -> list[str]:
    each = {int(match[1]): value for name, value in values.items() if (match := TEST_TERM.match(name))}
    if each:
        return ["unknown" if each.get(i) is None else "passed" if each[i] > 0 else "wrong_output" for i in range(count)]
    if row.get("correct"):
        return ["passed"] * count
    passed = _count(values, ("passed", "tests_passed"))
    if passed is None:
        return ["unknown"] * count
    failing = REASONS.get(row.get("reason") or "", "error")
    failed = _count(values, ("failed_test",)) or passed + 1  # the first one, from 1
    if count == 1:
        return [failing]  # a check is one test, however many calls it makes
    # a rewarder that stops at the first failure ran nothing after it; one that goes on records how many passed, not which
    after = "unknown" if passed > failed - 1 or row.get("score_value") else "not_run"
    return [*["passed"] * (failed - 1), failing, *[after] * count][:count]


def _tests(info: Any) -> list[Row]:
    tests = info.get("tests", info) if isinstance(info, dict) else None
    if not isinstance(tests, dict):
        return []
    kind = tests.get("type")
    if kind == "stdio":
        pairs = list(zip(_list(tests, "inputs"), _list(tests, "outputs"), strict=False))
    elif kind == "call":
        entry = str(tests.get("entry_point", "f"))
        pairs = [(_call(entry, case), case.get("expected")) for case in _list(tests, "cases") if isinstance(case, dict)]
    elif kind == "check":
        pairs = [(str(tests.get("check", "")), "no exception")]
    else:
        pairs = []
    return [
        {
            "index": i,
            "result": "unknown",
            "input": _cut(given),
            "expected": _cut(wanted),
            "output": None,
            "seconds": None,
        }
        for i, (given, wanted) in enumerate(pairs[:MOST_TESTS])
    ]


def _list(tests: Row, name: str) -> list[Any]:
    value = tests.get(name)
    return value if isinstance(value, list) else []


def _call(entry: str, case: Row) -> str:
    arguments = [repr(a) for a in _list(case, "args")]
    keywords = case.get("kwargs")
    arguments += [f"{k}={v!r}" for k, v in keywords.items()] if isinstance(keywords, dict) else []
    return f"{entry}({', '.join(arguments)})"


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}... ({len(text) - MOST_CHARS} characters more)"
