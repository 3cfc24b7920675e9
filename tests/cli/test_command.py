"""The command itself: quick help, verbs that exist, mistakes as one line."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from innovator_rl.cli import main as command
from innovator_rl.errors import UserError

ENTRY = [sys.executable, "-m", "innovator_rl.cli.main"]


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ENTRY, *words], capture_output=True, text=True, timeout=120, cwd=folder)


def test_help_is_quick_and_lists_the_verbs_that_exist() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 2.0, "seconds of processor, which a busy machine does not lengthen"
    for verb in command.VERBS:
        exists = (Path(command.__file__).parent / f"{verb}.py").is_file()
        assert (f"\n  {verb} " in result.stdout) == exists


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from innovator_rl.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'verl', 'ray', 'vllm', 'transformers', 'pyarrow') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]"


def test_version() -> None:
    assert run("--version").stdout.startswith("innovator 0.")


def test_an_unknown_verb_names_the_near_one() -> None:
    result = run("docter")
    assert (result.returncode, result.stderr) == (2, "innovator: no verb 'docter': did you mean doctor?\n")


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("schedule: {steps: 0}\nrollout: {topp: 1}\n")
    result = run("doctor", "run.yaml", folder=tmp_path)
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
