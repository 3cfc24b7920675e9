"""Stage 3: the router alone learns which experts a token's discipline has (equation 3), everything else is frozen.

Every token carries its text's discipline; each slot is a yes-or-no question about it. General text belongs to no
discipline: with null experts in the mixture their slot is its answer, so the router learns to leave such tokens to the
shared expert. Gates enter the sum as constants, so the trunk is only run forwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from upcycle.checkpoint.readers import native_source
from upcycle.config.schema import UpcycleConfig
from upcycle.stages.common import Setup, build, engine_of, train_native
from upcycle.training.objectives import MixtureObjective, Weights
from upcycle.training.router_init import start_router
from upcycle.training.trainer import LINE_EVERY, Engine


def route(config: UpcycleConfig) -> Path:
    """Train the router of runs/NAME/split; the folder runs/NAME/route."""
    return train_native(config, "route", engine)


def engine(setup: Setup) -> Engine:
    """The stage's engine at its last checkpoint."""
    config, stage = setup.config, setup.config.route
    _, source = native_source(setup.folder / "split")
    model = build(setup, "mixture", source, lambda name: name.endswith("mlp.gate.weight"))
    model.set_gates_constant(True)
    weights = Weights(language=0.0, classification=1.0, balance=stage.balance, z_loss=stage.z_loss)
    objective = MixtureObjective(weights, setup.disciplines, config.mixture.split, stage.general_target)
    shares = setup.shares(stage)
    built = engine_of(setup, "route", stage, model, objective, shares)
    built.start = partial(_start, setup, built) if stage.start_tokens else None
    return built


def _start(setup: Setup, engine: Engine, model: Any, say: Callable[[str], None]) -> None:
    """Set the router in closed form from text that the training steps do not see."""
    stage = setup.config.route
    started = said = time.monotonic()

    def progress(tokens: int) -> None:
        nonlocal said
        if time.monotonic() - said > LINE_EVERY:
            said = time.monotonic()
            whole = tokens * setup.world.size
            say(f"router start: {whole:,} of {stage.start_tokens:,} tokens, {whole / (said - started):,.0f} tokens/s")

    after = range(engine.steps, engine.steps + stage.start_tokens // stage.batch_tokens)
    slices = (batch.to(setup.world.device) for step in after for batch in engine.batches(step))
    start_router(model, slices, stage.general_target, progress)
