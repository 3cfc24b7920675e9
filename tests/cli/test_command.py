"""The command itself: quick help, one look at every level, mistakes as one line, defects with their traceback."""

import json
import re
import resource
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from innovator_rl.cli import main as command
from innovator_rl.cli.application import EXTRAS, make_app, run
from innovator_rl.errors import UserError

ENTRY = [sys.executable, "-m", "innovator_rl"]


def run_command(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ENTRY, *words], capture_output=True, text=True, timeout=120, cwd=folder)


def test_help_is_quick_and_lists_the_commands_that_exist() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run_command("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 2.0, "seconds of processor, which a busy machine does not lengthen"
    assert "\nCommands:\n" in result.stdout
    for name in command.COMMANDS:
        exists = (Path(command.__file__).parent / f"{name}.py").is_file()
        assert (f"\n  {name} " in result.stdout) == exists


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from innovator_rl.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'verl', 'ray', 'vllm', 'transformers', 'pyarrow') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]"


def test_no_command_imports_an_engine_for_its_help() -> None:
    code = (
        "import sys; from innovator_rl.cli.main import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "print([name for name in ('torch', 'verl', 'ray', 'vllm', 'transformers') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.stdout.splitlines()[-1] == "[]"


def test_version() -> None:
    assert run_command("--version").stdout.startswith("innovator 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("docter", "unknown command 'docter': did you mean doctor?"),
        ("runs shwo", "unknown command 'shwo': did you mean show?"),
        ("upcycle pln", "unknown command 'pln': did you mean plan?"),
        ("runs show demo --stpe 3", "unknown option '--stpe': did you mean --step?"),
        ("doctor --jsno", "unknown option '--jsno': did you mean --json?"),
        ("train", "missing argument 'CONFIG'; see `innovator train --help`"),
        ("train dmo", "configuration 'dmo' not found: did you mean demo or moe?"),
    ],
)
def test_a_typo_gets_the_same_sentence_at_every_level(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(words.split())
    assert (caught.value.code, capsys.readouterr().err) == (2, f"innovator: {message}\n")


def test_without_near_names_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["runs", "zzzz"])
    said = capsys.readouterr().err
    assert said.startswith("innovator: unknown command 'zzzz': expected list, show, ")
    assert set(said.split("expected ")[1].strip().split(", ")) >= {
        "list",
        "show",
        "stop",
        "export",
        "export-model",
        "top",
    }


def test_a_hidden_command_works_and_is_not_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app("Commands for a test.")
    app.callback()(lambda: None)
    app.command("train-router")(lambda: None)
    app.command("route", hidden=True)(lambda: None)
    assert run(app, ["route"]) == 0
    assert run(app, ["rout"]) == 2
    assert "did you mean" not in capsys.readouterr().err
    run(app, ["--help"])
    assert "route " not in capsys.readouterr().out.replace("train-router", "")


@pytest.mark.parametrize("name", ["", *command.COMMANDS])
def test_help_has_one_style(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main([*name.split(), "-h"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert text.startswith("Usage: innovator")
    assert "\u256d" not in text, "no boxes"
    assert ("--install-completion" in text) == (name == "")


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["runs"])
    assert caught.value.code == 2
    assert "Commands:" in capsys.readouterr().err


def test_the_exit_codes_are_in_the_help() -> None:
    text = run_command("--help").stdout
    for code in (0, 1, 2, 3, 130):
        assert f"\n  {code} " in text


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("schedule: {steps: 0}\nrollout: {topp: 1}\n")
    result = run_command("doctor", "run.yaml", folder=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2
    assert "Traceback" not in result.stderr


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        json.loads("{")  # a library's ValueError is no sentence for people

    def mistaken(**_: object) -> None:
        raise UserError("schedule.steps = 0: set 1 or more")

    monkeypatch.setattr("innovator_rl.cli.doctor.Machine.here", broken)
    with pytest.raises(json.JSONDecodeError):
        command.main(["doctor"])
    monkeypatch.setattr("innovator_rl.cli.doctor.Machine.here", mistaken)
    with pytest.raises(SystemExit) as caught:
        command.main(["doctor"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "defect",
    [
        "int('x')",
        "list(zip([1], [1, 2], strict=True))",
        "a, b = [1, 2, 3]",
        "[].index(3)",
    ],
)
def test_a_value_error_of_our_own_code_is_a_defect(defect: str, tmp_path: Path) -> None:
    code = (
        "import innovator_rl.training.launch as ours\n"
        f"exec({f'def broken(**_):{chr(10)}    {defect}'!r}, vars(ours))\n"
        "import innovator_rl.cli.doctor as doctor\n"
        "doctor.Machine.here = ours.broken\n"
        "from innovator_rl.cli.main import main\n"
        "main(['doctor'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "ValueError" in result.stderr


@pytest.mark.parametrize("way", ["option", "variable"])
def test_debug_shows_the_traceback_of_a_mistake(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INNOVATOR_DEBUG", "1" if way == "variable" else "0")
    with pytest.raises(SystemExit) as caught:
        command.main([*(["--debug"] if way == "option" else []), "doctor", "schedule.steps=0"])
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("innovator: configuration: schedule.steps = 0")


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("innovator_rl.cli.doctor.Machine.here", interrupted)
    with pytest.raises(SystemExit) as caught:
        command.main(["doctor"])
    assert caught.value.code == 130


def test_a_missing_optional_package_is_answered_with_its_extra(capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app("An application.")

    @app.command("one")
    def one() -> None:
        raise ModuleNotFoundError("No module named 'lm_eval.tasks'", name="lm_eval.tasks")

    @app.command("two")
    def two() -> None:
        raise ModuleNotFoundError("No module named 'innovator_rl.nothing'", name="innovator_rl.nothing")

    assert run(app, ["one"]) == 2
    assert (
        "needs the package lm_eval, which is not installed: pip install 'innovator-rl[eval]'" in capsys.readouterr().err
    )
    with pytest.raises(ModuleNotFoundError):
        run(app, ["two"])


def test_every_module_of_an_extra_is_known() -> None:
    document = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    extras = document["project"]["optional-dependencies"]
    needed = {plain_name(word): extra for extra in ("eval", "paper", "data") for word in extras[extra]}
    found = {
        module: needed[plain_name(distribution)]
        for module, distributions in packages_distributions().items()
        for distribution in distributions
        if plain_name(distribution) in needed and not module.startswith("_")
    }
    assert len(found) > 10
    assert {module: extra for module, extra in found.items() if EXTRAS.get(module) != extra} == {}


def plain_name(requirement: str) -> str:
    """Return the name of a distribution in the spelling that all of its spellings share."""
    return re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower().replace("_", "-").partition("==")[0]
