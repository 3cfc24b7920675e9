"""A rewarder says before a run whether it works on this machine; one that cannot be asked is a finding itself."""

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from config_rows import row, write_rows

from innovator_rl.config.load import validate
from innovator_rl.preflight import Machine, check, rewarder_health
from innovator_rl.scoring import registry

PLUGIN = """
class Ill:
    @staticmethod
    def health(settings):
        why = f"no license within {settings['timeout_seconds']} s"
        return [{"setting": "LICENSE", "value": None, "why": why, "fix": "set LICENSE", "severity": "error"}]
class Broken:
    @staticmethod
    def health(settings):
        return [{"setting": 1 / 0}]
def well(response):
    return 1.0
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ill_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    targets = {"ill": "Ill", "broken": "Broken", "well": "well", "gone": "Gone"}
    points = {name: EntryPoint(name, f"ill_plugin:{target}", registry.GROUP) for name, target in targets.items()}
    monkeypatch.setattr(registry, "_installed", lambda: points)


def test_rewarders_are_asked(plugin: None) -> None:
    found = list(rewarder_health.check(["ill", "broken", "well", "gone", "other"], {"timeout_seconds": 3.0}, "warning"))
    assert [(finding.setting, finding.severity) for finding in found] == [
        ("rewarder broken", "warning"),
        ("rewarder gone", "warning"),
        ("LICENSE", "error"),
    ]
    assert found[2].why == "no license within 3.0 s"
    assert "ZeroDivisionError" in found[0].why


def test_a_run_asks_its_own_rewarders_only(
    plugin: None, good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path
) -> None:
    write_rows(tmp_path / "train.parquet", [row(i, reward="well") for i in range(64)])
    write_rows(tmp_path / "validation.parquet", [row(i, reward="well") for i in range(8)])
    document = good()
    settings = {finding.setting for finding in check(validate(document), machine=machine)}
    assert not settings & {"LICENSE", "rewarder broken", "rewarder gone"}
    document["reward"] = {"routes": {"gsm8k": "ill"}}
    assert "LICENSE" in {finding.setting for finding in check(validate(document), machine=machine)}
