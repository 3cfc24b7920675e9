"""Run stage 1, expert induction (equation 1).

One coarse expert per discipline is trained next to the frozen base model.

Each expert sees the text of its own discipline only. The experts are independent: train them one after the other, each
on several ranks, or as parallel jobs.
"""

from __future__ import annotations

from pathlib import Path

from innovator_rl.errors import UserError
from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.readers import EXPERT, BaseModelSource, base_model_fingerprint
from upcycle.config.schema import UpcycleConfig
from upcycle.model.architecture import ModelSpec, write_json
from upcycle.stages.common import StageContext, build, make_trainer, note_other_settings, prepare
from upcycle.stages.folders import artifacts
from upcycle.training.consolidate import save_folder
from upcycle.training.objectives import LanguageObjective
from upcycle.training.trainer import Trainer


def train_expert(config: UpcycleConfig, discipline: str) -> Path:
    """Train the coarse expert of a discipline, unless it is already complete.

    Returns:
        The folder runs/NAME/experts/DISCIPLINE.

    Raises:
        UserError: If the configuration has no such discipline.
    """
    if discipline not in config.disciplines:
        raise UserError(f"unknown discipline {discipline!r}: the configuration has {', '.join(config.disciplines)}")
    target = artifacts(config) / "experts" / discipline
    if (target / EXPERT).is_file():
        note_other_settings(config, "train_experts", target, discipline)
        return target
    context = prepare(config)
    fingerprint = base_model_fingerprint(context.base_model) if context.distributed.is_main else ""
    trainer = build_trainer(context, discipline, fingerprint)
    trainer.fit()

    def complete(folder: Path) -> None:
        facts = {"discipline": discipline, "form": config.mixture.form, "base_model": fingerprint}
        write_json(folder / EXPERT, facts)

    names = list(expert_shapes(trainer.model.spec))
    save_folder(trainer.model, names, target, context.distributed, complete, [trainer.checkpoint])
    return target


def build_trainer(context: StageContext, discipline: str, fingerprint: str = "") -> Trainer:
    """Build the stage's trainer at its last checkpoint, which must have been trained on the base model of `fingerprint`."""
    spec = ModelSpec.from_config(context.config, context.base_config, "induced")
    source = BaseModelSource(spec, context.base_model)
    model = build(context, "induced", source, lambda name: ".mlp.expert." in name)
    objective = LanguageObjective()
    return make_trainer(
        context, "train_experts", model, objective, {discipline: 1.0}, discipline=discipline, base_model=fingerprint
    )
