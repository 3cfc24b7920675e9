"""The project's own rewarders live by the rules of the plugin kit: each passes the check that any plugin is asked to."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from innovator_rl.scoring import registry
from innovator_rl.scoring.authoring import check, golden

REWARDS = Path(__file__).parents[2] / "rewards"
OWN = sorted(point.name for point in entry_points(group=registry.GROUP) if point.value.startswith("rewards."))


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_each_passes_the_check(name: str) -> None:
    assert (REWARDS / "golden" / f"{name}.jsonl").is_file()
    report = check(name)
    assert report.ready, report.text()


def test_golden_files_are_read_and_belong_to_somebody() -> None:
    for file in (REWARDS / "golden").glob("*.jsonl"):
        assert file.stem in OWN, f"{file} is the golden file of no rewarder"
        assert golden.read(file)
