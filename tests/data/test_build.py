"""Builds are deterministic, splits are disjoint whatever the seed, and a wrong name leads to a near one."""

import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

from innovator_rl.data.build import build, open_recipe, overridden, problems_to_evaluate, split
from innovator_rl.data.build_lock import build_lock
from innovator_rl.data.materialize import materialize
from innovator_rl.data.problem import Problem
from innovator_rl.data.prompts import FORMS, STYLES, render
from innovator_rl.data.readers import READERS
from innovator_rl.data.recipe import READER_PARAMETERS, Recipe, dataset_names, load_recipe
from innovator_rl.data.recipe_files import read_recipe
from innovator_rl.data.rendering import to_rows
from innovator_rl.data.rows import read_rows
from innovator_rl.errors import UserError


def lines(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def prompts(path: Path) -> set[str]:
    return {row.prompt_text for row in read_rows(path)}


def test_same_recipe_same_rows_and_disjoint_splits(tmp_path: Path) -> None:
    recipe, folder = open_recipe("physics")
    first, second = build(recipe, folder, tmp_path / "a"), build(recipe, folder, tmp_path / "b")
    for name in ("train", "validation"):
        assert first.files[name].read_bytes() == second.files[name].read_bytes()
        assert [row.split for row in read_rows(first.files[name])] == [name] * first.rows[name]
    assert not prompts(first.files["train"]) & prompts(first.files["validation"])
    assert sum(first.rows.values()) == 28


def test_a_validation_problem_never_trains_under_another_seed_or_size(tmp_path: Path) -> None:
    recipe, folder = open_recipe("unit-arithmetic")
    small = build(overridden(recipe, rows=200, seed=1), folder, tmp_path / "a")
    large = build(overridden(recipe, rows=500, seed=2), folder, tmp_path / "b")
    assert prompts(small.files["train"]) != prompts(large.files["train"])
    assert not prompts(small.files["validation"]) & prompts(large.files["train"])
    assert not prompts(large.files["validation"]) & prompts(small.files["train"])


def test_a_test_split_leaves_validation_as_it_was_and_is_what_an_evaluation_asks(tmp_path: Path) -> None:
    recipe, folder = open_recipe("unit-arithmetic")
    tested = overridden(recipe, rows=300, checks={"gold": False}, splits={"validation": 0.3, "test": 0.3})
    built = build(tested, folder, tmp_path / "a")
    plain = build(overridden(tested, splits={"validation": 0.3}), folder, tmp_path / "b")
    assert set(built.files) == {"train", "validation", "test"}
    assert prompts(built.files["validation"]) == prompts(plain.files["validation"])
    assert prompts(built.files["train"]) | prompts(built.files["test"]) == prompts(plain.files["train"])
    assert not prompts(built.files["train"]) & prompts(built.files["test"])
    assert min(built.rows.values()) > 50
    asked = {row.prompt_text for row in to_rows(problems_to_evaluate(tested, folder), tested, "test")}
    assert prompts(built.files["test"]) <= asked
    assert not asked & (prompts(built.files["train"]) | prompts(built.files["validation"]))
    with pytest.raises(UserError, match=r"test = 0.7: must be less than 1 - validation = 0.3"):
        overridden(tested, splits={"validation": 0.7, "test": 0.7})


def test_a_share_for_worked_solutions_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    problems = [Problem(str(i), f"question {i}", "1", group=f"g{i % 200}") for i in range(1000)]
    before, after = split(problems, 0.3, 0.2), split(problems, 0.3, 0.2, 0.2)
    assert set(after) == {"train", "validation", "test", "worked"}
    for name in ("validation", "test"):
        assert after[name] == before[name]
    assert sorted(after["train"] + after["worked"], key=id) == sorted(before["train"], key=id)
    assert not {p.group for p in after["train"]} & {p.group for p in after["worked"]}
    assert 120 < len(after["worked"]) < 280
    recipe, folder = open_recipe("product")
    built = build(overridden(recipe, checks={"gold": False}), folder, tmp_path)
    assert not prompts(built.files["train"]) & prompts(built.files["worked"])
    assert f"{built.rows['worked']:,} to fine-tune on" in (tmp_path / "product" / "README.md").read_text()
    with pytest.raises(UserError, match=r"worked = 0.5: must be less than 1 - validation - test = 0.4"):
        overridden(recipe, splits={"validation": 0.3, "test": 0.3, "worked": 0.5})


def test_the_two_molecule_tasks_split_alike(tmp_path: Path) -> None:
    asked = build(*open_recipe("mol2caption"), tmp_path)
    answered = build(*open_recipe("caption2mol"), tmp_path)
    described = {row.answer for row in read_rows(asked.files["validation"])}
    trained = "\n".join(prompts(answered.files["train"]))
    assert described
    assert not any(caption in trained for caption in described)


def test_split_fills_both_sides_and_keeps_groups_together() -> None:
    pair = [Problem(str(i), f"question {i}", "1") for i in range(2)]
    assert {name: len(part) for name, part in split(pair, 0.001).items()} == {"train": 1, "validation": 1}
    assert {name: len(part) for name, part in split(pair, 0.999).items()} == {"train": 1, "validation": 1}
    grouped = [Problem(str(i), f"question {i}", "1", group=f"g{i % 10}") for i in range(100)]
    parts = split(grouped, 0.5)
    assert not {p.group for p in parts["train"]} & {p.group for p in parts["validation"]}
    with pytest.raises(UserError, match="one group"):
        split([Problem("0", "same", "1"), Problem("1", "Same ", "1")], 0.5)


def test_duplicates_and_contradictions_are_counted(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "own.jsonl",
        {"q": "1 + 1?", "a": "2"}, {"q": " 1  +\t1?\n", "a": "2"}, {"q": "x?", "a": "1"}, {"q": "x?", "a": "2"},
        {"q": "2 + 2?", "a": "4"}, {"q": "", "a": "4"},
    )  # fmt: skip
    recipe = Recipe(
        name="own", domain="math", license="-", reader="jsonl", source=source, fields={"question": "q", "answer": "a"}
    )
    report = build(recipe, tmp_path, tmp_path / "out")
    assert sum(report.rows.values()) == 2
    assert report.rejected == {
        "duplicate question": 2, "one question, several answers": 1, "empty question or answer": 1,
    }  # fmt: skip


def test_white_space_makes_no_other_question(tmp_path: Path) -> None:
    """The copies differ in line breaks, tabs and the number of spaces alone: one is kept, and none can leak into validation."""
    source = lines(
        tmp_path / "own.jsonl",
        {"question": "What is  2 +\n2?", "answer": "4"}, {"question": "What is 2 + 2?", "answer": "4"},
        {"question": " What\tis 2 + 2? ", "answer": "4"}, {"question": "What is 3 + 3?", "answer": "6"},
        {"question": "Is\u00a0it?", "answer": "yes"}, {"question": "Is it?", "answer": "no"}, {"question": "x", "answer": "1"},
    )  # fmt: skip
    recipe = Recipe(name="own", domain="math", license="-", reader="jsonl", source=source)
    report = build(recipe, tmp_path, tmp_path / "out")
    assert report.rejected == {"duplicate question": 3, "one question, several answers": 1}
    assert sum(report.rows.values()) == 3


def test_recipes_with_the_old_spelling_are_read(tmp_path: Path) -> None:
    recipe, _ = open_recipe("math")
    text = f"name: own\ndomain: math\nlicence: {recipe.license!r}\n"
    (tmp_path / "own.yaml").write_text(text)
    assert open_recipe(str(tmp_path / "own.yaml"))[0].license == recipe.license


def test_materialize_takes_files_names_and_built_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = materialize("math", tmp_path / "cache", "train", style="short")
    assert made == tmp_path / "cache" / "math" / "train.parquet"
    assert "reason step by step" not in "".join(prompts(made))
    stamp = made.stat().st_mtime_ns
    assert materialize("math", tmp_path / "cache", "train", style="short").stat().st_mtime_ns == stamp
    assert "step by step" in "".join(prompts(materialize("math", tmp_path / "cache", "train", style="full")))
    assert materialize(made, tmp_path / "cache", "train") == made
    report = build(*open_recipe("math"))
    assert materialize("math", tmp_path / "cache", "validation") == report.files["validation"]
    assert materialize("data/math", tmp_path / "cache", "validation") == Path("data/math/validation.parquet")


def test_runs_with_different_seeds_validate_on_the_same_questions(tmp_path: Path) -> None:
    files = {
        (seed, part): materialize("unit-arithmetic", tmp_path / str(seed), part, seed=seed)
        for seed in (1, 2)
        for part in ("train", "validation")
    }
    assert files[1, "validation"].read_bytes() == files[2, "validation"].read_bytes()
    assert prompts(files[1, "train"]) != prompts(files[2, "train"])
    assert not prompts(files[1, "train"]) & prompts(files[2, "validation"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("phisics", "did you mean 'physics'"),
        ("data/none/train.parquet", "does not exist: build it"),
        ("configs/data/gsm8k.yaml", "innovator data build configs/data/gsm8k.yaml"),
        ("zzz", "Datasets here: calculator-product, caption2mol"),
    ],
)
def test_a_wrong_entry_names_the_remedy(entry: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        materialize(entry, tmp_path, "train")


def test_a_wrong_file_name_lists_its_neighbours(tmp_path: Path) -> None:
    made = materialize("math", tmp_path, "train")
    with pytest.raises(UserError, match=r"has train\.parquet: choose one"):
        materialize(made.with_name("trian.parquet"), tmp_path, "train")


GOOD = "name: x\ndomain: math\nlicense: y\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ndomain: math\nlicense: y\nreder: gsm8k\n", "unknown key 'reder', did you mean 'reader'"),
        ("name: x\ndomain: biology\nlicense: y\n", "domain 'biology' is unknown; The domains .* needs `reward:`"),
        ("name: x\nlicense: y\n", r"domain: not found; expected text that matches \^"),
        (GOOD + "checks: {gld: false}\n", r"unknown key 'checks\.gld', did you mean 'checks\.gold'"),
        (GOOD + "difficulty: {modl: x}\n", r"model: not found; .*'difficulty\.modl', did you mean 'difficulty\.model'"),
        (GOOD + "splits: {valdation: 0.1}\n", r"'splits\.valdation', did you mean 'splits\.validation'"),
        (
            GOOD + "decontaminate: {against: [{name: a, path: b, feilds: [c]}]}\n",
            r"'decontaminate\.against\.0\.feilds', did you mean 'decontaminate\.against\.0\.fields'",
        ),
        (GOOD + "splits: {zzz: 0.1}\n", "keys of splits are validation, test, worked, sample, by$"),
        (GOOD + "7: x\n", "unknown key '7'; keys are name, title, domain"),
        (GOOD + "rows: 0\n", "rows = 0: expected whole number > 0$"),
        (GOOD + "splits: {validation: 2}\n", r"splits\.validation = 2: expected number > 0.* < 1"),
        (GOOD + "checks: 3\n", "checks = 3: expected a section with gold, mutants, near_duplicates"),
        (GOOD + "style: fulll\n", r"style = 'fulll': expected full \| short \| bare$"),
        (GOOD + "source: [a]\n", r"source = \['a'\]: expected a path"),
        (GOOD + "fields: {answer: 3}\n", r"fields\.answer = 3: expected text$"),
        (GOOD + "decontaminate: {against: []}\n", r"against = \[\]: expected a list of sections with name, path"),
        (GOOD + "parameters: {n: 1}\n", r"parameters\.n = 1: unknown; a recipe without .* takes none"),
        (GOOD + "reader: gsm8k\nparameters: {n: 1}\n", "reader 'gsm8k' takes none \(the readers moleculenet, "),
        (GOOD + "reader: taco\nparameters: {trys: 1}\n", "unknown; reader 'taco' takes tries"),
        ("name: x\ndomain: math\nlicense: y\nsource: a.jsonl\n", "requires a `reader`"),
        ("name: x\ndomain: phisics\nlicense: y\n", "did you mean 'physics'"),
        ("name: x\ndomain: rocks\nreward: math\nstyle: full\nlicense: y\n", "give `prompt:` or `style: bare`"),
        ("name: x\ndomain: math\nlicense: y\nprompt: '{{ question'\n", "prompt: template, line 1"),
        ("name: x\ndomain: math\nlicense: y\nprompt: '{{ question }}'\nstyle: bare\n", "replaces `style`"),
        ("name: x\ndomain: math\nlicense: y\nrows: -5\n", "rows = -5: expected whole number > 0"),
        (
            "name: x\ndomain: math\nlicense: y\nchecks: {golds: false}\n",
            "unknown key 'checks.golds', did you mean 'checks.gold'",
        ),
        (
            "name: x\ndomain: math\nlicense: y\nseed: 1\nseed: 2\n",
            "line 5, column 1: the key 'seed' is given twice: remove it here or in line 4",
        ),
        (
            "name: x\ndomain: math\nlicense: y\nchecks: {gold: true, gold: false}\n",
            "the key 'gold' is given twice: remove it here or in line 4",
        ),
        ("- a\n", "expected a mapping of sections"),
        ("name: [\n", "line 2, column 1: expected"),
    ],
)
def test_recipe_faults_name_key_and_remedy(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_recipe(tmp_path / "r.yaml")


def test_yaml_merges_are_no_repeated_keys(tmp_path: Path) -> None:
    text = "name: x\ndomain: math\nlicense: y\nsplits: &base {validation: 0.2, test: 0.1}\n"
    (tmp_path / "r.yaml").write_text(
        text + "parameters: {a: &more {<<: *base, test: 0.3}, b: {<<: *more, test: 0.4}}\n"
    )
    found = read_recipe(tmp_path / "r.yaml")["parameters"]
    assert found == {"a": {"validation": 0.2, "test": 0.3}, "b": {"validation": 0.2, "test": 0.4}}


def test_a_source_names_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(tmp_path / "own.jsonl", *({"question": f"{n} + 1?", "answer": n + 1} for n in range(8)))
    recipe = Recipe(name="own", domain="math", license="-", reader="jsonl", source=Path("${MY_ROWS}/own.jsonl"))
    with pytest.raises(UserError, match="the environment variable MY_ROWS is not set"):
        build(recipe, tmp_path, tmp_path / "out")
    monkeypatch.setenv("MY_ROWS", str(tmp_path))
    build(overridden(recipe, checks={"gold": False}), tmp_path, tmp_path / "out")
    assert list(json.loads((tmp_path / "out/own/dataset.json").read_text())["sources"]) == ["own.jsonl"]


def test_a_build_removes_the_splits_that_it_does_not_have_and_excludes_another(tmp_path: Path) -> None:
    source = lines(tmp_path / "own.jsonl", *({"question": f"{n} + 1?", "answer": n + 1} for n in range(40)))
    recipe = Recipe(
        name="own", domain="math", license="-", reader="jsonl", source=source, checks={"gold": False},
        splits={"validation": 0.3, "test": 0.3, "worked": 0.2},
    )  # fmt: skip
    assert set(build(recipe, tmp_path, tmp_path / "out").files) == {"train", "validation", "test", "worked"}
    build(overridden(recipe, splits={"validation": 0.3}), tmp_path, tmp_path / "out")
    assert {path.stem for path in (tmp_path / "out/own").glob("*.parquet")} == {"train", "validation"}
    with build_lock(tmp_path / "out/own"), pytest.raises(UserError, match=r"another build of '.*own' is running"):
        build(recipe, tmp_path, tmp_path / "out")


def test_the_parameters_of_readers_are_those_that_they_read() -> None:
    read: dict[str, set[str]] = {}
    for name, place in READERS.items():
        module = importlib.import_module(f"innovator_rl.data.readers.{place.partition(':')[0]}")
        found = set(re.findall(r'recipe\.parameters\.get\("(\w+)"', inspect.getsource(module)))
        read |= {name: found} if found else {}
    assert read == {name: set(known) for name, known in READER_PARAMETERS.items()}


def test_every_domain_has_both_styles_and_short_is_short() -> None:
    for domain in FORMS:
        for style in STYLES:
            messages = render(domain, style, "Is {this} kept \\frac{1}{2}?")
            assert messages[-1]["role"] == "user"
            assert "Is {this} kept \\frac{1}{2}?" in messages[-1]["content"]
            assert "{question}" not in messages[-1]["content"]
        assert len(render(domain, "short", "")) == 1
        assert len(render(domain, "short", "")[0]["content"]) < 80
        assert "step by step" in render(domain, "full", "")[-1]["content"]


def test_ten_datasets_ship() -> None:
    seven = {"physics", "chemistry", "mol2caption", "caption2mol", "math", "stem", "code"}
    assert {*seven, "has-nitrogen", "unit-check", "unit-arithmetic"} <= set(dataset_names())
    for name in dataset_names():
        assert open_recipe(name)[0].name == name
