"""The terminal view of a run shows its state, both rewards and the newest responses, whatever is in them."""

import io
from pathlib import Path

from rich.console import Console

from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.run_screen import screen, sparkline, watch
from innovator_rl.runs.run_dir import RunDir


def text_of(run: RunDir) -> str:
    console = Console(file=io.StringIO(), width=140, record=True)
    console.print(screen(run))
    return console.export_text()


def test_a_live_run_is_shown_with_its_newest_responses(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "live")
    attempt = run.open_attempt(total_steps=10)
    run.heartbeat(step=2, phase="generating")
    figures = {"domain/physics/score": 0.25, "domain/physics/responses": 8, "domain/physics/correct": 0.5}
    run.write_metrics(1, {"critic/score/mean": 0.75, "timing_s/step": 61, **figures})
    recorder = Recorder(run.path, writer="w", attempt=attempt)
    recorder.rollout(
        RolloutRow(step=1, prompt_uid="u", sample=0, reward=1.0, correct=True, response="so 42\x1b[2J [bold]")
    )
    recorder.close()
    shown = text_of(run)
    assert "running" in shown
    assert "step 2 of 10" in shown
    assert "0.250" in shown
    assert "0.750" in shown
    assert "1 min 01 s" in shown
    assert "so 42" in shown
    assert "[bold]" in shown
    assert "\x1b[2J" not in shown
    run.finish("finished")
    out = io.StringIO()
    watch(run, Console(file=out, width=120), every=0.2)
    assert "finished" in out.getvalue()
    assert out.getvalue().count("step 2 of 10") == 1, "a file has the last look once"


def test_an_empty_and_a_damaged_run_are_shown(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "unknown" in text_of(RunDir(tmp_path / "empty"))
    broken = tmp_path / "broken" / "rollouts" / "step=000001"
    broken.mkdir(parents=True)
    (broken / "train-a001-x-00ff-000000.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert "cannot be read" in text_of(RunDir(tmp_path / "broken"))


def test_a_sparkline_spans_its_values_and_keeps_gaps() -> None:
    assert sparkline([0.0, None, 1.0]) == "▁ █"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([None]) == ""
