"""Train with verl's synchronous PPO trainer, extended where verl offers a hook.

    InnovatorTrainer(config, observer).init()    actor (FSDP), vLLM replicas, reward loop, checkpoint
    .fit(agent_loop_manager)                     verl's loop over the steps below

verl's `fit` (verl/trainer/ppo/v1/trainer_base.py) runs a step in these phases:

| phase of a step              | method here or in verl                | where the work is done                          |
|------------------------------|---------------------------------------|-------------------------------------------------|
| draw prompts                 | `_fetch_one_gen_batch`                | resumable_sampler.py                            |
| generate and score           | verl's agent loop and reward loop     | agent_loop.py, reward_adapter.py                |
| start prompts, keep groups   | `replay_buffer.sample`                | sampling_policy.py, dynamic_sampling.py         |
| pause unfinished answers     | `on_sample_end`                       | verl, with `rollout.max_staleness` above 0      |
| keep groups together         | `_balance_batch`                      | here; shared_prefix.py makes use of it          |
| old log-probabilities        | `_compute_old_log_prob`               | fsdp_engine.py, or the rollout engine's own     |
| advantages                   | `_compute_advantage`                  | unscored_samples.py, then verl's GRPO           |
| update                       | `_update_actor`                       | fsdp_engine.py; update_record.py records it     |
| save                         | `_save_checkpoint`                    | verl; checkpoints.py marks it complete          |
| send weights to vLLM         | `on_step_end`                         | verl; platform/shims/weight_sync_timeout.py     |
| validate                     | `_validate`                           | verl, on partition "val" of the same sampler;   |
|                              |                                       | suites: engine_requests.py, evaluation/         |
| metrics, stop request        | `_compute_metrics`                    | callbacks.py, through `Observer`                |
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psutil
import ray
from omegaconf import DictConfig, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import collate_fn
from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient

from innovator_rl.errors import InnovatorError, StorageError
from innovator_rl.integrations.verl.actor_health import ActorHealth
from innovator_rl.integrations.verl.callbacks import StopRequested
from innovator_rl.integrations.verl.checkpoints import (
    MARKER,
    checkpoint_bytes,
    disk_full,
    mark_complete,
    note_best,
    prune,
)
from innovator_rl.integrations.verl.dynamic_sampling import DynamicSampler, NoLearningSignal
from innovator_rl.integrations.verl.engine_requests import Asked, TokenSource, generate_tokens
from innovator_rl.integrations.verl.phase_watchdog import PhaseStalled, Watchdog, stopped_processes
from innovator_rl.integrations.verl.rank_shares import whole_group_ranks
from innovator_rl.integrations.verl.resumable_sampler import ResumableSampler
from innovator_rl.integrations.verl.sample_key import prompt_order
from innovator_rl.integrations.verl.sampling_state import SamplingState
from innovator_rl.integrations.verl.unscored_samples import impute_group_mean
from innovator_rl.integrations.verl.worker_restarts import LostPrompts, restarting_reward_workers
from innovator_rl.runs.summary import validation_figures

if TYPE_CHECKING:
    from innovator_rl.integrations.verl.agent_loop import RecordingAgentLoopManager

NAME = "innovator"
"""Name of this trainer in verl's registry (`trainer.v1.trainer_mode`)."""


class Observer(Protocol):
    """What a trainer reports to; calls are cheap and never raise into training."""

    stop_requested: bool
    """Whether the run should end after the current step, with a checkpoint."""

    def phase(self, name: str, step: int) -> None:
        """Receive the name of the phase that begins."""

    def sampling(self, step: int, kept: int, wanted: int, in_flight: int, dropped: dict[str, int]) -> None:
        """Receive counts of prompt groups while a step's groups are generated.

        `dropped` is by reason.
        """

    def sampled(self, step: int, reasons: dict[str, str]) -> None:
        """Receive the reasons of dropped groups that were started in a step, by uid."""

    def notice(self, text: str) -> None:
        """Receive a remark for the user."""

    def abandoned(self, cause: str) -> None:
        """Receive why the process ends at once, without any clean-up."""

    def saving(self, step: int, metrics: dict[str, float]) -> None:
        """Receive what is known of a step before its checkpoint counts: a run that dies after that does not repeat it.

        Empty where the step's metrics were received before.
        """

    def step(self, step: int, metrics: dict[str, float]) -> None:
        """Receive the metrics of a completed step."""

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        """Receive the metrics of a validation."""


class SuiteRunner(Protocol):
    """Evaluates the validation suites of a run with its rollout engine."""

    def __call__(self, step: int, ask: TokenSource, /) -> dict[str, float]:
        """Return the metrics of every suite at a step."""


