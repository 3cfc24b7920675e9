"""Tasks of the harness, with log-probabilities that a table gives in place of a model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from innovator_rl.errors import UserError
from innovator_rl.evaluation.driver import Driver
from innovator_rl.evaluation.harness import HarnessTask, _distinct, _shares, _without_thinking
from innovator_rl.evaluation.harness_index import leaf_names, require_task
from innovator_rl.evaluation.local_data import hub_copy
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.requests import OptionRequest, OptionScore
from innovator_rl.evaluation.task import Drawing
from innovator_rl.models import make


class FirstOption:
    """Prefers option A of every question."""

    def score_options(self, requests: Sequence[OptionRequest], what: str) -> list[OptionScore]:
        return [OptionScore(-1.0 if bytes(request.option) == b" A" else -2.0, False) for request in requests]


def task(folder: Path, metric: str = "acc") -> HarnessTask:
    file = folder / "eval/math/mmlu_stem.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"question": f"Is it {i}?", "choices": ["w", "x", "y", "z"], "answer": i % 2} for i in range(8)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return HarnessTask("stem", "local_mmlu_stem", metric, local=lambda hub_id, name: hub_copy(folder, hub_id, name))


def test_a_task_of_the_harness_is_graded_and_recorded(tmp_path: Path) -> None:
    measured = task(tmp_path)
    prepared = measured.prepare(Prompter(make("tiny-qwen2")), Drawing())
    assert (prepared.rows, prepared.prompts) == (8, 32)
    assert prepared.first_prompt == "Is it 0?\nA. w\nB. x\nC. y\nD. z\nAnswer:"
    outcome = measured.run(cast(Driver, FirstOption()))
    assert outcome.metrics[0].name == "acc"
    assert outcome.metrics[0].estimate.score == 0.5
    assert [row.correct for row in outcome.rows] == [i % 2 == 0 for i in range(8)]
    assert outcome.rows[0].response == "A"
    assert json.loads(outcome.rows[0].info or "")["option_logprobs"] == {"A": -1.0, "B": -2.0, "C": -2.0, "D": -2.0}
    assert len(outcome.values) == 8
    assert measured.constant() == 0.5  # A and B are right in four rows each


def test_a_row_has_the_same_id_whatever_else_is_drawn(tmp_path: Path) -> None:
    prompter = Prompter(make("tiny-qwen2"))
    whole, part = task(tmp_path), task(tmp_path)
    whole.prepare(prompter, Drawing())
    part.prepare(prompter, Drawing(limit=3, seed=1))
    ids = [row.prompt_id for row in whole.run(cast(Driver, FirstOption())).rows]
    assert {row.prompt_id for row in part.run(cast(Driver, FirstOption())).rows} < set(ids)
    assert len(set(ids)) == 8


def test_an_unknown_metric_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown metric 'accuracy'; expected acc"):
        task(tmp_path, "accuracy").prepare(Prompter(make("tiny-qwen2")), Drawing())


def test_groups_are_found_without_the_whole_index() -> None:
    assert len(leaf_names("mmlu")) == 57
    assert len(leaf_names("cmmlu")) == 67
    assert len(leaf_names("mmlu_flan_cot_zeroshot")) == 57
    assert require_task("bbh").name == "_bbh.yaml"
    assert leaf_names("cmmlu_agronomy") == ["cmmlu_agronomy"]  # its file has quotes around keys


def test_a_limit_is_shared_by_the_parts_of_a_group() -> None:
    assert _shares(None, 3, 0) == [None, None, None]
    shares = _shares(10, 4, 0)
    assert sum(share or 0 for share in shares) == 10
    assert set(shares) == {2, 3}


def test_thinking_is_cut_before_the_stop_strings() -> None:
    assert _without_thinking("<think>a\n\nQuestion: b</think> 42\n\nQuestion: c", ["Question:"]) == "42\n\n"
    assert _without_thinking("42", []) == "42"


def test_a_row_that_a_file_has_twice_is_two_rows() -> None:
    assert _distinct(["a", "b", "a", "a"]) == ["a", "b", "a#2", "a#3"]
