"""A file that a worker would import in the place of a library is named before anything starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.config.load import apply_overrides, validate
from innovator_rl.preflight import Machine
from innovator_rl.preflight import check as preflight
from innovator_rl.preflight.shadowed_libraries import check

REWARDER = "def score(response, answer):\n    return response == answer\n"


@pytest.mark.parametrize(
    "name", ["trl.py", "datasets.py", "random.py", "torch/__init__.py", "innovator_rl/__init__.py"]
)
def test_a_file_in_the_working_directory_that_hides_a_library(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    (found,) = check([], tmp_path)
    library = Path(name).parts[0].removesuffix(".py")
    assert (found.setting, found.severity) == ("working directory", "error")
    assert f"hides the library {library!r}" in found.why
    assert str(tmp_path) in found.value
    assert found.fix.startswith("rename it")


def test_other_files_and_folders_hide_nothing(tmp_path: Path) -> None:
    (tmp_path / "my_reward.py").write_text(REWARDER)
    (tmp_path / "datasets").mkdir()  # without __init__.py the library wins
    (tmp_path / "trl.yaml").write_text("")
    assert list(check([f"{tmp_path}/my_reward.py:score"], tmp_path)) == []


def test_rewards_and_upcycle_of_the_users_own_hide_nothing(tmp_path: Path) -> None:
    for name in ("rewards", "upcycle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    assert list(check([], tmp_path)) == []


def test_the_checkout_hides_nothing() -> None:
    assert list(check(["math"], Path(__file__).resolve().parents[2])) == []


def test_a_rewarder_file_that_hides_a_library_stops_a_run(
    good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "trl.py").write_text(REWARDER)
    route = f"{tmp_path}/plugins/trl.py:score"
    config = validate(apply_overrides(good(), [f"reward.routes={{gsm8k: '{route}'}}"]))
    (found,) = [d for d in preflight(config, machine=machine) if "hides the library" in d.why]
    assert (found.setting, found.severity) == ("reward.routes", "error")
    assert "'trl'" in found.why
    assert not [d for d in preflight(validate(good()), machine=machine) if "hides the library" in d.why]
