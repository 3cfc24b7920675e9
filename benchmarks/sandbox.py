"""Compare the sandbox with a plain subprocess and prime_code: speed, tail, leaks.

    python -m benchmarks.sandbox                              about two minutes
    python -m benchmarks.sandbox --only tail --runs 100000    latency, zombies and memory over 100,000 isolated runs
    python -m benchmarks.sandbox --only tail --runs 100000 --state tail.json --seconds 1200    in pieces
    python -m benchmarks.sandbox --only leaks --runs 5000     processes, groups, files, descriptors left by 5,000 programs
    python -m benchmarks.sandbox --only agree --leetcode train.jsonl.gz [--every 10]

Speed is counted in processor seconds of this process and all its children, so that a busy machine does not distort it;
wall times are given next to it. `agree` runs every published solution and a mutant of it, plainly and in the sandbox, and
lists where the two differ.
"""

import argparse
import ast
import contextlib
import gzip
import io
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rewards.code.grading import grade
from rewards.code.sandbox.cgroup import _homes
from rewards.code.sandbox.compiler import probe_compiler
from rewards.code.sandbox.executor import Sandbox
from rewards.code.sandbox.limits import Limits

PROGRAM = "a, b = map(int, input().split())\nprint(a + b)"
ROUNDS, RUNS, SOLUTIONS, TESTS = 5, 40, 4, 10
PLAIN_SECONDS = 20.0

CANDIDATES = {
    "honest": PROGRAM,
    "wrong": PROGRAM.replace("a + b", "a - b"),
    "leaves with status 0": "import os; os._exit(0)",
    "walks the frames": (
        "import sys\nframe = sys._getframe()\nwhile frame:\n    for v in list(frame.f_locals.values()):\n"
        "        if isinstance(v, dict) and 'outputs' in v:\n            print(v['outputs'][0])\n            raise SystemExit\n"
        "    frame = frame.f_back"
    ),
    "replaces the grader": (
        "import sys\nfor name, module in list(sys.modules.items()):\n    if name.endswith('testing_util'):\n"
        "        module.run_test = lambda *a, **k: ([True], {})\nprint(0)"
    ),
    "loops for ever": "while True: pass",
}


def cpu() -> float:
    """Return the processor seconds of this process and its ended children."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def plain(program: str, text: str) -> str:
    """Run a program in a subprocess with limits and no isolation."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))

    command = [sys.executable, "-I", "-S", "-c", program]
    return subprocess.run(command, input=text, capture_output=True, text=True, preexec_fn=limit, timeout=60).stdout


