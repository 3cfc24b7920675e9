"""Run the listed mutants and print how many of them the tests kill.

A mutant is one deliberately wrong line. `tests/mutants.yaml` lists each with the file, the right text, the wrong text and the
tests that must notice it. Every mutant runs in a copy of the working tree, so that the checkout is never touched.

    python -m tools.mutants                     every mutant (about 20 minutes on two cores)
    python -m tools.mutants --only verl,sql     those whose id contains one of the words
    python -m tools.mutants --check             only whether each text is found once (seconds; part of `make check`)

Exit status: 0 when every mutant that is not marked `equivalent` is killed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "mutants.yaml"
SECONDS = 300
"""Time limit of one mutant's tests; a mutant whose tests hang counts as killed."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One wrong line.

    Attributes:
        id: A short unique name.
        file: The file, relative to the repository root.
        old: The right text, which must occur exactly once in the file.
        new: The wrong text.
        tests: Arguments of pytest that select the tests which must fail.
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
        ValueError: for an id that occurs twice.
    """
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    mutants = [Mutant(**{**row, "tests": tuple(row["tests"].split())}) for row in rows]
    names = [mutant.id for mutant in mutants]
    if doubles := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"ids that occur twice: {', '.join(sorted(doubles))}")
    return mutants


def misplaced(mutants: Sequence[Mutant], root: Path = ROOT) -> list[str]:
    """List the mutants whose text does not occur exactly once."""
    lines = []
    for mutant in mutants:
        path = root / mutant.file
        count = path.read_text(encoding="utf-8").count(mutant.old) if path.is_file() else 0
        if count != 1:
            lines.append(f"{mutant.id}: the text occurs {count} times in {mutant.file}, expected once")
    return lines


@contextmanager
def copied_tree(root: Path = ROOT) -> Iterator[Path]:
    """Yield a copy of the files that git tracks or would track, deleted afterwards."""
    listing = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    with tempfile.TemporaryDirectory(prefix="innovator-mutants-") as folder:
        for name in subprocess.run(listing, check=True, capture_output=True, text=True).stdout.splitlines():
            if (root / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, target)
        yield Path(folder)


def run_tests(tree: Path, tests: Sequence[str]) -> bool:
    """Return whether the tests pass in `tree`; a time-out is a failure."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    data = os.environ.get("INNOVATOR_DATA") or str(ROOT.parent / "shared" / "data")
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "INNOVATOR_DATA": data}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def survives(tree: Path, mutant: Mutant) -> bool:
    """Return whether the tests pass although the mutant's line is wrong."""
    path = tree / mutant.file
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return run_tests(tree, mutant.tests)
    finally:
        path.write_text(right, encoding="utf-8")


def main() -> int:
    """Run the mutants that the command line selects; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Run the listed mutants.")
    parser.add_argument("--only", default="", help="words, separated by commas; a mutant's id must contain one")
    parser.add_argument("--check", action="store_true", help="check the list without running a test")
    options = parser.parse_args()
    words = [word for word in options.only.split(",") if word]
    mutants = [mutant for mutant in read_mutants() if not words or any(word in mutant.id for word in words)]
    if lines := misplaced(mutants):
        print("\n".join(lines))
        return 1
    if options.check:
        print(f"{len(mutants)} mutants, each text found once")
        return 0
    with copied_tree() as tree:
        for tests in sorted({mutant.tests for mutant in mutants}):
            if not run_tests(tree, tests):
                print(f"the tests fail without a mutant: {' '.join(tests)}")
                return 1
        return _report(tree, mutants)


def _report(tree: Path, mutants: Sequence[Mutant]) -> int:
    alive, equivalent, started = [], 0, time.monotonic()
    for number, mutant in enumerate(mutants, 1):
        survived = survives(tree, mutant)
        equivalent += survived and bool(mutant.equivalent)
        if survived and not mutant.equivalent:
            alive.append(mutant.id)
        word = "killed" if not survived else f"equivalent ({mutant.equivalent})" if mutant.equivalent else "SURVIVED"
        left = (time.monotonic() - started) / number * (len(mutants) - number)
        print(f"[{number}/{len(mutants)}, {left / 60:.0f} min left] {mutant.id}: {word}", flush=True)
    killed = len(mutants) - len(alive) - equivalent
    print(f"{killed} of {len(mutants)} mutants killed, {equivalent} equivalent, {len(alive)} survived: {alive}")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
