"""Check a run before its upload, as far as this machine can tell.

The checks are those of `innovator train`, without what concerns this machine: its memory, its packages and its
accelerators are not those of the cluster's nodes.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from innovator_rl.config.schema import RunConfig
from innovator_rl.data.materialize import materialize
from innovator_rl.errors import UserError
from innovator_rl.platform.accelerator import detect_platform
from innovator_rl.preflight import Diagnostic, Machine, check, errors

LOCAL = (
    "machine ",
    "package ",
    "environment ",
    "working directory",
    "resources.",
    "reward.memory_mb",
    "reward.workers",
)
"""Settings whose diagnostics describe the machine that they were found on."""


def findings(config: RunConfig, machine: Machine | None = None) -> list[Diagnostic]:
    """Return the diagnostics of a run that will run elsewhere; errors come first.

    Args:
        config: The run.
        machine: Replaces this machine.
    """
    here = machine or Machine.here()
    # "local" is an address that no check connects to: the run joins a cluster, wherever that is.
    elsewhere = dataclasses.replace(here, environment={**here.environment, "RAY_ADDRESS": "local"})
    platform = detect_platform(config) if config.resources.platform == "auto" else config.resources.platform
    found = check(config, machine=elsewhere, platform=platform)
    if not errors(found) and all(Path(entry).is_file() for entry in (*config.data.train, *config.data.validation)):
        with tempfile.TemporaryDirectory(prefix="innovator-submit-") as folder:
            train, validation = (_converted(config, split, Path(folder)) for split in ("train", "validation"))
            found = check(config, machine=elsewhere, platform=platform, train_files=train, validation_files=validation)
    return [diagnostic for diagnostic in found if not diagnostic.setting.startswith(LOCAL)]


def _converted(config: RunConfig, split: str, folder: Path) -> list[str]:
    """Return the Parquet files that the job will make of files of questions, so that their rows are checked here."""
    both = set(config.data.train) & set(config.data.validation)
    entries = config.data.train if split == "train" else config.data.validation
    return [str(materialize(e, folder, split=split, seed=config.data.seed, whole=e not in both)) for e in entries]


def require_ready(config: RunConfig, remote_paths: bool = False) -> list[Diagnostic]:
    """Return the warnings of a run that is about to be submitted.

    Args:
        config: The run.
        remote_paths: Accept absolute paths that do not exist here, because only the cluster's nodes have them.

    Raises:
        UserError: One line for each diagnostic that would end the job.
    """
    found = findings(config)
    stopping = [diagnostic for diagnostic in errors(found) if not (remote_paths and _is_remote(diagnostic))]
    if stopping:
        lines = [line.line().removeprefix("error: ") for line in stopping]
        if any(_is_remote(diagnostic) for diagnostic in stopping):
            lines.append("a path that only the cluster's nodes have is not checked with --remote-paths")
        if remote_paths and any("/" in value for diagnostic in stopping for value in _paths(diagnostic)):
            lines.append(
                "a path that only the cluster's nodes have must be absolute, such as model.path=/shared/models/NAME"
            )
        raise UserError("\n".join(lines))
    return [diagnostic for diagnostic in found if diagnostic.severity == "warning"]


def _is_remote(diagnostic: Diagnostic) -> bool:
    return any(os.path.isabs(path) and not Path(path).exists() for path in _paths(diagnostic))


def _paths(diagnostic: Diagnostic) -> list[str]:
    """Return the values of a diagnostic about the model or the data."""
    values: Sequence[object] = diagnostic.value if isinstance(diagnostic.value, (list, tuple)) else [diagnostic.value]
    of_paths = diagnostic.setting.startswith(("model.path", "data."))
    return [value for value in values if isinstance(value, str)] if of_paths else []
