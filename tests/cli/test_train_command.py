"""How `innovator train` reports a run that ends badly: a known failure is its message, a defect its traceback."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from innovator_rl import api
from innovator_rl.cli.main import main
from innovator_rl.config import RunConfig
from innovator_rl.errors import EngineError, UserError
from innovator_rl.integrations.verl.callbacks import StopRequested
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.training import launch


@pytest.fixture
def ends_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A run whose training raises the given exception."""
    monkeypatch.delenv("INNOVATOR_DEBUG", raising=False)
    monkeypatch.setattr(
        api,
        "prepare",
        lambda config: SimpleNamespace(config=config, files=None, directory=RunDir(tmp_path / "r"), warnings=()),
    )

    def use(error: BaseException) -> None:
        def fail(_config: RunConfig, _files: object) -> None:
            raise error

        monkeypatch.setattr(launch, "launch", fail)

    return use


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (EngineError("no learning signal in 10 rounds"), 1, "the run failed: EngineError: no learning signal"),
        (StopRequested("stopped after step 3"), 130, "stopped after step 3"),
        (KeyboardInterrupt(), 130, "stopped at once"),
        (UserError("another process writes runs/r"), 2, "another process writes"),
    ],
)
def test_a_named_failure_is_its_message(
    ends_with: object, error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with(error)  # type: ignore[operator]
    with pytest.raises(SystemExit) as caught:
        main(["train", "moe"])
    printed = capsys.readouterr().err
    assert caught.value.code == code
    assert f"innovator: {line}" in printed
    assert "Traceback" not in printed


def test_a_misspelled_second_word_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words, named in ((["paln", "demo"], True), (["paln", "name=x"], False), (["paln"], False)):
        with pytest.raises(SystemExit) as caught:
            main(["train", *words])
        printed = capsys.readouterr().err
        assert (caught.value.code, "configuration 'paln' not found" in printed) == (2, True)
        assert ("did you mean `innovator train plan demo`?" in printed) is named


@pytest.mark.parametrize("error", [ValueError("zip() argument 2 is shorter than argument 1"), KeyError("uid")])
def test_a_defect_leaves_with_its_traceback(
    ends_with: object, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with(error)  # type: ignore[operator]
    with pytest.raises(type(error)) as caught:
        main(["train", "moe"])
    assert caught.value is error
    assert "details: " in capsys.readouterr().err


def test_debug_shows_the_traceback_of_a_named_failure(ends_with: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNOVATOR_DEBUG", "1")
    ends_with(EngineError("no learning signal"))  # type: ignore[operator]
    with pytest.raises(EngineError):
        main(["train", "moe"])
