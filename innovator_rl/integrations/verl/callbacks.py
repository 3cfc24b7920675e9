"""Write metrics.jsonl, heartbeat, events, dropped groups and progress.

One object is between the trainer and everything that observes it. A sink that fails is reported once and never stops a
step.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from innovator_rl.errors import InnovatorError
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import UpdateRow
from innovator_rl.runs.events import EventLog
from innovator_rl.runs.progress import Progress
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.runs.sinks import Sink
from innovator_rl.runs.summary import step_figures, trained_domains

log = logging.getLogger(__name__)


class StopRequested(InnovatorError):
    """A user's request that the run end, raised between two steps.

    It comes from Ctrl-C or `innovator runs stop`, after a checkpoint.
    """


class RunCallbacks:
    """The trainer's `Observer` that writes to a run directory."""

    def __init__(
        self, run: RunDir, attempt: int, samples_per_prompt: int, progress: Progress, sinks: Mapping[str, Sink]
    ) -> None:
        self.run, self.progress, self.sinks = run, progress, dict(sinks)
        self._failed: set[str] = set()
        self.recorder = Recorder(run.path, writer="trainer", attempt=attempt)
        self.log: EventLog | None = None
        self._guard("events.jsonl", lambda: self._open_log(attempt))
        self.samples_per_prompt = samples_per_prompt
        self.stop_requested = False

    def _open_log(self, attempt: int) -> None:
        self.log = EventLog(self.run.path, self.run.name, attempt)

    def event(self, event: str, step: int, **fields: Any) -> None:
        """Write one line to events.jsonl."""
        if self.log is not None:
            written = self.log
            self._guard("events.jsonl", lambda: written.write(event, step, **fields))

    def request_stop(self) -> bool:
        """Request an end after the current step.

        Return False if that was requested before.
        """
        if self.stop_requested:
            return False
        self.stop_requested = True
        self.event("stop_requested", int(self.run.state().step))
        self._guard(
            "progress",
            lambda: self.progress.note("stopping after this step, with a checkpoint; once more stops at once"),
        )
        return True

    def phase(self, name: str, step: int) -> None:
        """Enter a phase; a name such as `starting: vLLM` has a detail after the colon."""
        kind, _, detail = name.partition(": ")
        self.event("phase", step, phase=kind, detail=detail)
        self._guard("run.json", lambda: self.run.heartbeat(step=step, phase=kind))
        self._guard("progress", lambda: self.progress.phase(kind, step=step, detail=detail))

    def notice(self, text: str) -> None:
        """Show a remark, and keep the latest in run.json."""
        self._guard("progress", lambda: self.progress.note(text))
        self._guard("run.json", lambda: self.run.note(notice=text))

    def abandoned(self, cause: str) -> None:
        """Record how a run ended whose process ends now."""
        self._guard("progress", lambda: self.progress.note(cause))
        self._guard("run.json", lambda: self.run.finish("failed", cause=cause))

    def sampling(self, step: int, kept: int, wanted: int, in_flight: int, dropped: dict[str, int]) -> None:
        """Show how far dynamic sampling is."""
        self._guard(
            "progress", lambda: self.progress.sampling(kept=kept, wanted=wanted, in_flight=in_flight, dropped=dropped)
        )

    def sampled(self, step: int, reasons: dict[str, str]) -> None:
        """Record dropped groups, one row per sample.

        The engine that trains a sample records it.
        """
        rows = (
            UpdateRow(step=step, prompt_uid=uid, sample=sample, kept=False, drop_reason=reason)
            for uid, reason in reasons.items()
            for sample in range(self.samples_per_prompt)
        )
        self._guard("updates", lambda: self._record(rows))
        for uid, reason in reasons.items():
            self.event("dropped", step, prompt_uid=uid, reason=reason)

    def _record(self, rows: Iterable[UpdateRow]) -> None:
        for row in rows:
            self.recorder.update(row)

    def saving(self, step: int, metrics: dict[str, float]) -> None:
        """Put what is known of a step on the disk before its checkpoint counts."""
        if metrics:
            self._guard("metrics.jsonl", lambda: self.run.write_metrics(step, dict(metrics), sync=True))
        self._guard("updates", self.recorder.flush)

    def step(self, step: int, metrics: dict[str, float]) -> None:
        """Write the metrics of a completed step to every sink."""
        self._guard("metrics.jsonl", lambda: self.run.write_metrics(step, dict(metrics)))
        figures = step_figures(metrics)
        self.event("step", step, seconds=figures.get("seconds"), reward=figures.get("reward"))
        self._events(step, metrics)
        self._guard("rollouts", lambda: self.recorder.compact(step - 1))
        self._guard("progress", lambda: self.progress.step(step, metrics, domains=trained_domains(metrics)))

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        """Write the metrics of a validation to every sink."""
        self._guard("metrics.jsonl", lambda: self.run.write_metrics(step, dict(metrics)))
        self.event("validation", step)
        self._events(step, metrics)
        self._guard("progress", lambda: self.progress.validation(step, metrics))

    def _events(self, step: int, metrics: dict[str, float]) -> None:
        for name, sink in self.sinks.items():
            self._guard(name, functools.partial(sink.write, step, metrics))

    def close(self) -> None:
        """Write what is buffered and stop the display."""
        self._guard("updates", self.recorder.close)
        for name, sink in self.sinks.items():
            self._guard(name, sink.close)
        self._guard("progress", self.progress.close)
        if self.log is not None:
            self._guard("events.jsonl", self.log.close)

    def _guard(self, sink: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as error:  # a full disk or a closed terminal must not end a training step
            if sink not in self._failed:
                self._failed.add(sink)
                log.warning("%s is no longer written: %s: %s", sink, type(error).__name__, error)
