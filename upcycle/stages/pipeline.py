"""All stages in order, each skipped when its artefact is complete: the same command again goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from upcycle.checkpoint import convert
from upcycle.checkpoint.readers import donor_config
from upcycle.config.schema import UpcycleConfig
from upcycle.stages.common import artefacts, check_sources
from upcycle.stages.dense_baseline import continue_dense
from upcycle.stages.induction import induct
from upcycle.stages.integration import integrate
from upcycle.stages.routing import route

Train = Callable[[str, str], object]  # (stage, discipline or "") -> trains it


def here(config: UpcycleConfig) -> Train:
    """Training stages in this process."""
    stages = {"route": route, "integrate": integrate, "dense": continue_dense}

    def train(stage: str, discipline: str) -> object:
        return induct(config, discipline) if stage == "induct" else stages[stage](config)

    return train


def run(config: UpcycleConfig, donor: Path, train: Train, say: Callable[[str], None], dense: bool = False) -> Path:
    """Induct every discipline, split, route, integrate, export; `dense` adds the baseline. The exported folder.

    What would stop a later stage (sources without files, a donor of another family) stops here, before the first.
    """
    check_sources(config)
    folder = artefacts(config)
    for discipline in config.disciplines:
        train("induct", discipline)
    convert.split(config, donor_config(donor), donor, folder / "experts", folder / "split", say)
    train("route", "")
    train("integrate", "")
    if dense:
        train("dense", "")
    return convert.export(folder / "integrate", folder / "export", config.export.dtype, config.export.shard_bytes, say)
