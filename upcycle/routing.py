"""Stage 3: the router alone learns which experts a token's discipline has (equation 3), everything else is frozen.

Every token carries its text's discipline; each slot is a yes-or-no question about it. General text belongs to no
discipline: with null experts in the mixture their slot is its answer, so the router learns to leave such tokens to the
shared expert. Gates enter the sum as constants, so the trunk is only run forwards.
"""

from __future__ import annotations

from pathlib import Path

from upcycle.config import UpcycleConfig
from upcycle.objectives import MixtureObjective, Weights
from upcycle.packing import even_shares
from upcycle.stage import artefacts, build, prepare, save_native_folder, train_stage
from upcycle.weights import native_source


def route(config: UpcycleConfig) -> Path:
    """Train the router of runs/NAME/split; the folder runs/NAME/route."""
    target = artefacts(config) / "route"
    if (target / "upcycle.json").is_file():
        return target
    setup = prepare(config)
    _, source = native_source(artefacts(config) / "split")
    model = build(setup, "mixture", source, lambda name: name.endswith("mlp.gate.weight"))
    model.set_gates_constant(True)
    stage = config.route
    weights = Weights(language=0.0, classification=1.0, balance=stage.balance, z_loss=stage.z_loss)
    objective = MixtureObjective(weights, tuple(config.disciplines), config.mixture.split, stage.general_target)
    train_stage(setup, "route", stage, model, objective, even_shares(tuple(config.disciplines), setup.general(stage)))
    save_native_folder(setup, model, target)
    return target
