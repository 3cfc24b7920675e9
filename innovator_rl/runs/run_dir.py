"""Manage a run directory: its paths, run.json, heartbeat and status.

run.json describes a run and its last report. It cannot record that its writer was killed, so readers use
`RunDir.state`, which turns "running" into "dead" when the heartbeat is older than a minute or the process is gone.

    run = RunDir(resolve_runs_dir("runs") / "demo")
    attempt = run.open_attempt(resume_step=0)      # takes the lock, starts the heartbeat
    run.heartbeat(step=3, phase="generating")      # cheap: call at every change of step or phase
    run.finish("finished")
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from innovator_rl.errors import UserError
from innovator_rl.runs.files import dump_json, duration, seconds_since, utc_now, write_atomic
from innovator_rl.runs.lock import RunLock
from innovator_rl.runs.metrics import MetricsWriter, read_metrics
from innovator_rl.runs.provenance import find_process, git_state, machine, package_versions, process_identity
from innovator_rl.runs.reading import last_steps, read_record
from innovator_rl.secret_values import mask, mask_values

RUNS_DIR_VARIABLE = "INNOVATOR_RUNS_DIR"
DEFAULT_RUNS_DIR = "runs"
RUN_SCHEMA_VERSION = 1
HEARTBEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0
LIVE = ("starting", "running")
ENDED = ("finished", "failed", "stopped")

log = logging.getLogger(__name__)
RAY_UPLOADS = "working_dir_files"
"""The folder in which Ray unpacks a job's working directory."""


def resolve_runs_dir(runs_dir: str | Path = "runs") -> Path:
    """Return the absolute directory of the runs.

    An absolute `runs_dir` is used as it is. A relative one is replaced by the environment variable INNOVATOR_RUNS_DIR
    where that is set (`innovator submit` sets it). Otherwise it is below the current directory, or below the home
    directory where the current one is the uploaded copy of a Ray job, which Ray deletes.

    Raises:
        UserError: INNOVATOR_RUNS_DIR is not an absolute path.
    """
    path = Path(runs_dir).expanduser()
    if path.is_absolute():
        return path
    chosen = os.environ.get(RUNS_DIR_VARIABLE)
    if not chosen:
        uploaded = RAY_UPLOADS in Path.cwd().parts
        return (Path.home() if uploaded else Path.cwd()) / path
    base = Path(chosen).expanduser()
    if not base.is_absolute():
        raise UserError(
            f"{RUNS_DIR_VARIABLE}={chosen!r} must be an absolute path: set it to a directory that outlives the run"
        )
    return base


def find_runs_dir(runs_dir: str = DEFAULT_RUNS_DIR) -> Path:
    """Return the directory of the runs for a reader; the default one need not exist yet.

    Raises:
        UserError: The directory is not found.
    """
    folder = resolve_runs_dir(runs_dir)
    if runs_dir != DEFAULT_RUNS_DIR and not folder.is_dir():
        raise UserError(
            f"--runs-dir {runs_dir}: folder {str(folder)!r} not found; give the folder that holds your runs"
        )
    return folder


@dataclass(frozen=True)
class RunState:
    """The state of a run for readers; `status` may be "dead", `detail` is the reason."""

    name: str
    status: str
    detail: str = ""
    step: int = 0
    total_steps: int | None = None
    phase: str = ""
    attempt: int = 0
    heartbeat_age: float = float("inf")
    phase_age: float = float("inf")
    record: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def live(self) -> bool:
        """Return whether the run is being written now."""
        return self.status in LIVE


