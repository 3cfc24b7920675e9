"""The comparison of a killed run with one that nothing interrupted: equal runs have no difference, and each fault is seen."""

from pathlib import Path

import torch

from benchmarks.repeatability import Difference, compare
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir

STEPS = 2


def recorded(
    folder: Path,
    name: str,
    prompts: dict[int, tuple[int, ...]],
    weight: float = 1.0,
    text: str = "yes",
    lines: tuple[int, ...] = (1, 2),
) -> Path:
    """Write what a run leaves: prompts by step, one parameter, a response per prompt, a line of metrics per step."""
    run = RunDir(folder / name)
    run.open_attempt(total_steps=STEPS)
    actor = run.checkpoints / f"global_step_{STEPS}" / "actor"
    actor.mkdir(parents=True)
    torch.save({"weight": torch.tensor([weight])}, actor / "model_world_size_1_rank_0.pt")
    recorder = Recorder(run.path, writer="test", attempt=1)
    for step, places in prompts.items():
        for place in places:
            uid = f"e0000-r{place:07d}-p{place:08d}"
            recorder.rollout(RolloutRow(step=step, kind="train", prompt_uid=uid, sample=0, response=text))
    recorder.close()
    for step in lines:
        run.write_metrics(step, {"actor/grad_norm": 0.25 * step, "timing_s/step": 3.0})
    run.finish("finished")
    return run.path


def test_each_difference_is_counted(tmp_path: Path) -> None:
    asked = {1: (0, 1), 2: (2, 3)}
    whole = recorded(tmp_path, "whole", asked)
    assert compare(whole, recorded(tmp_path, "same", asked), STEPS) == Difference(0, 0, 0, 0)
    assert compare(whole, recorded(tmp_path, "drifted", asked, weight=1.0 + 1e-7), STEPS).parameters == 1
    assert compare(whole, recorded(tmp_path, "other", asked, text="no"), STEPS).responses == 4
    assert (
        compare(whole, recorded(tmp_path, "repeated", {1: (0, 1), 2: (1, 2)}), STEPS).prompts == 2
    )  # 1 again, never 3
    assert compare(whole, recorded(tmp_path, "short", asked, lines=(1,)), STEPS) == Difference(0, 2, 2, 1)
