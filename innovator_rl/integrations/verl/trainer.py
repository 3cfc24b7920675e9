"""verl's synchronous PPO trainer, extended where verl offers a hook: order of prompts, dynamic sampling, record, checkpoints.

    InnovatorTrainer(config).init()      actor (FSDP), vLLM replicas, reward loop, checkpoint
    .fit(agent_loop_manager)             verl's loop: sample, log-probabilities, advantage, update, sync, validate

What differs from `PPOTrainerSync`: prompts come from a `ResumableSampler`, groups from a `DynamicSampler`, a checkpoint counts when it is
whole, every step and validation goes to the run's record, and `observer` hears which phase is running.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import ray
from omegaconf import DictConfig, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import collate_fn

from innovator_rl.integrations.verl.actor_health import ActorHealth
from innovator_rl.integrations.verl.callbacks import StopRequested
from innovator_rl.integrations.verl.checkpoints import MARKER, mark_complete, prune
from innovator_rl.integrations.verl.dynamic_sampling import DynamicSampler, NoLearningSignal, SamplingState
from innovator_rl.integrations.verl.resumable_sampler import ResumableSampler
from innovator_rl.integrations.verl.unscored_samples import impute_group_mean

NAME = "innovator"
"""Of this trainer in verl's registry (`trainer.v1.trainer_mode`)."""


class Observer(Protocol):
    """What a run tells about itself, and whether people want it to end. Calls are cheap and never raise into training."""

    stop_requested: bool

    def phase(self, name: str, step: int) -> None: ...

    def sampling(self, step: int, useful: int, wanted: int, in_flight: int, dropped: dict[str, int]) -> None: ...

    def sampled(self, step: int, reasons: dict[str, str]) -> None: ...

    def step(self, step: int, metrics: dict[str, float]) -> None: ...

    def validation(self, step: int, metrics: dict[str, float]) -> None: ...


@register_trainer(NAME)
class InnovatorTrainer(PPOTrainerSync):
    """verl's sync trainer with this project's data order, sampling, record and checkpoints."""

    observer: Observer

    def __init__(self, config: DictConfig, observer: Observer) -> None:
        self.observer = observer
        with open_dict(config):
            config.data.gen_batch_size = 1  # single prompts, so that refills are exact
        super().__init__(config)

    # ---- the order of the prompts

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        data = self.config.data
        self.train_dataloader = ResumableSampler(
            self.train_dataset,
            collate_fn,
            seed=int(data.seed or 0),
            shuffle=bool(data.shuffle),
            sources=list(self.train_dataset.dataframe["data_source"]),
            mixture=dict(self.config.innovator.mixture),
        )
        self.steps_per_epoch = max(1, len(self.train_dataset) // int(data.train_batch_size))

    def _fetch_one_gen_batch(self) -> TensorDict:
        return tu.get_tensordict(next(self.train_dataloader))

    # ---- dynamic sampling

    def _build_replay_buffer(self) -> DynamicSampler:
        self.trainer_mode = "sync"  # the registry's name is ours, the semantics are verl's "sync"
        sampler = super()._build_replay_buffer()
        assert isinstance(sampler, DynamicSampler), "trainer.v1.sampler.custom_sampler must name DynamicSampler"
        sampler.on_progress = self._sampling_progress
        sampler.on_sampled = lambda state: self.observer.sampled(self.global_steps, dict(state.reasons))
        sampler.check_health = lambda: self._watch.check()
        sampler.last_error = self._last_error
        return sampler

    def _sampling_progress(self, state: SamplingState, in_flight: int) -> None:
        self.observer.sampling(self.global_steps, len(state.useful), state.wanted, in_flight, dict(state.dropped))

    def _last_error(self) -> str:
        workers: list[Any] = self.agent_loop_manager.agent_loop_workers
        errors = ray.get([worker.last_error.remote() for worker in workers], timeout=10)
        return next((error for error in errors if error), "")

    def fit(self, agent_loop_manager: Any) -> None:
        self._watch = self._watch_over(agent_loop_manager)
        try:
            super().fit(agent_loop_manager)
        except NoLearningSignal as end:
            self.global_steps -= 1  # the step that found nothing to learn changed no weight
            if self.global_steps == 0:
                raise
            if not self._just_saved():
                self.train_dataloader.position = self._position  # a resume asks the same prompts again
                self._save_checkpoint()
            raise NoLearningSignal(f"{end}; the checkpoint of step {self.global_steps} stands") from end

    def _watch_over(self, agent_loop_manager: Any) -> ActorHealth:
        actors = {f"agent-loop worker {i}": worker for i, worker in enumerate(agent_loop_manager.agent_loop_workers)}
        actors |= {f"training worker {i}": worker for i, worker in enumerate(self.actor_rollout_wg.workers)}
        actors |= {f"reward worker {i}": worker for i, worker in enumerate(self.get_reward_handles() or [])}
        for number, replica in enumerate(self.llm_server_manager.get_replicas()):
            actors |= {f"vLLM server {number}.{i}": server for i, server in enumerate(replica.servers)}
        return ActorHealth(actors)

    # ---- phases

    def on_step_begin(self) -> None:
        self._position = self.train_dataloader.position
        super().on_step_begin()

    def on_sample_begin(self) -> None:
        self.observer.phase("generating", self.global_steps)
        super().on_sample_begin()

    def on_step_end(self) -> None:
        self.observer.phase("syncing", self.global_steps)
        super().on_step_end()

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self.observer.phase("log-probabilities", self.global_steps)
        return super()._compute_old_log_prob(batch, metrics)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        metrics["sampling/unjudged_samples"] = float(impute_group_mean(batch.keys, batch.partition_id))
        return super()._compute_advantage(batch, metrics)

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self.observer.phase("updating", self.global_steps)
        return super()._update_actor(batch, metrics)

    # ---- record

    def _validate(self) -> dict[str, float]:
        self.observer.phase("validating", self.global_steps)
        metrics = super()._validate()
        self.observer.validation(self.global_steps, {key: float(value) for key, value in metrics.items()})
        return metrics

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict[str, Any], timing_raw: dict[str, float], global_steps: int, epoch: int
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        self.observer.step(self.global_steps, _scalars(metrics))
        if self.observer.stop_requested and self.global_steps < self.total_training_steps:
            if not self._just_saved():
                self._save_checkpoint()
            raise StopRequested(f"stopped on request after step {self.global_steps}; the same command trains on")

    # ---- batches and checkpoints

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> KVBatchMeta:
        """verl balances sequences over data-parallel ranks; with one rank the groups stay together, as prompt sharing wants them."""
        batch = super()._balance_batch(batch, metrics, *args, **kwargs)
        if max(self.actor_rollout_wg._dispatch_info["actor"]) == 0:
            batch.reorder(sorted(range(len(batch.keys)), key=lambda i: batch.keys[i]))
        return batch

    def _just_saved(self) -> bool:
        return (Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}" / MARKER).exists()

    def _save_checkpoint(self) -> None:
        self.observer.phase("saving", self.global_steps)
        super()._save_checkpoint()
        folder = Path(self.config.trainer.default_local_dir)
        mark_complete(folder / f"global_step_{self.global_steps}")
        prune(folder, keep=int(self.config.innovator.keep_checkpoints))


def _scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """The numbers among verl's metrics, as plain floats."""
    return {
        key: float(value)
        for key, value in metrics.items()
        if isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    }
