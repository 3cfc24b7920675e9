"""Offers the misbehaving plugin to this folder, and keeps its tests on one worker, so that verl is imported once."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_plugin_fixture import plugin
from hypothesis import HealthCheck, settings

__all__ = ["plugin"]

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.fixture(scope="package", autouse=True)
def no_ray_afterwards() -> Iterator[None]:
    """Ends the Ray that a trainer of these tests started: a driver whose cluster dies later takes its process along."""
    yield
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        sys.modules["ray"].shutdown()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests of this folder for `pytest -n 2 --dist loadgroup`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("verl"))
