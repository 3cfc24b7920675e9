"""Rows for fine-tuning: worked solutions, and answers that are written, refined and verified."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from fake_endpoint import FakeEndpoint

from innovator_rl.data.build import open_recipe, read_problems, split, split_parts, unique
from innovator_rl.data.rejections import Rejections
from innovator_rl.data.sft import build as sft_build
from innovator_rl.data.sft.build import DROPPED, build_sft, read_questions
from innovator_rl.data.sft.entries import resolve_entry
from innovator_rl.data.sft.recipe import Questions, SftRecipe, load_sft_recipe
from innovator_rl.data.sft.refine import Question
from innovator_rl.endpoints import client
from innovator_rl.errors import UserError

PROMPTS = {"writer": "WRITE {question}", "editor": "EDIT {question} / {draft}", "verifier": "SOLVE {question}"}


def numbers(text: str) -> tuple[int, int]:
    first, second = (int(part) for part in text.split("What is ")[1].split("?")[0].split("+"))
    return first, second


def answer(body: dict[str, Any]) -> str:
    """Add right, except that verifiers are wrong where the first number is 3, and the editor where it is 4."""
    text = body["messages"][0]["content"]
    first, second = numbers(text)
    wrong = (text.startswith("SOLVE") and first == 3) or (text.startswith("EDIT") and first == 4)
    return f"{first} + {second} = {first + second + wrong}. Answer: {first + second + wrong}"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Path, Path]]:
    """Write a recipe with its prompts and questions, and return its path and the output folder."""
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.005)

    def make(url: str, gold: bool = False, **changes: Any) -> tuple[Path, Path]:
        for name, text in PROMPTS.items():
            (tmp_path / f"{name}.md").write_text(text)
        rows = [
            {"id": f"q{n:02d}", "question": f"What is {n}+{n + 1}?"} | ({"answer": str(2 * n + 1)} if gold else {})
            for n in range(1, 9)
        ]
        (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
        endpoint = {"url": url, "model": "fake", "retries": 1}
        refine = {
            "questions": {"path": str(tmp_path / "questions.jsonl"), "domain": "math"},
            "writer": {"endpoint": endpoint, "prompt": "writer.md"},
            "editor": {"endpoint": endpoint, "prompt": "editor.md"},
            "verifiers": [{"endpoint": endpoint, "prompt": "verifier.md", "seed": seed} for seed in (1, 2)],
        }
        recipe = {"kind": "sft", "name": "sums", "license": "CC0-1.0", "refine": {**refine, **changes}}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path, tmp_path / "out"

    return make


def run(path: Path, out: Path) -> tuple[sft_build.SftManifest, list[dict[str, Any]]]:
    manifest = build_sft(load_sft_recipe(path), path.parent, out)
    rows = [
        row for name in ("train", "validation") for row in pq.read_table(out / "sums" / f"{name}.parquet").to_pylist()
    ]
    return manifest, rows


def test_only_answers_on_which_all_verifiers_agree_are_kept_with_their_votes(made: Callable[..., Any]) -> None:
    with FakeEndpoint(answer=answer) as server:
        path, out = made(server.url)
        manifest, rows = run(path, out)
    assert {row["id"] for row in rows} == {"q01", "q02", "q05", "q06", "q07", "q08"}
    assert manifest.dropped == {"verifiers disagree": 2}
    dropped = [json.loads(line) for line in (out / "sums" / DROPPED).read_text().splitlines()]
    assert [line["id"] for line in dropped] == ["q03", "q04"]
    row = next(row for row in rows if row["id"] == "q05")
    assert row["answer"] == "11"
    assert row["messages"][-1] == {"role": "assistant", "content": "5 + 6 = 11. Answer: 11"}
    assert "What is 5+6?" in row["messages"][-2]["content"]
    roles = [(use["role"], use["agrees"], use["seed"], use["response_tokens"]) for use in row["models"]]
    assert roles == [("writer", None, 0, 5), ("editor", None, 0, 5), ("verifier", True, 1, 5), ("verifier", True, 2, 5)]
    assert len({use["prompt_sha256"] for use in row["models"]}) == 3  # both verifiers have one prompt


def test_a_gold_answer_is_asked_first(made: Callable[..., Any]) -> None:
    with FakeEndpoint(answer=answer) as server:
        path, out = made(server.url, gold=True, agree=1)
        manifest, rows = run(path, out)
    assert manifest.dropped == {"the refined answer is not scored correct": 1, "verifiers disagree": 1}
    assert len(rows) == 6


def test_a_build_that_was_stopped_goes_on_and_gives_the_same_bytes(made: Callable[..., Any]) -> None:
    def files(out: Path) -> dict[str, bytes]:
        return {
            path.name: path.read_bytes()
            for path in (out / "sums").glob("*")
            if path.suffix in (".parquet", ".jsonl", ".md")
        }

    with FakeEndpoint(answer=answer) as server:
        path, out = made(server.url)
        run(path, out)
        whole, asked = files(out), len(server.requests)
        path, out = made(server.url, max_requests=10)
        with pytest.raises(UserError, match="budget is used up"):
            build_sft(load_sft_recipe(path), path.parent, out.with_name("again"))
        assert not (out.with_name("again") / "sums" / "train.parquet").exists()
        path, out = made(server.url)
        before = len(server.requests)
        run(path, out.with_name("again"))
        assert files(out.with_name("again")) == whole
        assert len(server.requests) - before == asked - 10  # nothing was asked twice
        before = len(server.requests)
        run(path, out)
        assert len(server.requests) == before  # a complete build asks nothing


def test_faults_cost_their_question_only_and_the_error_budget_decides(made: Callable[..., Any]) -> None:
    with FakeEndpoint(answer=answer) as server:
        path, out = made(server.url, concurrency=1)
        server.faults = ["400"]
        with pytest.raises(UserError, match="1 of 8 questions met a fault"):
            run(path, out)
        recipe = yaml.safe_load(path.read_text()) | {"error_budget": 0.2}
        path.write_text(yaml.safe_dump(recipe))
        server.faults = ["html", "html"]
        manifest, rows = run(path, out)
    assert manifest.dropped == {"endpoint: writer not_json": 1, "verifiers disagree": 2}
    assert len(rows) == 5


def test_worked_rows_end_with_a_right_answer_and_stay_on_the_training_side(tmp_path: Path) -> None:
    recipe = SftRecipe.model_validate(
        {
            "kind": "sft",
            "name": "steps",
            "license": "CC0-1.0",
            "worked": [{"dataset": "linear-equation", "rows": 30, "validation_rows": 5}],
        }
    )
    manifest = build_sft(recipe, tmp_path, tmp_path)
    assert (manifest.rows, manifest.dropped) == ({"train": 30, "validation": 5}, {})
    source, folder = open_recipe("linear-equation")
    shares = source.splits
    assert shares.worked
    problems = unique(read_problems(source, folder, Rejections()), source, Rejections())
    parts = split(problems, shares.validation, shares.test, shares.worked)
    names = {part: {f"linear-equation/{problem.id}" for problem in found} for part, found in parts.items()}
    assert all(names.values())
    rows = pq.read_table(tmp_path / "steps" / "train.parquet").to_pylist()
    assert {row["id"] for row in rows} <= names["worked"], "later training asks what was not fine-tuned on"
    assert all(row["messages"][-1]["content"].endswith(f"Answer: {row['answer']}") for row in rows)


def own_questions(path: Path, *rows: dict[str, Any]) -> list[Question]:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), errors="backslashreplace")
    recipe = SftRecipe.model_validate(
        {"kind": "sft", "name": "x", "license": "y", "worked": [{"dataset": "z", "rows": 1}]}
    )
    return read_questions(Questions(path=str(path), domain="physics"), recipe, Rejections())


def test_questions_of_ones_own_have_any_answer_and_line_separators(tmp_path: Path) -> None:
    rows = [{"question": "Which?", "answer": value} for value in (None, True, [1, 2], " 5 ")]
    found = own_questions(tmp_path / "q.jsonl", *rows, {"question": "One\u2028two?", "info": {"unit": "m"}})
    assert [question.answer for question in found] == ["", "True", "[1, 2]", "5", ""]
    assert found[-1].id == "00000005"
    assert "One\u2028two?" in found[-1].messages[-1]["content"]
    assert found[-1].info == {"unit": "m"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "b?", "info": ["x"]}, "line 2: 'info' is not a JSON object"),
        ({"question": " "}, "line 2: `question` must be text, got ' '"),
        ({"Question": "b?"}, "line 2 has no field 'question'; it has Question"),
        ({"question": "b?", "id": "00000001"}, "line 2: the id '00000001' must be used once"),
        ({"question": "b\ud800?"}, r"line 2 has the lone surrogate U\+D800"),
    ],
)
def test_a_wrong_question_of_ones_own_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        own_questions(tmp_path / "q.jsonl", {"question": "a?"}, row)


def test_worked_rows_depend_on_the_code_of_the_generators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked = {"kind": "sft", "name": "x", "license": "y", "worked": [{"dataset": "product", "rows": 1}]}
    hashed: list[str] = []

    def hash_code(modules: tuple[str, ...]) -> str:
        hashed.extend(modules)
        return ""

    monkeypatch.setattr(sft_build, "hash_code", hash_code)
    sft_build._fingerprint(SftRecipe.model_validate(worked), tmp_path, [])
    assert {f"innovator_rl.data.{name}" for name in ("tasks", "small_tasks", "molecule_tasks", "tool_tasks")} <= set(
        hashed
    )


@pytest.mark.parametrize("name", ["one-step-law", "physics"])
def test_questions_of_a_data_set_come_from_the_side_that_is_kept_for_fine_tuning(
    name: str, made: Callable[..., Any]
) -> None:
    """Neither its validation and test questions nor, where it keeps a share for fine-tuning, its training questions."""
    recipe = load_sft_recipe(made("http://127.0.0.1:9/v1")[0])
    asked = {question.id for question in read_questions(Questions(dataset=name), recipe, Rejections())}
    source, folder = open_recipe(name)
    problems = unique(read_problems(source, folder, Rejections()), source, Rejections())
    parts = split_parts(problems, source, Rejections())
    assert asked == {f"{name}/{problem.id}" for problem in parts.get("worked", parts["train"])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workedd": []}, "unknown key 'workedd', did you mean 'worked'?"),
        ({"worked": [{"dataset": "product", "row": 3}]}, "unknown key 'worked.0.row', did you mean 'worked.0.rows'"),
        ({"worked": [{"dataset": "product", "rows": -3}]}, "worked.0.rows = -3: expected whole number > 0"),
        ({"refine": None}, "give `worked` or `refine`"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({"kind": "sft", "name": "x", "license": "y", **change}))
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        load_sft_recipe(path)


def test_a_key_that_is_given_twice_is_an_error(tmp_path: Path) -> None:
    worked = "worked: [{dataset: product, rows: 1}]\n"
    (tmp_path / "r.yaml").write_text(f"kind: sft\nname: x\nlicense: y\n{worked}{worked}")
    with pytest.raises(UserError, match="the key 'worked' is given twice: remove it here or in line 4"):
        load_sft_recipe(tmp_path / "r.yaml")


def test_a_prompt_without_its_place_is_named(made: Callable[..., Any]) -> None:
    path, out = made("http://127.0.0.1:9/v1")
    (path.parent / "editor.md").write_text("EDIT {question}")
    with pytest.raises(UserError, match=r"editor\.md.*\{draft\}"):
        build_sft(load_sft_recipe(path), path.parent, out)


def test_an_entry_is_a_file_a_folder_or_a_recipe_without_endpoints(tmp_path: Path, made: Callable[..., Any]) -> None:
    (tmp_path / "built").mkdir()
    for name in ("built/train.parquet", "rows.jsonl"):
        (tmp_path / name).write_text("x")
    assert resolve_entry(str(tmp_path / "built"), "train", tmp_path) == [tmp_path / "built" / "train.parquet"]
    assert resolve_entry(str(tmp_path / "rows.jsonl"), "train", tmp_path) == [tmp_path / "rows.jsonl"]
    with pytest.raises(UserError, match=r"not found: expected a Parquet"):
        resolve_entry(str(tmp_path / "nowhere"), "train", tmp_path)
    with pytest.raises(UserError, match="asks models"):
        resolve_entry(str(made("http://127.0.0.1:9/v1")[0]), "train", tmp_path)
