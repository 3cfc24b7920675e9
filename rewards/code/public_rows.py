"""Read rows of public code data sets into our own form of tests.

Each reader takes the columns of a row and returns the tests, or None where the row has another form. The forms are
those of the published files: APPS and TACO, Eurus and PRIME, DeepCoder, LiveCodeBench, code_contests, Codeforces with
its generated checkers, HumanEval and HumanEval+, MBPP and MBPP+.
"""

from __future__ import annotations

import ast
import base64
import builtins
import io
import json
import pickle
import re
import textwrap
import zlib
from collections.abc import Callable, Mapping
from typing import Any

_FUNCTION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
MAX_UNPACKED_BYTES = 512 * 2**20
IMPORTS = """\
import bisect, collections, datetime, functools, heapq, itertools, json, math, operator, random, re, string, sys
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from operator import *
from typing import *
inf = float("inf")
"""
_CHECKER = """
import contextlib, io, os, sys, tempfile
SOURCE = {source!r}
def judge(given, said, expected):  # prose: allow judge
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, name) for name in ("input.txt", "expected.txt", "output.txt")]
        for name, text in zip(names, (given, expected, said)):
            with open(name, "w") as file:
                file.write(text)
        sys.argv, printed = ["checker.py", *names], io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            exec(compile(SOURCE, "checker.py", "exec"), {{"__name__": "__main__"}})
    words = printed.getvalue().split()
    return bool(words) and float(words[-1]) >= 1
"""

Row = Mapping[str, Any]
Tests = dict[str, Any]


def from_inputs(row: Row) -> Tests | None:
    """APPS, TACO, Eurus, PRIME: `inputs`, `outputs` and for a function `fn_name`."""
    inputs, outputs = _parsed(row.get("inputs")), _parsed(row.get("outputs"))
    if row.get("assert_case"):
        return None  # PRIME's assertions, next to which the inputs are empty
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        return None
    name = row.get("fn_name") or _function_name(row)
    if not name:
        return _stdio(inputs, list(map(_output_text, outputs)))
    expected = [
        _said(output) if isinstance(given, str) else output for given, output in zip(inputs, outputs, strict=True)
    ]
    return _calls(str(name), row, [_arguments(given) for given in inputs], expected)


def _stdio(inputs: list[Any], outputs: list[Any]) -> Tests:
    missing = next((number for number, output in enumerate(outputs, 1) if output is None), 0)
    if missing:
        raise ValueError(f"the output of test {missing} must be text, got null")
    return {"type": "stdio", "inputs": inputs, "outputs": outputs}


def _said(output: Any) -> Any:
    """Return the expected value of a call whose arguments are text: text as well, JSON where it can be read as that."""
    try:
        return _json(output) if isinstance(output, str) else output
    except (ValueError, SyntaxError):
        return output


def _output_text(output: Any) -> Any:
    """Return an output: text, or a list of lines, which some files nest once more."""
    if isinstance(output, list) and len(output) == 1 and isinstance(output[0], list):
        return output[0]
    return output


def _calls(name: str, row: Row, inputs: list[list[Any]], outputs: list[Any]) -> Tests:
    wrapped = bool(outputs) and all(isinstance(output, list) and len(output) == 1 for output in outputs)
    expected = [{"any": [output[0], output] if wrapped else [output]} for output in outputs]
    cases = [{"args": args, "expected": right} for args, right in zip(inputs, expected, strict=True)]
    method = "class Solution" in str(row.get("starter_code") or row.get("prompt") or "")
    entry = f"Solution().{name}" if method and "." not in name else name.replace("Solution.", "Solution().")
    return {"type": "call", "entry_point": entry, "prelude": IMPORTS, "cases": cases, "number_keys": True}


def _arguments(given: Any) -> list[Any]:
    """Return the arguments: a list of them, or text with one JSON value per line, a text itself where it is none."""
    if isinstance(given, str):
        return [_said(line.strip()) for line in given.split("\n") if line.strip()]
    return list(given) if isinstance(given, list) else [given]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def from_list(items: list[Any], row: Row) -> Tests | None:
    """DeepCoder, LiveCodeBench, Codeforces: a list of tests with `input`, `output` and what kind they are."""
    if not items or not all(isinstance(item, dict) for item in items):
        return _asserts(items, row) if items and all(isinstance(item, str) for item in items) else None
    if not all("input" in item and "output" in item for item in items):
        return None
    first = items[0]
    name = first.get("fn_name") or _function_name(
        {**row, **({"metadata": first["metadata"]} if first.get("metadata") else {})}
    )
    functional = first.get("testtype") == "functional" or first.get("type") == "function_call"
    inputs, outputs = [item["input"] for item in items], [item["output"] for item in items]
    if functional:
        name = name or _starter_name(row)
        expected = [_said(output) if first.get("testtype") else output for output in outputs]
        return _calls(str(name), row, [_arguments(given) for given in inputs], expected)
    return _stdio(inputs, outputs)


def _starter_name(row: Row) -> str:
    """Return the name of the function that the starter code begins."""
    names = [name for name in _FUNCTION.findall(str(row.get("starter_code") or "")) if name != "__init__"]
    if not names:
        raise ValueError("functional tests need the name of the function: fn_name, metadata.func_name or starter_code")
    return names[-1]


