"""Every example runs as its header says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import innovator_rl as ir
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(command: list[str], folder: Path, seconds: int = 280) -> str:
    """The standard output of a command that must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "INNOVATOR_RUNS_DIR"} | {"PATH": path}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_example_is_listed_and_has_a_header() -> None:
    listed = re.findall(r"\]\(([^)]+)\)", (EXAMPLES / "README.md").read_text())
    assert {path.name for path in EXAMPLES.glob("0*") if path.suffix != ".jsonl"} == {
        name.split("/")[0] for name in listed
    }
    for name in listed:
        header = (EXAMPLES / name).read_text()[:900]
        for part in ("What:", "Why:", "Run:", "Expected"):
            assert part in header, f"{name} has no {part}"


def test_01_scores_what_its_header_shows(tmp_path: Path) -> None:
    script = EXAMPLES / "01_reward_function.py"
    output = run([sys.executable, str(script)], tmp_path)
    assert all(line in script.read_text() for line in output.splitlines())
    assert len(output.splitlines()) == 3


def test_01_passes_the_check(tmp_path: Path) -> None:
    name, golden = f"{EXAMPLES}/01_reward_function.py:ph_value", f"{EXAMPLES}/01_reward_function.golden.jsonl"
    output = run([sys.executable, "-m", "innovator_rl", "reward", "check", name, "--golden", golden], tmp_path)
    assert "FAIL" not in output, "exit code 0 means that there is nothing to fix"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_02_trains_on_its_questions(tmp_path: Path) -> None:
    settings = [
        "model.path=tiny-qwen2",
        "schedule.steps=1",
        "schedule.validate_every=0",
        "schedule.validate_before=false",
        "schedule.save_every=0",
        "algorithm.prompts_per_step=2",
        "algorithm.dynamic_sampling.enabled=false",
        "rollout.samples_per_prompt=2",
        "rollout.max_response_tokens=8",
    ]
    output = run(["sh", str(EXAMPLES / "02_grpo_own_jsonl" / "run.sh"), *settings], tmp_path, seconds=840)
    assert output.splitlines()[-1] == "protons: finished"
    assert len(ir.open_run(tmp_path / "runs" / "protons").rollouts(kind="train").fetchall()) == 4


def test_02_is_a_valid_run(tmp_path: Path) -> None:
    folder = EXAMPLES / "02_grpo_own_jsonl"
    command = [sys.executable, "-m", "innovator_rl"]
    build = ["data", "build", f"{folder}/recipe.yaml", "--source", f"{folder}/questions.jsonl", "--out", "data"]
    assert "protons/train.parquet" in run([*command, *build], tmp_path)
    files = [f"data.{split}=[data/protons/{split}.parquet]" for split in ("train", "validation")]
    found = json.loads(run([*command, "doctor", "--json", "--quick", f"{folder}/train.yaml", *files], tmp_path))
    assert found["ok"]


@pytest.mark.slow
def test_03_upcycles(tmp_path: Path) -> None:
    script = EXAMPLES / "03_upcycle_tiny.py"
    last = run([sys.executable, str(script), str(tmp_path)], ROOT).splitlines()[-1]
    assert last in script.read_text()


def test_04_reads_a_synthetic_run(tmp_path: Path) -> None:
    output = run([sys.executable, str(EXAMPLES / "04_read_rollouts_duckdb.py")], tmp_path)
    assert "wrong_unit" in output
    assert "advantage" in output


def test_05_scores_what_its_header_shows(tmp_path: Path) -> None:
    script = EXAMPLES / "05_judge.py"
    shown = re.findall(r"^    ((?:judged|rubric) .*)$", script.read_text(), re.MULTILINE)
    assert run([sys.executable, str(script)], tmp_path).splitlines() == shown


def test_06_reads_a_run_with_tool_calls(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "77 * 53"}}}
    turns = [
        {"role": "assistant", "content": "", "trained": True, "tool_calls": [call]},
        {"role": "tool", "name": "calculator", "content": "4081", "trained": False},
        {"role": "assistant", "content": "Answer: 4081", "trained": True},
    ]
    recorder = Recorder(tmp_path / "tools", writer="w", attempt=1)
    recorder.rollout(RolloutRow(step=1, prompt_uid="p", sample=0, correct=True, turns=turns))
    recorder.rollout(RolloutRow(step=1, prompt_uid="p", sample=1, correct=False))
    recorder.close()
    (tmp_path / "tools" / "run.json").write_text(json.dumps({"name": "tools", "status": "finished"}))
    script = EXAMPLES / "06_tool_calls.py"
    lines = run([sys.executable, str(script), str(tmp_path / "tools")], tmp_path).splitlines()
    assert lines[0] == "step 1: 1 of 2 responses called a tool, 1 were right"
    assert len(lines) == 4
    assert all(line in script.read_text() for line in lines[1:])
