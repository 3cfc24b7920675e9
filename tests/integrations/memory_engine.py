"""A trainer in memory: verl's queue as a dictionary, generation and update as functions, everything else as it runs.

`InnovatorTrainer` and verl's own `fit`, `step`, sampling, GRPO advantage and metrics are the real ones. What is
replaced needs Ray, vLLM or a model: the queue's storage, the agent loop, the training workers and the weight sync.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transfer_queue as tq
from tensordict import NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta
from verl.utils.dataset.rl_dataset import collate_fn

from innovator_rl.config.load import load
from innovator_rl.config.resolve import RuntimeContext
from innovator_rl.integrations.verl.compose import to_verl
from innovator_rl.integrations.verl.resumable_sampler import ResumableSampler
from innovator_rl.integrations.verl.reward_record import RewardRecord
from innovator_rl.integrations.verl.sample_key import SampleKey
from innovator_rl.integrations.verl.trainer import InnovatorTrainer

Outcomes = Callable[[int], Sequence[float | str]]
"""Number of a prompt in the run -> `correct` of each sample, "abstained" or "error" for an unscored one."""


class MemoryQueue:
    """The part of TransferQueue that the trainer uses."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, dict[str, Any]]] = {"train": {}}
        self.fields: dict[str, dict[str, Any]] = {}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("kv_list", "kv_batch_get", "kv_batch_put", "kv_clear"):
            monkeypatch.setattr(tq, name, getattr(self, name))

    def kv_list(self, partition_id: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
        return {name: {key: dict(tag) for key, tag in tags.items()} for name, tags in self.tags.items()}

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> TensorDict:
        known = [name for name in select_fields if all(name in self.fields[key] for key in keys)]
        columns = {name: [self.fields[key][name] for key in keys] for name in known}
        return TensorDict({name: _column(values) for name, values in columns.items()}, batch_size=[len(keys)])

    def kv_batch_put(
        self, keys: list[str], partition_id: str, fields: TensorDict | None = None, tags: list[dict] | None = None
    ) -> KVBatchMeta:
        for i, key in enumerate(keys):
            if tags is not None:
                self.tags[partition_id].setdefault(key, {}).update(tags[i])
            for name in fields.keys() if fields is not None else ():
                column = fields[name]
                values = column.unbind() if isinstance(column, torch.Tensor) else list(column)
                self.fields.setdefault(key, {})[name] = values[i]
        return KVBatchMeta(partition_id=partition_id, keys=keys, tags=[self.tags[partition_id][key] for key in keys])

    def kv_clear(self, keys: list[str], partition_id: str) -> None:
        for key in keys:
            self.tags[partition_id].pop(key, None)


def _column(values: list[Any]) -> Any:
    """Tensors of any length as a nested one, as the queue returns them; everything else as a stack of objects."""
    if isinstance(values[0], torch.Tensor):
        return torch.nested.as_nested_tensor(values, layout=torch.jagged)
    return NonTensorStack(*values)


class MemoryAgentLoop:
    """Generates the moment it is called: response lengths differ, so that balancing has something to reorder."""

    agent_loop_workers: tuple[Any, ...] = ()

    def __init__(self, queue: MemoryQueue, outcomes: Outcomes) -> None:
        self.queue, self.outcomes = queue, outcomes

    def generate_sequences(self, batch: TensorDict) -> None:
        uids = list(batch["uid"])
        outcomes = {uid: list(self.outcomes(int(uid.rpartition("p")[2]))) for uid in uids}
        for session in range(max(map(len, outcomes.values()))):  # groups end interleaved, as on a real engine
            for uid in reversed(uids):
                self._respond(uid, session, outcomes[uid][session])
        for uid in uids:
            self.queue.tags["train"][uid]["status"] = "finished"

    def flush(self) -> None:
        """Nothing is recorded here."""

    def pause(self, paused: bool) -> None:
        """Nothing waits here."""

    def _respond(self, uid: str, session: int, outcome: float | str) -> None:
        size = 2 + (7 * session + int(uid[-1])) % 5
        if isinstance(outcome, str):
            record = RewardRecord(outcome=outcome, domain="math")
        else:
            record = RewardRecord(value=outcome, correct=outcome == 1.0, domain="math")
        rewards = torch.zeros(size)
        rewards[-1] = record.reward
        key = str(SampleKey(uid, session))
        self.queue.fields[key] = {
            "uid": uid,
            "prompts": torch.arange(3),
            "responses": torch.arange(size),
            "response_mask": torch.ones(size, dtype=torch.int64),
            "rollout_log_probs": torch.full((size,), -0.5),
            "rm_scores": rewards,
            "num_turns": 1,
            "extra_fields": {"reward_extra_info": record.to_verl()},
        }
        self.queue.tags["train"][key] = {
            "status": "success",
            "seq_len": 3 + size,
            "global_steps": 1,
            "min_global_steps": 0,
            "max_global_steps": 0,
        }


class MemoryWorkers:
    """The training workers: note what each update gets."""

    workers: tuple[Any, ...] = ()

    def __init__(self, queue: MemoryQueue) -> None:
        self.queue = queue
        self._dispatch_info = {"actor": [0]}
        self.updates: list[
            dict[str, dict[str, Any]]
        ] = []  # one per step: sample key -> its fields, in the update's order

    def update_actor(self, batch: KVBatchMeta) -> dict[str, Any]:
        self.updates.append({key: dict(self.queue.fields[key]) for key in batch.keys})
        return {"metrics": {"mfu": [0.0], "grad_norm": [1.0]}}

    def save_checkpoint(self, path: str, *_: Any, **__: Any) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / "model.pt").write_bytes(b"weights")


