"""A canary for hostile programs, and sandboxes with all the layers of this machine or with some of them taken away."""

from collections.abc import Iterator
from typing import Any

import pytest

from rewards.code.sandbox import layers
from rewards.code.sandbox.executor import Layers, Sandbox


@pytest.fixture(scope="session")
def canary() -> Iterator[dict[str, Any]]:
    with layers._canary() as where:
        yield where


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


SETS = {
    "without control groups": Layers(groups=False),
    "without Landlock": Layers(landlock=False),
    "without namespaces": Layers(namespaces=False),
}


@pytest.fixture(scope="module", params=SETS.values(), ids=SETS)
def layered(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of each smaller set of layers that holds the standard level on this machine."""
    report = layers.probe_isolation(request.param)
    if report.missing("standard"):
        pytest.skip(f"does not hold here: {report.describe()}")
    with Sandbox(layers=request.param) as made:
        yield made
