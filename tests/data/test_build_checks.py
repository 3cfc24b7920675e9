"""A build drops gold answers that fail, copies and evaluation items, and balances and splits what is left."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.data.build import build, open_recipe
from innovator_rl.data.checks.balance import balance
from innovator_rl.data.checks.mutants import mutate
from innovator_rl.data.checks.near import drop_near_duplicates
from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.molecules import inchikey, molecule_keys, scaffold_key, skeleton_key, smiles_of
from innovator_rl.data.problem import Problem
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.data.rows import read_rows
from innovator_rl.errors import UserError

ASPIRIN, ASPIRIN_AGAIN = "CC(=O)Oc1ccccc1C(=O)O", "OC(=O)c1ccccc1OC(C)=O"


def recipe(folder: Path, rows: list[dict], **keys: Any) -> Recipe:
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Recipe(**{"name": "r", "domain": "math", "license": "-", "reader": "jsonl", "source": source, **keys})


def sums(count: int) -> list[dict]:
    return [{"question": f"What is {n} plus {n + 1}?", "answer": str(2 * n + 1)} for n in range(count)]


def test_gold_answers_are_tried_and_counted_in_manifest_and_card(tmp_path: Path) -> None:
    rows = [
        *sums(6),
        {"question": "What is blue?", "answer": "\\frac{1}{"},
        {"question": "Loose?", "answer": "7", "reward": "paid:any"},
    ]
    (tmp_path / "paid.py").write_text("def any_number(response):\n    return 1.0\n")
    rows[-1]["reward"] = f"{tmp_path / 'paid.py'}:any_number"
    report = build(recipe(tmp_path, rows), tmp_path, tmp_path / "out")
    assert sum(report.rows.values()) == 6
    assert report.rejected.pop("a wrong answer scores correct") == 1
    assert sum(report.rejected.values()) == 1
    manifest = json.loads((tmp_path / "out/r/dataset.json").read_text())
    (step,) = [step for step in manifest["steps"] if step["name"] == "gold answers"]
    assert (step["rows_in"], step["rows_out"]) == (8, 6)
    assert step["dropped"] == manifest["left_out"]
    card = (tmp_path / "out/r/README.md").read_text()
    assert "| gold answers | 8 | 6 |" in card
    assert card.count("Answer:") == 3
    again = (tmp_path / "out/r/train.parquet").read_bytes()
    build(recipe(tmp_path, rows), tmp_path, tmp_path / "out")
    assert (tmp_path / "out/r/train.parquet").read_bytes() == again


def test_a_build_without_a_right_gold_says_which_rewarder_refused(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}?", "answer": "a long explanation in words"} for n in range(4)]
    with pytest.raises(UserError, match=r"no gold answer is scored correct by chemistry .*gold: false"):
        build(recipe(tmp_path, rows, domain="chemistry"), tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("rewarder", "answer", "wrong"),
    [
        ("physics", "0.05 m", "0.06 m"), ("math", "9", "8"), ("math", "0", "1"), ("chemistry", "True", "False"),
        ("choice", "B", "C"), ("choice", "D", "A"), ("math", "x", "other"), ("physics", "\\frac{1}{2} m v^2", "\\frac{2}{2} m v^2"),
        ("physics", "x_{(1)} = 2 y_3", "x_{(1)} = 3 y_3"), ("physics", "v_1", "v_2"),
        ("caption2mol", "[C][C][O]", "[C][C][C][O]"), ("caption2mol", "CCO", "CCCO"), ("mol2caption", "an acid", "other"),
        ("code", "def f(a):\n    return a", "def f(a):\n    return None"), ("code", "print(1)", "print()"), ("code", "x = (", None),
    ],
)  # fmt: skip
def test_one_place_is_made_wrong(rewarder: str, answer: str, wrong: str | None) -> None:
    assert mutate(Problem("p", "q", answer), rewarder, ["other"]) == wrong


@given(st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{1,4})?", fullmatch=True))
def test_a_changed_number_is_another_number(number: str) -> None:
    changed = mutate(Problem("p", "q", number), "math", [])
    assert changed is not None
    assert float(changed) != float(number)


LONG = (
    "A block of wood slides down a rough plane without any spin and stops after some time at the lower end of the plane"
)


def test_near_copies_go_and_other_numbers_or_answers_stay() -> None:
    texts = [(LONG + " 5 m long.", "1"), (LONG.replace("rough", "coarse") + " 5 m long.", "1"), (LONG + " 6 m long.", "1"),
             (LONG + " 5 m long!", "2"), ("Something else entirely is asked of you here in this question.", "1")]  # fmt: skip
    rejected = Rejections()
    kept = drop_near_duplicates([Problem(str(i), *text) for i, text in enumerate(texts)], 0.7, rejected, RowProgress())
    assert [problem.id for problem in kept] == ["0", "2", "3", "4"]
    assert rejected.rows[0].detail == "of 0"


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["True", "False", "maybe"]), max_size=40), st.integers(0, 2))
def test_balance_leaves_equal_classes_and_everything_else(answers: list[str], sources: int) -> None:
    rows = [Problem(str(i), f"q{i}", a, data_source=str(i % (sources + 1))) for i, a in enumerate(answers)]
    rejected = Rejections()
    kept = balance(rows, rejected)
    assert len(kept) + rejected.total() == len(rows)
    for source in {row.data_source for row in rows}:
        before = Counter(row.answer for row in rows if row.data_source == source)
        after = Counter(row.answer for row in kept if row.data_source == source)
        assert after["maybe"] == before["maybe"]
        if before["True"] and before["False"]:
            assert after["True"] == after["False"] == min(before["True"], before["False"])


def test_splits_are_balanced_on_both_sides(tmp_path: Path) -> None:
    rows = [{"question": f"Is {n} more than {n % 7}?", "answer": "True" if n % 4 else "False"} for n in range(200)]
    report = build(recipe(tmp_path, rows, domain="stem", checks={"gold": False}), tmp_path, tmp_path / "out")
    for path in report.files.values():
        classes = Counter(row.answer for row in read_rows(path))
        assert classes["True"] == classes["False"] > 0


def test_molecules_are_known_in_any_spelling() -> None:
    import selfies

    key = inchikey(ASPIRIN)
    assert inchikey(ASPIRIN_AGAIN) == key
    assert molecule_keys(f"What is {ASPIRIN_AGAIN}, and why?") == {key}
    assert molecule_keys(f"Molecule: {selfies.encoder(ASPIRIN_AGAIN)}\nIs it an acid?") == {key}
    assert molecule_keys("This sentence (with words) has no molecule: a/b, f(x)=3, [1].") == set()
    assert molecule_keys("CCO", whole=True) == {inchikey("CCO")}
    assert skeleton_key("C[C@H](N)C(=O)O") == skeleton_key("C[C@@H](N)C(=O)O") == skeleton_key("CC(N)C(=O)O")
    assert scaffold_key("Cc1ccccc1O") == scaffold_key("CCc1ccccc1") != scaffold_key("C1CCCCC1")
    assert smiles_of("[C] [C] [O]") == smiles_of("[C][C][O]") == "CCO"


def test_stereoisomers_and_scaffolds_stay_on_one_side(tmp_path: Path) -> None:
    tails = ["C" * n for n in range(1, 13)]
    rows = [
        {"question": f"Is this acid? {smiles}", "answer": "True" if i % 2 else "False", "smiles": smiles}
        for tail in tails
        for i, smiles in enumerate(
            (f"{tail}[C@H](N)C(=O)O", f"{tail}[C@@H](N)C(=O)O", f"{tail}c1ccccc1", f"{tail}C1CCNCC1")
        )
    ]
    for by, key in (("molecule", skeleton_key), ("scaffold", scaffold_key)):
        made = recipe(tmp_path, rows, domain="chemistry", checks={"gold": False}, splits={"by": by, "validation": 0.4})
        report = build(made, tmp_path, tmp_path / by)
        sides = [
            {key(row.prompt_text.split("acid? ")[1].split()[0]) for row in read_rows(path)}
            for path in report.files.values()
        ]
        assert all(sides)
        assert not sides[0] & sides[1]
    rows[3]["smiles"] = ""
    with pytest.raises(UserError, match=r"needs a molecule on each row, and .*line 4 has none"):
        build(
            recipe(tmp_path, rows, domain="chemistry", checks={"gold": False}, splits={"by": "scaffold"}),
            tmp_path,
            tmp_path,
        )


def test_evaluation_items_are_dropped_by_words_and_by_molecule(tmp_path: Path) -> None:
    import selfies

    item = "A train leaves the station at noon and runs north at a constant speed of forty kilometers per hour until it stops"
    (tmp_path / "eval.jsonl").write_text(
        json.dumps({"q": f"{item}. Where is it?"}) + "\n" + json.dumps({"q": "How heavy is gold?"}) + "\n"
    )
    (tmp_path / "mols.tsv").write_text(f"SMILES\tdescription\n{ASPIRIN}\tIt is a drug.\n")
    rows = [
        *sums(6),
        {"question": f"Consider this. {item.upper()}! Say where.", "answer": "1"},
        {"question": "how heavy is GOLD", "answer": "19"},
        {"question": f"How many rings has {selfies.encoder(ASPIRIN_AGAIN)}?", "answer": "1"},
        {"question": "How many rings has this one?", "answer": "1", "smiles": ASPIRIN_AGAIN},
        {"question": f"How many rings has {selfies.encoder('OC(=O)c1ccccc1OC(C)=S')}?", "answer": "1"},
    ]
    template = (
        "The molecule is an acid that has a role as a metabolite and it is a conjugate acid of something or other"
    )
    (tmp_path / "mols.tsv").open("a").write(f"CCCCO\t{template} else\n")
    rows += [
        {"question": f"{template} again", "answer": "1", "smiles": "CCCCCN"},  # a template is no copy
        {"question": f"{template}, ELSE.", "answer": "1", "smiles": "CCCCCO"},
    ]
    against = [
        {"name": "words", "path": str(tmp_path / "eval.jsonl"), "fields": ["q"]},
        {"name": "drugs", "path": str(tmp_path / "mols.tsv"), "fields": ["description"], "molecules": ["SMILES"]},
    ]
    made = recipe(tmp_path, rows, checks={"gold": False}, decontaminate={"against": against})
    report = build(made, tmp_path, tmp_path / "out")
    assert report.rejected == {"evaluation text": 3, "evaluation molecule": 2}
    manifest = json.loads((tmp_path / "out/r/dataset.json").read_text())
    assert {name: (found["items"], found["molecules"]) for name, found in manifest["evaluation_sets"].items()} == {
        "words": (2, 0), "drugs": (2, 2),
    }  # fmt: skip


def test_a_problem_that_begins_with_a_short_evaluation_item_is_another_one(tmp_path: Path) -> None:
    item = "Find the mass of a cube of side four"
    (tmp_path / "e.jsonl").write_text(json.dumps({"q": f"{item}."}))
    rows = [
        {"question": f"{item} and of a ball of radius two that lies on it.", "answer": "1"},
        {"question": f"Read this first. {item}. Then stop.", "answer": "2"},
        {"question": f"3) {item}", "answer": "3"},
        {"question": "Find the height of a cone.", "answer": "4"},
    ]
    against = [{"name": "e", "path": str(tmp_path / "e.jsonl"), "fields": ["q"]}]
    checks = {"gold": False, "mutants": False, "near_duplicates": 0}
    report = build(
        recipe(tmp_path, rows, checks=checks, decontaminate={"against": against}), tmp_path, tmp_path / "out"
    )
    assert report.rejected["evaluation text"] == 2


def test_an_evaluation_item_in_a_column_that_the_prompt_shows_is_found(tmp_path: Path) -> None:
    item = "A train leaves the station at noon and runs north at a constant speed of forty kilometers per hour"
    (tmp_path / "e.jsonl").write_text(json.dumps({"q": item}) + "\n" + json.dumps({"q": "none of the above"}) + "\n")
    shown = [{"context": item}, {"context": [item[:50], item[50:]]}, {"context": {"text": ["Read.", item]}}]
    kept = [{"context": "none of the above"}, {"context": None}, {"context": "", "hidden": item}]
    rows = [{**sum_, **more} for sum_, more in zip(sums(6), [*shown, *kept], strict=True)]
    made = recipe(
        tmp_path,
        rows,
        prompt="{{ context }} {{ question }}",
        checks={"gold": False, "near_duplicates": 0},
        decontaminate={"against": [{"name": "e", "path": str(tmp_path / "e.jsonl"), "fields": ["q"]}]},
    )
    report = build(made, tmp_path, tmp_path / "out")
    assert report.rejected == {"evaluation text": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "none.jsonl"}, "evaluation set 'e' not found at 'none.jsonl'"),
        ({"fields": ["z"]}, r"line 1 has no field 'z'; it has q,"),
        ({"path": "${NO_SUCH_FOLDER}/e.jsonl"}, "NO_SUCH_FOLDER is not set"),
        ({"fields": ["q", "null"]}, "evaluation set 'e': the field 'null' is empty in all 1 items"),
        (
            {"fields": ["word"]},
            "evaluation set 'e' has nothing to look for, no text of 3 words and no molecule in 1 items",
        ),
        ({"fields": ["word"], "molecules": ["q"]}, "has nothing to look for"),
    ],
)
def test_an_evaluation_set_that_is_missing_stops_the_build(tmp_path: Path, change: dict, message: str) -> None:
    row = {"q": "one two three four five six seven eight nine", "null": None, "word": "one"}
    (tmp_path / "e.jsonl").write_text(json.dumps(row) + "\n")
    item = {"name": "e", "path": str(tmp_path / "e.jsonl"), "fields": ["q"], **change}
    with pytest.raises(UserError, match=message):
        build(recipe(tmp_path, sums(4), decontaminate={"against": [item]}), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_published_solution_that_fails_is_replaced_by_one_that_passes(tmp_path: Path) -> None:
    tests = json.dumps({"inputs": ["2\n", "3\n"], "outputs": ["4\n", "6\n"]})
    rows = [{"question": f"Double it, {n} times.", "starter_code": "", "input_output": tests, "difficulty": "EASY",
             "solutions": json.dumps(solutions)} for n, solutions in enumerate([
                 ["print(1)", "print(int(input()) * 2)"], ["n = int(input())\nprint(n + n)"], ["print(2)"]])]  # fmt: skip
    report = build(recipe(tmp_path, rows, domain="code", reader="taco"), tmp_path, tmp_path / "out", workers=1)
    golds = {row.answer for path in report.files.values() for row in read_rows(path)}
    assert golds == {"print(int(input()) * 2)", "n = int(input())\nprint(n + n)"}
    assert report.rejected == {"gold answer not correct (wrong_answer)": 1} or sum(report.rejected.values()) == 1


def test_shipped_recipes_name_readers_that_exist() -> None:
    from innovator_rl.data.corpus.recipe import is_corpus_recipe
    from innovator_rl.data.readers import reader
    from innovator_rl.data.sft.recipe import is_sft_recipe
    from innovator_rl.data.tasks import TASKS

    every = (Path(__file__).resolve().parents[2] / "configs/data").glob("*.yaml")
    files = [path for path in every if not is_corpus_recipe(path) and not is_sft_recipe(path)]
    domains = set()
    for path in files:
        opened, _ = open_recipe(str(path))
        assert bool(opened.task) != bool(opened.reader), path
        assert opened.task in TASKS if opened.task else reader(opened.reader)
        domains.add(opened.domain)
    assert {"physics", "chemistry", "mol2caption", "caption2mol", "math", "stem", "code"} <= domains