def _function_name(row: Row) -> str:
    metadata = _parsed(row.get("metadata"))
    return str(metadata.get("func_name") or metadata.get("fn_name") or "") if isinstance(metadata, dict) else ""


def live_code_bench(row: Row) -> Tests | None:
    """LiveCodeBench: `public_test_cases` and `private_test_cases`, the latter compressed."""
    if "public_test_cases" not in row and "private_test_cases" not in row:
        return None
    found = [*_cases(row.get("public_test_cases")), *_cases(row.get("private_test_cases"))]
    return from_list(found, row)


def _cases(value: Any) -> list[Any]:
    if isinstance(value, str) and value.strip()[:1] not in ("[", "{", ""):
        value = _unpacked(value)
    value = _parsed(value)
    return list(value) if isinstance(value, list) else []


class _TextOnly(pickle.Unpickler):
    """A reader of pickles that hold text, lists and dictionaries, and that imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every class."""
        raise pickle.UnpicklingError(f"a test may not hold {module}.{name}")


def _unpacked(text: str) -> Any:
    """Return the content of base64, zlib and a pickle around JSON text."""
    opened = zlib.decompressobj()
    data = opened.decompress(base64.b64decode(text), MAX_UNPACKED_BYTES)
    if opened.unconsumed_tail:
        raise ValueError("the tests must be less than 512 MiB unpacked")
    return _TextOnly(io.BytesIO(data)).load()


def code_contests(row: Row) -> Tests | None:
    """code_contests: `public_tests`, `private_tests`, `generated_tests`, each with `input` and `output`."""
    found = [_parsed(row[key]) for key in ("public_tests", "private_tests", "generated_tests") if row.get(key)]
    parts = [_columns(part) if isinstance(part, list) else part for part in found]
    if not parts or not all(isinstance(part, dict) and "input" in part and "output" in part for part in parts):
        return None
    tests: Tests = {
        "type": "stdio",
        "inputs": [text for part in parts for text in part["input"]],
        "outputs": [text for part in parts for text in part["output"]],
    }
    limit = row.get("time_limit")
    if isinstance(limit, dict):
        tests["time_limit"] = float(limit.get("seconds") or 0) + float(limit.get("nanos") or 0) / 1e9 or None
    if row.get("memory_limit_bytes"):
        tests["memory_limit"] = int(row["memory_limit_bytes"]) // 2**20
    return tests


def _columns(tests: list[Any]) -> Tests:
    """Return tests that are listed one by one as lists of inputs and outputs."""
    return {name: [test[name] for test in tests] for name in ("input", "output")}


def codeforces(row: Row) -> Tests | None:
    """Codeforces: `official_tests` and, where several outputs are right, a generated checker in Python."""
    items = _parsed(row.get("official_tests"))
    if not isinstance(items, list):
        return None
    tests = from_list(items, {})
    if tests is not None and row.get("generated_checker"):
        tests["judge"] = _CHECKER.format(source=str(row["generated_checker"]))
    return tests


def human_eval(row: Row) -> Tests | None:
    """HumanEval and HumanEval+: `prompt`, `test` with its function `check`, `entry_point`."""
    test, entry = row.get("test"), row.get("entry_point")
    if not isinstance(test, str) or "def check" not in test or not isinstance(entry, str):
        return None
    return {"type": "check", "entry_point": entry, "prelude": _runnable(str(row.get("prompt") or "")), "check": test}


def _runnable(prompt: str) -> str:
    """Return the start of a program as a program: a function without a body gets one."""
    for text in (prompt, prompt.rstrip() + "\n    pass\n"):
        try:
            ast.parse(text)
            return text
        except (SyntaxError, ValueError):
            continue
    return ""


def mbpp(row: Row) -> Tests | None:
    """MBPP and MBPP+: `test_list`, or `test` as a script, which call the function by its name."""
    asserts = _parsed(row.get("test_list") or row.get("assert_case"))
    script = row.get("test")
    if isinstance(script, str) and script.strip() and "def check" not in script:
        return _script(script, row)
    if not isinstance(asserts, list) or not asserts:
        return None
    return _asserts([*asserts, *(_parsed(row.get("challenge_test_list")) or [])], row)


def _asserts(items: list[Any], row: Row) -> Tests | None:
    return _script("\n".join(textwrap.dedent(str(item)).strip() for item in items), row)


def _script(text: str, row: Row) -> Tests:
    imports = _parsed(row.get("test_imports")) or []
    setup = "\n".join(
        [*map(str, imports if isinstance(imports, list) else [imports]), str(row.get("test_setup_code") or "")]
    )
    entry = row.get("entry_point") or _called(text)
    return {"type": "check", "entry_point": str(entry), "check": f"{setup}\n{text}", "script": True}


def _called(script: str) -> str:
    """Return the name that the first assertion calls, None's where there is none."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    known = {node.name for node in ast.walk(ast.parse(script)) if isinstance(node, functions)}
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in known | _BUILTIN:
            return node.func.id
    return "None"


_BUILTIN = frozenset(dir(builtins))


def _parsed(value: Any) -> Any:
    return _json(value) if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") else value


READERS: tuple[Callable[[Row], Tests | None], ...] = (
    from_inputs,
    live_code_bench,
    code_contests,
    codeforces,
    human_eval,
    mbpp,
)
