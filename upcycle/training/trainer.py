"""The training engine: FSDP2, AdamW, checkpoints that resume bitwise, and a run directory anybody can watch.

One loop serves every stage. What it promises:
- A step is a function of the parameters, the moments and the step's number: data, learning rate and batch are computed
  from the number, so a run killed at any instant goes on from its last checkpoint bit for bit on a CPU.
- The global batch decides. Ranks split it, losses are divided by global counts: one rank and many agree.
- No rank holds the whole model: parameters, gradients and moments are shards, checkpoints are read and written by shard
  (torch.distributed.checkpoint), on as many ranks as the reader happens to have.

    with Engine(model, stage, config.engine, objective, batches, run=RunDir(...)) as engine:
        engine.fit()
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, fully_shard

from innovator_rl.runs.run_dir import RunDir
from upcycle.config.stages import EngineConfig, StageConfig
from upcycle.data.packing import NO_LABEL, Batch
from upcycle.training.checkpointing import load_latest, save
from upcycle.training.distributed import World
from upcycle.training.losses import add_over_ranks
from upcycle.training.memory import peak_resident

GIB = 2**30
LINE_EVERY = 5.0  # seconds between progress lines


@dataclass(frozen=True)
class Totals:
    """Counts of a step's global batch, by which its losses are divided."""

    labels: torch.Tensor
    tokens: torch.Tensor
    science: torch.Tensor


