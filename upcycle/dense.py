"""The baseline: the donor itself trained on as many tokens of the same texts, nothing upcycled."""

from __future__ import annotations

from pathlib import Path

from upcycle.config import UpcycleConfig
from upcycle.objectives import LanguageObjective
from upcycle.packing import even_shares
from upcycle.spec import Spec
from upcycle.stage import artefacts, build, prepare, save_native_folder, train_stage
from upcycle.weights import Donor


def continue_dense(config: UpcycleConfig) -> Path:
    """Train the donor on; the folder runs/NAME/dense."""
    target = artefacts(config) / "dense"
    if (target / "upcycle.json").is_file():
        return target
    setup = prepare(config)
    spec = Spec.from_config(config, setup.donor_config, "dense")
    model = build(setup, "dense", Donor(spec, setup.donor), lambda _: True)
    shares = even_shares(tuple(config.disciplines), setup.general(config.dense))
    train_stage(setup, "dense", config.dense, model, LanguageObjective(), shares)
    save_native_folder(setup, model, target)
    return target
