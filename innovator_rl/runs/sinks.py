"""Send a run's metrics to the services a user asked for, in addition to the run directory.

`metrics.jsonl` is the record; a sink is a copy of it elsewhere and never stops a step. Each sink is two methods, `write` and
`close`, and its package is imported only when asked for. A run that resumes continues the same remote run: the service's id
is kept in `sinks.json` in the run directory.

    for name, sink in open_sinks(("wandb",), run, project="demo", resume_step=0).items():
        sink.write(step, {"reward/mean": 0.4})
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from innovator_rl.errors import UserError
from innovator_rl.runs.files import dump_json, json_safe, read_json, write_atomic
from innovator_rl.runs.run_dir import RunDir

IDS = "sinks.json"


class Sink(Protocol):
    """A receiver of metrics."""

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Receive the metrics of a step; several calls for one step add up."""

    def close(self) -> None:
        """Send what is buffered."""


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among `metrics`."""
    values = {name: json_safe(value) for name, value in metrics.items()}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


class WandbSink:
    """Weights & Biases; the run keeps its id, so that a resume adds to the same curves."""

    def __init__(self, run: RunDir, project: str) -> None:
        package = importlib.import_module("wandb")
        known = _ids(run.path).get("wandb")
        # wandb ignores steps below the last one it has: its own axis would lose what a resume trains again.
        self._run = package.init(project=project, name=run.name, id=known, resume="allow", dir=str(run.path))
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        _keep(run.path, "wandb", str(self._run.id))

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Log the numbers of a step."""
        self._run.log({**numbers(metrics), "step": step})

    def close(self) -> None:
        """Finish the upload."""
        self._run.finish()


class MlflowSink:
    """MLflow, at the server that MLFLOW_TRACKING_URI names; a resume continues the same run."""

    def __init__(self, run: RunDir, project: str) -> None:
        self._mlflow = importlib.import_module("mlflow")
        self._mlflow.set_experiment(project)
        known = _ids(run.path).get("mlflow")
        active = self._mlflow.start_run(run_id=known, run_name=None if known else run.name)
        _keep(run.path, "mlflow", str(active.info.run_id))

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Log the numbers of a step, under names that MLflow accepts."""
        allowed = {re.sub(r"[^\w\-./: ]", "_", name): value for name, value in numbers(metrics).items()}
        self._mlflow.log_metrics(allowed, step=step)

    def close(self) -> None:
        """End the run."""
        self._mlflow.end_run()


class TrackioSink:
    """Trackio, which keeps runs by name: a resume continues the run of the same name."""

    def __init__(self, run: RunDir, project: str) -> None:
        self._trackio = importlib.import_module("trackio")
        self._trackio.init(project=project, name=run.name, resume="allow")

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Log the numbers of a step."""
        self._trackio.log(numbers(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._trackio.finish()


SINKS: dict[str, Callable[[RunDir, str], Sink]] = {"wandb": WandbSink, "mlflow": MlflowSink, "trackio": TrackioSink}
"""Setting below `logging` -> the sink it turns on."""


def missing(name: str) -> str:
    """Say that a sink's package is not installed; empty where it is."""
    return (
        ""
        if find_spec(name)
        else f"logging.{name}=true: {name} not found; pip install {name}, or leave the setting out"
    )


def open_sinks(
    names: tuple[str, ...], run: RunDir, project: str, resume_step: int, tensorboard: bool
) -> dict[str, Sink]:
    """Open what a run reports to.

    Args:
        names: keys of `SINKS`.
        run: the run's directory.
        project: the name that groups runs.
        resume_step: last step kept from earlier attempts.
        tensorboard: whether events are written into the run directory.

    Raises:
        UserError: a package is not installed, or a service refuses the run.
    """
    sinks: dict[str, Sink] = {}
    if tensorboard:
        from innovator_rl.runs.tensorboard import TensorBoardWriter

        sinks["tensorboard"] = TensorBoardWriter(run.tensorboard, resume_step=resume_step)
    for name in names:
        if problem := missing(name):
            raise UserError(problem)
        try:
            sinks[name] = SINKS[name](run, project)
        except Exception as error:  # a service has errors of its own, all of which mean: no report
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"logging.{name}=true: {name} must accept the run and refused it: {reason}") from error
    return sinks


def _ids(folder: Path) -> dict[str, Any]:
    return read_json(folder / IDS) or {}


def _keep(folder: Path, name: str, value: str) -> None:
    write_atomic(folder / IDS, dump_json({**_ids(folder), name: value}))
