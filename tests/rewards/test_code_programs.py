# ruff: noqa: E501
"""Ordinary programs run as they do elsewhere, and time is that of the processor."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from innovator_rl.scoring import Score
from rewards.code.program import find_program

Grade = Callable[..., Score]
PROGRAMS = {
    "exit": "print(3)\nexit()",
    "quit in a function": "def main():\n    print(3)\n    quit(0)\nmain()\nprint(4)",
    "the standard streams as files": "print(sum(map(int, open('/dev/stdin').read().split())), file=open('/dev/stdout', 'w'))",
    "a long integer": "x = 10**5000\nassert int(str(x)) == x\nprint(3)",
    "deep recursion": "import sys\nfrom functools import lru_cache\nsys.setrecursionlimit(10**6)\n"
    "@lru_cache(None)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(50000) // 16666)",
    "64 threads": "import threading, time\nts = [threading.Thread(target=time.sleep, args=(0.05,)) for _ in range(64)]\n"
    "[t.start() for t in ts]\n[t.join() for t in ts]\nprint(3)",
    "a large stack for a thread": "import threading\nthreading.stack_size(2**28)\nt = threading.Thread(target=lambda: print(3))\nt.start()\nt.join()",
    "a pool of processes": "from concurrent.futures import ProcessPoolExecutor as E\nif __name__ == '__main__':\n"
    "    with E(2) as e: print(sum(e.map(abs, [-1, -2])))",
    "multiprocessing": "import multiprocessing as m\nq = m.Queue()\np = m.Process(target=q.put, args=(3,))\np.start()\nprint(q.get())\np.join()",
    "a temporary file": "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('3'); f.flush(); print(open(f.name).read())",
    "numpy": "import numpy as np\nprint(int(np.array([1, 2]).sum()))",
    "sortedcontainers": "from sortedcontainers import SortedList\nprint(SortedList([5, 3])[0])",
    "reserved memory": "import mmap\nm = mmap.mmap(-1, 900 * 2**20)\nprint(3)",
    "a data class": "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nprint(P(3).x)",
    "fast input": "import os, sys\nfrom io import BytesIO, IOBase\nclass FastIO(IOBase):\n    def __init__(self, file):\n        self._fd, self.buffer = file.fileno(), BytesIO()\n"
    "        self.writable = 'x' in file.mode or 'r' not in file.mode\n        self.write = self.buffer.write if self.writable else None\n"
    "    def readline(self):\n        data = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))\n        return data.split(b'\\n')[0]\n"
    "    def flush(self): os.write(self._fd, self.buffer.getvalue())\n"
    "out = FastIO(sys.stdout)\nout.write(b'%d' % sum(map(int, FastIO(sys.stdin).readline().split())))\nout.flush()",
    "the streams' names": "import sys\nassert (sys.stdin.name, sys.stdin.mode, sys.stdout.name, sys.stdout.mode) == ('<stdin>', 'r', '<stdout>', 'w')\nprint(3)",
    "help and the rest": "assert help and copyright and license\nprint(3)",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_ordinary_programs(grade: Grade, name: str) -> None:
    info = {"type": "stdio", "inputs": ["1 2\n"], "outputs": ["3\n"], "memory_limit": 256}
    assert grade(PROGRAMS[name], info).reason == "correct"


def test_runs_share_not_even_a_process_number(grade: Grade) -> None:
    info = {"type": "stdio", "inputs": [""] * 3, "outputs": ["a", "b", "c"]}
    assert (
        grade(
            "import os\nfor _ in range(40):\n    if os.fork() == 0: os._exit(0)\nprint('abc'[(os.getpid() - 2) % 3])",
            info,
        ).terms["passed"]
        == 1
    )


SPIN = "import time\ndef spin(t):\n    end = time.process_time() + t\n    while time.process_time() < end: pass\n"


def test_the_time_of_children_counts(grade: Grade) -> None:
    info = {"type": "stdio", "inputs": [""], "outputs": ["3"], "time_limit": 0.4}
    child = (
        SPIN
        + "import os\nfor _ in range(3):\n    if os.fork() == 0:\n        spin({})\n        os._exit(0)\n    os.wait()\nprint(3)"
    )
    assert grade(child.format(0.05), info).correct
    assert grade(child.format(0.2), info).reason == "time_limit_exceeded"
    orphan = SPIN + (
        "import os\nr, w = os.pipe()\nif os.fork() == 0:\n    if os.fork() == 0:\n        spin(0.6)\n        os.write(w, b'x')\n"
        "    os._exit(0)\nos.wait()\nos.read(r, 1)\nprint(3)"
    )
    assert grade(orphan, info).reason == "time_limit_exceeded"


def test_many_tests_take_no_time_of_each_other(grade: Grade) -> None:
    info = {"type": "stdio", "inputs": [""] * 12, "outputs": ["3"] * 12, "time_limit": 0.3}
    assert grade(SPIN + "spin(0.05)\nprint(3)", info).correct, "0.6 s in all"


@pytest.mark.slow
def test_a_busy_machine_fails_nobody(grade: Grade) -> None:
    """Sixteen processes for each core want the processor as well."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(16 * len(os.sched_getaffinity(0)))
    ]
    try:
        info = {"type": "stdio", "inputs": [""], "outputs": ["3"], "time_limit": 0.5}
        assert grade(SPIN + "spin(0.35)\nprint(3)", info).reason == "correct"
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_compiling_is_limited(grade: Grade) -> None:
    bomb = "".join("    " * n + "try:\n" + "    " * (n + 1) + "pass\n" + "    " * n + "finally:\n" for n in range(19))
    bomb += "    " * 19 + "x = 1\n"
    score = grade(
        bomb + "print(3)", {"type": "stdio", "inputs": [""], "outputs": ["4"], "memory_limit": 256, "time_limit": 1}
    )
    assert score.reason in ("compile_error", "memory_limit_exceeded", "time_limit_exceeded")


