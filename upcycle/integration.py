"""Stage 4: the mixture trains on general and scientific text together (equation 4), all of it or its new parts only."""

from __future__ import annotations

from pathlib import Path

from upcycle.config import UpcycleConfig
from upcycle.objectives import MixtureObjective, Weights
from upcycle.packing import even_shares
from upcycle.stage import artefacts, build, prepare, save_native_folder, train_stage
from upcycle.stage_config import IntegrateConfig
from upcycle.weights import native_source

NEW_PARTS = {
    "all": ("",),
    "experts": (".mlp.gate.", ".mlp.experts.", ".mlp.routed_scale"),
    "router": (".mlp.gate.", ".mlp.routed_scale"),
}


def integrate(config: UpcycleConfig) -> Path:
    """Train runs/NAME/route on the mixture of texts; the folder runs/NAME/integrate."""
    target = artefacts(config) / "integrate"
    if (target / "upcycle.json").is_file():
        return target
    setup = prepare(config)
    _, source = native_source(artefacts(config) / "route")
    stage = config.integrate
    parts = NEW_PARTS[stage.train]
    model = build(setup, "mixture", source, lambda name: any(part in name for part in parts))
    objective = MixtureObjective(
        _weights(stage), tuple(config.disciplines), config.mixture.split, config.route.general_target
    )
    shares = even_shares(tuple(config.disciplines), setup.general(stage))
    train_stage(setup, "integrate", stage, model, objective, shares)
    save_native_folder(setup, model, target)
    return target


def _weights(stage: IntegrateConfig) -> Weights:
    return Weights(language=1.0, classification=stage.classification, balance=stage.balance, z_loss=stage.z_loss)
