"""Readers of published sets, on small samples in each schema; the hub is replaced by rows."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from innovator_rl.data.hub import Hub
from innovator_rl.data.problem import Problem
from innovator_rl.data.readers import reader
from innovator_rl.data.readers.files import Source
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.errors import UserError

DAPO_HEAD = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: $Answer "
    "(without quotes) where $Answer is the answer to the problem.\n\n"
)
DAPO_TAIL = '\n\nRemember to put your answer on its own line after "Answer:".'


def problems(name: str, domain: str, source: Source, **parameters: Any) -> tuple[list[Problem], Rejections]:
    rejected = Rejections()
    recipe = Recipe(name="test", domain=domain, license="-", reader=name, parameters=parameters)
    return list(reader(name)(source, recipe, rejected)), rejected


def parquet(path: Path, rows: list[dict]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def dapo_row(question: str, answer: str, index: int) -> dict:
    return {
        "data_source": "math_dapo", "prompt": [{"role": "user", "content": DAPO_HEAD + question + DAPO_TAIL}],
        "ability": "MATH", "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": f"u{index}"},
    }  # fmt: skip


def test_dapo_loses_its_wrapping_and_its_copies(tmp_path: Path) -> None:
    rows = [dapo_row("What is $2+2$?\nGive an integer.", "4", 0), dapo_row("What is $3$?", "3", 1)]
    found, rejected = problems("dapo", "math", parquet(tmp_path / "d.parquet", rows * 3))
    assert [(p.question, p.answer, p.id) for p in found] == [
        ("What is $2+2$?\nGive an integer.", "4", "dapo/u0"), ("What is $3$?", "3", "dapo/u1"),
    ]  # fmt: skip
    assert rejected == {"duplicate question": 4}


def test_deepscaler_is_a_json_array(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(json.dumps([
        {"problem": "Halve 3.", "answer": "\\frac{3}{2}", "solution": "…"}, {"problem": "x", "answer": "", "solution": ""},
    ]))  # fmt: skip
    found, rejected = problems("deepscaler", "math", tmp_path / "d.json")
    assert [(p.question, p.answer) for p in found] == [("Halve 3.", "\\frac{3}{2}")]
    assert rejected == {"empty question or answer": 1}


@pytest.mark.parametrize(
    ("kind", "given", "gold", "rewarder"),
    [
        ("Multiple Choice", "B", "B", ""), ("Multiple Choice", "(c) the anode", "C", ""),
        ("Multiple Choice", "Option D", "D", ""), ("Boolean", "True.", "True", ""), ("Boolean", "No", "False", ""),
        ("Integer", "42", "42", ""), ("Float", "$-1.5e3$", "-1.5e3", ""), ("Float", "9.8 m/s^2", "9.8 m/s^2", "physics"),
        ("Percentage", "12.5%", "12.5%", ""),
    ],
)  # fmt: skip
def test_webinstruct_answers_by_type(tmp_path: Path, kind: str, given: str, gold: str, rewarder: str) -> None:
    row = {"id": "1", "question": "q?", "answer": given, "answer_type": kind, "category": "Physics", "difficulty": "x"}
    found, _ = problems("webinstruct", "stem", parquet(tmp_path / "w.parquet", [row]))
    assert [(p.answer, p.reward) for p in found] == [(gold, rewarder)]


def test_webinstruct_leaves_out_what_no_rule_can_score(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "question": "Why?", "answer": "Because.", "answer_type": "String"},
        {"id": "2", "question": "Which?", "answer": "the first one", "answer_type": "Multiple Choice"},
        {"id": "3", "question": "Is it?", "answer": "It depends", "answer_type": "Boolean"},
    ]
    found, rejected = problems("webinstruct", "stem", parquet(tmp_path / "w.parquet", rows))
    assert found == []
    assert rejected == {"answer type String": 1, "no Multiple Choice answer": 1, "no Boolean answer": 1}
    with pytest.raises(UserError, match=r"parameters\.types has 'Bool'"):
        problems("webinstruct", "stem", tmp_path / "w.parquet", types=["Bool"])


def test_taco_programs_and_functions(tmp_path: Path) -> None:
    from rewards.code.grading import grade  # noqa: F401

    rows = [
        {"question": "Double it.", "solutions": json.dumps(["print(int(input())*2)"]), "starter_code": "",
         "input_output": json.dumps({"inputs": ["2\n"], "outputs": ["4\n"]}), "difficulty": "EASY"},
        {"question": "Write f.", "solutions": json.dumps(["def f(a):\n    return a + 1", "def f(a): return 1 + a"]),
         "starter_code": "def f(a):\n", "input_output": json.dumps({"fn_name": "f", "inputs": [[1]], "outputs": [[2]]}),
         "difficulty": "EASY"},
        {"question": "No tests.", "solutions": "[]", "starter_code": "", "input_output": "{}", "difficulty": "EASY"},
        {"question": "No solution.", "solutions": "[]", "starter_code": "", "difficulty": "EASY",
         "input_output": json.dumps({"inputs": ["1"], "outputs": ["1"]})},
    ]  # fmt: skip
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, rejected = problems("taco", "code", tmp_path / "t.jsonl")
    assert [p.info["tests"]["type"] for p in found] == ["stdio", "call"]
    assert found[0].info["tests"] == {"type": "stdio", "inputs": ["2\n"], "outputs": ["4\n"]}
    assert found[1].info["tests"]["cases"] == [{"args": [1], "expected": {"any": [[2], 2]}}]
    assert "def f(a):" in found[1].question
    assert found[1].columns["solutions"] == ["def f(a): return 1 + a"]
    assert rejected == {"no tests": 1, "no solution": 1}
    rows[0]["input_output"] = json.dumps({"inputs": ["1", "2"], "outputs": ["1"]})
    (tmp_path / "t.jsonl").write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(UserError, match=r"t\.jsonl, line 1: 'input_output' must have as many outputs as inputs"):
        problems("taco", "code", tmp_path / "t.jsonl")


def test_a_hub_set_is_streamed_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load_dataset(name: str, config: str | None, **options: Any) -> list[dict]:
        asked.append((name, config, options))
        return [dapo_row("What is $3$?", "3", 1)]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found, _ = problems("dapo", "math", Hub.parse("hub:BytedTsinghua-SIA/DAPO-Math-17k@abc"))
    assert [p.answer for p in found] == ["3"]
    assert asked == [
        ("BytedTsinghua-SIA/DAPO-Math-17k", None, {"split": "train", "revision": "abc", "streaming": True})
    ]


def test_a_hub_set_that_cannot_be_loaded_names_the_way_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load_dataset(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to the hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(
        UserError, match=r"'a/b' cannot be loaded \(ConnectionError: no route to the hub\): .*--source FILE"
    ):
        problems("dapo", "math", Hub(id="a/b"))
    with pytest.raises(UserError, match="expected hub:OWNER/NAME"):
        Hub.parse("hub:nothing")
