"""What the trainer adds around verl's loop."""

from types import SimpleNamespace

import pytest
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from innovator_rl.integrations.verl.dynamic_sampling import NoLearningSignal
from innovator_rl.integrations.verl.phase_watchdog import Watchdog
from innovator_rl.integrations.verl.resumable_sampler import ResumableSampler
from innovator_rl.integrations.verl.trainer import InnovatorTrainer


class Learned(InnovatorTrainer):
    """A trainer in the middle of a run, without workers; `saved` lists step and stream position of checkpoints written."""

    def __init__(self, step: int, kept: bool) -> None:
        self.global_steps, self.saved, self._kept = step, [], kept
        rows = [{"data_source": "math"} for _ in range(100)]
        self.train_dataloader = ResumableSampler(rows, lambda rows: {}, 0, False, curriculum=True)
        self.train_dataloader.position = 80
        self.replay_buffer = SimpleNamespace(policy=SimpleNamespace())
        self.config = SimpleNamespace(innovator=SimpleNamespace(max_staleness=0))
        self._health = None
        self.watchdog = Watchdog(print, lambda: None, lambda: "", print)

    def _monitor_actors(self, agent_loop_manager):  # type: ignore[no-untyped-def]
        return None

    def _monitor_prompts(self, agent_loop_manager):  # type: ignore[no-untyped-def]
        return None

    def _just_saved(self) -> bool:
        return self._kept

    def _save_checkpoint(self) -> None:
        state = self.train_dataloader.state_dict()
        self.saved.append((self.global_steps, state["position"], state["curriculum"]["streak"]))


@pytest.fixture
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """verl's loop takes up a step, draws 36 prompts for it and finds no signal."""

    def fit(trainer: Learned, manager: object) -> None:
        trainer.on_step_begin()
        trainer.train_dataloader.position += 36
        trainer.train_dataloader.observe("e0000-r0000080-p00000080", "all_wrong")
        raise NoLearningSignal("36 prompt groups and not one with both right and wrong samples")

    monkeypatch.setattr(PPOTrainerSync, "fit", fit)
    monkeypatch.setattr(PPOTrainerSync, "on_step_begin", lambda self: None)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.usefixtures("nothing_left")
def test_a_run_that_has_learned_all_its_data_keeps_the_last_step_and_its_place(kept: bool) -> None:
    trainer = Learned(step=12, kept=kept)
    with pytest.raises(NoLearningSignal, match=r"not one .*; the checkpoint of step 11 was kept"):
        trainer.fit(None)
    assert trainer.saved == ([] if kept else [(11, 80, {})])


@pytest.mark.usefixtures("nothing_left")
def test_a_first_step_without_signal_has_no_checkpoint_to_speak_of() -> None:
    trainer = Learned(step=1, kept=False)
    with pytest.raises(NoLearningSignal) as caught:
        trainer.fit(None)
    assert "checkpoint" not in str(caught.value)
    assert trainer.saved == []