TICKS = "```"
RESPONSES = {
    "an untagged example after the program": f"{TICKS}python\nprint(3)\n{TICKS}\nPrints:\n{TICKS}\n3\n{TICKS}",
    "an untagged program": f"{TICKS}\nprint(3)\n{TICKS}\nprints\n{TICKS}\n3\n{TICKS}",
    "a fence on the last line": f"{TICKS}python\nprint(3){TICKS}",
    "a fenced example in a docstring": f'{TICKS}python\ndef f():\n    """Use:\n{TICKS}\nf()\n{TICKS}\n    """\nprint(3)\n{TICKS}',
    "marks inside a string": f"{TICKS}python\ns = '</think>' + '<|im_end|>' + '<think>'\nprint(3)\n{TICKS}",
    "line ends of other kinds in a string": f"{TICKS}python\ns = 'a\x0cb\u2028c'\nprint(3)\n{TICKS}",
    "tags of an answer": "<think>So</think><answer>\nprint(3)\n</answer>",
    "tags around a fence": f"<answer>\n{TICKS}python\nprint(3)\n{TICKS}\n</answer>",
    "a byte order mark": f"\ufeff{TICKS}python\n\ufeffprint(3)\n{TICKS}",
    "a stop token behind it": f"{TICKS}python\nprint(3)\n{TICKS}<|im_end|>\n",
    "a shell example after it": f"{TICKS}py\nprint(3)\n{TICKS}\n{TICKS}bash\npython a.py\n{TICKS}",
    "a version in the tag, a stop token": f"{TICKS}python3.11\nprint(3)\n{TICKS}</s>",
    "a quotation": f"So:\n> {TICKS}py\n> for x in [3]:\n>     print(x)\n> {TICKS}",
    "an item of a list": f"1. {TICKS}python\n   for x in [3]:\n       print(x)\n   {TICKS}",
    "carriage returns": f"{TICKS}python\r\nprint(3)\r\n{TICKS}\r\n",
}


@pytest.mark.parametrize("name", RESPONSES)
def test_the_program_of_a_response(grade: Grade, name: str) -> None:
    assert grade(RESPONSES[name], {"type": "stdio", "inputs": [""], "outputs": ["3"]}, fence=False).reason == "correct"


@pytest.mark.timeout(60)  # each takes a second; a pass over the rest for each line or character would take an hour
@pytest.mark.parametrize(
    "response",
    [
        pytest.param(f"{TICKS}python\nx=1{TICKS}\n" * 40_000, id="no fence stands alone"),
        pytest.param(TICKS + " " * 1_000_000 + "`", id="blanks before a tick"),
        pytest.param(TICKS + "a" * 1_000_000 + "`", id="a long tag"),
        pytest.param(f"{TICKS}python\n" + "''' " * 300_000, id="quotes"),
    ],
)
def test_extraction_passes_over_a_response_once(response: str) -> None:
    found = find_program(response)
    assert found is None or found.source


def test_other_languages_have_a_reason_of_their_own(grade: Grade) -> None:
    info = {"type": "stdio", "inputs": [""], "outputs": ["3"]}
    score = grade(f"{TICKS}rust\nfn main() {{}}\n{TICKS}", info, fence=False)
    assert (score.outcome, score.reason, score.value) == ("scored", "language_not_offered", 0)
    assert grade(f"Some words.\n{TICKS}text\n3\n{TICKS}", info, fence=False).reason == "no_answer"
