"""Offers the misbehaving plugin to this folder, and keeps its tests on one worker, so that verl is imported once."""

from pathlib import Path

import pytest
from faulty_plugin_fixture import plugin
from hypothesis import HealthCheck, settings

__all__ = ["plugin"]

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests of this folder for `pytest -n 2 --dist loadgroup`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("verl"))
