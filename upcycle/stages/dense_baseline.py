"""Train the dense baseline, the base model itself without upcycling.

It trains on as many tokens of the same text.
"""

from __future__ import annotations

from pathlib import Path

from upcycle.checkpoint.readers import BaseModelSource
from upcycle.config.schema import UpcycleConfig
from upcycle.model.architecture import ModelSpec
from upcycle.stages.common import StageContext, build, make_trainer, train_once
from upcycle.training.objectives import LanguageObjective
from upcycle.training.trainer import Trainer


def train_dense(config: UpcycleConfig) -> Path:
    """Continue training the base model and return the folder runs/NAME/dense."""
    return train_once(config, "train_dense", build_trainer)


def build_trainer(context: StageContext) -> Trainer:
    """Build the baseline's trainer at its last checkpoint."""
    spec = ModelSpec.from_config(context.config, context.base_config, "dense")
    model = build(context, "dense", BaseModelSource(spec, context.base_model), lambda _: True)
    return make_trainer(context, "train_dense", model, LanguageObjective(), context.shares(context.config.train_dense))
