"""Rows of one's own: any columns, prompt templates, free domains, and the same word from `data check` and a run."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from innovator_rl.cli.data import app
from innovator_rl.data.build import build, open_recipe
from innovator_rl.data.check import check_file
from innovator_rl.data.materialize import materialize
from innovator_rl.data.rows import Row, read_rows
from innovator_rl.data.templates import render_template
from innovator_rl.errors import UserError
from innovator_rl.preflight.datafiles import read

QUESTIONS = [
    {"question": f"What is {n} + 1?", "answer": n + 1, "reward": "math", "smiles": "C" * n} for n in range(1, 9)
]


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe(folder: Path, text: str) -> str:
    (folder / "r.yaml").write_text(f"name: r\nlicense: mine\nreader: jsonl\nsource: {folder / 'q.jsonl'}\n{text}")
    return str(folder / "r.yaml")


def train(path: Path) -> list[Row]:
    return list(read_rows(path))


def test_a_file_of_questions_trains_as_it_is(tmp_path: Path) -> None:
    rows = train(materialize(jsonl(tmp_path / "q.jsonl", QUESTIONS), tmp_path / "out", "train"))
    assert [row.prompt for row in rows] == [({"role": "user", "content": row["question"]},) for row in QUESTIONS]
    assert {(row.data_source, row.reward, row.answer) for row in rows[:1]} == {("q", "math", "2")}


def test_a_file_named_for_both_splits_is_split_by_content(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "q.jsonl", QUESTIONS)
    parts = {part: train(materialize(path, tmp_path / "out", part, whole=False)) for part in ("train", "validation")}
    found = {part: {row.prompt_text for row in rows} for part, rows in parts.items()}
    assert found["train"]
    assert found["validation"]
    assert not found["train"] & found["validation"]
    assert len(found["train"] | found["validation"]) == len(QUESTIONS)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl.gz", ".tsv"])
def test_other_formats_give_the_same_rows(tmp_path: Path, suffix: str) -> None:
    import csv
    import gzip

    path = tmp_path / f"q{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(QUESTIONS))
    elif suffix == ".jsonl.gz":
        path.write_bytes(gzip.compress(jsonl(tmp_path / "plain.jsonl", QUESTIONS).read_bytes()))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(QUESTIONS[0]), delimiter="\t" if suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(QUESTIONS)
    assert [row.answer for row in train(materialize(path, tmp_path / "out", "train"))] == [
        str(row["answer"]) for row in QUESTIONS
    ]
    assert read(path).own  # the checks before a run take it for what it is


def test_templates_see_every_column_but_the_answer(tmp_path: Path) -> None:
    jsonl(tmp_path / "q.jsonl", QUESTIONS)
    name = recipe(
        tmp_path,
        "domain: materials\nreward: math\nsystem: You know {{ domain }}.\n"
        "prompt: '{{ question }} ({{ smiles }}){% if smiles|length > 3 %} long{% endif %}'\nchecks: {gold: false}\n",
    )
    rows = train(build(*open_recipe(name), tmp_path / "out").files["train"])
    assert all(row.prompt[0] == {"role": "system", "content": "You know materials."} for row in rows)
    assert all(f"({'C' * (int(row.answer) - 1)})" in row.prompt[1]["content"] for row in rows)
    assert [" long" in row.prompt[1]["content"] for row in rows] == [int(row.answer) > 4 for row in rows]
    with pytest.raises(
        UserError, match=r"q\.jsonl, line 1: `prompt`: 'answer' is undefined; known variables: .*smiles"
    ):
        build(*open_recipe(recipe(tmp_path, "domain: math\nprompt: '{{ answer }}'\n")), tmp_path / "out")


def test_one_question_about_many_columns_is_many_problems(tmp_path: Path) -> None:
    rows = [{"question": "Count the carbon atoms.", "answer": n, "formula": f"C{n}"} for n in range(1, 9)]
    jsonl(tmp_path / "q.jsonl", rows)
    name = recipe(tmp_path, "domain: math\nprompt: '{{ question }} {{ formula }}'\nchecks: {gold: false}\n")
    assert sum(build(*open_recipe(name), tmp_path / "out").rows.values()) == len(rows)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}", "{{ question.__init__.__globals__ }}", "{{ 'x' * 10**9 }}", "{{ ('x' * 9999) * 9999 }}",
        "{% for i in range(10**9) %}x{% endfor %}", "{{ missing }}", "{{ 1 / 0 }}",
    ],
)  # fmt: skip
def test_a_template_stays_in_its_sandbox(text: str) -> None:
    with pytest.raises(UserError, match="`prompt`"):
        render_template(text, {"question": "q"}, "`prompt`")


def test_messages_are_the_prompt(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Short."}, {"role": "user", "content": "2 + 2?"}]
    turns = [*chat, {"role": "assistant", "content": "5"}, {"role": "user", "content": "Sure?"}]
    path = jsonl(tmp_path / "q.jsonl", [{"messages": chat, "answer": "4"}, {"messages": turns, "answer": "4"}])
    rows = train(materialize(path, tmp_path / "out", "train"))
    assert [list(row.prompt) for row in rows] == [chat, turns]
    jsonl(path, [{"messages": [*chat, {"role": "assistant", "content": "4"}], "answer": "4"}])
    with pytest.raises(UserError, match=r"q\.jsonl, line 1: the last message of 'messages' is from 'assistant'"):
        materialize(path, tmp_path / "out", "train")


def test_check_and_train_agree_on_rows_of_verl(tmp_path: Path) -> None:
    record = {
        "data_source": "openai/gsm8k", "prompt": [{"role": "user", "content": "1 + 1?"}], "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "2"}, "extra_info": {"split": "train", "index": 0},
    }  # fmt: skip
    path = tmp_path / "v.parquet"
    pq.write_table(pa.Table.from_pylist([record]), path)
    report = check_file(path)
    assert report.problems == []
    assert report.notes == [
        "1 rows of data source 'openai/gsm8k' name no rewarder: train with reward.routes.openai/gsm8k=NAME"
    ]
    assert read(path).wrong == ()
    assert train(materialize(jsonl(tmp_path / "v.jsonl", [record]), tmp_path / "out", "train"))[0].answer == "2"


def test_check_reads_a_file_of_ones_own(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "q.jsonl", QUESTIONS)
    found = CliRunner().invoke(app, ["check", str(path)])
    assert found.exit_code == 0, found.output
    assert "rewarders: math 8" in found.output
    jsonl(path, [{"question": "x?", "answer": "1", "reward": "mathh"}])
    assert "did you mean" in str(CliRunner().invoke(app, ["check", str(path)]).exception)


def test_bad_rows_are_named_until_the_budget_and_counted_within_it(tmp_path: Path) -> None:
    good = [json.dumps(row) for row in QUESTIONS]
    (tmp_path / "q.jsonl").write_bytes(
        "\n".join([*good, "{broken", '["list"]', '{"answer": 1}']).encode() + b'\n{"a": "\xff"}\n'
    )
    text = "domain: math\nprompt: '{{ question }}'\nchecks: {gold: false}\n"
    with pytest.raises(UserError, match=r"q\.jsonl, line 9 is not JSON"):
        build(*open_recipe(recipe(tmp_path, text)), tmp_path / "out")
    report = build(*open_recipe(recipe(tmp_path, text + "error_budget: 0.6\n")), tmp_path / "out")
    assert report.rejected == {"unreadable row": 4}
    listed = [json.loads(line) for line in (tmp_path / "out" / "r" / "rejected.jsonl").read_text().splitlines()]
    assert [row["place"].rpartition(" ")[2] for row in listed] == ["9", "10", "11", "12"]
    with pytest.raises(UserError, match=r"4 of \d+ rows cannot be read, expected at most 10\.00%"):
        build(*open_recipe(recipe(tmp_path, text + "error_budget: 0.1\n")), tmp_path / "out")


@pytest.mark.parametrize(
    "bad",
    [
        {"question": "half \ud800 of it"}, {"answer": "3 \udfff"}, {"id": "\ud800"}, {"info": {"a": ["\ud800"]}}, {"unit": "\ud800"},
        {"messages": [{"role": "user", "content": "\ud800"}]},
    ],
)  # fmt: skip
def test_half_of_a_character_makes_a_bad_row(tmp_path: Path, bad: dict) -> None:
    """JSON can spell it, and no file can hold it."""
    jsonl(tmp_path / "q.jsonl", [*QUESTIONS, {"question": "What is 9 + 1?", "answer": "10", **bad}])
    text = "domain: math\nchecks: {gold: false}\n"
    with pytest.raises(UserError, match=r"q\.jsonl, line 9 has the lone surrogate U\+D"):
        build(*open_recipe(recipe(tmp_path, text)), tmp_path / "out")
    report = build(*open_recipe(recipe(tmp_path, text + "error_budget: 0.5\n")), tmp_path / "out")
    assert (report.rejected, sum(report.rows.values())) == ({"unreadable row": 1}, 8)


def test_a_build_needs_a_rewarder_for_every_row(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "q.jsonl", [{"question": "x?", "answer": "1"}, {"question": "y?", "answer": "2"}])
    found = CliRunner().invoke(app, ["build", str(path), "--out", str(tmp_path / "out")])
    assert "q.jsonl, line" in str(found.exception)
    assert "add a column `reward` or `domain`" in str(found.exception)
    built = CliRunner().invoke(app, ["build", str(path), "--out", str(tmp_path / "out"), "--reward", "math"])
    assert built.exit_code == 0, built.output


def test_the_page_leads_from_questions_to_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of docs/data.md, checked, built and planned as that page does."""
    from innovator_rl.cli.main import main

    page = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text()
    rows = page.split("```json\n")[1].split("```")[0]
    numbered = [json.loads(line) for line in rows.splitlines()]
    monkeypatch.chdir(tmp_path)
    jsonl(
        tmp_path / "questions.jsonl",
        [{**row, "question": f"{n}. {row['question']}"} for n in range(5) for row in numbered],
    )
    run = ["data.mixture={}", "algorithm.prompts_per_step=2", "model.path=tiny-qwen2", "--dry-run"]
    commands = [
        ["data", "check", "questions.jsonl"],
        ["data", "build", "questions.jsonl"],
        ["train", "demo", "data.train=[questions]", "data.validation=[questions]", "name=a", *run],
        ["train", "demo", "data.train=[questions.jsonl]", "data.validation=[questions.jsonl]", "name=b", *run],
    ]
    for arguments in commands:
        code: object = 0
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code or 0
        assert code == 0, arguments
    built = {
        part: {row.prompt_text for row in read_rows(tmp_path / f"data/questions/{part}.parquet")}
        for part in ("train", "validation")
    }
    assert sum(map(len, built.values())) == 10
