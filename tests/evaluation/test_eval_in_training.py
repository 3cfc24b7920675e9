"""Suites inside a training run; the rollout engine is a function that returns ready responses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from innovator_rl.config.load import validate
from innovator_rl.config.schema import RunConfig
from innovator_rl.evaluation.in_training import RunSuites, check_run_suites
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.integrations.verl.engine_requests import generate_tokens
from innovator_rl.models import make
from innovator_rl.recorded_run import Run

BALLS = "A box in the cellar of the old house has {} red balls and no other thing in it"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with two sets, and a suite with a task of each."""
    monkeypatch.setenv("INNOVATOR_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    math = tmp_path / "eval/math"
    math.mkdir(parents=True)
    rows = [
        {"Body": BALLS.format(f"{i} and"), "Question": "How many?", "Answer": float(i), "Type": "x"} for i in range(4)
    ]
    (math / "svamp.jsonl").write_text("\n".join(map(json.dumps, rows)))
    choices = [{"question": "1+1?", "choices": ["1", "2", "3", "4"], "answer": 1, "type": "sum"}]
    (math / "mmlu_stem.jsonl").write_text("\n".join(map(json.dumps, choices)))
    tasks = [{"name": "balls", "set": "svamp", "format": "raw"}, {"name": "choices", "task": "local_mmlu_stem"}]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"name": "own", "rows": tasks}))
    return tmp_path


def configured(data: Path, **schedule: Any) -> RunConfig:
    suites = {"validation_suites": [str(data / "own.yaml")], **schedule}
    return validate({"schedule": suites, "rollout": {"max_response_tokens": 64}, "data": {"max_prompt_tokens": 512}})


def test_a_suite_is_asked_through_the_engine_of_a_run(data: Path) -> None:
    model = make("tiny-qwen2")
    prompter = Prompter(model)
    asked: list[Any] = []

    def engine(requests: Sequence[tuple[Sequence[int], dict[str, Any]]]) -> list[list[int] | None]:
        """Answer each question with 2, and then with a question that it asks itself; lose the last request."""
        asked.extend(requests)
        (answer,) = prompter.encode(["\\boxed{2}\n\nQuestion: \\boxed{5}"])
        return [*[list(answer)] * (len(requests) - 1), None]

    config = configured(data)
    metrics = RunSuites.of(config, model, data / "run")(7, engine)
    assert metrics == {"suite/own/balls/acc": pytest.approx(0.25)}
    assert [parameters["max_tokens"] for _, parameters in asked] == [64] * 4
    rows = Run(data / "run").rollouts(kind="validation")
    columns = [column[0] for column in rows.description]
    recorded = [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]
    assert {(row["step"], row["data_source"]) for row in recorded} == {(7, "own/balls")}
    assert sorted(row["response"] for row in recorded) == ["", "\\boxed{2}", "\\boxed{2}", "\\boxed{2}"]
    few = RunSuites.of(configured(data, validation_suite_rows=2), model, data / "few")
    asked.clear()
    few(7, engine)
    assert len(asked) == 2


def test_what_a_run_can_not_use_is_said_before_it_starts(data: Path) -> None:
    model = make("tiny-qwen2")
    training = data / "train.jsonl"
    training.write_text(json.dumps({"question": f"Solve: {BALLS.format('2 and')}. How many?", "answer": "2"}))
    found = check_run_suites(configured(data), model, data / "run", [str(training)])
    assert [(one.severity, one.setting) for one in found] == [("warning", "schedule.validation_suites")] * 2
    assert "options are left out: choices" in found[0].why
    assert "1 of 4 questions of balls are in the training data: svamp/2" in found[1].why
    short = validate({**configured(data).model_dump(), "data": {"max_prompt_tokens": 16}})
    (refused,) = check_run_suites(short, model, data / "run", [])
    assert (refused.severity, "must fit the context of 80 tokens" in refused.why) == ("error", True)
    (data / "own.yaml").write_text(yaml.safe_dump({"name": "own", "rows": [{"name": "x", "set": "svmap"}]}))
    (refused,) = check_run_suites(configured(data), model, data / "run", [])
    assert "unknown set 'svmap': did you mean svamp" in refused.why


def test_a_lost_request_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    class Client:
        """Stands for verl's client; it changes the parameters that it is given."""

        async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
            if prompt_ids == [2]:
                raise ConnectionError("gone")
            return type("Output", (), {"token_ids": (*prompt_ids, sampling_params.pop("max_tokens"))})

    parameters = {"max_tokens": 9}
    assert generate_tokens(Client(), [([1], parameters), ([2], parameters), ([3], parameters)], 5.0) == [
        [1, 9],
        None,
        [3, 9],
    ]
