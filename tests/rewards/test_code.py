"""The code rewarder: three kinds of tests, every result with the failing test's number, answers that stay outside."""

from collections.abc import Callable
from typing import Any

import pytest

from innovator_rl.scoring import Score
from rewards.code import reward as rewarder
from rewards.code.reward import CodeReward, FractionOfTests
from rewards.code.sandbox.layers import PROPERTIES, IsolationReport

Grade = Callable[..., Score]

STDIO = {"tests": {"type": "stdio", "inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7"]}, "time_limit": 1}
CALL: dict[str, Any] = {
    "type": "call",
    "entry_point": "Solution().f",
    "cases": [{"args": [[1, 2]], "kwargs": {}, "expected": [2, 4]}, {"args": [], "kwargs": {"xs": []}, "expected": []}],
    "time_limit": 1,
}
CHECK = {
    "type": "check",
    "entry_point": "f",
    "prelude": "class Node:\n    def __init__(self, v):\n        self.v = v\n",
    "check": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(n=3) == 9\n",
    "time_limit": 1,
}
DOUBLE = "class Solution:\n    def f(self, xs):\n        print('noise')\n        return [2 * x for x in xs]"


def test_stdio(grade: Grade) -> None:
    assert grade("a, b = map(int, input().split())\nprint(a + b)", STDIO).correct
    assert grade("a, b = map(int, input().split())\nprint(a + b)", STDIO, fence=False).correct
    half = grade("input()\nprint(3)", STDIO)
    assert (half.value, half.reason) == (0, "wrong")
    assert half.terms == {"passed": 1, "total": 2, "failed_test": 2}
    assert grade("print(3)\nimport os; os._exit(1)", STDIO).reason == "runtime_error"
    main = "def main():\n    print(sum(map(int, input().split())))\nif __name__ == '__main__':\n    main()"
    assert grade(main, STDIO).correct
    threaded = "import threading\nthreading.Thread(target=lambda: print(sum(map(int, input().split())))).start()"
    assert grade(threaded, STDIO).correct
    assert grade("import atexit\natexit.register(lambda: print(sum(map(int, input().split()))))", STDIO).correct


def test_function_calls(grade: Grade) -> None:
    assert grade(DOUBLE, CALL).correct
    assert grade(DOUBLE.replace("2 *", "3 *"), CALL).terms["failed_test"] == 1
    assert grade("class Solution:\n    def g(self): pass", CALL).reason == "runtime_error"
    state = "class Solution:\n    def __init__(self):\n        self.n = 0\n    def f(self, xs):\n        self.n += 1\n"
    assert grade(state + "        return [2 * x for x in xs] if self.n == 1 else None", CALL).correct
    turned = {**CALL, "in_place": 0, "cases": [{"args": [[1, 2, 3]], "expected": [3, 2, 1]}]}
    assert grade("class Solution:\n    def f(self, xs):\n        xs.reverse()", turned).correct


def test_check_functions(grade: Grade) -> None:
    assert grade("def f(n):\n    return n * n", CHECK).correct
    wrong = grade("def f(n):\n    return n + n", CHECK)
    assert (wrong.reason, wrong.terms) == ("wrong", {"passed": 1, "total": 2, "failed_test": 2})
    for cheat in ("raise SystemExit(0)", "import os\n    os._exit(0)", "raise AssertionError", "yield 4"):
        assert not grade(f"def f(n):\n    {cheat}", CHECK).correct
    assert grade("def g(n): return 4", CHECK).reason == "runtime_error"
    always = "class E(int):\n    def __eq__(self, o):\n        return True\ndef f(n):\n    return E(5)"
    assert grade(always, CHECK).reason == "wrong"


