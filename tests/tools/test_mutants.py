"""The list of mutants fits the code, and the runner tells a mutant that the tests kill from one that they do not."""

import ast
import dataclasses
from pathlib import Path

import pytest

from tools.mutants import Mutant, baseline_failure, misplaced, read_mutants, report, run_tests

GROUPS = {"verl", "trainer", "sampling", "reward", "record", "dashboard", "sandbox", "data", "upcycle", "cli"}
SELECTION = ("tests/test_sum.py",)


def mutant(name: str, old: str, new: str, equivalent: str = "") -> Mutant:
    return Mutant(id=name, file="sums.py", old=old, new=new, tests=SELECTION, equivalent=equivalent)


KILLED = mutant("killed", "a + b", "a - b")
SURVIVOR = mutant("survivor", "a * b", "a")
EQUIVALENT = mutant("same", "(a, b)", "(b, a)", "the sum does not depend on the order")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a module and a test of its first function alone."""
    (tmp_path / "sums.py").write_text(
        "def add(a, b):\n    return a + b\n\n\ndef times(a, b):\n    return a * b\n\n\nboth = lambda a, b: sum((a, b))\n"
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_sum.py").write_text(
        "import sums\n\n\ndef test_sum():\n    assert sums.add(1, 2) == sums.both(1, 2) == 3\n"
    )
    return tmp_path


def test_every_listed_text_is_found_once() -> None:
    assert misplaced(read_mutants()) == []


def test_every_mutant_is_a_program() -> None:
    for found in read_mutants():
        ast.parse(Path(found.file).read_text(encoding="utf-8").replace(found.old, found.new), found.id)


def test_the_list_is_well_formed() -> None:
    mutants = read_mutants()
    assert len(mutants) >= 57
    assert {found.id.partition("-")[0] for found in mutants} >= GROUPS
    for found in mutants:
        assert "\n" not in found.old + found.new, found.id
    assert [found.id for found in mutants if found.equivalent] == ["dashboard-sql-statement-type"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (2 * "- {id: a, file: b, old: c, new: d, tests: e}\n", "occur twice: a"),
        ("- {id: a, file: b, old: c, new: c, tests: e}\n", "without a change or without tests: a"),
        ("- {id: a, file: b, old: c, new: d, tests: ''}\n", "without a change or without tests: a"),
    ],
)
def test_a_wrong_list_is_refused(rows: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text(rows)
    with pytest.raises(ValueError, match=message):
        read_mutants(tmp_path / "list.yaml")


def test_arguments_are_split_as_in_a_shell(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- {id: a, file: b, old: c, new: d, tests: x.py -m 'not slow'}\n")
    assert read_mutants(tmp_path / "list.yaml")[0].tests == ("x.py", "-m", "not slow")


def test_a_text_that_moved_or_is_ambiguous_is_named(tree: Path) -> None:
    lines = misplaced([KILLED, mutant("gone", "a / b", "a"), mutant("twice", "return", "yield")], tree)
    assert [line.partition(" in ")[0] for line in lines] == [
        "gone: the text occurs 0 times",
        "twice: the text occurs 2 times",
    ]


def test_a_test_that_moved_is_named(tree: Path) -> None:
    there, gone, no_file = (
        f"tests/{test}" for test in ("test_sum.py::test_sum[1]", "test_sum.py::test_su", "test_a.py")
    )
    moved = dataclasses.replace(KILLED, tests=(there, "-m", "not slow", gone, no_file))
    assert misplaced([moved], tree) == [f"killed: no test {gone}", f"killed: no test {no_file}"]


def test_the_score_counts_the_killed_and_names_the_survivors(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = (tree / "sums.py").read_text()
    assert baseline_failure(tree, [KILLED]) == ""
    assert report([tree], [KILLED, SURVIVOR, EQUIVALENT]) == 1
    printed = capsys.readouterr().out
    assert "FAILED tests/test_sum.py::test_sum - " in printed
    lines = [line for line in printed.splitlines() if line.startswith(("[", "1 of"))]
    assert [line.partition("] ")[2].rpartition(" in ")[0] for line in lines[:3]] == [
        "killed: killed",
        "survivor: SURVIVED",
        "same: equivalent (the sum does not depend on the order)",
    ]
    assert lines[3].startswith("1 of 3 mutants killed, 1 equivalent, 1 survived: ['survivor']; ")
    assert (tree / "sums.py").read_text() == right
    assert report([tree], [KILLED, EQUIVALENT]) == 0


def test_tests_that_fail_without_a_mutant_are_shown(tree: Path) -> None:
    (tree / "sums.py").write_text("def add(a, b):\n    return 0\n")
    assert "assert 0 == " in baseline_failure(tree, [KILLED]) or "AttributeError" in baseline_failure(tree, [KILLED])


def test_a_selection_without_tests_kills_nothing(tree: Path) -> None:
    with pytest.raises(ValueError, match="pytest runs no test"):
        run_tests(tree, ["tests/test_sum.py::test_absent"])


def test_tests_that_hang_fail_and_leave_no_process(tree: Path) -> None:
    (tree / "tests" / "test_sum.py").write_text(
        "import subprocess\n\n\ndef test_hang():\n    subprocess.run(['sleep', '60'])\n"
    )
    passed, output = run_tests(tree, SELECTION, seconds=3)
    assert (passed, output) == (False, "no end within 3 s")
