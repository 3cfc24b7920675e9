"""Run one rank of supervised fine-tuning: verl's `SFTTrainer` with this project's checkpoints, order and report.

`innovator_rl.sft.launch` starts it as `python -m innovator_rl.integrations.verl.sft_worker RUN_DIR`, with the rank in
the environment. Rank 0 reads RUN_DIR/verl.yaml and hands it to the others, and writes one JSON object per line to the
pipe INNOVATOR_EVENTS_FD: what it does, metrics, checkpoints. A line `stop` on standard input ends the run after the
update with a checkpoint; the end of standard input means that the launcher is gone, and the rank ends at once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from verl.trainer import sft_trainer
from verl.utils.checkpoint import CheckpointHandler
from verl.utils.distributed import destroy_global_process_group, initialize_global_process_group_ray

from innovator_rl import platform
from innovator_rl.integrations.verl.checkpoints import mark_complete, prune
from innovator_rl.integrations.verl.sft_export import export_model

ORPHANED = 3
RENAMED = {"train/loss": "loss", "train/grad_norm": "gradient_norm", "train/lr": "learning_rate"}


class Report:
    """The pipe to the launcher; only rank 0 has one."""

    def __init__(self) -> None:
        descriptor = os.environ.get("INNOVATOR_EVENTS_FD")
        self._pipe = os.fdopen(int(descriptor), "w", buffering=1) if descriptor else None

    def send(self, event: str, **values: Any) -> None:
        """Write one event."""
        if self._pipe is not None:
            self._pipe.write(json.dumps({"event": event, **values}) + "\n")


class Commands(threading.Thread):
    """Read standard input: `stop`, or the end of the launcher."""

    def __init__(self) -> None:
        super().__init__(name="commands", daemon=True)
        self.stop = False

    def run(self) -> None:
        """Follow standard input to its end."""
        for line in sys.stdin:
            if line.strip() == "stop":
                self.stop = True
        os._exit(ORPHANED)


class StopAfterStep(Exception):
    """The run was asked to end; a checkpoint of the last update is on disk."""


class Handler(CheckpointHandler):
    """verl's checkpoints, marked once they are complete, with the newest ones kept."""

    def __init__(self, *args: Any, keep: int, report: Report, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keep, self._report = keep, report
        self.saved = 0

    def save_checkpoint(self, step: int) -> None:
        """Write the checkpoint of a step on all ranks, then mark it."""
        self._report.send("phase", phase="saving", step=step)
        super().save_checkpoint(step)
        if self.rank == 0:
            folder = Path(self.default_local_dir)
            mark_complete(folder / f"global_step_{step}")
            prune(folder, self._keep, step)
            self._report.send("saved", step=step)
        self.saved = step
        torch.distributed.barrier()

    def _load_dataloader_state(self, checkpoint_path: str) -> None:
        """Load the position inside an epoch. At its end there is none: the next epoch begins with the loader as it is."""
        step = int(Path(checkpoint_path).name.rpartition("_")[2])
        if step % len(self.train_dataloader):
            super()._load_dataloader_state(checkpoint_path)


class Tracking:
    """What verl's loop logs to, in the place of its own class."""

    report: Report

    def __init__(self, **_: Any) -> None:
        self._last = time.monotonic()

    def log(self, data: dict[str, Any], step: int) -> None:
        """Send the metrics of an update or a validation."""
        now = time.monotonic()
        metrics = {
            RENAMED.get(name, name): number for name, value in data.items() if (number := _number(value)) is not None
        }
        if "loss" in metrics:
            seconds = max(now - self._last, 1e-9)
            metrics["perf/seconds"] = seconds
            metrics["perf/tokens_per_second"] = metrics.get("train/global_tokens", 0.0) / seconds
        self._last = now
        self.report.send("metrics", step=step, metrics=metrics)


class Trainer(sft_trainer.SFTTrainer):
    """verl's trainer with a seeded order, marked checkpoints, a way to stop, and an export."""

    def __init__(self, config: DictConfig, report: Report, commands: Commands) -> None:
        self._report, self._commands = report, commands
        self.ckpt_handler: Handler
        super().__init__(config)
        self._step = self.resume_global_step
        self._train = self.training_client.train_batch
        self.training_client.train_batch = self._train_batch

    def _build_dataloader(self) -> None:
        super()._build_dataloader()
        self.train_sampler.seed = int(self.config.data.seed)
        if self.val_dataloader is not None:
            batches = even_batches(list(self.val_sampler), self.train_batch_size_per_dp)
            self.val_dataloader = torch.utils.data.DataLoader(
                self.val_dataloader.dataset, batch_sampler=batches, collate_fn=self.collate_fn
            )

    def _build_ckpt_handler(self) -> None:
        self.ckpt_handler = Handler(
            engine=self.engine,
            train_dataloader=self.train_dataloader,
            default_local_dir=self.config.trainer.default_local_dir,
            resume_mode=self.config.trainer.resume_mode,
            resume_from_path=self.config.trainer.resume_from_path,
            lora_train_meta=self._get_lora_train_meta(),
            keep=int(self.config.innovator.keep_checkpoints),
            report=self._report,
        )

    def _train_batch(self, data: Any) -> Any:
        """Update once, unless any rank was asked to stop after the update before."""
        if self._asked_to_stop():
            if self.ckpt_handler.saved != self._step:
                self.ckpt_handler.save_checkpoint(self._step)
            raise StopAfterStep
        self._report.send("phase", phase="updating", step=self._step + 1)
        output = self._train(data=data)
        self._step += 1
        return output

    def _asked_to_stop(self) -> bool:
        asked = torch.tensor(int(self._commands.stop and self._step > 0))
        torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
        return bool(asked)

    def export(self, folder: Path) -> None:
        """Write the model as a Hugging Face folder."""
        self._report.send("phase", phase="exporting", step=self._step)
        engine: Any = self.engine  # FSDP's engine has the module, the base class does not declare it
        export_model(
            engine.module,
            self.model_config.tokenizer,
            folder,
            str(self.config.innovator.export_dtype),
        )
        self._report.send("exported", path=str(folder))


def even_batches(rows: Sequence[int], largest: int) -> list[list[int]]:
    """Cut rows into the fewest batches of at most `largest`, whose sizes differ by one at most.

    verl averages the losses of the batches of a validation: a short last one would count as much as a full one.
    """
    count = -(-len(rows) // largest)
    return [list(rows[i * len(rows) // count : (i + 1) * len(rows) // count]) for i in range(count)]


def take_device() -> None:
    """Make the accelerator of this rank the current one: NCCL and the engine use that, and all ranks see all of them."""
    if os.environ.get("INNOVATOR_PLATFORM") == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def main(run_dir: Path) -> None:
    """Train this rank to the last step, a stop or a failure."""
    report, commands = Report(), Commands()
    commands.start()
    platform.require_loaded()
    report.send("phase", phase="starting", step=0)
    take_device()
    initialize_global_process_group_ray(timeout_second=1800)
    shared = [
        OmegaConf.to_container(OmegaConf.load(run_dir / "verl.yaml")) if torch.distributed.get_rank() == 0 else None
    ]
    torch.distributed.broadcast_object_list(shared, src=0)
    config = OmegaConf.create(shared[0])
    assert isinstance(config, DictConfig)
    Tracking.report = report
    setattr(sft_trainer, "Tracking", Tracking)  # noqa: B010  # verl offers no other place to receive metrics
    trainer = Trainer(config, report, commands)
    try:
        if trainer.resume_global_step < trainer.total_training_steps:
            trainer.fit()
        trainer.export(run_dir / "model")
    except StopAfterStep:
        report.send("stopped", step=trainer.ckpt_handler.saved)
    destroy_global_process_group()
    report.send("ended")


def _number(value: Any) -> float | None:
    """Return a metric as a number; the mean of what ranks and micro-batches report."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    if isinstance(value, list):
        numbers = [number for item in value if (number := _number(item)) is not None]
        return sum(numbers) / len(numbers) if numbers else None
    return float(value) if isinstance(value, (int, float)) else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # threads of torch and of standard input need no farewell
