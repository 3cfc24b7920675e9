"""TensorBoard shows a resumed run as one history, and the writer needs neither torch nor TensorFlow."""

import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from innovator_rl.runs.tensorboard import TensorBoardWriter


def test_a_resume_keeps_history_and_replaces_redone_steps(tmp_path: Path) -> None:
    first = TensorBoardWriter(tmp_path)
    for step in (1, 2, 3):
        first.write(step, {"reward/mean": step / 10, "note": "text", "bad": float("nan"), "none": None})
    first.close()
    second = TensorBoardWriter(tmp_path, resume_step=2)
    for step in (3, 4):
        second.write(step, {"reward/mean": step})
    second.close()
    assert len(list(tmp_path.glob("events.*"))) == 2
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["reward/mean"]
    points = [(event.step, round(event.value, 3)) for event in events.Scalars("reward/mean")]
    assert points == [(1, 0.1), (2, 0.2), (3, 3.0), (4, 4.0)]


def test_writing_imports_no_deep_learning_library() -> None:
    code = "import sys, innovator_rl.runs.tensorboard; print([m for m in ('torch', 'tensorflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_start_from_nothing_replaces_all_of_an_earlier_attempt(tmp_path: Path) -> None:
    for value in (0.1, 0.2):  # the first one had no checkpoint
        writer = TensorBoardWriter(tmp_path)
        for step in (0, 1):
            writer.write(step, {"reward": value})
        writer.close()
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("reward")
    assert [(event.step, round(event.value, 3)) for event in events] == [(0, 0.2), (1, 0.2)]