class RunDir:
    """One run's directory. Reading needs no lock.

    `open_attempt` makes this object its only writer.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.name = self.path.name
        self.run_json = self.path / "run.json"
        self.config_yaml = self.path / "config.yaml"
        self.verl_yaml = self.path / "verl.yaml"
        self.metrics_jsonl = self.path / "metrics.jsonl"
        self.rollouts = self.path / "rollouts"
        self.updates = self.path / "updates"
        self.held_out = self.path / "held_out"
        self.tokens = self.path / "tokens"
        self.checkpoints = self.path / "checkpoints"
        self.logs = self.path / "logs"
        self.tensorboard = self.path / "tensorboard"
        self._lock = RunLock(self.path / "run.lock")
        self._guard = threading.RLock()  # the heartbeat thread and the trainer both write run.json
        self._record: dict[str, Any] = {}
        self._ended = threading.Event()
        self._metrics: MetricsWriter | None = None

    def create(self) -> RunDir:
        """Make the directory and its parts; existing ones stay as they are."""
        for part in (self.path, self.rollouts, self.updates, self.tokens, self.checkpoints, self.logs):
            part.mkdir(parents=True, exist_ok=True)
        return self

    # Writing: one process at a time.

    def open_attempt(self, resume_step: int = 0, total_steps: int | None = None, ray_job_id: str | None = None) -> int:
        """Become the writer and return the number of the attempt, 1 for a new run.

        Args:
            resume_step: The last step kept from earlier attempts.
            total_steps: The number of steps of the whole run.
            ray_job_id: The id of the Ray job; by default the environment's.

        Raises:
            UserError: Another writer is alive.
        """
        self.create()
        self._lock.acquire()
        now = utc_now()
        record = read_record(self.run_json)[0] or {"created": now, "attempts": []}
        attempts = record["attempts"]
        for previous in attempts:
            if not previous.get("ended"):  # its writer was killed; the last heartbeat is the best end time
                previous.update(
                    ended=record.get("heartbeat", now), status="dead", cause="the process ended without a final status"
                )
        attempts.append(
            {
                "attempt": len(attempts) + 1,
                "started": now,
                "ended": None,
                "resumed_from_step": resume_step,
                "status": "starting",
                "cause": "",
            }
        )
        self._record = {
            **record,
            "schema_version": RUN_SCHEMA_VERSION,
            "name": self.name,
            "status": "starting",
            "cause": "",
            "step": resume_step,
            "total_steps": total_steps,
            "phase": "starting",
            "phase_since": now,
            "heartbeat": now,
            **process_identity(),
            "command": mask_values(sys.argv),
            "git": git_state(),
            "packages": package_versions(),
            "ray_job_id": ray_job_id or os.environ.get("RAY_JOB_ID"),
            "ray_submission_id": _submission_id(),
            "ray_dashboard": os.environ.get("INNOVATOR_RAY_DASHBOARD"),
            "attempts": attempts,
        }
        self._save()
        self._ended.clear()
        threading.Thread(target=self._beat, name="run-heartbeat", daemon=True).start()
        return len(attempts)

    def note(self, **fields: Any) -> None:
        """Add fields to run.json: `note(ray_job_id=..., dashboard="http://...")`."""
        with self._guard:
            self._record.update(fields)
            self._save()

    def heartbeat(self, step: int, phase: str) -> None:
        """Report step and phase.

        A background thread refreshes the time of the heartbeat, so that a long phase is not a dead run.
        """
        with self._guard:
            changed = (step, phase) != (self._record.get("step"), self._record.get("phase"))
            if not changed:
                return
            if phase != self._record.get("phase"):
                self._record["phase_since"] = utc_now()
            self._record.update(step=step, phase=phase, heartbeat=utc_now())
            if phase != "starting" and self._record.get("status") == "starting":
                self._set_status("running")
            self._save_quietly()

    def finish(self, status: str, cause: str = "") -> None:
        """End the attempt as finished, failed or stopped, and release the run.

        Args:
            status: One of `ENDED`.
            cause: The reason in words.
        """
        assert status in ENDED, f"status {status!r} is none of {ENDED}"
        self._ended.set()
        with self._guard:
            now = utc_now()
            cause = mask(cause)
            self._set_status(status, cause)
            self._record.update(heartbeat=now, cause=cause)
            self._record["attempts"][-1]["ended"] = now
            self._save_quietly()
            if self._metrics is not None:
                self._metrics.close()
                self._metrics = None
            self._lock.release()

    def write_metrics(self, step: int, metrics: dict[str, Any], sync: bool = False) -> None:
        """Append one step's metrics under the current attempt; `sync` waits until they are on the disk."""
        assert self._lock.held, "write_metrics needs open_attempt first"
        if self._metrics is None:
            self._metrics = MetricsWriter(self.metrics_jsonl)
        self._metrics.write(step, len(self._record["attempts"]), metrics, sync)

    def write_held_out(self, step: int, losses: dict[str, dict[int, tuple[float, int]]]) -> None:
        """Write the loss of every held-out sequence at a step: text -> sequence -> [nats, tokens]."""
        self.held_out.mkdir(exist_ok=True)
        write_atomic(self.held_out / f"step-{step}.json", dump_json(losses))

    def _set_status(self, status: str, cause: str = "") -> None:
        self._record["status"] = status
        self._record["attempts"][-1].update(status=status, cause=cause, step=self._record.get("step"))

    def _save(self) -> None:
        write_atomic(self.run_json, dump_json(self._record, indent=1))

    def _save_quietly(self) -> None:
        try:
            self._save()
        except OSError as error:  # a full disk must not end a training step
            log.warning("run.json of %s was not written: %s", self.name, error)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with self._guard:
                if not self._ended.is_set():
                    self._record["heartbeat"] = utc_now()
                    self._save_quietly()

    # Reading: any process, at any time.

    def metrics(self) -> list[dict[str, Any]]:
        """Return one dictionary per step, of the newest attempt of each."""
        return read_metrics(self.metrics_jsonl, self.superseded())

    def superseded(self) -> dict[int, int]:
        """Return the last step that counts, of each attempt that a later one superseded."""
        return last_steps((read_record(self.run_json)[0] or {"attempts": []})["attempts"])

    def state(self, now: datetime | None = None) -> RunState:
        """Return the state of the run.

        A directory without run.json has the status "unknown".
        """
        record, why = read_record(self.run_json)
        if record is None:
            return RunState(self.name, "unknown", f"run.json: {why}" if why else "no readable run.json")
        now = now or datetime.now(UTC)
        age = seconds_since(record.get("heartbeat") or "", now)
        status, detail = record.get("status") or "unknown", record.get("cause") or ""
        if status not in (*LIVE, *ENDED, "dead"):
            status = "unknown"
        if status in LIVE:
            gone = record.get("machine") == machine() and find_process(record) is None
            if gone:
                status, detail = "dead", f"process {record.get('pid')} is gone; last heartbeat {duration(age)} ago"
            elif age < -DEAD_AFTER_SECONDS:  # a time that is yet to come proves nothing about now
                status = status if record.get("machine") == machine() else "unknown"
                detail = f"clock ahead by {duration(-age)} on {record.get('host') or 'its machine'}"
            elif age > DEAD_AFTER_SECONDS:
                status, detail = "dead", "no heartbeat was recorded"
                if math.isfinite(age):
                    sender = f"process {record.get('pid')} on {record.get('host') or 'its machine'}"
                    detail = f"no heartbeat for {duration(age)} from {sender}"
        return RunState(
            name=self.name,
            status=status,
            detail=detail,
            step=record.get("step") or 0,
            total_steps=record.get("total_steps"),
            phase=record.get("phase") or "",
            attempt=len(record["attempts"]),
            heartbeat_age=age,
            phase_age=seconds_since(record.get("phase_since") or "", now),
            record=record,
        )


def _submission_id() -> str | None:
    # Ray passes a submitted job's configuration to its driver in this variable.
    try:
        submitted = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
        return (submitted.get("metadata") or {}).get("job_submission_id")
    except (ValueError, AttributeError):
        return None


def page_link(run: RunDir) -> str:
    """Return the URL of the run in the dashboard.

    The dashboard is at INNOVATOR_DASHBOARD_URL, or on this machine at its default port.
    """
    base = os.environ.get("INNOVATOR_DASHBOARD_URL", "http://127.0.0.1:8000").rstrip("/")
    return f"{base}/#/runs/{quote(run.name, safe='')}"


def list_runs(runs_dir: Path) -> list[RunDir]:
    """Return every run below `runs_dir`, newest first by creation time."""
    found = [RunDir(path.parent) for path in runs_dir.glob("*/run.json")]
    return sorted(found, key=lambda run: str((read_record(run.run_json)[0] or {}).get("created") or ""), reverse=True)