@register_trainer(NAME)
class InnovatorTrainer(PPOTrainerSync):
    """verl's sync trainer with this project's order, sampling and record.

    Checkpoints are marked as complete and pruned.

    It is the `SamplingHooks` of its own sampler.
    """

    def __init__(self, config: DictConfig, observer: Observer, suites: SuiteRunner | None = None) -> None:
        self.observer = observer
        self.suites = suites
        self._health: ActorHealth | None = None  # from `fit` on, when all actors exist
        self._lost: LostPrompts | None = None  # likewise
        self._step_state: dict[str, Any] = {}  # of the prompt order when the current step began
        self._saved_step: int | None = None  # of the newest checkpoint that this process wrote or resumed from
        self._trained: tuple[KVBatchMeta, dict[str, Any]] | None = None  # batch and metrics of the step until recorded
        self.watchdog = Watchdog(
            notice=observer.notice, end=self._end_workers, cause=stopped_processes, abandon=self._abandon
        )
        with open_dict(config):
            config.data.gen_batch_size = 1  # single prompts, so that refills are exact
        super().__init__(config)

    def init(self) -> None:
        """Start training workers, rollout engine and reward workers; the latter are restarted where they die."""
        with restarting_reward_workers():
            super().init()

    @property
    def _manager(self) -> RecordingAgentLoopManager:
        manager: Any = self.agent_loop_manager  # of verl's configuration, which names our class
        return manager

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
            curriculum=bool(self.config.innovator.curriculum),
        )
        self.steps_per_epoch = max(1, len(self.train_dataset) // int(data.train_batch_size))

    def _fetch_one_gen_batch(self) -> TensorDict:
        return tu.get_tensordict(next(self.train_dataloader))

    # ---- dynamic sampling

    @property
    def _runs_ahead(self) -> bool:
        """Whether answers continue from one step to the next (`rollout.max_staleness` above 0)."""
        return int(self.config.innovator.max_staleness) > 0

    def _build_replay_buffer(self) -> DynamicSampler:
        # The registry's name is ours, the semantics are verl's: "colocate_async" keeps unfinished prompts in checkpoints.
        self.trainer_mode = "colocate_async" if self._runs_ahead else "sync"
        sampler = super()._build_replay_buffer()
        assert isinstance(sampler, DynamicSampler), "trainer.v1.sampler.custom_sampler must name DynamicSampler"
        sampler.hooks = self
        return sampler

    def get_llm_client(self) -> Any:
        """Return the client of the rollout engine; one that continues paused answers where the run works ahead."""
        if self._runs_ahead:
            return self.llm_server_manager.get_client(client_cls=FullyAsyncLLMServerClient)
        return super().get_llm_client()

    def prepare_step(self) -> dict[str, Any]:
        """Start nothing: the sampler starts a step's prompts, as many as its policy says."""
        return {}

    def source(self, uid: str) -> str:
        """Return the data source of a prompt group."""
        return self.train_dataloader.source(uid)

    def sampling_progress(self, state: SamplingState, in_flight: int) -> None:
        """Report the counts of a poll."""
        self.watchdog.beat()
        kept = min(len(state.kept), state.wanted)
        self.observer.sampling(self.global_steps, kept, state.wanted, in_flight, dict(state.dropped))

    def sampling_done(self, state: SamplingState) -> None:
        """Report the dropped groups of a step, and learn from all of them which prompts to skip.

        A fallback group is both: without signal and trained. The engine that trains it records it.
        """
        for uid, reason in state.reasons.items():
            self.train_dataloader.observe(uid, reason)
        trained = {group.uid for group in state.chosen}
        for uid in trained - state.reasons.keys():
            self.train_dataloader.observe(uid, "")
        for step in sorted(set(state.started.values())):  # the record's key: a group may end steps after its start
            dropped = {uid: why for uid, why in state.reasons.items() if uid not in trained}
            self.observer.sampled(step, {uid: why for uid, why in dropped.items() if state.started[uid] == step})

    def check_health(self) -> None:
        """Raise `ActorDied` where an actor of the run is dead."""
        if self._health is not None:
            self._health.check()

    def lost_prompts(self, in_flight: Collection[str]) -> set[str]:
        """Return the prompts whose agent-loop worker died and was started again."""
        lost = self._lost.look(in_flight) if self._lost is not None else set()
        if lost:
            self.observer.notice(f"an agent-loop worker died and was started again; it lost {len(lost)} prompt groups")
        return lost

    def notice(self, text: str) -> None:
        """Show a remark."""
        self.observer.notice(text)

    def stopped_processes(self) -> str:
        """Name the processes of this machine's part of the run that are stopped."""
        return stopped_processes()

    def last_error(self) -> str:
        """Return the latest error of a generation among all workers.

        Empty where there was none.
        """
        workers: list[Any] = self.agent_loop_manager.agent_loop_workers
        try:
            errors = ray.get([worker.last_error.remote() for worker in workers], timeout=10)
        except ray.exceptions.GetTimeoutError:
            return "an agent-loop worker does not answer"
        return next((error for error in errors if error), "")

    def fit(self, agent_loop_manager: Any) -> None:
        """Train to the last step.

        Raises:
            StopRequested: the observer requested a stop; a checkpoint was written.
            NoLearningSignal: a step found no group with a difference; the last step was saved.
            PhaseStalled: a phase took many times as long as ever before.
            StorageError: the disk has no room for a checkpoint; the step's metrics were recorded.
        """
        self._health = self._monitor_actors(agent_loop_manager)
        self._lost = self._monitor_prompts(agent_loop_manager)
        sampler: Any = self.replay_buffer
        sampler.policy.rates = self.train_dataloader.rates  # which a checkpoint restored
        sampler.counted = set(self.train_dataloader.carried)
        if self._runs_ahead:
            sampler.clear_trained()  # of the step that the checkpoint was saved in
        try:
            super().fit(agent_loop_manager)
        except ray.exceptions.RayError as error:
            if self.watchdog.stalled:
                raise PhaseStalled(self.watchdog.stalled) from error
            raise
        except NoLearningSignal as end:
            self.global_steps -= 1  # the step that found nothing to learn changed no weight
            if self.global_steps == 0:
                raise
            if not self._just_saved():
                if not self._runs_ahead:
                    self.train_dataloader.load_state_dict(self._step_state)  # a resume draws the same prompts again
                self._save_checkpoint()
            raise NoLearningSignal(f"{end}; the checkpoint of step {self.global_steps} was kept") from end

    def _end_workers(self) -> None:
        """End the workers, so that whoever waits for them gets an error; none is known while the run starts."""
        if self._health is None:
            return
        servers = (server for replica in self.llm_server_manager.get_replicas() for server in replica.servers)
        for actor in (*self.actor_rollout_wg.workers, *servers, *self._manager.agent_loop_workers):
            ray.kill(actor, no_restart=True)

    def _abandon(self, cause: str) -> None:
        """End a process whose main thread waits for something that no longer exists."""
        self.observer.abandoned(f"{PhaseStalled.__name__}: {cause}")
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        os._exit(1)

    def _phase(self, name: str) -> None:
        self.watchdog.enter(name)
        self.observer.phase(name, self.global_steps)

    def _monitor_prompts(self, agent_loop_manager: Any) -> LostPrompts:
        return LostPrompts(list(agent_loop_manager.agent_loop_workers))

    def _monitor_actors(self, agent_loop_manager: Any) -> ActorHealth:
        actors = {f"agent-loop worker {i}": worker for i, worker in enumerate(agent_loop_manager.agent_loop_workers)}
        actors |= {f"training worker {i}": worker for i, worker in enumerate(self.actor_rollout_wg.workers)}
        actors |= {f"reward worker {i}": worker for i, worker in enumerate(self.get_reward_handles() or [])}
        for number, replica in enumerate(self.llm_server_manager.get_replicas()):
            actors |= {f"vLLM server {number}.{i}": server for i, server in enumerate(replica.servers)}
        return ActorHealth(actors)

    # ---- phases

    def on_step_begin(self) -> None:
        """Note where the prompt order is."""
        self._step_state = self.train_dataloader.state_dict()
        super().on_step_begin()

    def on_sample_begin(self) -> None:
        """Report that generation begins."""
        self._phase("generating")
        super().on_sample_begin()

    def on_sample_end(self) -> None:
        """Pause unfinished answers where the run works ahead, and let the engine sleep."""
        self.watchdog.enter("pausing")
        if self._runs_ahead:
            self._manager.pause(True)
            self.checkpoint_manager.abort_replicas()
        super().on_sample_end()

    def on_step_end(self) -> None:
        """Report that the weights are sent, let verl send them, and continue paused answers."""
        self._phase("syncing")
        super().on_step_end()
        if self._runs_ahead:
            self.checkpoint_manager.resume_generation_replicas()
            self._manager.pause(False)

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self._phase("log-probabilities")
        return super()._compute_old_log_prob(batch, metrics)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        metrics["sampling/unscored_samples"] = float(impute_group_mean(batch.keys, batch.partition_id))
        return super()._compute_advantage(batch, metrics)

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self._phase("updating")
        return super()._update_actor(batch, metrics)

    # ---- record

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> KVBatchMeta:
        """Train on one batch."""
        batch = super().step(metrics, timing_raw)
        self._trained = (batch, metrics)
        return batch

    def _validate(self) -> dict[str, float]:
        self._phase("validating")
        metrics = super()._validate()
        self.watchdog.enter("")  # each request of a suite is bounded by itself
        metrics.update(self._ask_suites())
        self.observer.validation(self.global_steps, {key: float(value) for key, value in metrics.items()})
        accuracy = validation_figures(metrics).get("accuracy")
        if self.config.innovator.keep_best and accuracy is not None:
            note_best(Path(self.config.trainer.default_local_dir), self.global_steps, float(accuracy))
        return metrics

    def _ask_suites(self) -> dict[str, float]:
        """Evaluate the validation suites; what goes wrong with them is shown and ends nothing."""
        if self.suites is None:
            return {}
        client, seconds = self.get_llm_client(), self.config.innovator.request_seconds

        def ask(asked: Sequence[Asked]) -> list[list[int] | None]:
            return generate_tokens(client, asked, seconds)

        try:
            return self.suites(self.global_steps, ask)
        except (InnovatorError, OSError) as error:
            self.observer.notice(f"the validation suites brought nothing at step {self.global_steps}: {error}")
            return {}

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict[str, Any], timing_raw: dict[str, float], global_steps: int, epoch: int
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        self._trained = None
        if self.train_dataloader.curriculum is not None:
            metrics["sampling/skipped_prompts_total"] = float(self.train_dataloader.curriculum.skipped)
        self.watchdog.enter("")
        self.observer.step(self.global_steps, _scalars(metrics))
        if self.observer.stop_requested and self.global_steps < self.total_training_steps:
            if not self._just_saved():
                self._save_checkpoint()
            raise StopRequested(f"stopped on request after step {self.global_steps}; the same command trains on")

    # ---- batches and checkpoints

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> KVBatchMeta:
        """Balance sequences, or groups that share their prompts, over ranks; then order each share by the place of its prompts.

        The order decides which responses an update trains on when a step has several. Prompts come in random order, so by
        place every update sees the mixture of the data; the rows' numbers, the order of finishing or the lengths would sort
        updates by data file or by length. Samples of a group become neighbors, which share their prompt.
        """
        batch = super()._balance_batch(batch, metrics, *args, **kwargs)
        ranks = max(self.actor_rollout_wg._dispatch_info["actor"]) + 1
        share = len(batch.keys) // ranks
        place = [prompt_order(key) for key in batch.keys]
        rank = [i // share for i in range(len(batch.keys))]
        if ranks > 1 and self.config.trainer.device == "cpu":
            rank = whole_group_ranks(batch.keys, [tag["seq_len"] for tag in batch.tags], ranks) or rank
        batch.reorder(sorted(range(len(batch.keys)), key=lambda i: (rank[i], place[i])))
        return batch

    def _load_checkpoint(self) -> None:
        """Load the checkpoint that launch chose; of another run's, perhaps the weights alone."""
        if self.config.innovator.resume_contents == "all":
            super()._load_checkpoint()
            source, own = self.config.trainer.resume_from_path, Path(self.config.trainer.default_local_dir)
            if source and Path(source).parent == own:
                self._saved_step = self.global_steps
            return
        self.global_steps = 0
        folder = Path(self.config.trainer.resume_from_path) / "actor"
        self.actor_rollout_wg.load_checkpoint(local_path=str(folder), del_local_after_load=False)

    def _just_saved(self) -> bool:
        return self._saved_step == self.global_steps

    def _save_checkpoint(self) -> None:
        self._phase("saving")
        folder = Path(self.config.trainer.default_local_dir)
        target = folder / f"global_step_{self.global_steps}"
        before = checkpoint_bytes(folder)
        sampler: Any = self.replay_buffer
        self.train_dataloader.carried = sampler.carried
        (target / MARKER).unlink(missing_ok=True)  # an earlier attempt's does not stand for the files written now
        try:
            super()._save_checkpoint()
            self._manager.flush()
            self.observer.saving(self.global_steps, self._step_so_far())
            mark_complete(target)
            self._saved_step = self.global_steps
        except Exception as error:
            if so_far := self._step_so_far():
                self.observer.step(self.global_steps, so_far)
            if full := disk_full(target, before, error):
                raise StorageError(f"{full}; schedule.save_every and keep_checkpoints lower the need") from error
            raise
        prune(folder, keep=int(self.config.innovator.keep_checkpoints), step=self.global_steps)

    def _step_so_far(self) -> dict[str, float]:
        """Return the metrics of a step that was trained and is not recorded yet; the weight sync and validation come later."""
        if self._trained is None:
            return {}
        (batch, metrics), timing = self._trained, dict(self.timing_raw)
        found = dict(metrics)
        timing.setdefault("step", sum(timing.values()))
        with contextlib.suppress(Exception):
            super()._compute_metrics(batch, found, timing, self.global_steps, 0)
        return _scalars(found)


def _scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the numbers among verl's metrics as plain floats."""
    return {
        key: float(value)
        for key, value in metrics.items()
        if isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    }
