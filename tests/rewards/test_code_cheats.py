# ruff: noqa: E501
"""Programs that do not solve the task and try to be paid all the same: none of them is."""

from collections.abc import Callable
from typing import Any

import pytest

from innovator_rl.scoring import Score

Grade = Callable[..., Score]
SECRET = 8675309

STDIO = {"type": "stdio", "inputs": ["1\n", "2\n"], "outputs": [f"{SECRET}\n", f"{SECRET + 1}\n"], "time_limit": 0.3}
CALL = {
    "type": "call",
    "entry_point": "f",
    "cases": [{"args": [1], "expected": SECRET}, {"args": [2], "expected": [SECRET]}],
    "time_limit": 0.3,
}
CHECK = {
    "type": "check",
    "entry_point": "f",
    "check": f"SECRET = {SECRET}\ndef check(candidate):\n    assert candidate(1) == SECRET\n    assert candidate(2) == [SECRET]\n",
    "time_limit": 0.3,
}
LOOK = "found = [v for v in values if type(v) in (int, str) and str(v).startswith('8675') and 7 <= len(str(v)) < 40]\n"

CHEATS = {
    "leave with status 0": "import os; os._exit(0)",
    "leave politely": "raise SystemExit(0)",
    "leave at exit": "import atexit, os; atexit.register(os._exit, 0)",
    "read the callers' frames": (
        "import sys\nframe, values = sys._getframe(), []\nwhile frame:\n    values += [*frame.f_locals.values(), *frame.f_globals.values()]\n"
        "    frame = frame.f_back\n" + LOOK + "print(*found)\ndef f(x): return found"
    ),
    "read all objects": (
        "import gc\nvalues = [v for o in gc.get_objects() if isinstance(o, (dict, list, tuple)) for v in (o.values() if isinstance(o, dict) else o)]\n"
        + LOOK
        + "print(*found)\ndef f(x): return found"
    ),
    "read own memory": (
        "import ctypes, re\nfound = []\n"
        "try: found = re.findall(rb'86753[0-9]+', open('/proc/self/mem', 'rb').read(2**20))\nexcept OSError: pass\nprint(found)\ndef f(x): return found"
    ),
    "replace the harness": (
        "import sys, gc\nfor module in list(sys.modules.values()):\n    for name in ('encode', '_entry', '_serve', 'same_value', 'check'):\n"
        "        if hasattr(module, name): setattr(module, name, lambda *a, **k: 8675309)\n"
        "for o in gc.get_objects():\n    if getattr(o, '__name__', '') == 'same_value': o.__code__ = (lambda *a: True).__code__\ndef f(x): return 1"
    ),
    "replace the interpreter's functions": (
        "import builtins, json\njson.dumps = lambda *a, **k: '{\"value\": true}'\nbuiltins.all = builtins.any = lambda *a: True\n"
        "builtins.len = lambda *a: 0\nbuiltins.AssertionError = KeyboardInterrupt\ndef f(x): return 1"
    ),
    "be equal to everything": (
        "class E(int):\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    __hash__ = int.__hash__\n"
        "    def __index__(s): return 5\n    def __str__(s): return ''\nprint(E())\ndef f(x): return E(1)"
    ),
    "be a list that is equal to everything": (
        "class L(list):\n    def __eq__(s, o): return True\n    def __len__(s): return 1\n    def __iter__(s): return iter(())\ndef f(x): return L([1])"
    ),
    "an object that is equal to everything": "class O:\n    def __eq__(s, o): return True\n    __class__ = int\ndef f(x): return O()",
    "a class of the answer's name": ("class SECRET:\n    def __eq__(s, o): return True\ndef f(x): return SECRET()"),
    "swap the assertion": "def f(x):\n    import builtins\n    builtins.AssertionError = ValueError\n    raise AssertionError",
    "hook imports": (
        "import sys\nclass H:\n    def find_spec(s, *a): print('8675308')\nsys.meta_path.insert(0, H())\ndef f(x): return H()"
    ),
    "a pickle bomb": "class B:\n    def __reduce__(s): return (exec, ('raise SystemExit',))\ndef f(x): return B()",
    "a JSON bomb": "x = []\nfor _ in range(20000): x = [x]\ndef f(n): return x",
    "a billion laughs": "x = ['l']\nfor _ in range(40): x = [x, x]\ndef f(n): return x",
    "a table that refers to itself": (
        'import os, json\nfor fd in range(3, 9):\n    try: os.write(fd, b\'{"ready": 1}\\n{"value": {"root": [0], "table": [["list", [0]]]}}\\n\' * 3)\n    except OSError: pass\ndef f(x): return 1'
    ),
    "forge the report": (
        'import os\nfor fd in range(3, 9):\n    try: os.write(fd, b\'{"status": 0, "result": "accepted", "kind": "accepted"}\\n\')\n    except OSError: pass\nos._exit(0)'
    ),
    "answer everything": "print('8675309 8675310', end=' ')\nprint(*range(100))\ndef f(x): return range(10**9)",
    "a flood of nothing": "print(' ' * 10**6)\ndef f(x): return [None] * 10**6",
    "infinite and nan": "print('nan')\ndef f(x): return float('nan')",
    "crash": "import ctypes; ctypes.string_at(0)",
    "trace the checks": "import sys\nsys.settrace(lambda *a: print(8675308))\nsys.setprofile(lambda *a: None)\ndef f(x): return 1",
    "close every descriptor": "import os\nos.closerange(0, 64)\ndef f(x): return 1",
    "bytes that are no text": "import sys\nsys.stdout.buffer.write(b'\\xff\\xed\\xa0\\x80\\0')\ndef f(x): return {'\\ud800': '\\0'}",
    "a huge integer": "def f(x): return {1 << 10**7: 1 << 10**7}",
    "a class that raises": (
        "class A:\n    @property\n    def __class__(s): raise SystemExit(0)\n    def __getattr__(s, n): raise SystemExit(0)\n"
        "print(A)\ndef f(x): return A()"
    ),
    "a dictionary of its own": "class A:\n    @property\n    def __dict__(s): return {'__class__': int}\nprint(A)\ndef f(x): return A()",
    "a metaclass": (
        "class M(type):\n    def __instancecheck__(s, o): return True\n    def __eq__(s, o): return True\n    __hash__ = type.__hash__\n"
        "class A(metaclass=M): pass\nprint(A)\ndef f(x): return A"
    ),
    "let a child answer": "import os\nif os.fork(): os._exit(0)\nprint(1)\ndef f(x): return 1",
    "many answer": "import os\nprint(1)\ndef f(x):\n    os.fork(), os.fork(), os.fork()\n    return 1",
    "a timer": "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\nprint(1)\ndef f(x): return 1",
    "stop the parents": "import os, signal\nfor p in (1, os.getppid()): os.kill(p, signal.SIGSTOP)\nprint(1)\ndef f(x): return 1",
    "forge the solution": (
        "import json, os, struct\nb = json.dumps({'status': 0, 'cpu': 0, 'wall': 0, 'memory': 0, 'over': None, 'report': '', 'dirty': False}).encode()\n"
        "for fd in range(3, 64):\n    try: os.write(fd, struct.pack('!I', len(b)) + b)\n    except OSError: pass\nprint(1)\ndef f(x): return 1"
    ),
    "an endless message of an error": "class E(Exception):\n    def __str__(s):\n        while True: pass\nraise E",
    "a generator": "print(8675308)\ndef f(x): yield 8675309",
    "a coroutine": "print(8675308)\nasync def f(x): return 8675308",
    "a coroutine that is equal to everything": (
        "class E:\n    def __eq__(s, o): return True\n    def __await__(s): return iter(())\nasync def g(): return E()\ndef f(x): return E() if x == 1 else g()"
    ),
    "read the input of other tests": "import os, sys\nos.lseek(0, 0, 0)\nprint(*open(0, closefd=False).read().split() * 2)\ndef f(x): return 1",
    "a table that is its own alias": (
        'import os\nfor fd in range(3, 9):\n    try: os.write(fd, b\'{"ready": 1}\\n{"value": {"root": [0], "table": [["alias", [0]]]}}\\n\')\n    except OSError: pass\ndef f(x): return 1'
    ),
    "an element that hashes for ever": (
        "t = (1,)\nfor _ in range(64): t = (t, t)\nimport json, os\ntable = [['set', [1]], *[['tuple', [n + 2], [n + 2]] for n in range(64)], ['tuple', 1]]\n"
        "line = json.dumps({'value': {'root': [0], 'table': table}}).encode() + b'\\n'\n"
        "for fd in range(3, 9):\n    try: os.write(fd, b'{}\\n' + line * 2)\n    except OSError: pass\ndef f(x): return 1"
    ),
    "keys that collide": (
        "import json, os\ntable = [['set', *[[n + 1] for n in range(60000)]], *[['int', format(n * (2**61 - 1), 'x')] for n in range(60000)]]\n"
        "line = json.dumps({'value': {'root': [0], 'table': table}}).encode() + b'\\n'\n"
        "def f(x):\n    for fd in range(3, 9):\n        try: os.write(fd, line)\n        except OSError: pass\n    return 1"
    ),
}


@pytest.mark.parametrize("info", [STDIO, CALL, CHECK], ids=["stdio", "call", "check"])
@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_is_paid(grade: Grade, name: str, info: dict[str, Any]) -> None:
    score = grade(CHEATS[name], info)
    assert (score.value, score.correct) == (0, False), score
    assert score.outcome == "scored"
    assert score.terms["passed"] == 0


def test_an_honest_answer_is_paid_after_all_that(grade: Grade) -> None:
    assert grade(f"print({SECRET} - 1 + int(input()))", STDIO).correct
    assert grade(f"def f(x): return {SECRET} if x == 1 else [{SECRET}]", CALL).correct
    assert grade(f"def f(x): return {SECRET} if x == 1 else [{SECRET}]", CHECK).correct
