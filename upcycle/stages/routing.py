"""Run stage 3, science-aware routing (equation 3).

The router alone is trained, with everything else frozen.

Every token carries the discipline of its text, and each slot answers one yes-or-no question about it. General text
belongs to no discipline. Where the mixture has null experts, their slots are the answer for it, so the router learns to
leave such tokens to the shared expert. Gates enter the sum as constants, so the rest of the model only runs forward.
"""

from __future__ import annotations

import time
from pathlib import Path

from upcycle.checkpoint.readers import open_training_folder
from upcycle.config.schema import UpcycleConfig
from upcycle.stages.common import StageContext, build, make_trainer, train_once
from upcycle.training.objectives import LossWeights, MixtureObjective
from upcycle.training.router_init import init_router
from upcycle.training.trainer import REPORT_SECONDS, Log, Trainer


def train_router(config: UpcycleConfig) -> Path:
    """Train the router of runs/NAME/split and return the folder runs/NAME/route."""
    return train_once(config, "train_router", build_trainer)


def build_trainer(context: StageContext) -> Trainer:
    """Build the stage's trainer at its last checkpoint."""
    config, stage = context.config, context.config.train_router
    _, source = open_training_folder(context.folder / "split")
    model = build(context, "mixture", source, lambda name: name.endswith("mlp.gate.weight"))
    model.set_gates_constant(True)
    weights = LossWeights(language=0.0, classification=1.0, balance=stage.balance, z_loss=stage.z_loss)
    objective = MixtureObjective(
        weights, context.disciplines, config.mixture.split, stage.general_target, stage.balance_counts
    )

    def initialize(trainer: Trainer, log: Log) -> None:
        _initialize(context, trainer, log)

    return make_trainer(
        context,
        "train_router",
        model,
        objective,
        context.shares(stage),
        initialize=initialize if stage.init_tokens else None,
    )


def _initialize(context: StageContext, trainer: Trainer, log: Log) -> None:
    """Initialize the router in closed form.

    Its text is not used by the training steps.
    """
    stage = context.config.train_router
    started = reported = time.monotonic()

    def progress(tokens: int) -> None:
        nonlocal reported
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            total = tokens * context.distributed.world_size
            speed = total / (reported - started)
            log(f"router initialization: {total:,} of {stage.init_tokens:,} tokens, {speed:,.0f} tokens/s")

    # The trainer's schedule goes on past its last step by exactly these batches.
    after = range(trainer.steps, trainer.steps + stage.init_tokens // stage.batch_tokens)
    slices = (batch.to(context.distributed.device) for step in after for batch in trainer.batches(step))
    init_router(trainer.model, slices, stage.general_target, progress)