def tree_cpu(sandbox: Sandbox) -> float:
    """Return the processor seconds of a running sandbox, its ended runs included."""
    assert sandbox._process is not None
    ticks = 0
    for pid in (sandbox._process.pid, *family(sandbox._process.pid)):
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def speed() -> dict[str, float]:
    """Print runs and solutions per processor second, measured in turns, so that a busy machine is so for all of them."""
    tests = {"inputs": [f"{n} 1\n" for n in range(TESTS)], "outputs": [f"{n + 1}\n" for n in range(TESTS)]}
    pairs = list(zip(*tests.values(), strict=True))

    def isolated() -> bool:
        with sandbox.open(PROGRAM) as solution:
            return solution.run(b"1 2\n").stdout == b"3\n"

    kinds: dict[str, Callable[[], bool]] = {
        "a run: python -S": lambda: plain(PROGRAM, "1 2\n") == "3\n",
        "a run: sandbox": isolated,
        f"{TESTS} tests: python -S": lambda: all(plain(PROGRAM, given) == out for given, out in pairs),
        f"{TESTS} tests: sandbox": lambda: (
            grade(sandbox, PROGRAM, {"type": "stdio", **tests}, 60.0).result == "accepted"
        ),
        f"{TESTS} tests: prime_code": lambda: prime_code(PROGRAM, tests) == 1.0,
    }
    spent = dict.fromkeys(kinds, 0.0)
    count = {name: ROUNDS * (RUNS if name.startswith("a run") else SOLUTIONS) for name in kinds}
    with Sandbox() as sandbox:
        assert all(run() for run in kinds.values())  # nobody pays for the first time
        for _ in range(ROUNDS):
            for name, run in kinds.items():
                before = cpu() + tree_cpu(sandbox)
                assert all(run() for _ in range(count[name] // ROUNDS))
                spent[name] += cpu() + tree_cpu(sandbox) - before
    each = {name: spent[name] / count[name] for name in kinds}
    for name, seconds in each.items():
        kind = name.partition(":")[0]
        ratio = each[f"{kind}: python -S"] / seconds
        print(
            f"{name:<22} {1000 * seconds:7.1f} ms of processor time, {1 / seconds:6.1f} per second, {ratio:.2f}x plain"
        )
    print(f"sandbox / prime_code: {each[f'{TESTS} tests: prime_code'] / each[f'{TESTS} tests: sandbox']:.2f}x")
    return each


def prime_code(program: str, tests: dict[str, Any]) -> float:
    """Return the score that verl gives for code."""
    from verl.utils.reward_score.prime_code import compute_score

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        score, _ = compute_score(  # type: ignore[no-untyped-call]
            program, tests, continuous=True
        )
    return float(score)


def paid() -> dict[str, Any]:
    """Print what each candidate earns for three tests of a + b, and the time."""
    tests = {"inputs": ["1 2\n", "3 4\n", "5 6\n"], "outputs": ["3\n", "7\n", "11\n"]}
    rows: dict[str, Any] = {}
    print(f"{'candidate':<24} {'sandbox':>32}  {'prime_code':>20}")
    with Sandbox() as sandbox:
        for name, program in CANDIDATES.items():
            start = time.perf_counter()
            graded = grade(sandbox, program, {"type": "stdio", **tests}, 20.0)
            middle = time.perf_counter()
            theirs = prime_code(program, tests)
            end = time.perf_counter()
            rows[name] = (graded.result, middle - start, theirs, end - middle)
            ours = f"{graded.result} {middle - start:6.2f} s"
            print(f"{name:<24} {ours:>32}  {theirs:10.2f} {end - middle:6.2f} s", flush=True)
    return rows


class Progress:
    """A line of progress for every tenth of the runs."""

    def __init__(self, runs: int) -> None:
        self.runs, self.start = runs, time.monotonic()

    def note(self, number: int, more: str = "") -> None:
        """Print how far it is, how fast, and the time left, where a tenth is done."""
        if number % max(1, self.runs // 10) and number != self.runs:
            return
        passed = time.monotonic() - self.start
        left = passed / number * (self.runs - number)
        rate = number / passed
        print(f"  {number}/{self.runs}, {passed:.0f} s, {rate:.1f} per s, {left:.0f} s left{more}", flush=True)


def tail(runs: int, state: Path | None = None, seconds: float = math.inf) -> dict[str, float]:
    """Print latency, failures by reason, memory and what is left over many isolated runs.

    Args:
        runs: Runs in all.
        state: A file that keeps what was measured; a later call goes on where this one stopped.
        seconds: When to stop for now.
    """
    kept: dict[str, Any] = json.loads(state.read_text()) if state and state.exists() else {}
    times: list[float] = kept.get("times", [])
    endings: Counter[str] = Counter(kept.get("endings", {}))
    progress = Progress(max(1, runs - len(times)))
    with Sandbox() as sandbox:
        assert sandbox._process is not None
        running, sizes = leftovers("/tmp", supervisors(sandbox)), [resident(sandbox._process.pid)]
        for number in range(1, runs - len(times) + 1):
            start = time.perf_counter()
            with sandbox.open(PROGRAM) as solution:
                run = solution.run(b"1 2\n")
            times.append(time.perf_counter() - start)
            endings["right" if run.stdout == b"3\n" and run.ending == "finished" else f"{run.ending} {run.detail}"] += 1
            if number == 100:
                sizes.append(resident(sandbox._process.pid))
            progress.note(number)
            if time.monotonic() - progress.start > seconds:
                break
        after = leftovers("/tmp", supervisors(sandbox))
        sizes.append(resident(sandbox._process.pid))
    if state:
        state.write_text(json.dumps({"times": times, "endings": endings}))
    ordered = sorted(times)
    found = {
        **{f"p{share:g}_ms": 1000 * ordered[int(share / 100 * (len(ordered) - 1))] for share in (50, 99, 99.9)},
        "max_ms": 1000 * ordered[-1],
        **{f"{name}_left": float(after[name] - running[name]) for name in ("processes", "groups", "descriptors")},
        "supervisor_growth_kib": (sizes[-1] - sizes[min(1, len(sizes) - 1)]) / 1024,
    }
    print(f"{len(times)} runs: " + ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items())))
    print(", ".join(f"{name} {value:.1f}" for name, value in found.items()))
    if set(endings) - {"right"} or any(found[f"{name}_left"] > 0 for name in ("processes", "groups", "descriptors")):
        raise SystemExit(1)
    return found


LEAVING = (
    "import os, time\nopen('/tmp/left', 'w').write('x' * 10**6)\nos.symlink('/tmp/left', '/tmp/link')\n"
    "for _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        os.dup(1)\n        time.sleep(600)\nprint(3)"
)
GRADED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a script": (PROGRAM, {"type": "stdio", "inputs": ["1 2\n"], "outputs": ["3\n"]}, "python"),
    "daemons and files": (LEAVING, {"type": "stdio", "inputs": [""], "outputs": ["3\n"]}, "python"),
    "a call that never ends": (
        "def f(x):\n    while True: pass",
        {"type": "call", "entry_point": "f", "cases": [{"args": [1], "expected": 1}]},
        "python",
    ),
    "a check": (
        "def f(x): return x",
        {"type": "check", "entry_point": "f", "check": "def check(c):\n    assert c(3) == 3"},
        "python",
    ),
    "a crash": ("import os; os.abort()", {"type": "stdio", "inputs": [""], "outputs": ["3\n"]}, "python"),
    "C++": (
        '#include <cstdio>\n#include <unistd.h>\nint main() { if (!fork()) sleep(600); puts("3"); }',
        {"type": "stdio", "inputs": [""], "outputs": ["3\n"]},
        "cpp",
    ),
}


