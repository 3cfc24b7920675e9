# ruff: noqa: E501
"""What may pass between a check and a program: any plain value, exceptions, callables, instances, changed arguments."""

from collections.abc import Callable
from typing import Any

import pytest

from innovator_rl.scoring import Score

Grade = Callable[..., Score]

# what is right: (program, entry point, body of the check, prelude)
RIGHT = {
    "a decimal": ("from decimal import Decimal\ndef f(): return Decimal('0.10')", "from decimal import Decimal\ndef check(c): assert c() == Decimal('0.1')"),
    "a fraction": ("from fractions import Fraction\ndef f(): return Fraction(2, 4)", "from fractions import Fraction\ndef check(c): assert c() == Fraction(1, 2)"),
    "a moment": ("import datetime as d\ndef f(x): return x + d.timedelta(days=1)", "import datetime as d\ndef check(c): assert c(d.datetime(2020, 1, 31)) == d.datetime(2020, 2, 1)"),
    "a counter": ("from collections import Counter\ndef f(s): return Counter(s)", "def check(c): assert c('aab').most_common(1) == [('a', 2)]"),
    "an ordered dictionary": ("from collections import OrderedDict\ndef f(): return OrderedDict(a=1, b=2)", "from collections import OrderedDict\ndef check(c): assert c() == OrderedDict(a=1, b=2) != OrderedDict(b=2, a=1)"),
    "a named tuple of the program's own": ("from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\ndef f(): return P(1)", "def check(c): assert c().x == 1 and c() == (1,)"),
    "a generator": ("def f(n):\n    for i in range(n): yield i * i", "def check(c): assert list(c(5000)) == [i * i for i in range(5000)]"),
    "an endless iterator": ("import itertools\ndef f(): return itertools.count(3)", "def check(c):\n    it = c()\n    assert [next(it), next(it)] == [3, 4]"),
    "map, range and views": ("def f(): return map(str, [1]), range(2), {1: 2}.items()", "def check(c):\n    a, b, d = c()\n    assert (list(a), list(b), list(d)) == (['1'], [0, 1], [(1, 2)])"),
    "an iterator as the argument": ("def f(it): return sum(it)", "def check(c): assert c(iter([1, 2, 3])) == c(x for x in (2, 4)) == 6"),
    "a callback that is called back": ("def f(g, n): return g(lambda x: x + n)", "def check(c): assert c(lambda h: h(1) * 10, 4) == 50"),
    "the function that came in goes out": ("def f(g): return g", "def check(c):\n    g = lambda: 1\n    assert c(g) is g"),
    "a decorator": ("def f(g):\n    def inner(*a, **k): return 2 * g(*a, **k)\n    return inner", "def check(c): assert c(lambda x, y=1: x + y)(3, y=4) == 14"),
    "nested lists that change": ("def f(m):\n    m[0][0] = 9\n    m.append([1])", "def check(c):\n    row = [0]\n    m = [row]\n    c(m)\n    assert m == [[9], [1]] and row[0] == 9 and m[0] is row"),
    "a set and a dictionary that change": ("def f(s, d):\n    s.add(2)\n    d.pop('a')", "def check(c):\n    s, d = {1}, {'a': 1}\n    c(s, d)\n    assert s == {1, 2} and d == {}"),
    "the argument itself is the result": ("def f(x):\n    x.append(1)\n    return x", "def check(c):\n    x = []\n    assert c(x) is x and x == [1]"),
    "an exception of the program's own": ("class E(ValueError): pass\ndef f(): raise E('no')", "def check(c):\n    try: c()\n    except ValueError as e: assert str(e) == 'no'\n    else: assert False"),
    "an exception of the library": ("import decimal\ndef f(): return decimal.Decimal('x')", "import decimal\ndef check(c):\n    try: c()\n    except decimal.InvalidOperation: return\n    assert False"),
    "pytest's way": ("def f(x): raise KeyError(x)", "import unittest\ndef check(c):\n    with unittest.TestCase().assertRaisesRegex(KeyError, 'k'): c('k')"),
    "an exception of a callback": ("def f(g):\n    try: return g()\n    except ZeroDivisionError: return 'caught'", "def check(c): assert c(lambda: 1 / 0) == 'caught'"),
    "a design class": ("class f:\n    def __init__(self): self.stack = []\n    def push(self, x): self.stack.append(x)\n    def __len__(self): return len(self.stack)\n    def __getitem__(self, i): return self.stack[i]\n    def __contains__(self, x): return x in self.stack\n    def __iter__(self): return iter(self.stack)", "def check(c):\n    s = c()\n    s.push(4); s.push(5)\n    assert len(s) == 2 and s[1] == 5 and 4 in s and list(s) == [4, 5] and s.stack == [4, 5]"),
    "operators of a class": ("class f:\n    def __init__(self, x): self.x = x\n    def __add__(self, o): return f(self.x + o.x)\n    def __eq__(self, o): return self.x == o.x\n    def __lt__(self, o): return self.x < o.x\n    def __repr__(self): return f'f({self.x})'", "def check(c):\n    assert (c(1) + c(2)).x == 3 and c(1) + c(2) == c(3) and c(1) < c(2) and repr(c(7)) == 'f(7)'"),
    "a context manager": ("import contextlib\nlog = []\n@contextlib.contextmanager\ndef f():\n    log.append('in')\n    yield log\n    log.append('out')", "def check(c):\n    with c() as log: assert log == ['in']\n    assert c and True"),
    "print": ("def f(n):\n    for i in range(n): print(i)", "import io, contextlib\ndef check(c):\n    b = io.StringIO()\n    with contextlib.redirect_stdout(b): c(2)\n    assert b.getvalue().split() == ['0', '1']"),
    "numpy": ("import numpy as np\ndef f(): return np.arange(3) * np.float64(2)", "def check(c): assert c() == [0, 2, 4]"),
    "names of the program": ("def helper(x): return x + 1\ndef f(x): return helper(x)", "def check(candidate): assert candidate(1) == helper(1) == f(1)"),
    "fields of an exception of the library": ("def f(p): return open(p)", "import errno\ndef check(c):\n    try: c('/nope')\n    except OSError as e: assert (e.errno, e.filename) == (errno.ENOENT, '/nope') and type(e) is FileNotFoundError\n    else: assert False"),
    "fields of an exception of its own": ("class E(ValueError):\n    def __init__(self, code):\n        super().__init__('no')\n        self.code = code\ndef f():\n    try: 1 / 0\n    except ZeroDivisionError as e: raise E(5) from e", "def check(c):\n    try: c()\n    except E as e: assert e.code == 5 and e.args == ('no',) and isinstance(e, ValueError) and isinstance(e.__cause__, ZeroDivisionError)\n    else: assert False"),
    "an exit with a code": ("def f(): raise SystemExit(3)", "def check(c):\n    try: c()\n    except SystemExit as e: assert e.code == 3\n    else: assert False"),
    "input that is replaced": ("def f(): return int(input()) + int(input())", "from unittest.mock import patch\ndef check(c):\n    with patch('builtins.input', side_effect=['4', '5']): assert c() == 9"),
    "standard input that is replaced": ("def f(): return int(input())", "import sys, io\ndef check(c):\n    sys.stdin = io.StringIO('4\\n5\\n')\n    assert (c(), c()) == (4, 5)"),
    "functions and variables that are replaced": ("import os, random\ndef f(): return random.randint(1, 6), os.environ.get('A'), print('x')", "import os\nfrom unittest.mock import patch\ndef check(c):\n    with patch('random.randint', return_value=9), patch.dict(os.environ, A='b'), patch('builtins.print', return_value=None) as p:\n        assert c() == (9, 'b', None)\n        p.assert_called_once_with('x')\n    assert c()[0] < 7"),
    "a mock as the argument": ("def f(db):\n    db.connect('x')\n    return db.get(1) + 1", "from unittest.mock import MagicMock\ndef check(c):\n    db = MagicMock()\n    db.get.return_value = 4\n    assert c(db) == 5\n    db.connect.assert_called_once_with('x')"),
    "a file in memory": ("def f(i, o): o.write(i.readline())", "import io\ndef check(c):\n    out = io.StringIO()\n    c(io.StringIO('a\\nb'), out)\n    assert out.getvalue() == 'a\\n'"),
    "its description": ("def f(a: int, b=2, *, c=None):\n    'Do it.'\n    return a", "import inspect\ndef check(c):\n    found = inspect.signature(c).parameters\n    assert list(found) == ['a', 'b', 'c'] and found['b'].default == 2 and found['a'].annotation is int\n    assert c.__doc__ == 'Do it.' and c(1) == 1"),
    "what it is": ("def f(n): yield n", "import inspect, types\ndef check(c): assert inspect.isgeneratorfunction(c) and isinstance(c(1), types.GeneratorType) and list(c(2)) == [2]"),
    "a decorator that keeps the name": ("import functools\ndef f(g):\n    @functools.wraps(g)\n    def inner(*a): return g(*a) + 1\n    return inner", "def check(c):\n    def g(x): return x\n    assert c(g)(1) == 2 and c(g).__name__ == 'g' and c(g).__wrapped__ is g"),
    "coroutines": ("import asyncio\nasync def f(g, x):\n    await asyncio.sleep(0)\n    return await g(x) + 1", "import asyncio, inspect\ndef check(c):\n    async def g(x): return 2 * x\n    async def main(): return await asyncio.gather(c(g, 1), c(g, 2))\n    assert asyncio.run(main()) == [3, 5] and asyncio.run(c(g, 3)) == 7 and inspect.iscoroutinefunction(c)"),
    "asynchronous iterators and contexts": ("class f:\n    async def __aenter__(s): return s\n    async def __aexit__(s, *e): s.left = True\n    async def each(s):\n        for i in range(3): yield i", "import asyncio\ndef check(c):\n    async def main():\n        async with c() as s: assert [x async for x in s.each()] == [0, 1, 2]\n        assert s.left\n    asyncio.run(main())"),
    "the value of a generator": ("def f():\n    x = yield 1\n    return x", "def check(c):\n    g = c()\n    assert next(g) == 1\n    try: g.send(7)\n    except Exception: pass\n    g = c()\n    next(g)\n    try: next(g)\n    except StopIteration as e: assert e.value is None\n    else: assert False"),
    "a default dictionary": ("from collections import defaultdict\ndef f(s):\n    d = defaultdict(list)\n    for c in s: d[c].append(1)\n    return d", "from collections import defaultdict\ndef check(c): assert c('aab') == {'a': [1, 1], 'b': [1]} and isinstance(c(''), defaultdict) and c('')['z'] == []"),
    "a list and a named tuple with methods": ("from typing import NamedTuple\nclass L(list):\n    def total(s): return sum(s)\nclass P(NamedTuple):\n    x: int\n    def twice(s): return 2 * s.x\ndef f(): return L([1, 2]), P(3)", "def check(c):\n    a, p = c()\n    assert a == [1, 2] and a.total() == 3 and p == (3,) and p.x == 3 and p.twice() == 6"),
    "a class that is a dictionary": ("class f(dict):\n    def put(s, k, v): s[k] = v", "def check(c):\n    d = c()\n    d.put('a', 1)\n    assert d == {'a': 1} and d['a'] == len(d) == 1 and isinstance(d, dict)"),
    "what wraps a dictionary, a list or text": ("from collections import UserDict, UserList, UserString\ndef f(): return UserDict(a=1), UserList([1]), UserString('abc')", "from collections import UserDict\ndef check(c):\n    d, l, s = c()\n    assert d == {'a': 1} == d.data and isinstance(d, UserDict) and l == [1] and l + [2] == [1, 2] and s == 'abc' and 'bc' in s and s.upper() == 'ABC'"),
    "a class that wraps": ("from collections import UserDict, UserList, UserString\nclass D(UserDict):\n    def __getitem__(s, k): return s.data[k.lower()]\nclass S(UserString):\n    def back(s): return s.data[::-1]\ndef f(): return D(a=1), S('abc')", "def check(c):\n    d, s = c()\n    assert d == {'a': 1} and d['A'] == 1 and len(d) == 1 and list(d) == ['a'] and s == 'abc' and 'bc' in s and s.back() == 'cba'"),
    "a wrapped argument that changes": ("def f(d): d['b'] = 2", "from collections import UserDict\ndef check(c):\n    d = UserDict(a=1)\n    c(d)\n    assert d == {'a': 1, 'b': 2}"),
    "a check that awaits": ("async def f(x): return x + 1", "import asyncio\nasync def check(c):\n    assert await c(1) == 2\n    assert await asyncio.gather(c(1), c(2)) == [2, 3]"),
    "what objects of a class can do": ("import math\nfrom dataclasses import dataclass\n@dataclass(frozen=True)\nclass V:\n    x: int\n    def __divmod__(s, o): return divmod(s.x, o.x)\n    def __round__(s, n=None): return round(s.x, n)\n    def __index__(s): return s.x\n    def __bytes__(s): return b'ab'\n    def __format__(s, spec): return format(f'f{s.x}', spec)\n    def __iadd__(s, o): return V(s.x + o.x)\n    def __floor__(s): return s.x\n    def __pos__(s): return s\nf = V", "import dataclasses, math\ndef check(c):\n    a = V(7)\n    assert divmod(a, V(2)) == (3, 1) and round(a) == 7 and [0] * 7 + [5] and 'abcdefgh'[a] == 'h' and bytes(a) == b'ab' and f'{a:>4}' == '  f7'\n    a += V(1)\n    assert a.x == 8 and math.floor(a) == 8 and +a == a and vars(a) == dataclasses.asdict(a) == {'x': 8}\n    assert len({V(1), V(1), V(2)}) == 2 and hash(a) == hash(V(8)) and isinstance(a, V) and type(a) == V"),
    "children that the check adds": ('class Node:\n    def __init__(s,v):\n        s.v=v; s.children=[]\ndef f(n): return n.v+sum(f(c) for c in n.children)', 'def check(c):\n    r=Node(1)\n    a=Node(2)\n    r.children.append(a)\n    a.children.extend([Node(3),Node(4)])\n    assert c(r)==10'),
    "containers inside containers that change": ('class f:\n    def __init__(s):\n        s.adj={1:{2}}\n        s.first=s.adj[1]\n        s.items=[3,1,2]\n    def n(s): return sum(map(len,s.adj.values()))\n    def first_same(s): return s.first is s.adj[1]\n    def same(s,l): return l is s.items\n    def add(s,x): s.items.append(x)\n    def grow(s): s.items=[*s.items]\n', 'def check(c):\n    g=c()\n    g.adj[1].add(5)\n    g.adj[7]={1,2,3}\n    assert g.n()==5 and g.adj=={1:{2,5},7:{1,2,3}} and g.first_same()'),
    "a list that stays the same object": ('class f:\n    def __init__(s):\n        s.adj={1:{2}}\n        s.first=s.adj[1]\n        s.items=[3,1,2]\n    def n(s): return sum(map(len,s.adj.values()))\n    def first_same(s): return s.first is s.adj[1]\n    def same(s,l): return l is s.items\n    def add(s,x): s.items.append(x)\n    def grow(s): s.items=[*s.items]\n', 'def check(c):\n    g=c()\n    assert g.items is g.items and g.same(g.items)\n    x=g.items\n    g.add(4)\n    assert g.items==[3,1,2,4] and x is g.items and x==[3,1,2,4]'),
    "a list that grows in a loop": ('class f:\n    def __init__(s):\n        s.adj={1:{2}}\n        s.first=s.adj[1]\n        s.items=[3,1,2]\n    def n(s): return sum(map(len,s.adj.values()))\n    def first_same(s): return s.first is s.adj[1]\n    def same(s,l): return l is s.items\n    def add(s,x): s.items.append(x)\n    def grow(s): s.items=[*s.items]\n', 'def check(c):\n    g=c()\n    for i in range(300): g.items.append(i)\n    assert len(g.items)==303'),
    "threads of the check": ('import threading\nclass Counter:\n    def __init__(s): s.n=0; s.l=threading.Lock()\n    def inc(s):\n        with s.l: s.n+=1\n        return s.n\nf = Counter', 'import threading\ndef check(c):\n    k=c()\n    ts=[threading.Thread(target=k.inc) for _ in range(20)]\n    [t.start() for t in ts]; [t.join() for t in ts]\n    assert k.n==20'),
    "threads of the program": ('from concurrent.futures import ThreadPoolExecutor\ndef f(g, xs):\n    with ThreadPoolExecutor(8) as e: return list(e.map(g, xs))', 'def check(c): assert c(lambda x: x+1, list(range(40)))==list(range(1,41))'),
    "numbers after a seed": ('import random\ndef f(): return random.randint(1,10**9)', 'import random\ndef check(c):\n    random.seed(42)\n    a=c()\n    random.seed(42)\n    assert a==random.randint(1,10**9)'),
    "numbers of numpy after a seed": ('import numpy as np\ndef f(): return np.random.rand()', 'import numpy as np\ndef check(c):\n    np.random.seed(3)\n    a=c()\n    np.random.seed(3)\n    assert a==np.random.rand() and c()!=c()'),
    "a generator of random numbers as the argument": ('def f(r): return r.random()', 'import numpy as np\ndef check(c):\n    r=np.random.default_rng(0)\n    assert c(r) >= 0'),
    "log records": ("import logging\ndef f(): logging.getLogger('app').info('hello')", "import logging, unittest\nclass T(unittest.TestCase):\n    def runTest(self): pass\ndef check(c):\n    with T().assertLogs('app', level='INFO') as cm: c()\n    assert 'hello' in cm.output[0]"),
    "warnings": ("import warnings\ndef f(): warnings.warn('old', DeprecationWarning)", "import warnings\ndef check(c):\n    with warnings.catch_warnings(record=True) as w:\n        warnings.simplefilter('always')\n        c()\n    assert len(w)==1 and issubclass(w[0].category, DeprecationWarning)"),
    "standard error": ("import sys\ndef f(): print('x', file=sys.stderr)", "import io, contextlib\ndef check(c):\n    b=io.StringIO()\n    with contextlib.redirect_stderr(b): c()\n    assert 'x' in b.getvalue()"),
    "what an exception follows": ("def f():\n    try: {}['k']\n    except KeyError as e: raise RuntimeError('x')", 'def check(c):\n    try: c()\n    except RuntimeError as e: assert isinstance(e.__context__, KeyError)'),
    "notes of an exception": ("def f():\n    e=ValueError(1); e.add_note('n'); raise e", "def check(c):\n    try: c()\n    except ValueError as e: assert e.__notes__==['n']"),
    "a slice": ('def f(): return slice(1,None)', 'def check(c): assert [1,2,3][c()]==[2,3]'),
    "constants": ('def f(): return ...\ndef d(): return NotImplemented', 'def check(c): assert c() is ... and d() is NotImplemented'),
    "a generic class": ("from typing import Generic, TypeVar\nT=TypeVar('T')\nclass S(Generic[T]):\n    def __init__(s): s.l=[]\n    def push(s,x): s.l.append(x)\n    def pop(s): return s.l.pop()\nf = S", 'def check(c):\n    s=c[int]()\n    s.push(1)\n    assert s.pop()==1'),
    "copies of objects": ("class f:\n    def __init__(s, x): s.x = x\n    def add(s, v): s.x.append(v)", "import copy\ndef check(c):\n    a = c([1])\n    b, d = copy.deepcopy(a), copy.copy(a)\n    b.add(2); d.add(3)\n    assert (a.x, b.x) == ([1, 3], [1, 2])"),
    "classes below others": ("class A: pass\nclass f(A, dict): pass", "def check(c):\n    assert issubclass(c, dict) and issubclass(f, A) and not issubclass(A, f) and isinstance(c(), A)"),
    "objects that cannot be hashed": ("class f:\n    def __eq__(s, o): return True", "def check(c):\n    try: hash(c())\n    except TypeError: return\n    assert False"),
    "paths": ("from pathlib import Path\ndef f(p): return Path(p) / 'b.txt'", "from pathlib import Path\ndef check(c): assert c('/a') == c(Path('/a')) == Path('/a/b.txt') and c('/a').suffix == '.txt'"),
    "arrays": ("import numpy as np\ndef f(a): return np.array(a).T", "import numpy as np\ndef check(c):\n    r = c(np.ones((2, 3)))\n    assert r.shape == (3, 2) and isinstance(r, np.ndarray) and np.array_equal(r, np.ones((3, 2))) and (r == [[1, 1]] * 3).all() and r == [[1, 1]] * 3 and r != [[1, 1]]"),
    "an array that changes": ("def f(a): a *= 2", "import numpy as np\ndef check(c):\n    a = np.array([1, 2])\n    c(a)\n    assert a.tolist() == [2, 4]"),
    "huge numbers and deep nests": ("def f(n):\n    x = []\n    for _ in range(n): x = [x]\n    return 10**6000, x", "def check(c):\n    n, x = c(2000)\n    for _ in range(2000): (x,) = x\n    assert n == 10**6000 and x == []"),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_programs(grade: Grade, name: str) -> None:
    program, check = RIGHT[name]
    info = {"type": "check", "entry_point": "f", "check": check}
    assert grade(program, info).reason == "correct"


# files that both sides use: (program, entry point, check)
FILES = {
    "a file that is read": ('def f(p): return len(open(p).readlines())', 'f', "import tempfile, os\ndef check(c):\n    with tempfile.NamedTemporaryFile('w', suffix='.txt', delete=False) as f: f.write('a\\nb\\n')\n    assert c(f.name) == 2\n    os.unlink(f.name)"),
    "a file of the working folder": ('def f(p): return open(p).read()', 'f', "def check(c):\n    open('data.txt','w').write('hey')\n    assert c('data.txt') == 'hey'"),
    "a file of a fixed name that grows": ("def f():\n    with open('log.txt','a') as h: h.write('x')", 'f', "import os\ndef check(c):\n    c()\n    assert open('log.txt').read() == 'x'\n    c()\n    assert open('log.txt').read() == 'xx'"),
    "a file that the check deletes": ("def f():\n    with open('log.txt','a') as h: h.write('x')", 'f', "import os\ndef check(c):\n    c()\n    assert open('log.txt').read() == 'x'\n    os.remove('log.txt')\n    c()\n    assert open('log.txt').read() == 'x'"),
    "a folder with files": ("import os\ndef f(d):\n    r=sorted(os.listdir(d))\n    open(os.path.join(d,'done'),'w').close()\n    open(os.path.join(d,'sub/c.txt'),'w').write('C')\n    return r", 'f', "import tempfile, os\ndef check(c):\n    with tempfile.TemporaryDirectory() as d:\n        for n in 'ab': open(os.path.join(d, n+'.txt'),'w').write(n)\n        os.makedirs(os.path.join(d,'sub'))\n        open(os.path.join(d,'sub','c.txt'),'w').write('c')\n        assert c(d) == ['a.txt','b.txt','sub']\n        assert os.path.exists(os.path.join(d,'done'))\n        assert open(os.path.join(d,'sub','c.txt')).read() == 'C'"),
    "paths that are read and written": ('def f(p, dest):\n    n=int(p.read_text())\n    dest.write_text(str(n+1))\n    return n', 'f', "from pathlib import Path\nimport tempfile\ndef check(c):\n    d=Path(tempfile.mkdtemp())\n    (d/'a').write_text('1')\n    assert c(d/'a', dest=d/'b') == 1\n    assert (d/'b').read_text() == '2'"),
    "files that move": ('import shutil, os\ndef f(a,b):\n    for n in os.listdir(a): shutil.move(os.path.join(a,n), b)', 'f', "import os, shutil, tempfile\ndef check(c):\n    d=tempfile.mkdtemp()\n    os.makedirs(d+'/src'); os.makedirs(d+'/dst')\n    open(d+'/src/a.txt','w').write('q')\n    c(d+'/src', d+'/dst')\n    assert os.listdir(d+'/src') == [] and open(d+'/dst/a.txt').read() == 'q'\n    shutil.rmtree(d)"),
    "rows that are appended": ("import csv\ndef f(p,r):\n    with open(p,'a',newline='') as h: csv.writer(h).writerow(r)", 'f', "import csv\ndef check(c):\n    open('a.csv','w').write('1,2\\n')\n    c('a.csv', [3,4])\n    assert list(csv.reader(open('a.csv'))) == [['1','2'],['3','4']]\n    open('a.csv','a').write('5,6\\n')\n    c('a.csv', [7,8])\n    assert len(open('a.csv').readlines()) == 4"),
    "an open file that is read": ('def f(h): return [l.strip() for l in h]', 'f', "def check(c):\n    open('a.txt','w').write('l1\\nl2\\n')\n    with open('a.txt') as h: assert c(h) == ['l1','l2']"),
    "an open file that is written": ("def f(h): h.write('hi')", 'f', "def check(c):\n    with open('a.txt','w') as h: c(h)\n    assert open('a.txt').read() == 'hi'"),
    "a temporary file that stays open": ("def f(p, new=None):\n    if new:\n        open(p,'w').write(new)\n    return open(p).read()", 'f', "import tempfile\ndef check(c):\n    with tempfile.NamedTemporaryFile('w+') as h:\n        h.write('abc'); h.flush()\n        assert c(h.name) == 'abc'\n        c(h.name, 'new')\n        h.seek(0)\n        assert h.read() == 'new'"),
    "another working folder": ("def f(p):\n    n=int(open(p).read())\n    open('res.txt','w').write(str(n))\n    return n", 'f', "import os, tempfile\ndef check(c):\n    d=tempfile.mkdtemp()\n    os.chdir(d)\n    open('in.txt','w').write('7')\n    assert c('in.txt') == 7\n    assert open('res.txt').read() == '7'"),
    "folders": ('import os\ndef f(p): os.makedirs(p)', 'f', "import os\ndef check(c):\n    c('a/b/c')\n    assert os.path.isdir('a/b/c')"),
    "bytes": ("def f(p):\n    d=open(p,'rb').read()\n    open(p+'.rev','wb').write(d[::-1])\n    return len(d)", 'f', "import os\ndef check(c):\n    open('b.bin','wb').write(bytes(range(256)))\n    assert c('b.bin') == 256 and open('b.bin.rev','rb').read() == bytes(range(256))[::-1]"),
    "a class that keeps a file": ("import json, os\nclass Store:\n    def __init__(s,p):\n        s.p=p; s.d=json.load(open(p)) if os.path.exists(p) else {}\n    def set(s,k,v): s.d[k]=v\n    def get(s,k): return s.d[k]\n    def save(s): json.dump(s.d, open(s.p,'w'))", 'Store', "import os\ndef check(c):\n    s=c('store.json')\n    s.set('a',1); s.save()\n    assert os.path.exists('store.json')\n    assert c('store.json').get('a') == 1"),
    "times of files": ('import os\ndef f(ps): return max(ps,key=os.path.getmtime)', 'f', "import os, time\ndef check(c):\n    for i,n in enumerate(['x1','x2']):\n        open(n,'w').close(); os.utime(n,(1000+i,1000+i))\n    assert c(['x1','x2']) == 'x2'"),
    "a generator that reads": ('def f(p):\n    with open(p) as h:\n        for l in h: yield l.strip()', 'f', "import os\ndef check(c):\n    open('g.txt','w').write('a\\nb\\n')\n    assert list(c('g.txt')) == ['a','b']"),
    "a pickle": ("import pickle\ndef f(p,o): pickle.dump(o,open(p,'wb'))", 'f', "import pickle\ndef check(c):\n    c('m.pkl', {'a':[1,(2,3)]})\n    assert pickle.load(open('m.pkl','rb')) == {'a':[1,(2,3)]}"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_that_a_check_and_a_program_share(grade: Grade, name: str) -> None:
    program, entry_point, check = FILES[name]
    assert grade(program, {"type": "check", "entry_point": entry_point, "check": check}).reason == "correct"


CALLED = {
    "an asynchronous function": ("import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return [x]", [2], [2]),
    "an asynchronous generator": ("async def f(n):\n    for i in range(n): yield i", [3], [0, 1, 2]),
    "tasks": ("import asyncio\nasync def f(n):\n    q = asyncio.Queue()\n    t = asyncio.create_task(q.put(n))\n    await t\n    return [await q.get()]", [3], [3]),
    "wrapped results": ("from collections import UserDict, UserList\nclass D(UserDict): pass\ndef f(x): return D(a=UserList([x]))", [1], {"a": [1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLED)
def test_results_of_calls(grade: Grade, name: str) -> None:
    program, args, expected = CALLED[name]
    info: dict[str, Any] = {"type": "call", "entry_point": "f", "cases": [{"args": args, "expected": expected}]}
    assert grade(program, info).reason == "correct"
    info["cases"][0]["expected"] = "another"
    assert grade(program, info).reason == "wrong"


def test_a_script_that_awaits(grade: Grade) -> None:
    info = {"type": "check", "entry_point": "f", "check": "assert await f(1) == 2", "script": True}
    assert grade("async def f(x): return x + 1", info).reason == "correct"
    assert grade("async def f(x): return x", info).reason == "wrong"


PRELUDES = {
    "an enumeration": ("import enum\nclass C(enum.Enum):\n    A = 1\n    B = 2", "def f(c): return C.B if c is C.A else None", "def check(c): assert c(C.A) is C.B"),
    "a data class": ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int", "def f(p):\n    p.x += 1\n    return P(p.x)", "def check(c):\n    p = P(1)\n    assert c(p) == P(2) == p and c(p) is not p"),
    "a graph with cycles": ("class N:\n    def __init__(s, v): s.v, s.to = v, []", "def f(n):\n    m = N(n.v); m.to = [m]\n    return m", "def check(c):\n    n = N(1); n.to = [n]; m = c(n)\n    assert m is not n and m.to[0] is m and m.v == 1"),
    "a list reversed in place": ("class L:\n    def __init__(s, v, n=None): s.v, s.n = v, n", "def f(h):\n    p = None\n    while h: h.n, p, h = p, h, h.n\n    return p", "def check(c):\n    b = L(2); a = L(1, b)\n    assert c(a) is b and b.n is a and a.n is None"),
}  # fmt: skip


@pytest.mark.parametrize("name", PRELUDES)
def test_classes_of_the_prelude(grade: Grade, name: str) -> None:
    prelude, program, check = PRELUDES[name]
    info = {"type": "check", "entry_point": "f", "check": check, "prelude": prelude}
    assert grade(program, info).reason == "correct"
    assert not grade("def f(*a): return a[0] if a else None", info).correct


ALWAYS = "class A(int):\n    def __eq__(s, o): return True\n    __ne__ = lambda s, o: False\n    def __getattr__(s, n): return s\n    def __call__(s, *a): return s\n    def __getitem__(s, i): return s\n    def __contains__(s, o): return True\n    def __lt__(s, o): return True\n    __le__ = __gt__ = __ge__ = __lt__\n    def __hash__(s): return 0\n    def __iter__(s): return iter(())\n    def __len__(s): return 0\n    def __instancecheck__(s, o): return True\n    __class__ = property(lambda s: list)\n"
PLAIN_ALWAYS = ALWAYS.replace("A(int)", "A")
FORGE = "import os, json\ndef send(b):\n    for fd in range(3, 40):\n        try: os.write(fd, b)\n        except OSError: pass\n"
WRONG = {
    "be equal, as an instance": PLAIN_ALWAYS + "def f(*a): return A()",
    "be equal, as a subclass": ALWAYS + "def f(*a): return A(3)",
    "be equal, as a class": PLAIN_ALWAYS + "class M(type):\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: 0\nclass B(metaclass=M): pass\ndef f(*a): return B",
    "be equal inside a list": PLAIN_ALWAYS + "def f(*a): return [A(), A()]",
    "be equal as a key": ALWAYS + "def f(*a): return {A(): A()}",
    "be equal as a named tuple": "from collections import namedtuple\nclass T(namedtuple('T', 'a')):\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: 0\ndef f(*a): return T(1)",
    "be equal as an enumeration": "import enum\nclass E(enum.Enum):\n    A = 1\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: 0\ndef f(*a): return E.A",
    "be equal as an exception": "class E(Exception):\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: 0\ndef f(*a): return E()",
    "raise something equal": PLAIN_ALWAYS + "class E(Exception, A): pass\ndef f(*a): raise E(A())",
    "raise the end of iteration": "def f(*a): raise StopIteration(SECRET if 0 else 1)",
    "raise an end": "def f(*a): raise GeneratorExit",
    "raise an assertion": "def f(*a): raise AssertionError('8675309')",
    "raise an exit": "def f(*a): raise SystemExit(0)",
    "raise an interrupt": "def f(*a): raise KeyboardInterrupt",
    "the verdict as an answer": FORGE + 'def f(*a):\n    send(b\'V{"passed": true, "calls": 1, "held": 2, "asserts": 2, "cut": false, "raised": "", "why": ""}\\n\')\n    return 1',
    "the verdict before the start": FORGE + 'send(b\'V{"passed": true, "calls": 1, "held": 2, "asserts": 2, "cut": false, "raised": "", "why": ""}\\n\' * 9)\ndef f(*a): return 1',
    "ask for a name of the check": FORGE + 'def f(*a):\n    send(b\'{"op": "name", "on": null, "name": "SECRET", "data": {"root": null, "table": []}}\\n\')\n    return 1',
    "ask for the first handle": FORGE + 'def f(*a):\n    send(b\'{"op": "getattr", "on": 0, "name": "__globals__", "data": {"root": null, "table": []}}\\n\')\n    return 1',
    "call the first handle": FORGE + 'def f(*a):\n    send(b\'{"op": "call", "on": 0, "data": {"root": [0], "table": [["tuple", [1], [2]], ["list"], ["dict"]]}}\\n\')\n    return 1',
    "ask for a negative handle": FORGE + 'def f(*a):\n    send(b\'{"op": "call", "on": -1, "data": {"root": [0], "table": [["list"]]}}\\n\')\n    return 1',
    "ask for the checker": "def f(g=None, *a):\n    try: return g.__globals__['SECRET']\n    except Exception: pass\n    try: return g.__self__\n    except Exception: return g",
    "answer with what was not handed over": FORGE + 'def f(*a):\n    send(b\'{"ok": {"root": [0], "table": [["yours", 0]]}}\\n\')\n    return 1',
    "answer with a class of the check": FORGE + 'def f(*a):\n    send(b\'{"ok": {"root": [0], "table": [["class", "check"]]}}\\n\')\n    return 1',
    "answer with an object of the check": FORGE + 'def f(*a):\n    send(b\'{"ok": {"root": [0], "table": [["object", "Checker", "passed", true]]}}\\n\')\n    return 1',
    "answer with a builtin": FORGE + 'def f(*a):\n    send(b\'{"ok": {"root": [0], "table": [["builtin", "eval"]]}}\\n\')\n    return 1',
    "answer with no object": FORGE + "def f(*a):\n    send(b'[]\\n')\n    return 1",
    "answer that it is lost": FORGE + "def f(*a):\n    send(b'{\"lost\": true}\\n')\n    return 1",
    "overwrite the arguments of before": FORGE + 'def f(*a):\n    send(b\'{"ok": {"root": 1, "table": []}, "same": [[0, 0], [-1, 0], [0, 99], [true, "x"]]}\\n\')\n    return 1',
    "an answer of another kind": FORGE + 'def f(*a):\n    send(b\'{"ok": {"root": 1, "table": [["dict", 1, 2]]}, "same": [[0, 1]]}\\n\')\n    return 1',
    "an exception of the check's own": FORGE + 'def f(*a):\n    send(b\'{"raised": [["check", "Checker"], ["builtins", "SystemExit"], ["objects", "Lost"]], "args": {"root": null, "table": []}}\\n\')\n    return 1',
    "raise what is no class": FORGE + 'def f(*a):\n    send(b\'{"raised": [["os", "system"]], "args": {"root": [0], "table": [["list", "true"]]}}\\n\')\n    return 1',
    "numbers that collide": "def f(*a): return {k * (2**61 - 1) for k in range(60000)}",
    "keys that collide": "def f(*a): return {k * (2**61 - 1): 0 for k in range(60000)}",
    "a nest shared twice": "def f(*a):\n    x = [1]\n    for _ in range(60): x = [x, x]\n    return x",
    "a nest shared as text": "def f(*a):\n    x = 'a'\n    for _ in range(60): x = (x, x)\n    return {'a': [x]}",
    "an endless iterator": "import itertools\ndef f(*a): return itertools.repeat(8675308)",
    "an iterator that never yields": "def f(*a):\n    while True: pass\n    yield",
    "an endless length": "class A:\n    def __len__(s): return 2**62\n    def __getitem__(s, i): return i\ndef f(*a): return A()",
    "a huge decimal": "from decimal import Decimal\ndef f(*a): return Decimal('1e999999999')",
    "a huge fraction": "from fractions import Fraction\ndef f(*a): return Fraction(10**100000, 3)",
    "a huge range": "def f(*a): return range(10**18)",
    "a date out of range": FORGE + 'def f(*a):\n    send(b\'{"ok": {"root": [0], "table": [["timedelta", 1e300, 0, 0]]}}\\n\')\n    return 1',
    "a print of the answer": "def f(*a):\n    print('8675309' * 10**6)\n    return None",
    "a class that the check names": "class SECRET: pass\nclass int(SECRET):\n    __eq__ = lambda s, o: True\ndef f(*a): return int()",
    "replace a name of the check": "SECRET = 1\nassert_equal = print\nlen = lambda x: 0\ndef check(*a): pass\ndef f(*a): return 1",
    "stop being the same": "import threading\ndef f(*a):\n    threading.Thread(target=lambda: 1).start()\n    return float('nan')",
}  # fmt: skip
SECRET = 8675309
CHECKS = {
    "check": {"type": "check", "check": f"SECRET = {SECRET}\ndef check(candidate):\n    assert candidate(lambda: SECRET if 0 else 0) == SECRET\n    assert candidate([1]) == [SECRET]\n"},
    "fraction": {"type": "check", "scoring": "fraction", "check": f"SECRET = {SECRET}\ndef check(candidate):\n    for want in (SECRET, [SECRET], 'x'):\n        assert candidate([want == 3]) == want\n"},
    "call": {"type": "call", "cases": [{"args": [[1]], "expected": SECRET}, {"args": [2], "expected": {"a": [SECRET]}}]},
    "judge": {"type": "call", "cases": [{"args": [1], "expected": SECRET}], "judge": "def judge(args, kwargs, value, expected): return value == expected"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHECKS)
def test_no_value_and_no_message_is_paid(grade: Grade, kind: str) -> None:
    for name, program in WRONG.items():
        info = {**CHECKS[kind], "entry_point": "f", "time_limit": 0.5}
        score = grade(program, info, timeout_seconds=1.0)
        assert (score.value, score.correct, score.outcome) == (0, False, "scored"), (name, score)


def test_an_honest_program_is_paid_after_all_that(grade: Grade) -> None:
    program = f"def f(x): return {SECRET} if callable(x) or x == 1 else [{SECRET}]"
    assert grade(program, {**CHECKS["check"], "entry_point": "f"}).correct
    assert grade(program, {**CHECKS["judge"], "entry_point": "f"}).correct


def test_code_of_a_row_is_confined_and_bounded(grade: Grade, tmp_path: Any) -> None:
    """A checker that evaluates what the program printed is the usual one of the 24 game."""
    mark = tmp_path / "mark"
    program = f"""print("__import__('os').system('touch {mark}') or open({str(mark)!r}, 'w') or 24")"""
    judge = {"type": "stdio", "inputs": [""], "outputs": [""], "judge": "def judge(i, o, e): return eval(o) == 24"}
    assert not grade(program, judge).correct
    assert grade("print('(5 - 1) * 6')", judge).correct
    read = {"type": "check", "entry_point": "f", "check": "def check(c): assert len(open(c()).read()) > 0"}
    assert not grade("def f(): return '/etc/passwd'", read).correct
    assert not mark.exists()
    spin = {"type": "check", "entry_point": "f", "prelude": "while True: pass", "check": "def check(c): c()"}
    assert grade("def f(): return 1", spin, timeout_seconds=0.5).reason == "bad_info"


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("def f(x): return x * x", 1.0),
        ("def f(x): return x", 0.2),
        ("def f(x):\n    if x > 1: raise ValueError\n    return x * x", 0.2),
        ("def f(x): return None", 0.0),
        ("import os\ndef f(x): return x * x if x < 9 else os._exit(0)", 0.0),
        ("def f(x):\n    while x == 5: pass\n    return x * x", 0.0),
    ],
)
def test_a_fraction_of_the_assertions_of_a_loop(grade: Grade, program: str, value: float) -> None:
    check = "def check(candidate):\n    for i in range(10):\n        assert candidate(i) == i * i\n"
    info = {"type": "check", "entry_point": "f", "check": check, "scoring": "fraction", "time_limit": 0.3}
    assert grade(program, info).value == value
    collected = "def check(candidate):\n    out = [candidate(i) for i in range(10)]\n    assert out == [i * i for i in range(10)]\n"
    assert grade(program, {**info, "check": collected}).value == (value == 1.0)
