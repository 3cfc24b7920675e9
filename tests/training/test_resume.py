"""What a start decides before it resumes: damaged checkpoints, and a validation that an earlier attempt did not reach."""

from pathlib import Path

import pytest

from innovator_rl.config.load import load
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.checkpoints import mark_complete
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.training.launch import Files, launch, owes_validation


def test_a_validation_that_was_due_at_the_checkpoint_is_made_up(tmp_path: Path) -> None:
    config = load(None, ["schedule.steps=10", "schedule.validate_every=4", "schedule.validate_before=false"])
    run = RunDir(tmp_path / "run")
    run.open_attempt()
    for step in range(1, 11):
        run.write_metrics(step, {"actor/grad_norm": 1.0})
    run.write_metrics(4, {"val-core/math/acc/mean@1": 0.5})
    assert [step for step in range(11) if owes_validation(run, config, step)] == [8, 10]
    without = load(None, ["schedule.steps=10", "schedule.validate_every=0"])
    assert not owes_validation(run, without, 8)
    run.finish("stopped")


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_again_over_them(tmp_path: Path) -> None:
    config = load(None, ["name=broken", f"logging.runs_dir={tmp_path}"])
    saved = tmp_path / "broken" / "checkpoints" / "global_step_7"
    saved.mkdir(parents=True)
    (saved / "data.pt").write_bytes(b"d" * 10)
    mark_complete(saved)
    (saved / "data.pt").write_bytes(b"x" * 10)
    with pytest.raises(
        UserError, match=r"data\.pt of step 7\); delete .*broken/checkpoints to train again from step 0"
    ):
        launch(config, Files(("train.parquet",), ()))
    assert not (tmp_path / "broken" / "run.json").exists()
