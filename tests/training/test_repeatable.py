"""A run that was killed and resumed ends with the parameters of one that nothing interrupted, bit for bit."""

import pytest

from benchmarks.repeatability import measure


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_run_is_the_uninterrupted_one() -> None:
    found = measure(kills=1, steps=4, seed=0)
    assert found.kills == 1
    assert (found.parameters, found.prompts, found.responses, found.metrics) == (0, 0, 0, 0)