def test_lists_trees_and_linked_lists(grade: Grade) -> None:
    prelude = (
        "from typing import *\nclass ListNode:\n    def __init__(self, val=0, next=None):\n"
        "        self.val = val\n        self.next = next\n"
        "def listed(values):\n    head = None\n    for v in reversed(values):\n        head = ListNode(v, head)\n    return head\n"
        "def plain(node):\n    out = []\n    while node:\n        out.append(node.val)\n        node = node.next\n    return out\n"
    )
    body = (
        "class Solution:\n    def flip(self, head: Optional[ListNode]) -> Optional[ListNode]:\n        last = None\n"
        "        while head:\n            head.next, last, head = last, head, head.next\n        return last\n"
    )
    long = "list(range(4000))"
    info = {
        "type": "check",
        "entry_point": "Solution().flip",
        "prelude": prelude,
        "check": f"def check(candidate):\n    assert plain(candidate(listed({long}))) == {long}[::-1]\n"
        "    assert candidate(None) is None\n",
    }
    assert grade(body, info).correct
    own = "class ListNode:\n    __slots__ = ('val', 'next')\n    def __init__(self, val, next):\n        self.val, self.next = val, next\n"
    assert grade(own + body, info).correct
    assert grade(body.replace("return last", "return None"), info).terms["failed_test"] == 1
    loop = "class Solution:\n    def flip(self, head):\n        head.next = head\n        return [head]"
    assert grade(loop, info).reason == "wrong"


def test_every_result_names_its_test(grade: Grade) -> None:
    program = "n = int(input().split()[0])\nif n == 3:\n    {}\nprint(3)"
    for body, reason in [
        ("while True: pass", "time_limit_exceeded"),
        ("import time; time.sleep(60)", "time_limit_exceeded"),
        ("x = bytearray(3 * 2**30)", "memory_limit_exceeded"),
        ("while True: print('x' * 10**6)", "output_limit_exceeded"),
        ("1 / 0", "runtime_error"),
        ("import os; os.kill(os.getpid(), 11)", "runtime_error"),
        ("import socket; socket.socket()", "forbidden"),
        ("import torch", "forbidden"),
        ("import subprocess; subprocess.run(['/bin/true'])", "forbidden"),
        ("pass", "wrong"),
    ]:
        score = grade(program.format(body), {**STDIO, "time_limit": 0.2, "memory_limit": 64})
        assert (score.reason, score.terms.get("failed_test"), score.value) == (reason, 2, 0), body
    assert grade("def f(:", STDIO).reason == "compile_error"
    assert grade("def f(:", CALL).reason == "compile_error"
    assert grade("x = " + "(" * 5000 + ")" * 5000, STDIO).reason == "compile_error"


def test_one_deadline_for_the_whole_solution(grade: Grade) -> None:
    many = {"type": "stdio", "inputs": ["1\n"] * 50, "outputs": ["1\n"] * 50, "time_limit": 30}
    score = grade("import time\ntime.sleep(0.2)\nprint(1)", many, timeout_seconds=0.15)
    assert score.reason == "time_limit_exceeded"
    assert 1 <= score.terms["failed_test"] <= 15


def test_a_fraction_of_the_tests() -> None:
    fractions = FractionOfTests()
    info = {"type": "stdio", "inputs": ["1", "2", "0", "4"], "outputs": ["1.0", "0.5", "0", "0.25"], "time_limit": 1}
    score = fractions("```python\nprint(1 / float(input()))\n```", info)
    fractions.close()
    assert (score.value, score.correct, score.reason) == (0.75, False, "runtime_error")
    assert score.terms == {"passed": 3, "total": 4, "failed_test": 3}


