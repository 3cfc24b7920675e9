"""The baseline: the donor itself trained on as many tokens of the same texts, nothing upcycled."""

from __future__ import annotations

from pathlib import Path

from upcycle.checkpoint.readers import Donor
from upcycle.config.schema import UpcycleConfig
from upcycle.model.architecture import Spec
from upcycle.stages.common import Setup, build, engine_of, train_native
from upcycle.training.objectives import LanguageObjective
from upcycle.training.trainer import Engine


def continue_dense(config: UpcycleConfig) -> Path:
    """Train the donor on; the folder runs/NAME/dense."""
    return train_native(config, "dense", engine)


def engine(setup: Setup) -> Engine:
    """The baseline's engine at its last checkpoint."""
    spec = Spec.from_config(setup.config, setup.donor_config, "dense")
    model = build(setup, "dense", Donor(spec, setup.donor), lambda _: True)
    return engine_of(setup, "dense", setup.config.dense, model, LanguageObjective(), setup.shares(setup.config.dense))
