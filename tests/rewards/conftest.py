"""The code rewarder, ended with its sandboxes after each module."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from innovator_rl.scoring import Score
from rewards.code.reward import CodeReward

Grade = Callable[..., Score]


@pytest.fixture(scope="module")
def grade() -> Iterator[Grade]:
    """Score a program, put into a fence, by `info`; `settings` make another rewarder."""
    made: dict[tuple[Any, ...], CodeReward] = {}

    def call(program: str, info: dict[str, Any], fence: bool = True, **settings: Any) -> Score:
        key = tuple(sorted(settings.items()))
        if key not in made:
            made[key] = CodeReward(**settings)
        return made[key](f"```python\n{program}\n```" if fence else program, info)

    yield call
    for rewarder in made.values():
        rewarder.close()
