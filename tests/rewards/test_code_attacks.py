# ruff: noqa: E501
"""Wrong programs that attack the checker, the protocol and the result: each is scored 0, and the next honest one is paid.

A row is the name of a check and a program. Programs may forge lines to the checker with `send`.
"""

from collections.abc import Callable
from typing import Any

import pytest

from innovator_rl.scoring import Score

Grade = Callable[..., Score]

FORGE = (
    "import os, json, stat, sys\n"
    "SOCKET = next(fd for fd in range(3, 40) if os.path.exists(fd) and stat.S_ISSOCK(os.fstat(fd).st_mode))\n"
    "def send(message):\n"
    "    line = (message if isinstance(message, str) else json.dumps(message)).encode() + b'\\n'\n"
    "    os.write(SOCKET, line)\n"
    "def answer(entry, **more): send({'ok': {'root': [0], 'table': entry if isinstance(entry[0], list) else [entry]}, **more})\n"
)
YES = (
    "class Yes:\n"
    "    def __getattr__(s, name): return lambda *a, **k: True\n"
    "    def __call__(s, *a, **k): return s\n"
    "    def _zero(s, *a): return 0\n"
    "    __sub__ = __rsub__ = __mod__ = __rmod__ = __mul__ = __rmul__ = __add__ = __radd__ = __abs__ = _zero\n"
    "    __truediv__ = __rtruediv__ = __floordiv__ = __xor__ = __rxor__ = __pow__ = __and__ = __rand__ = __or__ = _zero\n"
    "    def __lt__(s, o): return True\n"
    "    __le__ = __gt__ = __ge__ = __eq__ = __contains__ = __lt__\n"
    "    def __ne__(s, o): return False\n"
    "    __round__ = __floor__ = __pos__ = __iadd__ = __isub__ = __ior__ = __copy__ = __call__\n"
    "    __index__ = __int__ = _zero\n"
    "    def __divmod__(s, o): return 0, 0\n"
    "    def __format__(s, spec): return spec\n"
    "    def __hash__(s): return 0\n"
    "    def __bool__(s): return True\n"
    "    def __enter__(s): return s\n"
    "    def __exit__(s, *e): return True\n"
    "    def __iter__(s): return iter([8675309])\n"
    "def f(*a): return Yes()\n"
)
WRAPS = "from collections import UserDict, UserList, UserString\n"
SEND_FILES = (
    "import base64\n"
    "def carried(c): return base64.b64encode(c.encode()).decode() if isinstance(c, str) else c\n"
    "def files(*entries): send({'ok': {'root': 1, 'table': []}, 'files': {'entries': [[p, carried(c)] for p, c in entries]}})\n"
)
TAKE_OVER = "import os, json\nline = b'V' + json.dumps({'passed': True, 'calls': 1, 'why': '', 'cut': False, 'raised': '', 'asserts': 1, 'held': 1}).encode() + b'\\n'\nfor fd in range(3, 40):\n    try: os.write(fd, line)\n    except OSError: pass\nos._exit(0)"
PICKLE = "import pickle\nclass R:\n    def __reduce__(s): return exec, (" + repr(TAKE_OVER) + ",)\n"
# name -> check; the entry point is f
CHECKS = {
    "constant": "SECRET = 8675309\nclass Right(Exception): pass\ndef check(c): assert c(1) == SECRET",
    "close": "def check(c): assert abs(c(1) - 8675309.5) < 1e-6",
    "close to it": "def check(c): assert abs(8675309.5 - c(1)) <= 1e-6 * abs(c(1))",
    "remainder": "def check(c): assert (c(1) * 3 + 1) % 7 == 5 and c(1) == 6",
    "isclose": "import math\ndef check(c): assert math.isclose(c(1), 8675309.5)",
    "numpy": "import numpy as np\ndef check(c): assert np.allclose(c(1), [8675309.5, 2.0])",
    "sets": "def check(c): assert set(c(1)) == {8675309, 1}",
    "contained": "def check(c): assert 8675309 in c(1) and 1 in c(1)",
    "prefix": "def check(c): assert c(1).startswith('8675309') and c(1).endswith('x')",
    "subset": "def check(c): assert c(1).issubset({8675309, 5}) and c(1).issuperset({5})",
    "context": "def check(c):\n    with c(1) as found:\n        assert found == 8675309",
    "exception": "class Right(Exception): pass\ndef check(c):\n    try: c(1)\n    except Right: return\n    assert c(2) == 8675309",
    "unittest": "import unittest, io\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(T.c(1), 8675309)\ndef check(c):\n    T.c = c\n    done = unittest.TextTestRunner(io.StringIO()).run(unittest.TestLoader().loadTestsFromTestCase(T))\n    assert done.wasSuccessful()",
    "pattern": "class Any:\n    def __init__(s, v, eps): s.v, s.eps = v, eps\n    def __eq__(s, o): return o.__class__ is float and abs(s.v - o) < s.eps\n    __hash__ = None\ndef check(c): assert c(1) == Any(8675309.5, 1e-6)",
    "row": "import numpy as np\ndef check(c): assert (c(1) == np.array([8675309, 1, 2])).all()",
    "row close": "import numpy as np\ndef check(c): assert np.allclose(c(1), [8675309.5, 1, 2])",
    "fields": "def check(c):\n    try: c(1)\n    except ValueError as e: assert e.code == 8675309 and str(e) == 'x8675309'\n    else: assert False",
    "exit": "def check(c):\n    try: c(1)\n    except SystemExit as e: assert e.code == 8675309\n    else: assert False",
    "awaited": "import asyncio\ndef check(c): assert asyncio.run(c(1)) == 8675309",
    "awaits": "async def check(c):\n    assert await c(1) == 8675309",
    "wrapped": "def check(c): assert c(1) == {'a': 1} or c(1) == [8675309]",
    "one of many": "def check(c):\n    found = c(1)\n    assert any(found == [n] for n in range(1, 9)) and found == [8675309]",
    "expected file": "def check(c):\n    with open('/tmp/expected.txt', 'w') as file: file.write('8675309')\n    c('/tmp/out.txt')\n    assert open('/tmp/out.txt').read() == open('/tmp/expected.txt').read()",
    "late expected file": "def check(c):\n    c('/tmp/a.txt')\n    with open('/tmp/expected.txt', 'w') as file: file.write('8675309')\n    c('/tmp/out.txt')\n    assert open('/tmp/out.txt').read() == open('/tmp/expected.txt').read()",
    "linked file": "import os\ndef check(c):\n    os.makedirs('/tmp/kept'); open('/tmp/kept/e', 'w').write('8675309'); os.symlink('/tmp/kept', '/tmp/link')\n    c('/tmp/out.txt')\n    assert open('/tmp/out.txt').read() == open('/tmp/kept/e').read()",
    "open file": "def check(c):\n    with open('a.txt', 'w+') as file: assert c(file) == 5",
    "files": "import os\ndef check(c): assert c('p') == 5 and open('/tmp/p').read() == '8675309'",
    "pickle": "import pickle\nSECRET = {'a': 8675309}\ndef check(c): assert pickle.loads(c(1)) == SECRET",
    "pickled file": "import pickle\ndef check(c):\n    c('/tmp/p')\n    assert pickle.load(open('/tmp/p', 'rb')) == {'a': 8675309}",
    "attribute": "def check(c):\n    a = c(1)\n    found, wanted = a.items, [8675309]\n    found.append(1)\n    a.go()\n    assert a.items == wanted or found == wanted",
    "noted": "import warnings, logging\ndef check(c):\n    with warnings.catch_warnings(record=True) as found: result = c(1)\n    assert result == 8675309",
    "threaded": "from concurrent.futures import ThreadPoolExecutor\ndef check(c):\n    with ThreadPoolExecutor(4) as pool: assert list(pool.map(c, range(9))) == [8675309] * 9",
    "seeded": "import random\ndef check(c):\n    random.seed(4)\n    assert c(1) == random.random()",
    "rounded": "def check(c): assert round(c(1), 2) == 86.75",
    "formatted": "def check(c): assert f'{c(1):8675309}' == '8675309'",
    "taken apart": "def check(c): assert divmod(c(1), 1000) == (8675, 309) and '%x' % c(1) == '845fed'",
    "added": "def check(c):\n    total = 0\n    total += c(1)\n    other = c(2)\n    other += 8675309\n    other -= 8675309\n    assert total == 8675309 == other",
    "hashed": "def check(c): assert c(1) in {8675309} or {8675309: 1}[c(1)] or hash(c(1)) == hash(8675309)",
    "copied": "import copy, dataclasses\ndef check(c): assert copy.deepcopy(c(1)) == 8675309 or vars(c(1)) == {'x': 8675309} or type(c(1)) == int",
    "mock": "from unittest.mock import MagicMock\ndef check(c):\n    db = MagicMock()\n    assert c(db) == 5\n    db.connect.assert_called_once_with('x')",
    "printed": "from unittest.mock import patch\ndef check(c):\n    with patch('builtins.print') as p:\n        c(1)\n        p.assert_called_with('8675309')",
    "described": "import inspect\ndef check(c): assert c.__doc__ == '8675309' and list(inspect.signature(c).parameters) == ['right'] and c(1) == 5",
    "defaulted": "def check(c):\n    d = c(1)\n    for k, v in {'a': 8675309, 'b': 3}.items(): assert d[k] == v",
    "callback": "SECRET = 8675309\nclass Case:\n    def __init__(s): s.given, s._answer = 1, SECRET\ndef key(x): return x\ndef check(c): assert c(key, Case()) == SECRET",
    "object": "class Account:\n    limit = 8675309\n    def __init__(s): s._secret = 8675309\n    def charge(s, n):\n        if n > 5: raise ValueError(f'at most {n}')\ndef check(c):\n    a = Account()\n    assert c(a) == a._secret",
    "modules": "def check(c): assert math.isclose(c(1), 8675309.5) and operator.eq(c(2), 2) and Counter(c(3)) == Counter([1, 2]) and np.allclose(c(4), 3)",
    "swallowing": "def check(c):\n    found = []\n    for n in (1, 2):\n        try: found.append(c(n))\n        except BaseException: found.append(None)\n    assert found == [8675309, 8675309]",
    "list and cut": "def check(c):\n    given = [3, 1, 2]\n    assert c(list(given)) == sorted(given)\n    assert c(tuple(given)) == sorted(given)",
    "kept apart": "CASES = [([3, 1], [1, 3]), ([5, 4], [4, 5])]\ndef check(c):\n    for given, wanted in CASES:\n        assert c(given) == wanted\n    assert len(CASES) == 2",
    "module state": "import json, builtins\ndef check(c):\n    assert json.dumps(c(1)) == '[8675309]' and builtins.len(c(2)) == 8675309",
    "type": "def check(c): assert isinstance(c(1), int) and type(c(1)) is int and c(1) == 8675309",
    "ordering": "def check(c):\n    found = c(1)\n    assert 8675308 < found < 8675310",
    "text": "def check(c): assert str(c(1)) == '8675309' and repr(c(1)) == '8675309'",
    "twice": "def check(c): assert c(1) == c(1) == 8675309 and c(1) in (8675309,)",
    "file": "def check(c):\n    with open(c(1), 'rb') as file: assert file.read()[:1] == b'#'\n    assert c(2) == 8675309",
    "regex": "import re\ndef check(c): assert re.fullmatch('(a+)+b', c(1)) and c(2) == 8675309",
    "json": "import json\ndef check(c): assert json.loads(c(1)) == {'a': 8675309}",
    "digits": "def check(c): assert int(c(1)) == 8675309",
    "power": "def check(c): assert c(1) ** c(2) == 8675309",
    "repeated": "def check(c): assert 'x' * c(1) == 'x' * 8675309",
    "counted": "def check(c): assert len(list(range(c(1)))) == 8675309",
    "waiting": "import time\ndef check(c):\n    time.sleep(c(1))\n    assert c(2) == 8675309",
    "back and forth": "def check(c): assert c(lambda n: c(lambda m: m)) == 8675309",
    "sorted": "def check(c): assert sorted(c(1), key=lambda x: x) == [8675309, 8675310]",
    "max": "def check(c): assert max(c(1), 8675308) == 8675309 and sum([c(1), 1]) == 8675310 and round(c(1)) == 8675309",
}  # fmt: skip
CALLS = {
    "call": {"cases": [{"args": [[1]], "expected": 8675309}, {"args": [[2]], "expected": [8675309]}]},
    "in place": {"cases": [{"args": [[3, 1]], "expected": [1, 3]}, {"args": [[2, 1]], "expected": [1, 2]}], "in_place": 0},
    "unordered": {"cases": [{"args": [1], "expected": [8675309, 2]}], "compare": "unordered"},
    "judge": {"cases": [{"args": [[4]], "expected": 2.5}], "judge": "def judge(args, kwargs, value, expected):\n    return abs(value - expected) < 1e-6 and args == [[4]]"},
}  # fmt: skip
ATTACKS = [
    *[(check, YES) for check in (*CHECKS, *CALLS) if check not in ("exception", "exit", "mock")],
    ("constant", FORGE + "def f(x):\n    answer(['class', 'SECRET'])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['opaque', 'SECRET'])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['builtin', 'eval'])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['class', 'check'])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['object', 'SECRET', 'a', 1])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['enum', 'Right', 'SECRET'])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['yours', 0])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['alias', [0]])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer([['alias', [1]], ['alias', [0]]])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['named', 'T', ['a', '__eq__'], 1, 2])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['named', 'T', ['a=print(1)', 'b'], 1, 2])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['handle', 0, 'int', ['eq', 'class', 'hash', 'init', 'call']])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['handle', {}, [], 5])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    answer(['int', '-' + 'f' * 7000000])\n    return 1"),
    ("constant", FORGE + "def f(x):\n    send('{\"ok\": {\"root\": ' + '9' * 300000 + ', \"table\": []}}')\n    return 1"),
    ("constant", FORGE + "def f(x):\n    send('[' * 900000 + ']' * 900000)\n    return 1"),
    ("constant", FORGE + "def f(x):\n    send('{\"op\": \"call\"}')\n    return 1"),
    ("constant", FORGE + "def f(x):\n    for op in ('name', 'target', 'getattr', 'getitem', 'call', 'eq', 'iter', 'str'):\n        send({'op': op, 'on': None, 'name': 'SECRET', 'data': {'root': None, 'table': []}})\n        os.read(SOCKET, 10**6)\n    return 1"),
    ("constant", FORGE + "def f(x):\n    while True: send({'op': 'call', 'on': 0, 'data': {'root': None, 'table': []}}), os.read(SOCKET, 10**6)"),
    ("constant", FORGE + "def f(x):\n    os.write(SOCKET, b'V' + json.dumps({'passed': True, 'calls': 1, 'why': '', 'cut': False, 'raised': '', 'asserts': 1, 'held': 1}).encode() + b'\\n')\n    return 1"),
    ("constant", FORGE + "def f(x):\n    os.write(SOCKET, b'\\n\\n\\n')\n    return 1"),
    ("constant", FORGE + "def f(x):\n    os.write(SOCKET, b'\\xff\\xfe\\0' * 9 + b'\\n')\n    return 1"),
    ("constant", FORGE + "def f(x):\n    os.write(SOCKET, b'{\"ok\"')\n    os._exit(0)"),
    ("constant", FORGE + "def f(x):\n    os.write(SOCKET, b'x' * 2**22), os.write(SOCKET, b'x' * 2**23)\n    return 1"),
    ("constant", FORGE + "send({}), answer(['class', 'SECRET'])\nos._exit(0)"),
    ("constant", FORGE + "def f(x):\n    send({'raised': [['builtins', 'KeyboardInterrupt'], ['builtins', 'Exception']], 'args': 5})\n    return 1"),
    ("constant", FORGE + "def f(x):\n    send({'ok': {'root': 1, 'table': []}, 'out': {'a': 1}, 'same': 'ab'})\n    return 1"),
    ("constant", FORGE + "def f(x):\n    os.close(SOCKET)\n    return 1"),
    ("constant", FORGE + "import socket\ndef f(x):\n    s = socket.socket(fileno=SOCKET)\n    s.shutdown(2)\n    return 1"),
    ("constant", "class D:\n    def __del__(s):\n        import os; os._exit(0)\ndef f(x):\n    D()\n    return 1"),
    ("constant", "import os, signal\ndef f(x):\n    for p in range(-1, 40):\n        if p != os.getpid():\n            try: os.kill(p, signal.SIGKILL)\n            except OSError: pass\n    return 1"),
    ("constant", "import os\ndef f(x):\n    while True:\n        try: os.fork()\n        except OSError: pass"),
    ("constant", "import time\ndef f(x): time.sleep(100)"),
    ("constant", "import time\ntime.sleep(100)\ndef f(x): return 1"),
    ("constant", "def f(x):\n    found = ''\n    for path in ('/proc/1/mem', '/proc/self/maps', '/proc/1/environ', '/proc/1/fd'):\n        try: found += open(path).read()\n        except OSError: pass\n    return found"),
    ("constant", "import gc, sys\ndef f(x):\n    frame, seen = sys._getframe(), []\n    while frame: seen.append(dict(frame.f_locals)); frame = frame.f_back\n    for o in gc.get_objects():\n        if isinstance(o, dict) and 'SECRET' in o: return o['SECRET']\n    return [s.get('SECRET') for s in seen]"),
    ("constant", "def f(x): return b'\\x84\\x5f\\x84\\x00'"),
    ("constant", "class R:\n    def __reduce__(s): return eval, ('SECRET',)\n    __getstate__ = __reduce__\ndef f(x): return R()"),
    ("constant", "class I(int):\n    __index__ = __int__ = lambda s: 8675309\n    def __format__(s, f): return '8422ed'\ndef f(x): return I(3)"),
    ("constant", "class F(float):\n    __float__ = lambda s: 8675309.0\n    __eq__ = lambda s, o: True\ndef f(x): return F(3)"),
    ("constant", "class S(str):\n    __str__ = lambda s: '8675309'\n    __eq__ = lambda s, o: True\n    __hash__ = str.__hash__\ndef f(x): return S('a')"),
    ("constant", "class L(list):\n    __iter__ = lambda s: iter([8675309])\n    __class__ = int\ndef f(x): return L()"),
    ("constant", "class E(Exception):\n    @property\n    def args(s): return (8675309,)\n    def __str__(s): raise SystemExit(0)\ndef f(x): raise E"),
    ("constant", "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep(0.2), os._exit(0))).start()\ndef f(x):\n    time.sleep(1)\n    return 1"),
    ("constant", "def f(x):\n    import builtins, sys, json\n    json.dumps = lambda *a, **k: '{\"ok\": {\"root\": true, \"table\": []}}'\n    builtins.isinstance = lambda *a: True\n    return 1"),
    ("exception", FORGE + "def f(x):\n    send({'raised': [['check', 'Right'], ['builtins', 'Exception']], 'args': {'root': None, 'table': []}})\n    return 1"),
    ("exception", FORGE + "class Right(Exception): pass\nRight.__module__ = 'check'\ndef f(x): raise Right"),
    ("unittest", "import unittest\ndef f(x): raise unittest.SkipTest('no need')"),
    ("unittest", FORGE + "def f(x):\n    send({'raised': [['unittest.case', 'SkipTest']], 'args': {'root': None, 'table': []}})\n    return 1"),
    ("unittest", FORGE + "def f(x):\n    send({'raised': [['unittest.case', '_ShouldStop'], ['check', 'T']], 'args': {'root': None, 'table': []}})\n    return 1"),
    ("pattern", FORGE + "def f(x):\n    answer([['object', 'Any', 'v', 0.0, 'eps', [1]], ['float', 'inf']])\n    return 1"),
    ("callback", "def f(key, case): return getattr(case, '_answer', None) or key.__globals__['SECRET']"),
    ("callback", "def f(key, case):\n    for name in ('__globals__', '__code__', '__closure__', '__self__', 'func_globals', 'gi_frame'):\n        try: return getattr(key, name)\n        except Exception: pass\n    return case.given"),
    ("callback", FORGE + "def f(key, case):\n    for name in ('__dict__', '__class__', '_answer', '__init__'):\n        for on in range(3):\n            send({'op': 'getattr', 'on': on, 'name': name, 'data': {'root': None, 'table': []}})\n            found = json.loads(os.read(SOCKET, 10**6))\n            if 'ok' in found: send({'ok': found['ok']})\n    return 1"),
    ("callback", FORGE + "def f(key, case):\n    for op in ('setattr', 'setitem', 'delitem', 'enter', 'exit', 'add', 'contains', 'iter', 'repr', 'eq', 'target', 'next'):\n        for on in range(2):\n            send({'op': op, 'on': on, 'name': '__eq__', 'count': 5, 'data': {'root': True, 'table': []}})\n            os.read(SOCKET, 10**6)\n    return 1"),
    ("object", "def f(a):\n    try: a._secret = 1\n    except Exception as e: return str(e)\n    return 1"),
    ("object", "def f(a):\n    try: a.charge(8675309)\n    except Exception as e: return e.args\n    return a.limit + 1"),
    ("modules", "class M:\n    def __getattr__(s, name): return lambda *a, **k: True\nmath = operator = np = M()\nclass Counter:\n    def __init__(s, *a): pass\n    def __eq__(s, o): return True\n    __hash__ = None\ndef f(x): return 1"),
    ("file", "def f(x): return '/dev/zero' if x == 1 else 1"),
    ("file", "def f(x): return 0 if x == 1 else 1"),
    ("regex", "def f(x): return 'a' * 64"),
    ("json", "def f(x): return '[' * 10**6"),
    ("json", "def f(x): return '{\"a\": ' + '9' * 10**6 + '}'"),
    ("digits", "def f(x): return '8' * 3 * 10**6"),
    ("power", "def f(x): return 10**9"),
    ("repeated", "def f(x): return 10**12"),
    ("counted", "def f(x): return 10**12"),
    ("waiting", "def f(x): return 10**6"),
    ("back and forth", "def f(k): return k(k)"),
    ("back and forth", "def f(k):\n    while True: k = k(k)"),
    ("sorted", YES + "class Z(Yes):\n    __lt__ = lambda s, o: f(1)\ndef f(x): return [Z(), Z()]"),
    ("sorted", "class L(list):\n    def __iter__(s):\n        while True: yield 1\ndef f(x): return L()"),
    ("swallowing", "import os\ndef f(x): os._exit(0)"),
    ("swallowing", FORGE + "def f(x):\n    send({'lost': True})\n    return 8675309 if x == 2 else 1"),
    ("list and cut", "def f(x):\n    x.clear() if isinstance(x, list) else None\n    return []"),
    ("list and cut", "def f(x):\n    sorted.__call__ if 0 else None\n    import builtins; builtins.sorted = lambda y: []\n    return []"),
    ("kept apart", FORGE + "def f(x):\n    send({'ok': {'root': [0], 'table': [['list']]}, 'same': [[0, 0], [0, 1], [0, 2], [0, 3]]})\n    return []"),
    ("kept apart", FORGE + "def f(x):\n    send({'ok': {'root': [0], 'table': [['tuple', [1], [2]], ['list', [3]], ['dict'], ['list']]}, 'same': [[1, 1], [2, 2], [3, 3], [9, 9], [-1, -1], [True, True], [0, None]]})\n    return []"),
    ("in place", FORGE + "def f(x):\n    send({'ok': {'root': None, 'table': [['list', [1]], ['list', 1, 3, 0]]}, 'same': [[0, 1], [1, 3]]})\n    return None"),
    ("in place", "def f(x):\n    x[:] = [x, x]"),
    ("judge", "def f(x):\n    x.clear()\n    return 0"),
    ("judge", "def f(x): return float('nan')"),
    ("call", FORGE + "def f(x):\n    answer(['class', '__builtins__'])\n    return 1"),
    ("unordered", "def f(x): return iter([8675309] * 10**6)"),
    ("sets", "def f(x): return {8675309 + k * (2**61 - 1): 0 for k in range(3000)}.keys()"),
    ("row", "import numpy as np\ndef f(x): return np.zeros((0, 3))"),
    ("row close", "import numpy as np\ndef f(x): return np.zeros((0, 3))"),
    ("row", FORGE + "def f(x):\n    answer(['array', '<f8', [0, 3], ''])\n    return 1"),
    ("row", FORGE + "def f(x):\n    answer(['array', '|O', [3], '00' * 24])\n    return 1"),
    ("fields", YES + "class E(ValueError):\n    def __init__(s): s.code = Yes()\n    def __str__(s): return 'x'\ndef f(x): raise E"),
    ("fields", "class I(int):\n    __eq__ = lambda s, o: True\n    __hash__ = int.__hash__\nclass E(ValueError):\n    def __init__(s): s.code = I(1)\n    def __str__(s): return 'x8675308'\ndef f(x): raise E"),
    ("exception", FORGE + "def f(x):\n    send({'raised': [['check', 'Right', 0], ['builtins', 'Exception']], 'args': {'root': [0], 'table': [['list', [1], [2]], ['list'], ['dict', '_from_the_program', False]]}})\n    return 1"),
    ("exit", "def f(x): raise SystemExit(0)"),
    ("constant", "def f(x): raise SystemExit(0)"),
    ("unittest", "def f(x): raise SystemExit(0)"),
    ("expected file", "import glob\ndef f(p): open(p, 'w').write(''.join(open(q).read() for q in glob.glob('/tmp/*') if 'out' not in q) or 'x')"),
    ("expected file", "def f(p):\n    for q in (p, '/tmp/expected.txt'): open(q, 'w').write('1')"),
    ("expected file", FORGE + SEND_FILES + "def f(p): files((p, '1'), ('/tmp/expected.txt', '1'))"),
    ("expected file", FORGE + SEND_FILES + "def f(p): files((p, '1'), ('/tmp/expected.txt', False), ('/tmp/expected.txt', '1'))"),
    ("expected file", FORGE + SEND_FILES + "def f(p): files((p, '1'), *((q, '1') for q in ('/tmp/x/../expected.txt', '/tmp//expected.txt', '/tmp/./expected.txt', 'expected.txt', '../tmp/expected.txt')))"),
    ("expected file", FORGE + SEND_FILES + "def f(p): files((p, '1'), ('/tmp/expected.txt', None), ('/tmp/expected.txt/x', '1'))"),
    ("late expected file", "def f(p):\n    if p.endswith('a.txt'): open('/tmp/expected.txt', 'w').write('x')\n    else:\n        open(p, 'w').write(open('/tmp/expected.txt').read())"),
    ("late expected file", "def f(p):\n    for q in (p, '/tmp/expected.txt'): open(q, 'w').write('1')"),
    ("linked file", FORGE + SEND_FILES + "def f(p): files((p, '1'), ('/tmp/link/e', '1'))"),
    ("files", FORGE + SEND_FILES + "def f(p): files(('/etc/x', '1'), ('/tmp', '1'), ('/dev/shm/x', '1'), ('/tmp/' + 'a/' * 600, '1'), ('/tmp/.netrc', '1'), ('/tmp/a\\0b', '1'), (5, '1'))"),
    ("files", FORGE + "def f(p): send({'ok': {'root': 5, 'table': []}, 'files': [1, 2]})"),
    ("files", FORGE + "def f(p): send({'ok': {'root': 5, 'table': []}, 'files': {'entries': [['/tmp/p', 5]], 'place': '/'}})"),
    ("files", "def f(p):\n    for n in range(3000): open(f'/tmp/f{n}', 'w').write('x' * 20000)\n    return 5"),
    ("files", "import os\ndef f(p):\n    os.mkfifo('/tmp/p'); os.symlink('/tmp/p', '/tmp/q')\n    return 5"),
    ("open file", "def f(file):\n    found = []\n    for name in ('buffer', 'name', 'fileno', 'raw', 'detach', 'reconfigure', '_checkClosed'):\n        try: found.append(getattr(file, name))\n        except AttributeError: pass\n    return 5 if found else 1"),
    ("pickle", PICKLE + "def f(x): return pickle.dumps(R())"),
    ("pickle", "def f(x): return b'ccheck\\nSECRET\\n.'"),
    ("pickle", "import unittest.mock\ndef f(x): return b'cunittest.mock\\n_ANY\\n)R.'"),
    ("pickle", "def f(x): return b'\\x80\\x04\\x8c\\x0bcollections\\x8c\\x0c_sys.modules\\x93.'"),
    ("pickle", "def f(x): return b'\\x80\\x02ccollections\\nUserDict\\nN}U\\x06__eq__cbuiltins\\nlist\\ns\\x86b)\\x81.'"),
    ("pickled file", PICKLE + "def f(p):\n    with open(p, 'wb') as file: pickle.dump(R(), file)"),
    ("wrapped", WRAPS + "class D(UserDict):\n    def __eq__(s, o): return True\n    __hash__ = None\ndef f(x): return D(a=2)"),
    ("wrapped", YES + WRAPS + "def f(x):\n    d = UserDict()\n    d.data = Yes()\n    return d"),
    ("wrapped", WRAPS + "class L(UserList): pass\ndef f(x):\n    l = L()\n    l.data = [l]\n    return l"),
    ("wrapped", FORGE + "def f(x):\n    answer(['wrapped', 'UserDict', [0]])\n    return 1"),
    ("wrapped", FORGE + "def f(x):\n    answer(['wrapped', 'ChainMap', 5])\n    return 1"),
    ("contained", WRAPS + "class L(UserList):\n    __contains__ = lambda s, o: True\ndef f(x): return L([1])"),
    ("prefix", WRAPS + "class S(UserString):\n    startswith = endswith = lambda s, o: True\ndef f(x): return S('a')"),
    ("one of many", WRAPS + "class L(UserList):\n    n = 0\n    @property\n    def __dict__(s):\n        L.n += 1\n        return {'data': [L.n]}\n    def __init__(s): pass\ndef f(x): return L()"),
    ("attribute", FORGE + "class A:\n    @property\n    def items(s):\n        for held in ([[0, 0]], [[5, 5]], [[0, True]], [[0]], [['a', 1]], 7, [[0, -1]], [[0, 1], [0, 2], [1, 0]]):\n            send({'ok': {'root': [0], 'table': [['list', 8675308]]}, 'held': held})\n        return []\ndef f(x): return A()"),
    ("noted", FORGE + "def f(x):\n    for note in (7, [[]], [['warning', 5, 'x', 1]], [['warning', [['check', 'T', 0]], 'x', 'y']], [['record', 'a', 'b', 'c']], [['record', 'check', 50, {}]]):\n        send({'ok': {'root': 8675308, 'table': []}, 'notes': note, 'err': 5})\n    return 1"),
    ("noted", "import warnings\ndef f(x):\n    warnings.showwarning = warnings.warn = None\n    return 1"),
    ("threaded", "def f(x): return 1"),
    ("threaded", "import os\ndef f(x): os._exit(0)"),
    ("seeded", "def f(x): return 0.5"),
    ("seeded", FORGE + "def f(x):\n    send({'ok': {'root': 0.5, 'table': []}, 'seeds': {'root': [0], 'table': [['list', [1]], ['tuple', 'random', [2]], ['tuple', 5]]}})\n    return 1"),
    ("attribute", FORGE + "class A:\n    items = [1]\n    def go(s):\n        send({'ok': {'root': [0], 'table': [['list', 8675309]]}, 'held': [[0, 1]], 'same': [[0, 0]]})\ndef f(x): return A()"),
    ("awaits", YES.replace("def f", "async def f")),
    ("awaits", "def f(x):\n    class A:\n        __await__ = lambda s: iter(())\n        __eq__ = lambda s, o: True\n    return A()"),
    ("awaits", "async def f(x): raise SystemExit(0)"),
    ("call", "import asyncio\nasync def f(x): await asyncio.Event().wait()"),
    ("call", "class A:\n    def __await__(s): yield 8675309\ndef f(x): return A()"),
    ("call", "import asyncio\nasync def f(x):\n    asyncio.get_running_loop().stop()\n    await asyncio.sleep(1)"),
    ("call", "async def f(x):\n    while True: yield 8675309"),
    ("awaited", YES.replace("def f", "async def f")),
    ("awaited", "import asyncio\nasync def f(x): raise asyncio.CancelledError"),
    ("awaited", FORGE + "def f(x):\n    answer(['handle', 0, 'coroutine', ['await', 'eq', 'call'], 'coroutine'])\n    return 1"),
    ("mock", "def f(db):\n    db.configure_mock(**{'connect.assert_called_once_with.return_value': 1})\n    return 5"),
    ("mock", "def f(db):\n    try: db.configure_mock(**{'connect.assert_called_once_with.return_value': 1})\n    except AttributeError: pass\n    return 5"),
    ("mock", "def f(db):\n    db.connect = lambda *a: None\n    return 5"),
    ("mock", "def f(db):\n    db.connect.assert_called_once_with = lambda *a: None\n    return 5"),
    ("printed", YES.replace("def f(*a): return Yes()", "def f(x): print(Yes())")),
    ("described", YES + "def f(right): return 5\nf.__doc__ = Yes()"),
    ("described", YES + "def f(x):\n    '8675309'\n    return 5\nf.__signature__ = Yes()"),
    ("defaulted", YES + "from collections import defaultdict\ndef f(x): return defaultdict(Yes)"),
    ("constant", FORGE + "def f(x):\n    send({'ok': {'root': [0], 'table': [['int', '5']], 'extras': [[0, 0, '__eq__'], [0, True, 'x']]}})\n    return 1"),
    ("ordering", FORGE + "def f(x):\n    answer(['handle', 0, 'int', ['eq', 'lt', 'gt', 'sub'], 'list'])\n    return 1"),
    ("numpy", "import numpy as np\nclass A(np.ndarray):\n    __array_ufunc__ = lambda *a, **k: True\n    def tolist(s): return [True, True]\ndef f(x): return np.zeros(2).view(A)"),
]  # fmt: skip
LIMITS = {"time_limit": 0.2, "entry_point": "f"}