class NotingObserver:
    """The trainer's observer: keeps what it receives; requests a stop after `stop_after` steps."""

    def __init__(self, stop_after: int = 0) -> None:
        self.stop_after, self.stop_requested = stop_after, False
        self.phases: list[tuple[int, str]] = []
        self.metrics: dict[int, dict[str, float]] = {}
        self.before_saved: dict[int, dict[str, float]] = {}
        self.dropped: dict[str, str] = {}
        self.notices: list[str] = []

    def phase(self, name: str, step: int) -> None:
        self.phases.append((step, name))

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def abandoned(self, cause: str) -> None:
        raise AssertionError(cause)

    def sampling(self, step: int, kept: int, wanted: int, in_flight: int, dropped: dict[str, int]) -> None:
        assert 0 <= kept <= wanted

    def sampled(self, step: int, reasons: dict[str, str]) -> None:
        self.dropped |= reasons

    def saving(self, step: int, metrics: dict[str, float]) -> None:
        self.before_saved[step] = metrics

    def step(self, step: int, metrics: dict[str, float]) -> None:
        self.metrics[step] = metrics
        self.stop_requested = step == self.stop_after

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        raise AssertionError("validation is off")


class MemoryTrainer(InnovatorTrainer):
    """An `InnovatorTrainer` whose collaborators live in this process; `train()` runs verl's loop."""

    def __init__(
        self, folder: Path, observer: NotingObserver, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch, *words: str
    ) -> None:
        overrides = ["algorithm.prompts_per_step=2", "rollout.samples_per_prompt=4", "schedule.steps=3"]
        overrides += ["schedule.validate_every=0", "schedule.validate_before=false", "schedule.save_every=0", *words]
        overrides = list({word.partition("=")[0]: word for word in overrides}.values())  # the caller's words win
        context = RuntimeContext(
            model_path=str(folder),
            is_moe=False,
            train_files=("train.parquet",),
            validation_files=(),
            checkpoint_dir=str(folder / "checkpoints"),
            platform="cpu",
            threads=1,
            run_dir=str(folder),
        )
        queue = MemoryQueue()
        queue.install(monkeypatch)
        super().__init__(to_verl(load(None, overrides), context), observer)
        self.queue, self.workers, self.noted = queue, MemoryWorkers(queue), observer
        self.actor_rollout_wg = self.workers
        self.agent_loop = MemoryAgentLoop(queue, outcomes)
        self.tokenizer = SimpleNamespace(eos_token_id=0)
        self.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=[])
        self.llm_server_manager = SimpleNamespace(get_replicas=lambda: [])
        self.checkpoint_manager = SimpleNamespace(update_weights=lambda step: None, sleep_replicas=lambda: None)
        self.resource_pool_manager = SimpleNamespace(get_n_gpus=lambda: 1)
        self.checkpoint_manager.abort_replicas = lambda: None
        self.checkpoint_manager.resume_generation_replicas = lambda: None
        rows = [{"data_source": "math", "raw_prompt": [{"role": "user", "content": str(i)}]} for i in range(50)]
        self.train_dataloader = ResumableSampler(rows, collate_fn, seed=0, shuffle=False)
        self.global_steps, self.steps_per_epoch = 0, 25
        self.total_training_steps = int(self.config.trainer.total_training_steps)
        self._init_dump_executor()

    def train(self) -> None:
        self.fit(self.agent_loop)
