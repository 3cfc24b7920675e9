"""The code rewarder, ended with its sandboxes after each module."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from innovator_rl.scoring import Score
from rewards.code.reward import CodeTests

Judge = Callable[..., Score]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """Judges a program, put into a fence, by `info`; `settings` make another rewarder."""
    made: dict[tuple[Any, ...], CodeTests] = {}

    def call(program: str, info: dict[str, Any], fence: bool = True, **settings: Any) -> Score:
        key = tuple(sorted(settings.items()))
        if key not in made:
            made[key] = CodeTests(**settings)
        return made[key](f"```python\n{program}\n```" if fence else program, info)

    yield call
    for rewarder in made.values():
        rewarder.close()
