"""Run stage 4, generalist-scientist integration (equation 4).

The mixture is trained on general and scientific text.
"""

from __future__ import annotations

from pathlib import Path

from upcycle.checkpoint.readers import open_training_folder
from upcycle.config.schema import UpcycleConfig
from upcycle.stages.common import StageContext, build, make_trainer, stage_folder, train_once
from upcycle.training.objectives import LossWeights, MixtureObjective
from upcycle.training.trainer import Trainer

TRAINED = {  # parts of the parameter names that learn
    "all": ("",),
    "experts": (".mlp.gate.", ".mlp.experts.", ".mlp.routed_scale"),
    "router": (".mlp.gate.", ".mlp.routed_scale"),
}


def train_joint(config: UpcycleConfig) -> Path:
    """Train runs/NAME/route on all text and return the folder runs/NAME/integrate."""
    return train_once(config, "train_joint", build_trainer)


def build_trainer(context: StageContext) -> Trainer:
    """Build the stage's trainer at its last checkpoint."""
    config, stage = context.config, context.config.train_joint
    _, source = open_training_folder(stage_folder(config, "train_router"))
    model = build(context, "mixture", source, lambda name: any(part in name for part in TRAINED[stage.train]))
    weights = LossWeights(language=1.0, classification=stage.classification, balance=stage.balance, z_loss=stage.z_loss)
    objective = MixtureObjective(weights, context.disciplines, config.mixture.split, config.train_router.general_target)
    return make_trainer(context, "train_joint", model, objective, context.shares(stage))
