"""Before training, every rewarder and tool in use is imported in a process apart: what is wrong with a plugin is a finding."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.config.load import apply_overrides, validate
from innovator_rl.preflight import Machine, describe, tools
from innovator_rl.preflight.reward import check

PLUGINS = {
    "broken.py": "import a_library_that_nobody_has\n\ndef judge(response):\n    return True\n",
    "greedy.py": "def judge(response, solution):\n    return True\n",
    "fatal.py": "import os\nos._exit(3)\n",
    "fine.py": "def judge(response, answer):\n    return response == answer\n",
}


def findings(document: dict[str, Any], route: str, machine: Machine) -> dict[str, str]:
    config = validate(apply_overrides(document, [f"reward.routes={{gsm8k: '{route}'}}"]))
    case, _ = describe(config, machine=machine)
    return {f.setting: f"{f.why}; {f.fix}" for f in check(case, deep=True) if f.severity == "error"}


@pytest.mark.parametrize(
    ("route", "complaint"),
    [
        ("broken.py:judge", "No module named 'a_library_that_nobody_has'"),
        ("greedy.py:judge", "requires 'solution'"),
        ("fine.py:jugde", "it has judge"),
        ("absent.py:judge", "file absent.py not found"),
        ("fatal.py:judge", "the rewarder cannot be used"),
        ("0.5 * math + fine.py:jugde", "it has judge"),
        ("math >> ten * math", "'ten' is not a number"),
    ],
)
def test_a_plugin_that_cannot_work_is_a_finding(
    route: str,
    complaint: str,
    good: Callable[[], dict[str, Any]],
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in PLUGINS.items():
        (tmp_path / name).write_text(text)
    document = good()
    monkeypatch.chdir(tmp_path)
    assert complaint in findings(document, route, machine)["reward.routes.gsm8k"]
    assert findings(document, "fine.py:judge", machine) == {}


def test_two_packages_with_one_name_are_a_finding(
    good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[innovator_rl.rewards]\nmath = other:judge\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "two installed packages offer a rewarder named 'math'" in findings(good(), "math", machine)["reward.routes"]


def warnings(document: dict[str, Any], route: str, machine: Machine, *changes: str) -> str:
    config = validate(apply_overrides(document, [f'reward.routes={{gsm8k: "{route}"}}', *changes]))
    case, _ = describe(config, machine=machine)
    return " ".join(f.line() for f in check(case, deep=True) if f.severity == "warning")


def test_fractions_that_are_never_correct_are_told_so_with_the_fix(
    good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = good()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graded.py").write_text(
        "from innovator_rl.scoring import Score\n"
        "def varied(response, answer):\n    return 0.1 + min(len(response), 80) / 100\n"
        "def decided(response):\n    return Score(0.5, False, 'partial')\n"
        "def ranked(responses):\n    return [i / 10 for i, _ in enumerate(responses)]\n"
    )
    seen = warnings(document, "graded.py:varied", machine)
    assert "called none correct" in seen
    assert "set algorithm.dynamic_sampling.metric=score" in seen
    assert "called none correct" in warnings(document, "graded.py:ranked", machine)
    for route, *changes in (
        ("graded.py:varied", "algorithm.dynamic_sampling.metric=score"),
        ("graded.py:varied", "algorithm.dynamic_sampling.enabled=false"),
        ("graded.py:decided",),
        ("math",),
    ):
        assert "called none correct" not in warnings(document, route, machine, *changes)


def test_a_secret_in_a_route_is_told_so(
    good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = good()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keyed.py").write_text(
        "class Keyed:\n    def __init__(self, api_key: str = ''):\n        pass\n"
        "    def __call__(self, response):\n        return True\n"
    )
    seen = warnings(document, "keyed.py:Keyed(api_key='sk-123456')", machine)
    assert "write ${env:NAME} in its place" in seen
    assert "sk-123456" not in seen
    monkeypatch.setenv("A_KEY", "sk-123456")
    assert "secret" not in warnings(document, "keyed.py:Keyed(api_key='${env:A_KEY}')", machine)


@pytest.mark.parametrize(
    ("names", "setting", "complaint"),
    [
        ("[calculator]", "tools.prompt_tokens", "the descriptions of the tools have"),
        ("[plain.py:search]", "tools.names", "a type hint and a line under `Args:` expected"),
    ],
)
def test_a_tool_that_the_model_could_not_read_about_is_a_finding(
    names: str,
    setting: str,
    complaint: str,
    good: Callable[[], dict[str, Any]],
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "plain.py").write_text("def search(text):\n    return text\n")
    monkeypatch.chdir(tmp_path)
    settings = [f"tools.names={names}", "tools.max_result_tokens=8", "tools.prompt_tokens=20"]
    case, _ = describe(validate(apply_overrides(good(), settings)), machine=machine)
    found = {finding.setting: finding.why for finding in tools.check(case, deep=True)}
    assert complaint in found[setting]