def info_of(check: str) -> dict[str, Any]:
    if check in CALLS:
        return {"type": "call", **CALLS[check], **LIMITS}
    return {"type": "check", "check": CHECKS[check], **LIMITS}


def test_there_are_enough() -> None:
    assert len(ATTACKS) >= 100


@pytest.mark.parametrize("part", range(8))
def test_no_attack_on_the_checker_is_paid(grade: Grade, part: int) -> None:
    for check, program in ATTACKS[part::8]:
        score = grade(program, info_of(check), timeout_seconds=0.45)
        assert (score.value, score.correct, score.outcome) == (0, False, "scored"), (check, program, score)


HONEST = {
    "constant": "8675309", "close": "8675309.5", "isclose": "8675309.5", "contained": "[1, 8675309]",
    "prefix": "'8675309x'", "sets": "[1, 8675309]", "ordering": "8675309", "type": "8675309", "unittest": "8675309",
    "numpy": "[8675309.5, 2]", "subset": "{5}", "max": "8675309", "swallowing": "8675309", "list and cut": "sorted(x[0])",
    "kept apart": "sorted(x[0])", "object": "x[0].limit", "unordered": "[2, 8675309]", "judge": "2.5",
    "awaited": "__import__('asyncio').sleep(0, 8675309)", "row": "__import__('numpy').array([8675309, 1, 2])",
    "modules": "[0, 8675309.5, 2, [1, 2], 3][x[0]]", "text": "8675309", "twice": "8675309",
    "threaded": "8675309", "noted": "8675309", "rounded": "86.75", "taken apart": "8675309", "added": "8675309",
    "hashed": "8675309", "copied": "8675309", "seeded": "__import__('random').random()",
    "awaits": "__import__('asyncio').sleep(0, 8675309)", "wrapped": "__import__('collections').UserDict(a=1)",
    "expected file": "open(x[0], 'w').write('8675309')", "late expected file": "open(x[0], 'w').write('8675309')",
    "linked file": "open(x[0], 'w').write('8675309')", "files": "open('p', 'w').write('8675309') and 5",
    "open file": "5", "pickle": "__import__('pickle').dumps({'a': 8675309})",
    "pickled file": "open(x[0], 'wb').write(__import__('pickle').dumps({'a': 8675309}))",
}  # fmt: skip


