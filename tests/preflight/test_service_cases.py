"""Mistakes of a first day on a machine: pickled weights, no home, no network, no place to write, a float reward."""

import json
import time
from pathlib import Path

import pytest
from config_rows import row, write_rows

from innovator_rl.config.load import load, validate
from innovator_rl.errors import UserError
from innovator_rl.jobs.preflight import require_ready
from innovator_rl.models.inspect import inspect_model
from innovator_rl.models.resolver import make, resolve
from innovator_rl.preflight import Diagnostic, Machine, check
from innovator_rl.preflight.model import BUILT_IN_SHAPES
from innovator_rl.preflight.run_dir import blocked


@pytest.mark.parametrize(
    ("names", "refused"), [(["pytorch_model.bin"], True), (["a.pt"], True), (["a.bin", "model.safetensors"], False)]
)
def test_weights_that_are_only_pickles_are_refused(
    names: list[str], refused: bool, tmp_path: Path, machine: Machine
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(BUILT_IN_SHAPES["tiny-qwen2"]))
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    config = validate({"model": {"path": str(tmp_path)}})
    found = [finding for finding in check(config, machine=machine) if "pickle" in finding.why]
    assert bool(found) == refused
    assert all("safetensors" in finding.fix and finding.severity == "error" for finding in found)


@pytest.mark.parametrize("name", ["../../x", "a b", "-x", ""])
def test_a_name_that_is_no_folder_name_says_what_is_allowed(name: str) -> None:
    with pytest.raises(UserError, match="expected text of letters, digits and"):
        load(None, [f"name='{name}'"])


def test_a_key_given_twice_is_an_error() -> None:
    with pytest.raises(UserError, match=r"the key 'schedule\.steps' is given twice"):
        load(None, ["schedule.steps=3", "name=x", "schedule.steps=4"])


@pytest.mark.parametrize(
    ("path", "words"),
    [("~/no/such", "the folder .*/no/such was not found"), ("$HOME/x", "not expanded"), ("${HOME}/x", "not expanded")],
)
def test_a_path_of_the_shell_is_explained(path: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        resolve(path)


def test_a_cache_that_cannot_be_made_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INNOVATOR_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc")
    with pytest.raises(UserError, match="set INNOVATOR_HOME to a folder"):
        make("tiny-qwen2")


def test_a_runs_folder_that_cannot_be_written_is_named() -> None:
    assert "/proc/x/demo cannot be written" in blocked(Path("/proc/x/demo"))


def test_a_hub_that_is_away_is_one_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    begun = time.process_time()
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9 cannot be reached .*HF_HUB_OFFLINE=1") as stopped:
        inspect_model("nobody/nothing")
    assert len(str(stopped.value).splitlines()) == 1
    assert time.process_time() - begun < 5


FLOATS = "def varied(response, answer):\n    return min(0.9, 0.1 + (sum(map(ord, response)) % 80) / 100)\n"
WHOLE = "def varied(response, answer):\n    return float(answer in response)\n"
FLAT = "def varied(response, answer):\n    return 0.5\n"


@pytest.mark.parametrize(
    ("code", "metric", "told"),
    [(FLOATS, "correct", True), (FLOATS, "score", False), (WHOLE, "correct", False), (FLAT, "correct", True)],
)
def test_a_rewarder_that_is_never_correct_is_found_before_the_run(
    code: str, metric: str, told: bool, tmp_path: Path, machine: Machine
) -> None:
    (tmp_path / "own.py").write_text(code)
    data = write_rows(tmp_path / "t.parquet", [row(i, "own") for i in range(32)])
    config = validate(
        {
            "data": {"train": [str(data)], "validation": []},
            "schedule": {"validate_every": 0, "validate_before": False},
            "reward": {"routes": {"own": f"{tmp_path}/own.py:varied"}, "memory_mb": 512},
            "algorithm": {"dynamic_sampling": {"metric": metric}},
        }
    )
    found = [f for f in check(config, machine=machine, deep=True) if "called none correct" in f.why]
    assert bool(found) == told
    assert all("metric=score" in finding.fix for finding in found)


def test_a_submitted_run_is_checked_before_its_upload() -> None:
    config = load(None, ["model.path=/nope", "data.train=[zzz]"])
    with pytest.raises(UserError) as stopped:
        require_ready(config)
    lines = str(stopped.value).splitlines()
    assert any("model.path = '/nope'" in line for line in lines)
    assert any("data.train = 'zzz'" in line for line in lines)
    assert "--remote-paths" in lines[-1]
    with pytest.raises(UserError) as stopped:
        require_ready(config, remote_paths=True)
    assert "/nope" not in str(stopped.value)
    assert "must be absolute" not in str(stopped.value)
    with pytest.raises(UserError, match=r"only the cluster's nodes have must be absolute, such as model.path=/shared"):
        require_ready(load(None, ["model.path=tiny-qwen2", "data.train=[data/none/train.parquet]"]), remote_paths=True)


def test_a_diagnostic_hides_the_value_of_a_secret() -> None:
    shown = Diagnostic(setting="reward.routes.q", value="essay.py:Essay(api_key='sk-1abcdef')", why="unknown", fix="-")
    assert "sk-1" not in shown.line()
    assert "essay.py:Essay(" in shown.line()


def test_the_folder_of_a_built_set_is_trained_and_validated_on(tmp_path: Path) -> None:
    folder = tmp_path / "sums"
    folder.mkdir()
    for split, start in (("train", 0), ("validation", 50)):
        write_rows(folder / f"{split}.parquet", [row(start + n) for n in range(4)])
    config = load(None, ["model.path=tiny-qwen2", f"data.train=[{folder}]", f"data.validation=[{folder}]"])
    assert [finding.why for finding in check(config) if finding.setting in ("data.train", "data.validation")] == []
    (folder / "train.parquet").unlink()
    found = [finding for finding in check(config) if finding.setting == "data.train"]
    assert [finding.why for finding in found] == ["a folder, not a file"]
