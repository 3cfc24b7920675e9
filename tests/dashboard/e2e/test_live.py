"""A run that is being written, and runs that a real training wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_browser import REAL_RUNS, Visitor

from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir

SECONDS = 1000
REAL = sorted(path.parent.name for path in REAL_RUNS.glob("*/run.json"))[:2] if REAL_RUNS else [None]


def write_step(recorder: Recorder, step: int) -> None:
    for sample in range(4):
        recorder.rollout(
            RolloutRow(
                step=step,
                prompt_uid=f"u{step}",
                sample=sample,
                domain="math",
                reward=1.0,
                correct=True,
                response=f"step {step}",
            )
        )
    recorder.flush()


def test_new_responses_are_announced_and_the_reader_decides(visit: Visitor, runs_dir: Path) -> None:
    run = RunDir(runs_dir / "live")
    recorder = Recorder(run.path, writer="w", attempt=run.open_attempt(total_steps=9))
    try:
        run.heartbeat(step=1, phase="generating")
        write_step(recorder, 1)
        page = visit.go("runs/live/rollouts")
        page.get_by_text("4 responses").wait_for()
        write_step(recorder, 2)
        page.get_by_text("4 more match these filters").wait_for()
        page.get_by_role("button", name="Show them").click(timeout=60 * SECONDS)
        page.get_by_text("8 responses").wait_for()
        visit.go("runs/live")
        assert "running" in page.locator(".page-head").inner_text()
    finally:
        recorder.close()
        run.finish("finished")


@pytest.mark.parametrize("name", REAL)
def test_a_run_of_a_real_training_is_shown(visit: Visitor, name: str | None) -> None:
    if name is None:
        pytest.skip("needs a trained run: INNOVATOR_REAL_RUNS=runs (innovator train configs/train/demo.yaml)")
    page = visit.go(f"runs/{name}")
    assert page.locator("figure.chart canvas").count() > 0
    visit.picture("real-run")
    for view in ("rollouts", "rollouts?view=groups", "health", "change", "sql"):
        visit.go(f"runs/{name}/{view}")
        assert page.locator(".state.error").count() == 0
    visit.go(f"runs/{name}/rollouts?generation_status=ok")
    page.locator("a.preview").first.click()
    visit.settle()
    visit.picture("real-response")
    page.get_by_role("button", name="Tokens").click()
    visit.settle()
    assert page.locator(".tokens .t").count() > 0
