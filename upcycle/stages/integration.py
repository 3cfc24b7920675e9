"""Run stage 4, generalist-scientist integration (equation 4).

The mixture is trained on general and scientific text.
"""

from __future__ import annotations

from pathlib import Path

from upcycle.checkpoint.readers import open_training_folder
from upcycle.config.schema import UpcycleConfig
from upcycle.model.architecture import ModelSpec
from upcycle.planning.memory import learns
from upcycle.stages.common import StageContext, build, make_trainer, train_once
from upcycle.stages.folders import stage_folder
from upcycle.training.objectives import LossWeights, MixtureObjective
from upcycle.training.trainer import Trainer


def train_joint(config: UpcycleConfig) -> Path:
    """Train runs/NAME/route on all text and return the folder runs/NAME/integrate."""
    return train_once(config, "train_joint", build_trainer)


def build_trainer(context: StageContext) -> Trainer:
    """Build the stage's trainer at its last checkpoint."""
    config, stage = context.config, context.config.train_joint
    _, source = open_training_folder(stage_folder(config, "train_router"))
    spec = ModelSpec.from_config(config, context.base_config, "mixture")
    model = build(context, "mixture", source, learns(spec, stage))
    weights = LossWeights(language=1.0, classification=stage.classification, balance=stage.balance, z_loss=stage.z_loss)
    objective = MixtureObjective(
        weights,
        context.disciplines,
        config.mixture.split,
        config.train_router.general_target,
        stage.balance_counts,
    )
    return make_trainer(context, "train_joint", model, objective, context.shares(stage))
