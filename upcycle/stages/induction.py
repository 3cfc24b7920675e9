"""Stage 1: one coarse expert per discipline, trained beside the frozen donor on that discipline's text alone (equation 1).

Disciplines know nothing of each other: train them one after the other, on several ranks each, or as parallel jobs.
"""

from __future__ import annotations

from pathlib import Path

from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.readers import EXPERT, Donor, donor_fingerprint
from upcycle.config.schema import UpcycleConfig
from upcycle.model.architecture import Spec, write_json
from upcycle.stages.common import Setup, artefacts, build, engine_of, prepare
from upcycle.training.consolidate import save_folder
from upcycle.training.objectives import LanguageObjective
from upcycle.training.trainer import Engine


def induct(config: UpcycleConfig, discipline: str) -> Path:
    """Train the expert of `discipline`; the folder runs/NAME/experts/DISCIPLINE. `ValueError` for an unknown one."""
    if discipline not in config.disciplines:
        raise ValueError(f"no discipline {discipline!r}: the configuration has {', '.join(config.disciplines)}")
    target = artefacts(config) / "experts" / discipline
    if (target / EXPERT).is_file():
        return target
    setup = prepare(config)
    trained = engine(setup, discipline)
    trained.fit()
    facts = {"discipline": discipline, "form": config.mixture.form, "donor": donor_fingerprint(setup.donor)}
    names = list(expert_shapes(trained.model.spec))
    save_folder(trained.model, names, target, setup.world, lambda folder: write_json(folder / EXPERT, facts))
    return target


def engine(setup: Setup, discipline: str) -> Engine:
    """The stage's engine at its last checkpoint."""
    spec = Spec.from_config(setup.config, setup.donor_config, "induced")
    model = build(setup, "induced", Donor(spec, setup.donor), lambda name: ".mlp.expert." in name)
    return engine_of(setup, f"induct-{discipline}", setup.config.induct, model, LanguageObjective(), {discipline: 1.0})
