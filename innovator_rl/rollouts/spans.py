"""Export a run as OpenTelemetry spans: a trace per step, and in it each sample's generation, score and update.

    innovator train CONFIG logging.opentelemetry=true       # each step as soon as it is complete
    innovator runs spans demo --step 12                     # later, from the run directory alone

Spans are read from the run directory, so that training does not wait for a collector, and a crashed run has them too. Their
ids follow from run, step, attempt, prompt and sample: exporting a step twice gives the same spans. They hold counts, times
and scores, never prompts or responses. Where they go is OpenTelemetry's own setting, OTEL_EXPORTER_OTLP_ENDPOINT.

| span | from | to |
|---|---|---|
| `step` | the first phase | the last event of the step |
| `phase NAME` | a phase | the next one |
| `sample` | its request | the end of its update, or its score |
| `generate`, `score` | its request, the call of the rewarder | the last token, the score |
| `update` | the phase of the update | its end; only where the sample was trained on |
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import xxhash

from innovator_rl.errors import UserError
from innovator_rl.rollouts.store import Store
from innovator_rl.runs.events import NAME, read_events
from innovator_rl.runs.run_dir import RunDir

BATCH = 512
"""Spans of one request to a collector."""
ATTRIBUTES = {
    "prompt_uid": "innovator.prompt_uid",
    "sample": "innovator.sample",
    "data_source": "innovator.data_source",
    "rewarder": "innovator.rewarder",
    "reward": "innovator.reward",
    "correct": "innovator.correct",
    "outcome": "innovator.outcome",
    "reason": "innovator.reason",
    "drop_reason": "innovator.drop_reason",
    "advantage": "innovator.advantage",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "response_tokens": "gen_ai.usage.output_tokens",
    "finish_reason": "gen_ai.response.finish_reason",
}
"""Column -> attribute of the sample's span; token counts have the names of OpenTelemetry's conventions."""


@dataclass(frozen=True)
class Span:
    """One span; `parent` is 0 for the root, times are nanoseconds since 1970."""

    name: str
    trace: int
    id: int
    parent: int
    start: int
    end: int
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def step_spans(run: Path, step: int) -> list[Span]:
    """Return the spans of a step, its newest attempt's.

    Args:
        run: A run directory.
        step: The step.
    """
    rows = Store(run).rollouts(step)
    events = [event for event in read_events(run / NAME) if event.get("step") == step]
    attempt = max([*(int(row["attempt"]) for row in rows), *(int(e.get("attempt") or 0) for e in events)], default=0)
    moments = [(_nanoseconds(event["time"]), event) for event in events if event.get("attempt") == attempt]
    phases = [(time, event) for time, event in moments if event["event"] == "phase"]
    names = Names(run.name, step, attempt)
    ends = [*(time for time, _ in phases[1:]), moments[-1][0]] if phases else []
    spans = [
        names.span(f"phase {event.get('phase')}", names.root, time, end, number)
        for number, ((time, event), end) in enumerate(zip(phases, ends, strict=True))
    ]
    update = next(((span.start, span.end) for span in reversed(spans) if span.name == "phase updating"), None)
    for row in rows:
        spans += _sample_spans(names, row, update)
    if not spans:
        return []
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    attributes = {"innovator.run": run.name, "innovator.step": step, "innovator.attempt": attempt}
    return [Span("step", names.trace, names.root, 0, start, end, attributes), *spans]


def _sample_spans(names: Names, row: Mapping[str, Any], update: tuple[int, int] | None) -> Iterator[Span]:
    key = (row["prompt_uid"], row["sample"])
    scored = round(row["written_at"].replace(tzinfo=UTC).timestamp() * 1e9)
    called = scored - round((row["reward_seconds"] or 0.0) * 1e9)
    generated = called - round((row["queued_seconds"] or 0.0) * 1e9)
    asked = generated - round((row["generate_seconds"] or 0.0) * 1e9)
    trained = update if row["kept"] else None
    attributes = {name: row[column] for column, name in ATTRIBUTES.items() if row.get(column) is not None}
    error = str(row["reason"] or "failed") if row["outcome"] == "error" or row["status"] == "failed" else ""
    end = max(scored, trained[1]) if trained else scored
    whole = names.span("sample", names.root, asked, end, *key, attributes=attributes, error=error)
    yield whole
    yield names.span("generate", whole.id, asked, generated, *key)
    yield names.span("score", whole.id, called, scored, *key, error=error)
    if trained:
        yield names.span("update", whole.id, *trained, *key)


class Names:
    """The ids of a step's spans, the same in every export."""

    def __init__(self, run: str, step: int, attempt: int) -> None:
        self._key = f"{run}\n{step}\n{attempt}"
        self.trace = xxhash.xxh3_128_intdigest(self._key.encode()) or 1
        self.root = self._id("step")

    def _id(self, *parts: object) -> int:
        return xxhash.xxh3_64_intdigest("\n".join([self._key, *map(str, parts)]).encode()) or 1

    def span(
        self,
        name: str,
        parent: int,
        start: int,
        end: int,
        *key: object,
        attributes: dict[str, Any] | None = None,
        error: str = "",
    ) -> Span:
        """Return a span whose id follows from its name and key."""
        return Span(name, self.trace, self._id(name, *key), parent, start, max(start, end), attributes or {}, error)


