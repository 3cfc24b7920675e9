"""Train one stage with FSDP2 and AdamW, with checkpoints that resume bit for bit.

One loop serves every stage:

- A step is a function of the parameters, the AdamW moments and the step number. Data, learning rate and batch are
  computed from the number, so a run that was killed continues from its last checkpoint bit for bit on a CPU.
- Losses are divided by counts of the global batch, so one rank and many ranks compute the same loss and gradient.
- A step whose gradient is not finite changes nothing but the step number. It is counted in `train/skipped_updates`.
- No rank holds the whole model. Parameters, gradients and moments are sharded, and checkpoints are written and read by
  shard (torch.distributed.checkpoint), on any number of ranks.

    trainer = Trainer(model, stage, config.trainer, objective, batches, run=RunDir(...), ...)
    trainer.fit()
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from innovator_rl.errors import EngineError
from upcycle.config.stages import StageConfig, TrainerConfig
from upcycle.data.batch import NO_LABEL, Batch
from upcycle.model.sharding import by_mesh, clip_gradients
from upcycle.training.checkpointing import checkpoint_folder, load_latest, save
from upcycle.training.distributed import DistributedContext
from upcycle.training.losses import add_over_ranks
from upcycle.training.memory import peak_resident

if TYPE_CHECKING:  # a step alone needs no run directory, nor the packages that write one
    from innovator_rl.runs.run_dir import RunDir
    from upcycle.training.evaluation import HeldOut

GIB = 2**30
REPORT_SECONDS = 5.0  # between progress lines
SKIPPED_LIMIT = 10
"""Steps in a row without a finite gradient that end a stage; a broken text gives one, broken weights give all."""

Log = Callable[[str], object]


@dataclass(frozen=True)
class BatchTotals:
    """Counts of a step's global batch, by which its losses are divided.

    Attributes:
        labels: () positions with a label.
        tokens: () all tokens.
        science: () tokens of the disciplines' text.
    """

    labels: torch.Tensor
    tokens: torch.Tensor
    science: torch.Tensor


class Objective(Protocol):
    """What a stage minimizes."""

    def prepare(self, model: Any, slices: list[Batch]) -> None:
        """Compute what the loss of a slice needs of the whole batch, before its first slice."""
        ...

    def loss(self, model: Any, batch: Batch, totals: BatchTotals) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute this rank's share of the global loss on one slice of the batch.

        Returns:
            The share of the loss, (), and named tensors that add up over slices and ranks.
        """
        ...

    def figures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the step's metrics from the named sums."""
        ...


Initializer = Callable[["Trainer", Log], None]
"""Prepares a trainer's model before step 0; the second argument receives progress lines."""


def learning_rate(step: int, steps: int, config: StageConfig) -> float:
    """Return the learning rate of a step.

    The rate warms up linearly, stays at its peak, and over the last `decay_share` of the steps follows a cosine down to
    `final_share` of the peak at the last step.

    Args:
        step: Number of the step, from 0.
        steps: Steps of the stage.
        config: Peak, warm-up, decay and final share.
    """
    warm = math.ceil(config.warmup * steps)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    start = max(warm, steps - round(config.decay_share * steps))
    done = max(0, step - start + 1) / max(1, steps - start)
    fraction = config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * fraction


