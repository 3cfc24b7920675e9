"""The golden cases of physics, math, choice and style hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.scoring import Score, ScoreRequest
from innovator_rl.scoring.invoke import call_rewarder
from rewards.choice import Choice
from rewards.mathematics import Mathematics
from rewards.physics import Physics
from rewards.style import Style

FOLDER = Path(__file__).resolve().parents[2] / "rewards" / "golden"
REWARDERS: dict[str, Any] = {"physics": Physics(), "math": Mathematics(), "choice": Choice(), "style": Style()}


def holds(case: str, score: Score) -> bool:
    if case == "full":
        return score.outcome == "scored" and score.correct and score.value >= 0.999
    if case == "partial":
        return score.outcome == "scored" and 0.02 < score.value < 0.999
    if case == "abstain":
        return score.outcome == "abstained"
    return score.outcome != "error" and not score.correct and score.value <= 0.02


@pytest.mark.parametrize("name", sorted(REWARDERS))
def test_golden(name: str) -> None:
    rows = [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]
    assert len(rows) >= 10
    for row in rows:
        fields = {key: row[key] for key in ("response", "answer", "prompt", "info") if key in row}
        score = call_rewarder(REWARDERS[name], ScoreRequest(rewarder=name, **fields))
        assert holds(row["case"], score), (row, score)
        assert row.get("reason", score.reason) == score.reason, (row, score)
