"""Stage 1: one coarse expert per discipline, trained beside the frozen donor on that discipline's text alone (equation 1).

Disciplines know nothing of each other: train them one after the other, on several ranks each, or as parallel jobs.
"""

from __future__ import annotations

from pathlib import Path

from upcycle.config import UpcycleConfig
from upcycle.engine_output import save_folder
from upcycle.objectives import LanguageObjective
from upcycle.spec import Spec, write_json
from upcycle.split import expert_shapes
from upcycle.stage import artefacts, build, prepare, train_stage
from upcycle.weights import Donor, donor_fingerprint

EXPERT_JSON = "expert.json"


def induct(config: UpcycleConfig, discipline: str) -> Path:
    """Train the expert of `discipline`; the folder runs/NAME/experts/DISCIPLINE. `ValueError` for an unknown one."""
    if discipline not in config.disciplines:
        raise ValueError(f"no discipline {discipline!r}: the configuration has {', '.join(config.disciplines)}")
    target = artefacts(config) / "experts" / discipline
    if (target / EXPERT_JSON).is_file():
        return target
    setup = prepare(config)
    spec = Spec.from_config(config, setup.donor_config, "induced")
    model = build(setup, "induced", Donor(spec, setup.donor), lambda name: ".mlp.expert." in name)
    train_stage(setup, f"induct-{discipline}", config.induct, model, LanguageObjective(), {discipline: 1.0})
    facts = {"discipline": discipline, "form": spec.form, "donor": donor_fingerprint(setup.donor)}
    save_folder(
        model, list(expert_shapes(spec)), target, setup.world, lambda folder: write_json(folder / EXPERT_JSON, facts)
    )
    return target