def test_a_fraction_of_the_calls(grade: Grade) -> None:
    cases = [{"args": [n], "expected": 12 // n if n else 0} for n in (1, 0, 3, 4)]
    info = {"type": "call", "entry_point": "f", "cases": cases, "scoring": "fraction"}
    assert grade("def f(n):\n    return 12 // n", info).terms == {"passed": 3, "total": 4, "failed_test": 2}
    assert grade("import os\ndef f(n):\n    return 12 // n if n else os._exit(0)", info).value == 0.75


def test_several_right_answers(grade: Grade) -> None:
    factor = {
        "type": "stdio",
        "inputs": ["91", "15"],
        "outputs": ["", ""],
        "judge": "def judge(given, said, expected):\n    return said.strip().isdigit() and 1 < int(said) < int(given)"
        " and int(given) % int(said) == 0\n",
    }
    assert grade("n = int(input())\nprint(next(d for d in range(2, n) if n % d == 0))", factor).correct
    assert grade("n = int(input())\nprint(1)", factor).terms["failed_test"] == 1
    touchy = {**factor, "judge": "def judge(given, said, expected):\n    return 1 / int(said) > 0"}
    assert grade("print('junk')", touchy).reason == "wrong"
    leaving = {**factor, "judge": "def judge(given, said, expected):\n    raise SystemExit(0)"}
    assert grade("print(7)", leaving).reason == "wrong"
    pairs = {
        "type": "call",
        "entry_point": "f",
        "cases": [{"args": [3], "expected": [1, 2, 3]}],
        "compare": "unordered",
    }
    assert grade("def f(n):\n    return {3, 1, 2}", pairs).correct
    assert not grade("def f(n):\n    return [3, 1, 1]", pairs).correct
    either = {"type": "stdio", "inputs": [""], "outputs": [{"any": ["heads", "tails"]}]}
    assert grade("print('tails')", either).correct
    assert not grade("print('edge')", either).correct


def test_packages(grade: Grade) -> None:
    info = {"type": "call", "entry_point": "f", "cases": [{"args": [[3, 4]], "expected": 5.0}], "packages": ["numpy"]}
    program = "import numpy as np\ndef f(xs):\n    return np.linalg.norm(np.array(xs))"
    assert grade(program, info).correct
    assert grade(program, {**info, "packages": []}).correct, "numpy needs no asking"
    assert grade("import networkx\ndef f(xs): return 5.0", info).reason == "forbidden"
    assert grade("import networkx\ndef f(xs): return 5.0", {**info, "packages": ["networkx"]}).correct
    assert grade(program, {**info, "packages": ["torch"]}).reason == "bad_info"
    assert grade(program, {**info, "packages": 7}).reason == "bad_info"


def test_nothing_runs_below_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = IsolationReport({name: name != "network" for name in PROPERTIES}, {"landlock": "missing: no"})
    monkeypatch.setattr(rewarder, "probe_isolation", lambda: weak)
    score = CodeReward()("print(1)", STDIO)
    assert (score.outcome, score.reason) == ("abstained", "unsafe_code_refused")
    (finding,) = CodeReward.health({"code_isolation": "standard"})
    assert finding["severity"] == "error"
    assert "network" in finding["why"]
    assert not CodeReward("none").refused
    assert CodeReward.health({"code_isolation": "none"})[0]["severity"] == "warning"


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"type": "stdio"},
        {"type": "stdio", "inputs": ["1"], "outputs": []},
        {"type": "call", "entry_point": "f", "cases": []},
        {"type": "call", "cases": [{"args": [1], "expected": 1}]},
        {"type": "call", "entry_point": "f", "cases": [{"args": [1], "expected": 1}], "compare": "roughly"},
        {"type": "call", "entry_point": "f", "cases": [{"args": [1], "expected": {"any": []}}]},
        {"type": "call", "entry_point": "f(", "cases": [{"args": [1], "expected": 1}]},
        {"type": "call", "entry_point": "f", "cases": [{"args": 1, "expected": 1}]},
        {"type": "call", "entry_point": "f", "cases": [{"args": [1], "expected": 1}], "in_place": "0"},
        {"type": "call", "entry_point": "f", "cases": [{"args": [1], "expected": 1}], "prelude": ["x"]},
        {"type": "stdio", "inputs": ["1"], "outputs": ["1"], "judge": "judge = missing"},
        {"type": "check", "entry_point": "f", "check": "def check("},
        {"type": "check", "entry_point": "f", "check": "def test(candidate): candidate(1)"},
        {"type": "check", "entry_point": "f", "check": "check = 3"},
        {
            "type": "check",
            "entry_point": "f",
            "prelude": "raise SystemExit",
            "check": "def check(candidate): candidate(1)",
        },
        {"type": "stdio", "inputs": ["1"], "outputs": ["1"], "time_limit": "soon"},
        {"type": "stdio", "inputs": ["1"], "outputs": ["1"], "time_limit": float("nan")},
        {"type": "stdio", "inputs": ["1"], "outputs": ["1"], "memory_limit": float("inf")},
        {"type": "riddle"},
    ],
)
def test_bad_rows_are_not_graded(grade: Grade, info: dict[str, Any]) -> None:
    score = grade("print(1)", info)
    assert (score.outcome, score.reason) == ("abstained", "bad_info")


