"""Rows of public data sets are graded as they are published; every sample here is of our own making."""

import base64
import json
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from innovator_rl.scoring import Score
from rewards.code.formats import read_tests
from rewards.code.referee import BadTests

Grade = Callable[..., Score]
ADD = "a, b = map(int, input().split())\nprint(a + b)"
TWICE = "class Solution:\n    def twice(self, xs: List[int]) -> List[int]:\n        return [2 * x for x in xs]"
STDIO = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
CALLS = {"fn_name": "twice", "inputs": [[[1, 2]], [[]]], "outputs": [[[2, 4]], [[]]]}
LCB_CALLS = [{"input": "[1, 2]", "output": "[2, 4]", "testtype": "functional"}]
LCB_STDIO = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]


def packed(tests: list[Any]) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


STARTER = "class Solution:\n    def twice(self, xs: List[int]) -> List[int]:\n        "
HUMAN = {
    "task_id": "Own/1",
    "prompt": 'import math\n\ndef helper(x):\n    return x + 1\n\ndef third(xs: list):\n    """Sort."""\n',
    "entry_point": "third",
    "canonical_solution": "    return sorted(xs)\n",
    "test": "METADATA = {}\n\ndef check(candidate):\n    assert candidate([2, helper(0)]) == [1, 2]\n"
    "    assert tuple(candidate([2, 1])) == tuple(third([1, 2]))\n",
}
PLUS = {
    **HUMAN,
    "test": "import numpy as np\n\ndef assertion(out, exp, atol):\n    assert out == exp\n\ndef check(candidate):\n"
    "    inputs = [[[3, 1]], [[]]]\n    results = [[1, 3], []]\n"
    "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n        assertion(candidate(*inp), exp, 0)\n",
}
MBPP = {
    "task_id": 1,
    "text": "Sort.",
    "code": "def third(xs): return sorted(xs)",
    "test_list": ["assert third([2, 1]) == [1, 2]", "assert set(third([1])) == {1}"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
MBPP_PLUS = {
    **MBPP,
    "prompt": "Sort.",
    "test_imports": ["import math"],
    "test": "import numpy as np\n\ninputs = [[[2, 1]], [[]]]\nresults = [[1, 2], []]\n\ndef assertion(out, exp, atol):\n"
    "    assert out == exp\n\nfor i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(third(*inp), exp, 0)\n",
}
CHECKER = (
    "import sys\ninput_data, expected, said = (open(path).read() for path in sys.argv[1:4])\n"
    "n, (a, b) = int(input_data), map(int, said.split())\nprint(1 if a + b == n else 0)\n"
)
SORT = "def third(xs):\n    return sorted(xs)"
ROWS: dict[str, tuple[Any, str, str]] = {
    "APPS": ({"input_output": json.dumps(STDIO), "difficulty": "interview"}, ADD, "print(3)"),
    "TACO with a function": (
        {"input_output": json.dumps(CALLS), "starter_code": STARTER},
        TWICE,
        TWICE.replace("2", "3"),
    ),
    "a bare function where a method is expected": (
        {"input_output": CALLS, "starter_code": STARTER},
        "def twice(xs): return [x * 2 for x in xs]",
        "def twice(xs): return xs",
    ),
    "APPS, lines as a list": ({"input_output": {"inputs": [["1 2"]], "outputs": [["3"]]}}, ADD, "print(4)"),
    "Eurus": ({"ground_truth": json.dumps(STDIO), "style": "rule"}, ADD, "print(3)"),
    "PRIME, nested": ({"reward_model": {"ground_truth": json.dumps(CALLS), "style": "rule"}}, TWICE, "x = 1"),
    "zero and one for no and yes": (
        {"tests": {"fn_name": "odd", "inputs": [[1], [2]], "outputs": [[1], [0]]}},
        "def odd(n): return n % 2 == 1",
        "def odd(n): return True",
    ),
    "DeepCoder": ({"tests": json.dumps([{"type": "stdin_stdout", "input": "1 2", "output": "3"}])}, ADD, "print(4)"),
    "DeepCoder with a function": (
        {"tests": [{"type": "function_call", "fn_name": "twice", "input": [[1]], "output": [[2]]}]},
        TWICE,
        TWICE.replace("2", "3"),
    ),
    "LiveCodeBench": ({"tests": LCB_STDIO}, ADD, "print(4)"),
    "LiveCodeBench, compressed": (
        {"public_test_cases": json.dumps(LCB_STDIO), "private_test_cases": packed([{**LCB_STDIO[0], "output": "3"}])},
        ADD,
        "print(4)",
    ),
    "LiveCodeBench with a function": (
        {
            "public_test_cases": json.dumps(LCB_CALLS),
            "private_test_cases": packed(LCB_CALLS),
            "metadata": json.dumps({"func_name": "twice"}),
            "starter_code": STARTER,
        },
        TWICE,
        TWICE.replace("2", "3"),
    ),
    "code_contests": (
        {
            "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
            "private_tests": {"input": [], "output": []},
            "generated_tests": {"input": ["3 4\n"], "output": ["7\n"]},
            "time_limit": {"seconds": 2, "nanos": 0},
            "memory_limit_bytes": 256_000_000,
        },
        ADD,
        "print(3)",
    ),
    "Codeforces with a checker": (
        {"official_tests": [{"input": "5\n", "output": "1 4\n"}], "generated_checker": CHECKER},
        "n = int(input())\nprint(2, n - 2)",
        "print(1, 1)",
    ),
    "HumanEval": (HUMAN, SORT, "def third(xs):\n    return xs"),
    "HumanEval+": (PLUS, SORT, "def third(xs):\n    return xs"),
    "MBPP": (MBPP, SORT, "def third(xs):\n    return xs"),
    "MBPP+": (MBPP_PLUS, SORT, "def third(xs):\n    return xs"),
    "limits with units": ({**STDIO, "time_limit": "2.0 seconds", "memory_limit": "262144 KB"}, ADD, "print(3)"),
    "a limit of seconds and nanoseconds, tuples": (
        {"input_output": {"inputs": ("1 2",), "outputs": ("3",)}, "time_limit": {"seconds": 2, "nanos": 0}},
        ADD,
        "print(4)",
    ),
    "an expected object that looks like a choice": (
        {"fn_name": "f", "inputs": [[]], "outputs": [{"any": [1]}]},
        "def f(): return {'any': [1]}",
        "def f(): return 1",
    ),
    "plain text as argument, a blank line": (
        {"fn_name": "f", "inputs": ["abc\n\n2\n"], "outputs": ["cc"]},
        "def f(text, n): return text[-1] * n",
        "def f(text, n): return text",
    ),
    "PRIME's assertions next to empty inputs": (
        {"ground_truth": {"assert_case": ["assert third([2, 1]) == [1, 2]"], "inputs": [""], "outputs": [None]}},
        SORT,
        "def third(xs):\n    return xs",
    ),
    "LiveCodeBench, the name in the starter code alone": (
        {"public_test_cases": LCB_CALLS, "metadata": None, "starter_code": STARTER},
        TWICE,
        TWICE.replace("2", "3"),
    ),
    "a test's empty metadata": (
        {"tests": [{**LCB_CALLS[0], "metadata": None}], "metadata": {"func_name": "twice"}, "starter_code": STARTER},
        TWICE,
        TWICE.replace("2", "3"),
    ),
    "MBPP with carriage returns and blanks": (
        {"test_list": ["assert third([2, 1]) == [1, 2]\r\n", "  assert third([]) == []"]},
        SORT,
        "def third(xs):\n    return xs",
    ),
    "arguments and results as text": (
        {"fn_name": "Solution.twice", "inputs": ["[1, 2]"], "outputs": ["[2, 4]"]},
        TWICE,
        TWICE.replace("2", "3"),
    ),
    "code_contests, tests one by one": (
        {"public_tests": [{"input": "1 2\n", "output": "3\n"}], "private_tests": [], "generated_tests": None},
        ADD,
        "print(4)",
    ),
    "MBPP in Python's notation": ({"test_list": str(MBPP["test_list"])}, SORT, "def third(xs):\n    return xs"),
    "assertions alone": ({"assert_case": ["assert third([2, 1]) == [1, 2]"]}, SORT, "def third(xs):\n    return xs"),
}


@pytest.mark.parametrize("name", ROWS)
def test_published_rows(grade: Grade, name: str) -> None:
    info, right, wrong = ROWS[name]
    assert grade(right, info).reason == "correct"
    score = grade(wrong, info)
    assert (score.outcome, score.correct) == ("scored", False)


class Evil:
    def __reduce__(self) -> Any:
        return print, ("read",)


def test_a_pickle_of_a_row_runs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    row = {"private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()}
    with pytest.raises(BadTests, match=r"may not hold \S*print"):
        read_tests(row)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "info",
    [
        *({}, {"tests": 3}, {"tests": [1, 2]}, {"input_output": "{broken"}, {"inputs": ["1"]}, [], "x"),
        {"inputs": ["1"], "outputs": [None]},
        {"public_test_cases": LCB_CALLS, "metadata": "{}"},
        *({**STDIO, "tolerance": value} for value in (float("inf"), float("nan"), -1, True, "wide")),
    ],
    ids=str,
)
def test_other_rows_are_refused(info: Any) -> None:
    with pytest.raises(BadTests):
        read_tests(info)
