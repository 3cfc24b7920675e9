"""Run the listed mutants and print how many of them the tests kill.

A mutant is one deliberately wrong line. `tests/mutants.yaml` lists each with the file, the right text, the wrong text and the
tests that must notice it. Every mutant runs in a copy of the working tree, so that the checkout is never touched.

    python -m tools.mutants                     every mutant (about 5 minutes on two cores)
    python -m tools.mutants --only verl,sql     those whose id contains one of the words
    python -m tools.mutants --fast              without first running the tests on the right text
    python -m tools.mutants --check             only whether each text is found once and its tests exist (seconds; part of `make check`)

Exit status: 0 when every mutant that is not marked `equivalent` is killed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "mutants.yaml"
SECONDS = 300
"""Time limit of one mutant's tests; a mutant whose tests hang counts as killed."""
BASELINE_SECONDS = 1800
"""Time limit of all tests together, on the right text."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One wrong line.

    Attributes:
        id: A short unique name.
        file: The file, relative to the repository root.
        old: The right text, which must occur exactly once in the file.
        new: The wrong text.
        tests: Arguments of pytest that select the tests which must fail; quoted as in a shell in the list.
        equivalent: Why no test can notice the mutant; empty for every other one.
    """

    id: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """Read the list of mutants.

    Raises:
        ValueError: for an id that occurs twice, and for a mutant that changes nothing.
    """
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    mutants = [Mutant(**{**row, "tests": tuple(shlex.split(row["tests"]))}) for row in rows]
    names = [mutant.id for mutant in mutants]
    if doubles := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"ids that occur twice: {', '.join(sorted(doubles))}")
    if idle := [mutant.id for mutant in mutants if mutant.old == mutant.new or not mutant.tests]:
        raise ValueError(f"mutants without a change or without tests: {', '.join(idle)}")
    return mutants


def misplaced(mutants: Sequence[Mutant], root: Path = ROOT) -> list[str]:
    """List the mutants whose text does not occur exactly once, and the tests that do not exist."""
    lines = []
    for mutant in mutants:
        path = root / mutant.file
        count = path.read_text(encoding="utf-8").count(mutant.old) if path.is_file() else 0
        if count != 1:
            lines.append(f"{mutant.id}: the text occurs {count} times in {mutant.file}, expected once")
        lines += [f"{mutant.id}: no test {word}" for word in mutant.tests if ".py" in word and not _exists(root, word)]
    return lines


def _exists(root: Path, test: str) -> bool:
    """Return whether a file has the test of a node id; its parameters are not checked."""
    file, *names = test.split("[", 1)[0].split("::")
    if not (root / file).is_file():
        return False
    text = (root / file).read_text(encoding="utf-8")
    return all(re.search(rf"(def|class) {re.escape(name)}\b", text) for name in names)


@contextmanager
def copied_tree(root: Path = ROOT) -> Iterator[Path]:
    """Yield a copy of the files that git tracks or would track, deleted afterwards."""
    listing = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    with tempfile.TemporaryDirectory(prefix="innovator-mutants-", ignore_cleanup_errors=True) as folder:
        for name in subprocess.run(listing, check=True, capture_output=True, text=True).stdout.splitlines():
            if (root / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, target)
        yield Path(folder)


def run_tests(tree: Path, tests: Sequence[str], seconds: float = SECONDS) -> tuple[bool, str]:
    """Run tests in `tree`.

    Returns:
        Whether they pass, and what pytest printed. A time-out is a failure.

    Raises:
        ValueError: the arguments select no test.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    data = os.environ.get("INNOVATOR_DATA") or str(ROOT.parent / "shared" / "data")
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "INNOVATOR_DATA": data}
    with subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # what the tests started would keep the output open
            return False, f"no end within {seconds:.0f} s"
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode in (4, 5):  # pytest: wrong arguments, nothing collected
        raise ValueError(f"pytest runs no test for {shlex.join(tests)}: {output.strip()[-500:]}")
    return process.returncode == 0, output


def killer(tree: Path, mutant: Mutant) -> str:
    """Return the first test that fails with the mutant's line; empty if none does.

    Where the tests ended otherwise, the reason is returned.
    """
    path = tree / mutant.file
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        passed, output = run_tests(tree, mutant.tests)
    finally:
        path.write_text(right, encoding="utf-8")
    failures = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return "" if passed else (failures or output.splitlines()[-1:] or ["no output"])[0]


def baseline_failure(tree: Path, mutants: Sequence[Mutant]) -> str:
    """Run all tests on the right text; node ids are selected alone in one session.

    Returns:
        The end of what the first failing session printed; empty where all pass.
    """
    selections = {mutant.tests for mutant in mutants}
    plain = sorted({word for words in selections for word in words if not _has_option(words)})
    for words in (plain, *sorted(words for words in selections if _has_option(words))):
        passed, output = run_tests(tree, words, BASELINE_SECONDS) if words else (True, "")
        if not passed:
            return output[-3000:]
    return ""


def _has_option(words: Sequence[str]) -> bool:
    return any(word.startswith("-") for word in words)


def main() -> int:
    """Run the mutants that the command line selects; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Run the listed mutants.")
    parser.add_argument("--only", default="", help="words, separated by commas; a mutant's id must contain one")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that run at the same time (default 2)")
    parser.add_argument("--fast", action="store_true", help="do not run the tests on the right text first")
    parser.add_argument("--check", action="store_true", help="check the list without running a test")
    options = parser.parse_args()
    words = [word for word in options.only.split(",") if word]
    mutants = [mutant for mutant in read_mutants() if not words or any(word in mutant.id for word in words)]
    if lines := misplaced(mutants):
        print("\n".join(lines))
        return 1
    if options.check:
        print(f"{len(mutants)} mutants, each text found once, each test found")
        return 0
    with ExitStack() as stack:
        trees = [stack.enter_context(copied_tree()) for _ in range(max(1, options.jobs))]
        if not options.fast and (failure := baseline_failure(trees[0], mutants)):
            print(f"the tests fail without a mutant:\n{failure}")
            return 1
        return report(trees, mutants)


def report(trees: Sequence[Path], mutants: Sequence[Mutant]) -> int:
    """Run every mutant, one at a time per tree, and print each result and the score.

    Returns:
        0 when every mutant that is not marked `equivalent` is killed, 1 otherwise.
    """
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def run(mutant: Mutant) -> tuple[str, float]:
        tree, began = free.get(), time.monotonic()
        try:
            return killer(tree, mutant), time.monotonic() - began
        finally:
            free.put(tree)

    alive, equivalent, started = [], 0, time.monotonic()
    with ThreadPoolExecutor(len(trees)) as pool:
        for number, (mutant, (why, seconds)) in enumerate(zip(mutants, pool.map(run, mutants), strict=True), 1):
            equivalent += not why and bool(mutant.equivalent)
            if not why and not mutant.equivalent:
                alive.append(mutant.id)
            word = "killed" if why else f"equivalent ({mutant.equivalent})" if mutant.equivalent else "SURVIVED"
            left = (time.monotonic() - started) / number * (len(mutants) - number)
            print(
                f"[{number}/{len(mutants)}, {left / 60:.0f} min left] {mutant.id}: {word} in {seconds:.0f} s",
                flush=True,
            )
            if why:
                print(f"    {why[:140]}", flush=True)
    killed = len(mutants) - len(alive) - equivalent
    minutes = (time.monotonic() - started) / 60
    print(
        f"{killed} of {len(mutants)} mutants killed, {equivalent} equivalent, {len(alive)} survived: {alive}; "
        f"{minutes:.1f} minutes"
    )
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