@pytest.mark.parametrize("body", ["pass", "assert 1 + 1 == 2", "assert False", "raise SystemExit"])
def test_a_check_that_calls_nothing_grades_nobody(grade: Grade, body: str) -> None:
    info = {"type": "check", "entry_point": "f", "check": f"def check(candidate):\n    {body}\n"}
    score = grade("def f(n):\n    return n", info)
    assert (score.outcome, score.reason) == ("abstained", "bad_info")
    assert grade("1 / 0", info).reason == "bad_info", "no program has a part in that"


@pytest.mark.parametrize("clause", ["except Exception", "except"])
def test_a_check_cannot_swallow_the_programs_end(grade: Grade, clause: str) -> None:
    check = f"def check(candidate):\n    try:\n        candidate(1)\n    {clause}:\n        pass\n"
    info = {"type": "check", "entry_point": "f", "check": check}
    assert grade("def f(n):\n    return n", info).correct
    assert grade("def f(n):\n    raise ValueError", info).correct, "the check asked for that"
    score = grade("import os\ndef f(n):\n    os._exit(0)", info)
    assert (score.reason, score.terms) == ("runtime_error", {"passed": 0, "total": 1, "failed_test": 1})


VALUES = [
    "{10**5000: 1}",
    "10**5000",
    "float('nan')",
    "{(): {}}",
    "[[[[[[]]]]]] * 9",
    "object()",
    "(i for i in [])",
    "'\\ud800'",
    "{1: 1, '1': 1}",
    "KeyError",
    "f",
]


@pytest.mark.parametrize("value", VALUES)
def test_no_returned_value_makes_the_row_unusable(grade: Grade, value: str) -> None:
    special = {"judge": "def judge(args, kwargs, value, expected):\n    return value['a'].b(1, 2) / 0"}
    case = {"args": [1], "expected": {"1": [1]}}
    forms = [
        {"type": "call", "entry_point": "f", "cases": [case]},
        {"type": "call", "entry_point": "f", "cases": [case], "compare": "unordered"},
        {"type": "call", "entry_point": "f", "cases": [case], **special},
        {"type": "check", "entry_point": "f", "check": "def check(candidate):\n    assert candidate(1)['a'].b(1, 2)"},
    ]
    for info in forms:
        score = grade(f"def f(n):\n    return {value}", info)
        assert (score.outcome, score.reason) in {("scored", "wrong"), ("scored", "runtime_error")}, info


def test_a_value_cannot_keep_the_data_sets_code_busy(grade: Grade) -> None:
    """The time of `judge` and of the check is the solution's, and its end no reason for another try."""
    busy = "    while value > 0:\n        value += 1\n    return True\n"
    forms = [
        {"type": "call", "cases": [{"args": [], "expected": 0}], "judge": f"def judge(a, k, value, e):\n{busy}"},
        {"type": "check", "check": f"def check(candidate):\n    value = candidate()\n{busy}"},
        {"type": "stdio", "inputs": [""], "outputs": [""], "judge": f"def judge(g, value, e):\n    value = 1\n{busy}"},
    ]
    for form in forms:
        score = grade("def f():\n    return 1", {"entry_point": "f", **form}, timeout_seconds=0.4)
        assert (score.outcome, score.reason, score.value) == ("scored", "time_limit_exceeded", 0), form
        assert score.terms["failed_test"] == 1
    assert grade("def f():\n    return 0", {"entry_point": "f", **forms[0]}, timeout_seconds=0.4).correct


def test_no_program(grade: Grade) -> None:
    assert grade("I cannot do this.", STDIO, fence=False).reason == "no_answer"
    assert grade("#" * 200_000, STDIO).reason == "too_long"
