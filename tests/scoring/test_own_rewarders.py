"""The project's own rewarders live by the rules of the plugin kit: each passes the check that any plugin is asked to."""

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint

from innovator_rl.scoring import registry
from innovator_rl.scoring.authoring import check, golden

REWARDS = Path(__file__).parents[2] / "rewards"
OWN = sorted(point.name for point in entry_points(group=registry.GROUP) if point.value.startswith("rewards."))

JUDGES = ("judged", "rubric")
AGREE = {
    (
        "Interference is lost, since no fixed phase links both sources",
        "The fringes disappear because the two lamps are incoherent",
    ),
    ("More ammonia forms when it is compressed", "It shifts to the side with fewer moles of gas"),
    ("parallel to the field", "The force points along the field lines"),
}


def decision(body: dict[str, Any]) -> str:
    """Return the replies that fit the golden cases: equal statements by a list, criteria by their last word."""
    texts = json.loads(body["messages"][-1]["content"])
    if "criteria" not in texts:
        both = {texts[side].removeprefix("\\text{").rstrip("}") for side in ("first", "second")}
        return "SAME" if any(both == set(pair) for pair in AGREE) else "DIFFERENT"
    words = {number: line.split()[-1] for number, line in texts["criteria"].items()}
    return "\n".join(f"{number}: {'YES' if word in texts['response'] else 'NO'}" for number, word in words.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_each_passes_the_check(name: str) -> None:
    assert (REWARDS / "golden" / f"{name}.jsonl").is_file()
    if name in JUDGES:
        with FakeEndpoint(answer=decision) as server:
            report = check(f"{name}(url='{server.url}',model='fake')")
    else:
        report = check(name)
    assert report.ready, report.text()


def test_golden_files_are_read_and_belong_to_somebody() -> None:
    for file in (REWARDS / "golden").glob("*.jsonl"):
        assert file.stem in OWN, f"{file} is the golden file of no rewarder"
        assert golden.read(file)
