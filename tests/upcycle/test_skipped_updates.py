"""A step whose gradient is not finite is left out: alone, at resume, and as the tenth in a row."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mesh_ranks import trainer_of

from innovator_rl.errors import EngineError
from upcycle.training.checkpointing import steps_saved
from upcycle.training.distributed import join
from upcycle.training.trainer import SKIPPED_LIMIT, Trainer


def trainer(folder: Path, broken: set[int], steps: int = 8) -> Trainer:
    """A trainer that saves every step, with losses that are no numbers in the steps of `broken`."""
    made = trainer_of("alone", 0, 1, folder)
    made.config = made.config.model_copy(update={"save_every": 1, "keep": 100})
    made.steps = steps
    loss = made.objective.loss

    def broken_loss(*arguments: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        value, parts = loss(*arguments)
        return value * (float("nan") if made.step in broken else 1.0), parts

    made.objective.loss = broken_loss  # type: ignore[method-assign]
    return made


def state(made: Trainer) -> dict[str, torch.Tensor]:
    """Weights and moments."""
    moments = made.optimizer.state_dict()["state"]
    return {
        **{name: value.detach().clone() for name, value in made.model.state_dict().items()},
        **{f"{number} {key}": value.clone() for number, one in moments.items() for key, value in one.items()},
    }


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_an_update_without_a_finite_gradient_changes_nothing(tmp_path: Path) -> None:
    made = trainer(tmp_path / "one", {1})
    counts, states = [], []
    for _ in range(3):
        counts.append(made.update()["train/skipped_updates"])
        states.append(state(made))
        made.step += 1
    assert counts == [0, 1, 0]
    assert_equal(states[0], states[1])
    other = trainer(tmp_path / "other", set())
    for step in (0, 2):
        other.step = step
        other.update()
    assert_equal(states[2], state(other))


def test_a_run_that_was_stopped_leaves_out_the_same_updates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    join()
    whole = trainer(tmp_path / "whole", {2, 3, 6})
    whole.fit()
    assert capsys.readouterr().out.count("this update is left out") == 3
    assert steps_saved(whole.run.checkpoints) == [1, 2, 5, 6, 8], "a checkpoint waits for an update"
    stopped = trainer(tmp_path / "stopped", {2, 3, 6})
    batches = stopped.batches

    def stop(step: int) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return batches(step)

    stopped.batches = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    again = trainer(tmp_path / "stopped", {2, 3, 6})
    assert again.step == 2
    again.fit()
    assert_equal(state(whole), state(again))


def test_many_in_a_row_end_the_stage_at_the_same_step_each_time(tmp_path: Path) -> None:
    join()
    broken = {0, *range(4, 99)}
    for _ in range(2):
        made = trainer(tmp_path, broken, steps=99)
        with pytest.raises(
            EngineError, match=rf"step {4 + SKIPPED_LIMIT}: .* remove .*run-alone and train .* below 0.001"
        ):
            made.fit()
        assert steps_saved(made.run.checkpoints)[-1] == 4