def leaks(runs: int) -> dict[str, int]:
    """Print what is left after many programs, a part of which leave all they can: nothing, or the process ends with 1.

    Processes are those below this one, groups those that carry its number, files those in its own folder for temporary
    files and in the `/tmp` of the sandbox, descriptors its own and those of the supervisors.
    """
    scripts = [kind for kind in GRADED.values() if kind[2] == "python"]
    kinds = (scripts + scripts)[1:] + ([GRADED["C++"]] if probe_compiler()[1] else [])
    endings: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, temporary_files_in(folder):
        before = leftovers(folder, [])
        with Sandbox() as sandbox:
            progress = Progress(runs)
            for number in range(1, runs + 1):
                program, tests, language = kinds[number % len(kinds)]
                endings[grade(sandbox, program, tests, 5.0, Limits(seconds=0.1), language=language).result] += 1
                if number <= len(kinds):
                    running = leftovers(folder, supervisors(sandbox))
                progress.note(number)
            after = leftovers(folder, supervisors(sandbox))
            seen = run_text(sandbox, "import os\nprint(len(os.listdir('/tmp')), os.getpid())")
        closed = leftovers(folder, [])
    left = {f"{name}_left": after[name] - running[name] for name in after}
    left |= {f"{name}_left_at_the_end": closed[name] - before[name] for name in closed}
    left |= {"files_seen_inside": int(seen.split()[0])}
    print(", ".join(f"{count} {ending}" for ending, count in sorted(endings.items())))
    print(", ".join(f"{name} {count}" for name, count in left.items()))
    if any(count > 0 for count in left.values()):
        raise SystemExit(1)
    return left


def supervisors(sandbox: Sandbox) -> list[int]:
    """Return the processes of the supervisors of a sandbox and of those next to it."""
    made = [box._process.pid for box in (sandbox, *sandbox._neighbors.values()) if box._process is not None]
    return [found for pid in made for found in (pid, *family(pid))]


def leftovers(folder: str, inside: list[int]) -> dict[str, int]:
    """Count what there is of this process: processes, control groups, files and descriptors."""
    pids = ["self", *map(str, inside)]
    return {
        "processes": len(family(os.getpid())),
        "groups": len({path for home in _homes().values() for path in home.glob(f"innovator-sandbox-{os.getpid()}-*")}),
        "files": len(os.listdir(folder)),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
    }


def run_text(sandbox: Sandbox, program: str) -> str:
    """Return what a program prints."""
    with sandbox.open(program) as solution:
        return solution.run(b"").stdout.decode()


