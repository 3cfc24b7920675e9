"""The code rewarder; its sandboxes depend on no setting, so all of them share one set until the tests end."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from innovator_rl.scoring import Score
from rewards.code.reward import CodeReward

Grade = Callable[..., Score]


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[dict[Any, Any]]:
    """The sandboxes of all rewarders, by what may be imported in them."""
    shared: dict[Any, Any] = {}
    yield shared
    for sandbox in shared.values():
        sandbox.close()


@pytest.fixture(scope="session")
def grade(sandboxes: dict[Any, Any]) -> Grade:
    """Score a program, put into a fence, by `info`; `settings` make another rewarder."""
    made: dict[tuple[Any, ...], CodeReward] = {}

    def call(program: str, info: dict[str, Any], fence: bool = True, **settings: Any) -> Score:
        key = tuple(sorted(settings.items()))
        if key not in made:
            made[key] = CodeReward(**settings)
            made[key]._sandboxes = sandboxes
        return made[key](f"```python\n{program}\n```" if fence else program, info)

    return call
