"""Programs in a limited child: right, wrong, hanging, greedy, flooding and cheating ones; nothing runs unless
allowed.
"""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from rewards.code.tests import CodeTests, program_of, same_value

STDIO = {"tests": {"type": "stdio", "inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7"]}, "time_limit": 2}
CALL = {
    "type": "call",
    "entry_point": "Solution().f",
    "cases": [{"args": [[1, 2]], "kwargs": {}, "expected": [2, 4]}, {"args": [], "kwargs": {"xs": []}, "expected": []}],
    "time_limit": 2,
}
CHECK = {
    "type": "check",
    "entry_point": "f",
    "prelude": "class Node:\n    def __init__(self, v):\n        self.v = v\n",
    "check": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(n=3) == 9\n",
    "time_limit": 2,
}


def judge(program: str, info: dict[str, Any], **settings: Any) -> Any:
    return CodeTests(**{"allow_unsafe_code": True, **settings})(f"```python\n{program}\n```", info)


def test_refused_unless_allowed() -> None:
    score = CodeTests()("print(1)", STDIO)
    assert (score.outcome, score.reason) == ("abstained", "unsafe_code_refused")


def test_stdio() -> None:
    assert judge("a, b = map(int, input().split())\nprint(a + b)", STDIO).correct
    assert CodeTests(allow_unsafe_code=True)("a, b = map(int, input().split())\nprint(a + b)", STDIO).correct
    half = judge("input()\nprint(3)", STDIO)
    assert (half.reason, half.terms) == ("wrong", {"passed": 1.0})
    assert judge("1/0", STDIO).reason == "runtime_error"
    assert judge("print(3)\nimport os; os._exit(1)", STDIO).reason == "runtime_error"


def test_call_and_check() -> None:
    good = "class Solution:\n    def f(self, xs):\n        print('noise')\n        return [2 * x for x in xs]"
    assert judge(good, CALL).correct
    assert judge(good.replace("2 *", "3 *"), CALL).reason == "wrong"
    assert judge("def f(n):\n    return n * n", CHECK).correct
    assert judge("def f(n):\n    return n + n", CHECK).terms == {"passed": 2.0}
    assert judge("def g(n): return 4", CHECK).reason == "runtime_error"
    always = "class E(int):\n    def __eq__(self, o):\n        return True\ndef f(n):\n    return E(5)"
    assert judge(always, CHECK).reason == "wrong"
    assert judge("def f(n):\n    raise SystemExit(0)", CHECK).reason == "runtime_error"
    assert judge("def f(n):\n    import os\n    os._exit(0)", CHECK).reason == "runtime_error"


def test_limits() -> None:
    start = time.monotonic()
    assert judge("while True: pass", STDIO).reason == "time_limit_exceeded"
    assert judge("def f(n):\n    while True: pass", CHECK).reason == "time_limit_exceeded"
    assert judge("import time\ntime.sleep(60)", STDIO, timeout_seconds=1.0).reason == "time_limit_exceeded"
    assert time.monotonic() - start < 9
    assert judge("x = bytearray(3 * 2**30)", STDIO).reason == "runtime_error"
    assert judge("while True: print('x' * 10**6)", STDIO).reason == "output_limit_exceeded"


def test_a_daemon_in_the_group_is_killed_and_the_folder_gone(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = (
        "import os, subprocess\n"
        f"p = subprocess.Popen(['/bin/sleep', '60'])\nopen({str(note)!r}, 'w').write(f'{{p.pid}} {{os.getcwd()}}')\nprint(3)"
    )
    judge(program, STDIO)
    pid, folder = note.read_text().split()
    assert not os.path.exists(folder)
    for _ in range(50):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the program's child is still running")


def test_bad_rows_and_missing_programs() -> None:
    assert judge("print(1)", {}).reason == "bad_info"
    assert judge("print(1)", {"type": "stdio"}).reason == "bad_info"
    assert CodeTests(allow_unsafe_code=True)("I cannot do this.", STDIO).reason == "no_answer"
    assert program_of("<think>```python\nx\n```</think>Here:\n```python\ny = 1\n```\nand more") == "y = 1\n"
    assert same_value([1.0000000001, {"a": None}], [1, {"a": None}])
    assert not same_value(True, 1)
