"""Every command of the documentation runs, or exists and says what it needs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.cli.main import main
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from tools.check_docs_commands import ROOT, Command, commands, page_faults, pages

PAGES = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in pages()}


def listed(how: str) -> list[Command]:
    """Return the commands that are covered in this way, each once, in the order of the pages."""
    found = [command for path, text in PAGES.items() for command in commands(path, text) if command.covered == how]
    return list({(command.path, command.text): command for command in found}.values())


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with what a reader has: configurations, data sets, answers, a recorded run, a published file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    for name in (
        "configs",
        "datasets",
        "rewards",
        "innovator_rl",
        "upcycle",
        "pyproject.toml",
        ".rayignore",
        ".gitignore",
    ):
        (tmp_path / name).symlink_to(ROOT / name)
    rows = [{"response": "36.0", "answer": "35.9"}, {"response": "2", "answer": "35.9"}]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorder = Recorder(tmp_path / "runs" / "demo", writer="w", attempt=1)
    recorder.rollout(RolloutRow(step=1, prompt_uid="p", sample=0, status="ok", rewarder="math", **rows[0]))
    recorder.close()
    molecules = [f"{size}\t{'C' * size}\tThe molecule is an alkane with {size} carbon atoms." for size in range(1, 9)]
    Path("validation.tsv").write_text("CID\tSMILES\tdescription\n" + "\n".join(molecules) + "\n")
    return tmp_path


@pytest.mark.parametrize("path", PAGES)
def test_every_command_of_a_page_is_covered_and_exists(path: str) -> None:
    assert page_faults(path, PAGES[path]) == []


@pytest.mark.parametrize("path", sorted({command.path for command in listed("run")}))
def test_the_quick_commands_of_a_page_run_in_order(
    path: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in listed("run"):
        if command.path == path:
            code = exit_code(main, command)
            assert code == 0, f"{command}: exit code {code}\n{capsys.readouterr()}"


@pytest.mark.slow
@pytest.mark.parametrize("command", listed("run (slow)"), ids=str)
def test_a_slow_command_runs(command: Command, workspace: Path) -> None:
    program = Path(sys.executable).with_name("innovator")
    arguments = command.text.split()[1:]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"


def exit_code(call: Callable[[list[str]], None], command: Command) -> object:
    """Run a command in this process and return its exit code."""
    try:
        call(command.text.split()[1:])
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("```sh\ninnovator train configs/train/demo.yaml\n```", "is neither run by a test nor marked"),
        ("<!-- needs: gpu -->\n```sh\ninnovator train configs/train/demo.yaml\n```", "a reason in parentheses"),
        (
            "<!-- needs: gpu (x) -->\n```sh\ninnovator train configs/train/gone.yaml\n```",
            "file 'configs/train/gone.yaml' was not found",
        ),
        ("```sh\ninnovator reward list --colour\n```", "No such option"),
        ("```sh\ninnovator reward score a.jsonl\n```", "missing reward"),
        ("See `innovator reward lst`.", "unknown command 'lst'"),
        ("See `innovator train CONFIG --dry-rum`.", "No such option"),
        ("```sh\nmake everything\n```", "make has no target 'everything'"),
        ("```sh\npython -m benchmarks.gone\n```", "module 'benchmarks.gone' was not found"),
        ("```\ninnovator --help\n```", "the block has no language"),
        ("```sh\ninovator --help\n```", "'inovator' is not a known program"),
    ],
)
def test_a_fault_is_found(page: str, fault: str) -> None:
    assert any(fault in found for found in page_faults("page.md", page)), page_faults("page.md", page)


def test_a_sound_page_has_no_fault() -> None:
    page = "```sh\ninnovator reward list  # all of them\n```\n\n```text\nruns/NAME/\n```\n\n`innovator train CONFIG [key=value ...]`"
    assert page_faults("page.md", page) == []


def test_the_reward_of_the_readme_scores() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGES["README.md"], re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    scores = [names["bond_angle"](response, "109.5").value for response in ("It is 109.3", "108", "90", "", "unknown")]
    assert scores == [1.0, 0.5, 0.0, 0.0, 0.0]