def test_honest_programs_pass_the_same_checks(grade: Grade) -> None:
    for check, value in HONEST.items():
        score = grade(f"def f(*x): return {value}", {**info_of(check), "time_limit": 5})
        assert score.correct, (check, score)


FRACTIONS = {
    "a long result": ("def check(c):\n    for x in c(3): assert x > 0\n    assert c(1) == 8675309", "def f(x): return [1] * 100000"),
    "an endless one": ("def check(c):\n    assert c(1) == 8675309\n    for x in c(3): assert x > 0", "def f(x):\n    while True: yield 1"),
    "a late exit": ("def check(c):\n    for i in range(5): assert c(i) >= 0\n    assert c(9) == 8675309", "import os\ndef f(x): return 1 if x < 9 else os._exit(0)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FRACTIONS)
def test_a_program_cannot_add_assertions(grade: Grade, name: str) -> None:
    check, program = FRACTIONS[name]
    info = {"type": "check", "check": check, **LIMITS, "scoring": "fraction"}
    score = grade(program, info, timeout_seconds=1.0)
    assert not score.correct
    assert score.value <= 0.5


OPERATORS = "class {name}:\n    def __init__(s, x): s.x = x\n    def __mul__(s, k): return {name}(s.x * k)\n    def __contains__(s, k): return k == s.x\n"


def test_what_a_tested_class_returns_has_none(grade: Grade) -> None:
    check = (
        "def check(c): assert isinstance(c(2).area(), float) and abs(c(2).area() - 12.5) < 1e-6 and 7 in c(2).sides()"
    )
    program = (
        "class A(float):\n    __sub__ = __rsub__ = lambda s, o: 0.0\n    __abs__ = lambda s: 0.0\n"
        "class L(list):\n    __contains__ = lambda s, o: True\n"
        "class Shape:\n    def __init__(s, r): pass\n    def area(s): return A({})\n    def sides(s): return L([{}])\n"
    )
    info = {"type": "check", "check": check, "entry_point": "Shape"}
    assert grade(program.format(12.5, 7), info).correct
    assert not grade(program.format(1.0, 7), info).correct
    assert not grade(program.format(12.5, 6), info).correct


def test_a_class_that_is_tested_has_operators(grade: Grade) -> None:
    check = "def check(c): assert (c(2) * 3).x == 6 and 2 in c(2)"
    info = {"type": "check", "check": check, "entry_point": "Vector"}
    assert grade(OPERATORS.format(name="Vector"), info).correct
    named = {"type": "check", "check": check.replace("c(2)", "Vector(2)"), "entry_point": "f"}
    assert grade(OPERATORS.format(name="Vector") + "def f(): pass", named).correct