@contextlib.contextmanager
def temporary_files_in(folder: str) -> Iterator[None]:
    """Make a folder the one for temporary files of this process."""
    old, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = old


def family(pid: int) -> list[int]:
    """Descendants, zombies included."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, children) for found in (child, *family(child))]


def resident(pid: int) -> int:
    """Bytes resident in a process and its descendants."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (pid, *family(pid)))
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Mutant(ast.NodeTransformer):
    """Changes the operator, comparison or number at one place of a program."""

    def __init__(self, place: int) -> None:
        self.place = place

    def _turn(self) -> bool:
        self.place -= 1
        return self.place == -1

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if self._turn():
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if self._turn():
            node.ops[0] = ast.GtE() if isinstance(node.ops[0], (ast.Lt, ast.Eq)) else ast.Lt()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int and self._turn():
            return ast.Constant(node.value + 1)
        return node


def mutant(program: str, seed: int) -> str:
    """Return the program with one small change, at a place drawn by `seed`."""
    counter = _Mutant(10**9)
    counter.visit(ast.parse(program))
    places = 10**9 - counter.place
    return ast.unparse(_Mutant(random.Random(seed).randrange(max(1, places))).visit(ast.parse(program)))


def passes_plainly(row: dict[str, Any], program: str, seconds: float) -> bool:
    """Return whether the program passes its check in an ordinary interpreter."""
    parts = (row["prompt"], program, row["test"], f"check({row['entry_point']})", "print('passed')")
    with contextlib.suppress(subprocess.TimeoutExpired):
        command = [sys.executable, "-s", "-P", "-c", "\n".join(parts)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env={"PYTHONHASHSEED": "0"})
        return done.stdout.endswith("passed\n")
    return False


def agree(file: Path, every: int) -> Counter[str]:
    """Run published solutions and mutants of them, plainly and in the sandbox.

    A mutant, which may loop forever, gets twice the time that its original took, and two seconds.
    """
    with gzip.open(file, "rt") as lines:
        rows = [json.loads(line) for line in lines][::every]
    found: Counter[str] = Counter()
    start = time.monotonic()
    with Sandbox(("numpy", "sortedcontainers")) as sandbox:
        for number, row in enumerate(rows, 1):
            seconds = PLAIN_SECONDS
            for kind, program in (("solution", row["completion"]), ("mutant", mutant(row["completion"], number))):
                tests = {
                    "type": "check",
                    "entry_point": row["entry_point"],
                    "prelude": row["prompt"],
                    "check": row["test"],
                }
                begun = time.monotonic()
                graded = grade(sandbox, program, tests, seconds, Limits(seconds=seconds))
                middle = time.monotonic()
                natively = passes_plainly(row, program, seconds)
                seconds = 2 + 2 * max(middle - begun, time.monotonic() - middle)
                found[f"{kind}: plain {'passes' if natively else 'fails'}, sandbox {graded.result}"] += 1
                if natively != (graded.result == "accepted"):
                    print(f"  differ: {kind} of {row['task_id']}: plain {natively}, sandbox {graded}", flush=True)
            if number % max(1, len(rows) // 10) == 0:
                print(f"  {number}/{len(rows)}, {time.monotonic() - start:.0f} s", flush=True)
    for name, count in sorted(found.items()):
        print(f"{count:6d}  {name}")
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=["speed", "paid", "tail", "leaks", "agree"])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="for tail: stop for now after these")
    parser.add_argument("--state", type=Path, help="for tail: a file of what was measured, from which it goes on")
    parser.add_argument("--leetcode", type=Path, help="LeetCodeDataset's train.jsonl.gz, for agree")
    parser.add_argument("--every", type=int, default=10, help="take each n-th problem")
    options = parser.parse_args()

    def tails() -> dict[str, float]:
        return tail(options.runs, options.state, options.seconds)

    parts: dict[str, Callable[[], Any]] = {"speed": speed, "paid": paid, "tail": tails}
    parts["leaks"] = lambda: leaks(options.runs)
    if options.leetcode:
        parts["agree"] = lambda: agree(options.leetcode, options.every)
    elif options.only == "agree":
        parser.error("--only agree needs --leetcode FILE")
    for name, part in parts.items():
        if options.only in (None, name):
            print(f"--- {name}", flush=True)
            part()


if __name__ == "__main__":
    main()