def optimizer(model: nn.Module, config: StageConfig) -> torch.optim.Optimizer:
    """Build AdamW over the parameters that learn.

    Vectors (norms, biases, scales) are not decayed.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(0.9, 0.95),
        fused=len(by_mesh(trained)) == 1,  # one fused call takes tensors of one mesh
    )


class Trainer:
    """Training of one stage."""

    def __init__(
        self,
        model: Any,
        stage: StageConfig,
        config: TrainerConfig,
        objective: Objective,
        batches: Callable[[int], list[Batch]],
        *,
        steps: int,
        flops: float,
        distributed: DistributedContext,
        run: RunDir,
        evaluate: Callable[[], HeldOut] | None = None,
        initialize: Initializer | None = None,
    ) -> None:
        """Load the stage's last checkpoint into `model`, if there is one.

        Args:
            model: The sharded model.
            stage: Budget and optimizer.
            config: Precision, memory and checkpoints.
            objective: What the stage minimizes.
            batches: Returns this rank's part of the global batch of step 0, 1, ..., in slices.
            steps: Steps of the stage.
            flops: Operations of training on one token.
            distributed: This process among the ranks.
            run: The stage's run directory.
            evaluate: Measures held-out text; the losses of its sequences become `held_out/step-N.json` of the run.
            initialize: Prepares the model before step 0.
        """
        self.model, self.stage, self.config, self.objective = model, stage, config, objective
        self.batches, self.steps, self.distributed, self.run, self.evaluate = batches, steps, distributed, run, evaluate
        self.flops = flops
        self.initialize = initialize
        self.optimizer = optimizer(model, stage)
        self.step = load_latest(run.checkpoints, model, self.optimizer, distributed)
        self._saved, self._skipped = self.step, 0
        self._reported = 0.0

    @property
    def checkpoint(self) -> Path:
        """Folder of the checkpoint of this step, where there is one."""
        return checkpoint_folder(self.run.checkpoints, self.step)

    def fit(self) -> None:
        """Train from the last checkpoint to the last step.

        Rank 0 writes the run directory.
        """
        if self.distributed.is_main:
            self.run.open_attempt(resume_step=self.step, total_steps=self.steps)
            self._log(f"{self.run.name}: step {self.step} of {self.steps}, {self.distributed.describe()}")
        try:
            self._fit()
        except BaseException as error:
            if self.distributed.is_main:
                stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
                self.run.finish("stopped" if stopped else "failed", f"{type(error).__name__}: {error}")
            raise
        if self.distributed.is_main:
            self.run.finish("finished")

    def begin(self) -> None:
        """Prepare the model for step 0; with a checkpoint there is nothing to prepare."""
        if self.step == 0 and self.initialize is not None:
            self._phase("starting")
            self.initialize(self, self._log if self.distributed.is_main else lambda _line: None)

    def _fit(self) -> None:
        self.begin()
        if self.step == 0:
            self._evaluate()
        while self.step < self.steps:
            started = time.monotonic()
            figures = self.update()
            self.step += 1
            seconds = time.monotonic() - started
            figures |= self._speed(seconds)
            if self.distributed.is_main:
                self.run.write_metrics(self.step, figures)
                self._progress(figures, seconds)
            every = self.stage.evaluate_every
            if self.step == self.steps or (every and self.step % every == 0):
                self._evaluate()
            if self.step == self.steps or self._save_due():
                self._phase("saving")
                save(self.run.checkpoints, self.step, self.model, self.optimizer, self.distributed, self.config.keep)
                self._saved = self.step

    def _save_due(self) -> bool:
        """Return whether a checkpoint is due.

        It waits for an update. Checkpoints from before skipped steps are then kept, and a resumed run counts the same
        steps in a row as one that was never stopped.
        """
        every = self.config.save_every
        return not self._skipped and self.step // every > self._saved // every

    def update(self) -> dict[str, float]:
        """Take one optimizer step on the global batch of `self.step`.

        Where the gradient is not finite, parameters and moments stay as they are.

        Returns:
            The step's metrics.

        Raises:
            EngineError: If the gradient is not finite for `SKIPPED_LIMIT` steps in a row.
        """
        self._phase("updating")
        rate = learning_rate(self.step, self.steps, self.stage)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        slices = [batch.to(self.distributed.device) for batch in self.batches(self.step)]
        totals = _totals(slices)
        self.model.train()
        self.objective.prepare(self.model, slices)
        sums: dict[str, torch.Tensor] = {}
        for batch in slices:
            loss, parts = self.objective.loss(self.model, batch, totals)
            loss.backward()
            for name, value in {"loss": loss, **parts}.items():
                value = value.detach().double()
                sums[name] = sums[name] + value if name in sums else value
        norm = float(clip_gradients(self.model.parameters(), self.stage.clip))
        finite = math.isfinite(norm)  # on all ranks or on none: the norm is that of the whole gradient
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._count_skipped(finite)
        sums = {name: add_over_ranks(value) for name, value in sums.items()}
        figures = {"train/loss": float(sums.pop("loss")), "train/grad_norm": norm, "train/learning_rate": rate}
        figures |= {"train/skipped_updates": float(not finite), "train/tokens": float(totals.tokens)}
        figures |= self.objective.figures(sums)
        if finite and self.config.expert_capacity_strict and figures.get("router/dropped"):
            raise EngineError(
                f"step {self.step + 1}: {figures['router/dropped']:.2%} of the choices exceed trainer.expert_capacity = "
                f"{self.config.expert_capacity:g} and were dropped; raise it, or set trainer.expert_capacity_strict=false"
            )
        return figures

    def _count_skipped(self, finite: bool) -> None:
        self._skipped = 0 if finite else self._skipped + 1
        if self._skipped == SKIPPED_LIMIT:
            raise EngineError(
                f"step {self.step + 1}: the gradient is not finite, as in the {SKIPPED_LIMIT - 1} steps before; remove "
                f"{self.run.path} and train the stage again with learning_rate below {self.stage.learning_rate:g}"
            )
        if self._skipped and self.distributed.is_main:
            self._log(f"{self.run.name}: step {self.step + 1}: the gradient is not finite, this update is left out")

    def _evaluate(self) -> None:
        if self.evaluate is None:
            return
        self._phase("validating")
        figures, sequences = self.evaluate()
        if self.distributed.is_main:
            self.run.write_metrics(self.step, figures)
            self.run.write_held_out(self.step, sequences)
            losses = "  ".join(
                f"{key.rsplit('/', 1)[1]} {value:.3f}" for key, value in figures.items() if "/loss/" in key
            )
            self._log(f"{self.run.name}: held-out loss at step {self.step}: {losses}")

    def _speed(self, seconds: float) -> dict[str, float]:
        peak = peak_resident() / GIB
        speed = self.stage.batch_tokens / seconds
        figures = {
            "perf/seconds": seconds,
            "perf/tokens_per_second": speed,
            "perf/tflops": speed * self.flops / 1e12,
            "perf/memory_gib": peak,
        }
        if self.config.peak_tflops:
            figures["perf/mfu"] = figures["perf/tflops"] / (self.config.peak_tflops * self.distributed.world_size)
        if self.distributed.device.type == "cuda":
            figures["perf/device_memory_gib"] = torch.cuda.max_memory_allocated() / GIB
        return figures

    def _phase(self, name: str) -> None:
        if self.distributed.is_main:
            self.run.heartbeat(self.step, name)

    def _progress(self, figures: dict[str, float], seconds: float) -> None:
        now = time.monotonic()
        if now - self._reported < REPORT_SECONDS and self.step < self.steps:
            return
        self._reported = now
        parts = [f"{self.run.name}: step {self.step}/{self.steps}", f"loss {figures['train/loss']:.4f}"]
        if "router/accuracy" in figures:
            parts.append(f"routed right {figures['router/accuracy']:.0%}")
        parts.append(f"{figures['perf/tokens_per_second']:,.0f} tokens/s, {figures['perf/memory_gib']:.1f} GiB")
        parts.append(f"{seconds * (self.steps - self.step) / 60:.1f} min left")
        self._log(" | ".join(parts))

    def _log(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _totals(slices: list[Batch]) -> BatchTotals:
    labels = sum((batch.labels != NO_LABEL).sum() for batch in slices)
    tokens = sum(batch.tokens.numel() for batch in slices)
    science = sum((batch.discipline >= 0).sum() * batch.tokens.shape[1] for batch in slices)
    device = slices[0].tokens.device
    counts = add_over_ranks(
        torch.stack([torch.as_tensor(n, device=device).double() for n in (labels, tokens, science)])
    )
    return BatchTotals(*counts.clamp(min=1))


def slices_of(
    build: Callable[[list[tuple[str, int]]], Batch],
    picks: list[tuple[str, int]],
    distributed: DistributedContext,
    micro: int,
) -> list[Batch]:
    """Build this rank's part of a global batch, in slices.

    The slices are the same for every number of ranks, so what is computed per slice (load balance) is as well.

    Args:
        build: Builds the batch of some (discipline, index) pairs.
        picks: The (discipline, index) pairs of the global batch.
        distributed: This process among the ranks.
        micro: Sequences of a slice, over all ranks; 0: all at once.
    """
    micro = micro or len(picks)
    starts = range(0, len(picks), micro)
    return [build(picks[start : start + micro][distributed.rank :: distributed.world_size]) for start in starts]
