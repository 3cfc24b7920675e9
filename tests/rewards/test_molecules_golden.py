"""Every golden case of the molecule rewarders holds: outcome, correctness, bounds of the value, reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.scoring import ScoreRequest
from innovator_rl.scoring.api import Rewarder
from innovator_rl.scoring.invoke import call_rewarder
from rewards.molecules.captions import Mol2Caption
from rewards.molecules.design import Design, Edit, Optimize
from rewards.molecules.generation import Caption2Mol
from rewards.molecules.property import PropertyChoice
from rewards.molecules.property_value import PropertyRegression
from rewards.molecules.reaction import Reaction

FOLDER = Path(__file__).parents[2] / "rewards" / "golden"
REWARDERS: dict[str, Rewarder] = {
    "caption2mol": Caption2Mol(),
    "mol2caption": Mol2Caption(),
    "chemistry": PropertyChoice(),
    "design": Design(),
    "edit": Edit(),
    "optimize": Optimize(),
    "reaction": Reaction(),
    "property-regression": PropertyRegression(),
}
BOUNDS = {
    "full": (0.999, 1.0),
    "partial": (0.02, 0.999),
    "zero": (-1.0, 0.02),
    "malformed": (-1.0, 0.02),
    "abstain": (0, 0),
}
CASES = [
    pytest.param(name, json.loads(line), id=f"{name}-{number}")
    for name in REWARDERS
    for number, line in enumerate((FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_golden(name: str, case: dict[str, Any]) -> None:
    arguments = {key: case[key] for key in ("response", "answer", "prompt", "info") if key in case}
    score = call_rewarder(REWARDERS[name], ScoreRequest(name, **arguments))
    low, high = case.get("value", BOUNDS[case["case"]])
    assert low <= score.value <= high, score
    assert score.outcome == ("abstained" if case["case"] == "abstain" else "scored")
    if case["case"] != "partial":
        assert score.correct == (case["case"] == "full")
    assert score.reason == case.get("reason", score.reason)