def _nanoseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1e9)


def missing() -> str:
    """Say which package is not installed; empty where both are."""
    for module, package in (
        ("opentelemetry.sdk", "opentelemetry-sdk"),
        ("opentelemetry.exporter.otlp.proto.http", "opentelemetry-exporter-otlp-proto-http"),
    ):
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"the package {package} not found; pip install 'innovator-rl[telemetry]'"
    return ""


def exporter() -> Any:
    """Return OpenTelemetry's exporter over HTTP.

    Raises:
        UserError: Its package is not installed.
    """
    if problem := missing():
        raise UserError(problem)
    module = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    return module.OTLPSpanExporter(timeout=EXPORT_SECONDS)


EXPORT_SECONDS = 10
"""Seconds after which a collector that does not answer is given up."""


def export(spans: list[Span], target: Any) -> bool:
    """Send spans to an exporter of OpenTelemetry.

    Args:
        spans: The spans.
        target: An object with `export`, for example `exporter()`.

    Returns:
        Whether the exporter accepted all of them.
    """
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

    resource = Resource.create({"service.name": "innovator-rl"})
    scope = InstrumentationScope("innovator_rl")

    def context(span: Span, number: int) -> Any:
        return SpanContext(span.trace, number, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    for first in range(0, len(spans), BATCH):
        readable = [
            ReadableSpan(
                name=span.name,
                context=context(span, span.id),
                parent=context(span, span.parent) if span.parent else None,
                resource=resource,
                attributes=span.attributes,
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
                start_time=span.start,
                end_time=span.end,
                instrumentation_scope=scope,
            )
            for span in spans[first : first + BATCH]
        ]
        if target.export(readable) is not SpanExportResult.SUCCESS:
            return False
    return True


class SpanSink:
    """A sink that exports each step once the next one is complete: by then every response of it is on the disk.

    A thread exports, so that no step waits for a collector. After the first failure nothing more is sent: the spans stay in
    the run directory, and `innovator runs spans` sends them later.
    """

    def __init__(self, run: RunDir, target: Any = None) -> None:
        self._run = run
        self._target = exporter() if target is None else target
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spans")
        self._sent: list[Future[None]] = []
        self._last: int | None = None
        self._stopped = False

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Note a complete step, and export the one before.

        Raises:
            ConnectionError: The collector did not accept an earlier step.
        """
        last, self._last = self._last, step
        if last is not None and last != step and not self._stopped:
            self._sent.append(self._thread.submit(self._export, last))
        self._report()

    def close(self) -> None:
        """Export the last step, and wait a limited time for what is on its way."""
        if self._last is not None and not self._stopped:
            self._sent.append(self._thread.submit(self._export, self._last))
        wait(self._sent, timeout=2 * EXPORT_SECONDS)
        try:
            self._report()
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._target.shutdown()

    def _report(self) -> None:
        done = [sent for sent in self._sent if sent.done()]
        self._sent = [sent for sent in self._sent if not sent.done()]
        for sent in done:
            sent.result()

    def _export(self, step: int) -> None:
        if self._stopped:
            return
        if not export(step_spans(self._run.path, step), self._target):
            self._stopped = True
            raise ConnectionError(
                f"no collector accepted the spans of step {step}; `innovator runs spans {self._run.name}` sends them later"
            )
