"""Stage 4: the mixture trains on general and scientific text together (equation 4), all of it or its new parts only."""

from __future__ import annotations

from pathlib import Path

from upcycle.checkpoint.readers import native_source
from upcycle.config.schema import UpcycleConfig
from upcycle.stages.common import Setup, build, engine_of, train_native
from upcycle.training.objectives import MixtureObjective, Weights
from upcycle.training.trainer import Engine

TRAINED = {  # parts of the names of what learns
    "all": ("",),
    "experts": (".mlp.gate.", ".mlp.experts.", ".mlp.routed_scale"),
    "router": (".mlp.gate.", ".mlp.routed_scale"),
}


def integrate(config: UpcycleConfig) -> Path:
    """Train runs/NAME/route on the mixture of texts; the folder runs/NAME/integrate."""
    return train_native(config, "integrate", engine)


def engine(setup: Setup) -> Engine:
    """The stage's engine at its last checkpoint."""
    config, stage = setup.config, setup.config.integrate
    _, source = native_source(setup.folder / "route")
    model = build(setup, "mixture", source, lambda name: any(part in name for part in TRAINED[stage.train]))
    weights = Weights(language=1.0, classification=stage.classification, balance=stage.balance, z_loss=stage.z_loss)
    objective = MixtureObjective(weights, setup.disciplines, config.mixture.split, config.route.general_target)
    return engine_of(setup, "integrate", stage, model, objective, setup.shares(stage))