class Objective(Protocol):
    """What a stage minimises."""

    def loss(self, model: Any, batch: Batch, totals: Totals) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(this rank's share of the global loss, named tensors that add up over slices and ranks)."""

    def figures(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """The step's metrics from the sums."""


def shard(model: nn.Module, world: World, config: EngineConfig) -> nn.Module:
    """Spread the model over the ranks, layer by layer. A single rank that computes in float32 needs no wrapping."""
    if world.size == 1 and config.dtype == "float32" and not config.cpu_offload:
        return model
    dtype = getattr(torch, config.dtype)
    policy: dict[str, Any] = {"mp_policy": MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)}
    if config.cpu_offload:
        policy["offload_policy"] = CPUOffloadPolicy(pin_memory=world.device.type != "cpu")
    for layer in model.model.layers:  # type: ignore[union-attr]
        fully_shard(layer, mesh=world.mesh, **policy)
    fully_shard(model, mesh=world.mesh, **policy)
    return model


def learning_rate(step: int, steps: int, config: StageConfig) -> float:
    """The rate of step 0, 1, ...: linear warm-up, then a cosine down to `final_share` of the peak at the last step."""
    warm = math.ceil(config.warmup * steps)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    done = (step - warm + 1) / max(1, steps - warm)
    fraction = config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * fraction


def optimizer(model: nn.Module, config: StageConfig) -> torch.optim.Optimizer:
    """AdamW over what trains; vectors (norms, biases, scales) are never decayed."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.learning_rate, betas=(0.9, 0.95), fused=True
    )


class Engine:
    """One stage's training.

    `batches(step)` is this rank's view of the global batch of step 0, 1, ..., in slices; `flops` are the operations that
    training on one token takes. `start(model, say)`, where a stage sets it, prepares the parameters before step 0.
    """

    def __init__(
        self,
        model: Any,
        stage: StageConfig,
        config: EngineConfig,
        objective: Objective,
        batches: Callable[[int], list[Batch]],
        *,
        steps: int,
        flops: float,
        world: World,
        run: RunDir,
        evaluate: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self.model, self.stage, self.config, self.objective = model, stage, config, objective
        self.batches, self.steps, self.world, self.run, self.evaluate = batches, steps, world, run, evaluate
        self.flops = flops
        self.start: Callable[[Any, Callable[[str], None]], None] | None = None
        self.optimizer = optimizer(model, stage)
        self.step = load_latest(run.checkpoints, model, self.optimizer, world)
        self._said = 0.0

    def fit(self) -> None:
        """Train from the last checkpoint to the last step; rank 0 writes the run directory."""
        if self.world.first:
            self.run.open_attempt(resume_step=self.step, total_steps=self.steps)
            self._say(f"{self.run.name}: step {self.step} of {self.steps}, {self.world.describe()}")
        try:
            self._fit()
        except BaseException as error:
            if self.world.first:
                stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
                self.run.finish("stopped" if stopped else "failed", f"{type(error).__name__}: {error}")
            raise
        if self.world.first:
            self.run.finish("finished")

    def begin(self) -> None:
        """What comes before step 0; nothing where a checkpoint was found."""
        if self.step == 0 and self.start is not None:
            self._phase("starting")
            self.start(self.model, self._say if self.world.first else lambda _line: None)

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
            if self.world.first:
                self.run.write_metrics(self.step, figures)
                self._progress(figures, seconds)
            every = self.stage.evaluate_every
            if self.step == self.steps or (every and self.step % every == 0):
                self._evaluate()
            if self.step == self.steps or self.step % self.config.save_every == 0:
                self._phase("saving")
                save(self.run.checkpoints, self.step, self.model, self.optimizer, self.world, self.config.keep)

    def update(self) -> dict[str, float]:
        """One optimizer step on the global batch of `self.step`; its metrics."""
        self._phase("updating")
        rate = learning_rate(self.step, self.steps, self.stage)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        slices = [batch.to(self.world.device) for batch in self.batches(self.step)]
        totals = _totals(slices)
        self.model.train()
        sums: dict[str, torch.Tensor] = {}
        for batch in slices:
            loss, parts = self.objective.loss(self.model, batch, totals)
            (loss * self.world.size).backward()  # FSDP takes the mean over ranks, the loss is a sum over them
            for name, value in {"loss": loss, **parts}.items():
                value = value.detach().double()
                sums[name] = sums[name] + value if name in sums else value
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.clip)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if not math.isfinite(float(norm)):
            raise ValueError(
                f"step {self.step + 1}: the gradient is not finite; lower the learning rate {self.stage.learning_rate} "
                "or look for broken text in the sources"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        sums = {name: add_over_ranks(value) for name, value in sums.items()}
        figures = {"train/loss": float(sums.pop("loss")), "train/grad_norm": float(norm), "train/learning_rate": rate}
        return {**figures, "train/tokens": float(totals.tokens), **self.objective.figures(sums)}

    def _evaluate(self) -> None:
        if self.evaluate is None:
            return
        self._phase("validating")
        figures = self.evaluate()
        if self.world.first:
            self.run.write_metrics(self.step, figures)
            losses = "  ".join(
                f"{key.rsplit('/', 1)[1]} {value:.3f}" for key, value in figures.items() if "/loss/" in key
            )
            self._say(f"{self.run.name}: held-out loss at step {self.step}: {losses}")

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
            figures["perf/mfu"] = figures["perf/tflops"] / (self.config.peak_tflops * self.world.size)
        if self.world.device.type == "cuda":
            figures["perf/device_memory_gib"] = torch.cuda.max_memory_allocated() / GIB
        return figures

    def _phase(self, name: str) -> None:
        if self.world.first:
            self.run.heartbeat(self.step, name)

    def _progress(self, figures: dict[str, float], seconds: float) -> None:
        now = time.monotonic()
        if now - self._said < LINE_EVERY and self.step < self.steps:
            return
        self._said = now
        parts = [f"{self.run.name}: step {self.step}/{self.steps}", f"loss {figures['train/loss']:.4f}"]
        if "router/accuracy" in figures:
            parts.append(f"routed right {figures['router/accuracy']:.0%}")
        parts.append(f"{figures['perf/tokens_per_second']:,.0f} tokens/s, {figures['perf/memory_gib']:.1f} GiB")
        parts.append(f"{seconds * (self.steps - self.step) / 60:.1f} min left")
        self._say(" | ".join(parts))

    def _say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _totals(slices: list[Batch]) -> Totals:
    labels = sum((batch.labels != NO_LABEL).sum() for batch in slices)
    tokens = sum(batch.tokens.numel() for batch in slices)
    science = sum((batch.discipline >= 0).sum() * batch.tokens.shape[1] for batch in slices)
    device = slices[0].tokens.device
    counts = add_over_ranks(
        torch.stack([torch.as_tensor(n, device=device).double() for n in (labels, tokens, science)])
    )
    return Totals(*counts.clamp(min=1))


def slices_of(
    build: Callable[[list[tuple[str, int]]], Batch], picks: list[tuple[str, int]], world: World, micro: int
) -> list[Batch]:
    """This rank's part of the global batch `picks` in slices of `micro` sequences (over all ranks; 0: all at once).

    The slices are the same for every number of ranks, so what is computed per slice (load balance) is as well.
    """
    micro = micro or len(picks)
    starts = range(0, len(picks), micro)
    return [build(picks[start : start + micro][world.rank :: world.size]) for start in starts]
