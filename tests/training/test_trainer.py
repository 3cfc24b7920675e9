"""What the trainer adds around verl's loop."""

import pytest
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from innovator_rl.training.dynamic_sampling import NoLearningSignal
from innovator_rl.training.trainer import InnovatorTrainer


class Learned(InnovatorTrainer):
    """A trainer after its eleventh step, without workers; `saved` lists the steps whose checkpoint was written."""

    def __init__(self, kept: bool) -> None:
        self.global_steps, self.saved, self._kept = 12, [], kept

    def _watch_over(self, agent_loop_manager):  # type: ignore[no-untyped-def]
        return None

    def _just_saved(self) -> bool:
        return self._kept

    def _save_checkpoint(self) -> None:
        self.saved.append(self.global_steps)


@pytest.mark.parametrize("kept", [False, True])
def test_a_run_that_has_learned_all_its_data_keeps_the_last_step(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_left(self: object, manager: object) -> None:
        raise NoLearningSignal("36 prompt groups and not one with both right and wrong samples")

    monkeypatch.setattr(PPOTrainerSync, "fit", nothing_left)
    trainer = Learned(kept)
    with pytest.raises(NoLearningSignal, match=r"not one .*; the checkpoint of step 11 stands"):
        trainer.fit(None)
    assert trainer.saved == ([] if kept else [11])
