"""Readers on the real published files; skipped by name where those are missing."""

from collections import Counter
from pathlib import Path

import pytest
import selfies
from rdkit import Chem
from real_data import real

from innovator_rl.data.molecules import RejectedMolecule, canonical_smiles, to_selfies
from innovator_rl.data.problem import Problem
from innovator_rl.data.readers import reader
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.errors import UserError


def problems(name: str, domain: str, path: Path, **parameters: object) -> tuple[list[Problem], Rejections]:
    rejected = Rejections()
    recipe = Recipe(name="test", domain=domain, license="-", reader=name, source=path, parameters=parameters)
    found = list(reader(name)(path, recipe, rejected))
    assert len({problem.id for problem in found}) == len(found)
    assert all(problem.question and problem.answer for problem in found)
    return found, rejected


def test_chebi20_both_ways() -> None:
    path = real("chebi20/validation.tsv")
    described, rejected = problems("chebi20", "mol2caption", path)
    written, _ = problems("chebi20", "caption2mol", path)
    assert len(described) + sum(rejected.values()) == 3301
    assert len(described) >= 3290
    assert [p.question for p in described] == [p.answer for p in written]
    for problem in described[::100]:
        assert Chem.MolToSmiles(Chem.MolFromSmiles(selfies.decoder(problem.question))) == problem.group
    with pytest.raises(UserError, match="serves mol2caption and caption2mol"):
        problems("chebi20", "physics", path)


def test_moleculenet_labels_become_true_and_false() -> None:
    bace, _ = problems("moleculenet", "chemistry", real("moleculenet/bace.csv"), ask="Does it inhibit BACE1?")
    assert Counter(p.answer for p in bace) == {"False": 822, "True": 691}
    assert bace[0].question.startswith("Does it inhibit BACE1?\nMolecule: [")
    bbbp, rejected = problems("moleculenet", "chemistry", real("moleculenet/bbbp.csv"), ask="Does it cross?")
    assert rejected["RDKit cannot read the SMILES"] == 11
    assert rejected["molecule with both labels"] == 10
    assert len(bbbp) == 1965
    with pytest.raises(UserError, match=r"parameters\.ask"):
        problems("moleculenet", "chemistry", real("moleculenet/bace.csv"))


def test_physics_keeps_single_comparable_answers() -> None:
    single, rejected = problems("physics_phd", "physics", real("physics_phd/mechanics.jsonl.gz"))
    assert single[0].answer == "\\sqrt{2\\mu Rh}"
    assert len(single) + sum(rejected.values()) == 133
    every, _ = problems("physics_phd", "physics", real("physics_phd/mechanics.jsonl.gz"), several=True)
    assert len(every) > 2 * len(single)
    assert any(len(problem.info.get("answers", [])) > 1 for problem in every)


def test_scibench_names_the_unit_and_the_power_of_ten() -> None:
    found, rejected = problems("scibench", "stem", real("scibench"))
    assert len(found) + sum(rejected.values()) == 393
    assert len(found) > 380
    work = next(p for p in found if "work function" in p.question and p.answer.startswith("3.52"))
    assert work.answer == "3.52 \\times 10^{-19} \\mathrm{~J}"
    assert work.question.endswith("Give the answer in $10^{-19} \\mathrm{~J}$.")
    assert not any(p.answer.startswith("+") for p in found)


def test_gsm8k_takes_the_number_after_the_hashes() -> None:
    found, rejected = problems("gsm8k", "math", real("gsm8k/train.jsonl.gz"))
    assert (len(found), sum(rejected.values())) == (7473, 0)
    assert found[0].answer == "72"
    assert all(p.answer.lstrip("-").replace(".", "", 1).isdigit() for p in found)


def test_leetcode_checks_run_against_the_published_solutions() -> None:
    found, _ = problems("leetcode", "code", real("leetcode/train.jsonl.gz"))
    assert len(found) == 1890
    for problem in found[:40]:
        space: dict[str, object] = {}
        assert problem.info["type"] == "check"
        exec(problem.info["prelude"] + "\n" + problem.answer + "\n" + problem.info["check"], space)
        space["check"](eval(problem.info["entry_point"], space))  # type: ignore[operator]


def test_molecules_that_do_not_survive_are_rejected_with_a_reason() -> None:
    assert to_selfies("c1ccccc1O") == "[O][C][=C][C][=C][C][=C][Ring1][=Branch1]"
    assert canonical_smiles("OCC") == "CCO"
    for smiles, reason in [
        ("", "heavy atoms"), ("not a molecule", "cannot read"), ("C" * 1200, "heavy atoms"), ("[H][H]", "heavy atoms"),
        ("CI(=O)=O", "SELFIES cannot express"),
    ]:  # fmt: skip
        with pytest.raises(RejectedMolecule, match=reason):
            to_selfies(smiles)


def test_reader_faults_name_file_line_and_field(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "x", "answer": "1"}\n{"question": }\n')
    with pytest.raises(UserError, match=r"a\.jsonl, line 2 is not JSON"):
        problems("jsonl", "math", tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text('{"Question": "x"}\n')
    with pytest.raises(UserError, match="no field 'question'; it has Question"):
        problems("jsonl", "math", tmp_path / "b.jsonl")
    with pytest.raises(UserError, match="not found: give the file"):
        problems("jsonl", "math", tmp_path / "none")
    (tmp_path / "c.jsonl.gz").write_bytes(b"\x1f\x8b cut short")
    with pytest.raises(UserError, match="cannot be read"):
        problems("jsonl", "math", tmp_path / "c.jsonl.gz")
    with pytest.raises(UserError, match="did you mean 'jsonl'"):
        reader("json")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("What is 2 + 3, in meters?,5", "line 3 has 3 cells, expected 2 as in the header"),
        ('"What is" 2 + 3?,5', "line 3 is not a row of CSV"),
    ],
)
def test_a_row_of_csv_that_does_not_fit_its_header_is_a_bad_row(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'question,answer\n"Is it 1, or 2?",1\n{line}\nIs it 3?,3\n')
    with pytest.raises(UserError, match=message):
        problems("jsonl", "math", path)
    rejected = Rejections(0.5)
    recipe = Recipe(name="test", domain="math", license="-", reader="jsonl", source=path)
    found = list(reader("jsonl")(path, recipe, rejected))
    assert [(problem.id, problem.question) for problem in found] == [
        ("a.csv:2", "Is it 1, or 2?"),
        ("a.csv:4", "Is it 3?"),
    ]
    assert (rejected, rejected.bad) == ({"unreadable row": 1}, 1)


def test_a_quotation_mark_that_is_not_closed_loses_no_rows_in_silence(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('question,answer\nIs it 1?,1\n"Is it 2?,2\nIs it 3?,3\n')
    with pytest.raises(UserError, match=r"a\.csv: the row of line 3 has a quotation mark that is not closed"):
        problems("jsonl", "math", tmp_path / "a.csv")
    (tmp_path / "a.tsv").write_text('question\tanswer\n"Is it 1?\t1\nIs it\t2?\t2\n')  # no quotation marks in a .tsv
    with pytest.raises(UserError, match="line 3 has 3 cells, expected 2"):
        problems("jsonl", "math", tmp_path / "a.tsv")
