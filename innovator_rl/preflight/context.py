"""Describe what every check reads: run, machine, model, data and `auto` values."""

from dataclasses import dataclass
from pathlib import Path

from innovator_rl.config.resolve import Platform, Resolved, RuntimeContext
from innovator_rl.config.schema import RunConfig
from innovator_rl.models import ModelInfo
from innovator_rl.preflight.datafiles import DataFile
from innovator_rl.preflight.machine import Machine


@dataclass(frozen=True)
class PreflightContext:
    """A run that is about to be checked.

    `model` is None where its config.json could not be read without the network.
    """

    config: RunConfig
    machine: Machine
    platform: Platform
    resolved: Resolved
    model: ModelInfo | None
    model_folder: Path | None
    train: tuple[DataFile, ...]
    validation: tuple[DataFile, ...]
    run_dir: Path

    @property
    def workers(self) -> int:
        """Training processes over all nodes."""
        return self.config.resources.nodes * self.config.resources.accelerators_per_node

    @property
    def cluster(self) -> str | None:
        """The address of an existing Ray cluster that the run will join.

        Launch decides it by the same function.
        """
        return self.config.resources.ray_address or self.machine.environment.get("RAY_ADDRESS") or None

    def runtime_context(self) -> RuntimeContext:
        """Return the context with which verl's configuration can be composed for a check."""
        return RuntimeContext(
            model_path=str(self.model_folder or self.config.model.path),
            is_moe=bool(self.model and self.model.is_moe),
            train_files=tuple(str(file.path) for file in self.train),
            validation_files=tuple(str(file.path) for file in self.validation),
            checkpoint_dir=str(self.run_dir / "checkpoints"),
            platform=self.platform,
            threads=self.machine.cores,
            head_dim=self.model.head_dim if self.model else None,
            run_dir=str(self.run_dir),
        )
