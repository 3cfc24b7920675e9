"""The page of reward functions is what the code documents."""

from pathlib import Path

from innovator_rl.scoring import registry
from innovator_rl.scoring.api import ENGINE_REASONS
from tools.reward_reference import page

PAGE = (Path(__file__).parents[2] / "docs" / "reward-functions.md").read_text(encoding="utf-8")


def test_the_page_is_current() -> None:
    assert page() == PAGE, "run: python -m tools.reward_reference > docs/reward-functions.md"


def test_every_reward_function_reason_and_parameter_is_explained() -> None:
    headings = {name for line in PAGE.splitlines() if line.startswith("## ") for name in line[3:].split(", ")}
    assert set(registry.names()) - headings == set()
    assert [code for code in ENGINE_REASONS if f"| `{code}` | " not in PAGE] == []
    assert [line for line in PAGE.splitlines() if line.endswith("|  |")] == [], "a parameter without a meaning"
