"""Read the tests of a row: our own form, or the form in which a public data set publishes them.

    tests, options = read_tests(info)

`info` is the row's own content: the object, its `tests`, or the column that holds them, also as JSON text. Known are
APPS and TACO (`input_output`), Eurus and PRIME (`ground_truth`), DeepCoder and LiveCodeBench (lists of `input`,
`output`, `testtype`; `private_test_cases` compressed), code_contests (`public_tests`, ...), HumanEval and HumanEval+
(`prompt`, `test`, `entry_point`), MBPP and MBPP+ (`test_list`, `test`).
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from rewards.code import public_rows
from rewards.code.program import LANGUAGES
from rewards.code.referee import BadTests

COLUMNS = ("tests", "input_output", "ground_truth", "test_cases", "reward_model")
OPTIONS = (
    "time_limit",
    "memory_limit",
    "packages",
    "scoring",
    "compare",
    "tolerance",
    "judge",
    "in_place",
    "prelude",
    "language",
)
SECONDS = {"": 1.0, "sec": 1.0, "second": 1.0, "m": 1e-3, "millisecond": 1e-3}  # without a plural's s
MEGABYTES = {
    "kb": 1 / 1024,
    "kib": 1 / 1024,
    "kilobyte": 1 / 1024,
    "": 1.0,
    "mb": 1.0,
    "mib": 1.0,
    "megabyte": 1.0,
    "gb": 1024.0,
    "gib": 1024.0,
    "gigabyte": 1024.0,
}
_AMOUNT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{0,9})?)\s*([A-Za-z]*)\s*")


def read_tests(info: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tests in our own form, and the options of the row.

    Raises:
        BadTests: Where no known form is recognized.
    """
    row = _lists(_object(info))
    if not isinstance(row, dict):
        row = {"tests": row}
    try:
        tests = _read(row)
    except BadTests:
        raise
    except Exception as error:
        raise BadTests(f"{type(error).__name__}: {error}") from error
    if tests is None:
        raise BadTests(f"no tests found among the keys {', '.join(map(str, list(row)[:12]))}")
    found = row.get("tests")
    inner: dict[str, Any] = found if isinstance(found, dict) else {}
    options = {
        **{key: row[key] for key in OPTIONS if key in row},
        **{key: inner[key] for key in OPTIONS if key in inner},
    }
    tests = {**{key: value for key, value in options.items() if key not in tests}, **tests}
    options = {**options, **{key: tests[key] for key in OPTIONS if key in tests}}
    for name, units in (("time_limit", SECONDS), ("memory_limit", MEGABYTES)):
        if name in options:
            options[name] = _amount(options[name], units)
    if options.get("tolerance") is not None:
        options["tolerance"] = _tolerance(options["tolerance"])
    if "language" in options:
        options["language"] = _language(options["language"], ours=isinstance((inner or row).get("type"), str))
    return tests, options


def _amount(value: Any, units: Mapping[str, float]) -> Any:
    """Return a quantity that is written with its unit (`2 seconds`) as a number; anything else as it is."""
    if units is SECONDS and isinstance(value, dict) and set(value) <= {"seconds", "nanos"}:
        return float(value.get("seconds") or 0) + float(value.get("nanos") or 0) / 1e9 or None
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    unit = str(found[2]).lower().removesuffix("s") if found else ""
    return float(found[1]) * units[unit] if found and unit in units else value


def _tolerance(value: Any) -> float:
    """Return a tolerance; one that is not finite would accept every number."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise BadTests(f"tolerance {value!r:.60} must be a number that is at least 0 and finite")
    return number


def _lists(value: Any) -> Any:
    """Return tuples and arrays, which Parquet files give, as lists."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_lists(item) for item in value]
    return _lists(value.tolist()) if hasattr(value, "tolist") else value


def _language(name: Any, ours: bool) -> str:
    """Return the language that a row asks for: `python`, `cpp`, or none.

    A public data set may have a column of this name that means something else, such as the language of the text.
    """
    tag = str(name or "").lower()
    found = next((known for known, tags in LANGUAGES.items() if tag in tags), "")
    if tag and ours and not found:
        raise BadTests(f"language {tag[:60]!r}; known: {', '.join(LANGUAGES)}")
    return found


def _read(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the tests that are found in a row, at most two levels down."""
    found = _recognized(row)
    for name in () if found is not None else COLUMNS:
        value = _object(row.get(name))
        if name == "reward_model" and isinstance(value, dict):
            value = _object(value.get("ground_truth"))
        if isinstance(value, dict):
            found = _recognized({**_shared(row), **value})
        elif isinstance(value, list):
            found = public_rows.from_list(value, row)
        if found is not None:
            break
    return found


def _shared(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("starter_code", "prompt", "entry_point", "metadata", "fn_name") if key in row}


def _recognized(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if isinstance(row.get("type"), str):
        return dict(row)
    for reader in public_rows.READERS:
        tests = reader(row)
        if tests is not None:
            return tests
    return None


def _object(value: Any) -> Any:
    """Return JSON text as what it stands for, anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(value)  # some copies hold Python's own notation
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value
