"""Spans of a recorded step describe each sample once, join in a tree, and never stop a run."""

from collections import Counter
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from innovator_rl.cli.main import main
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow
from innovator_rl.rollouts.spans import SpanSink, export, step_spans
from innovator_rl.runs.events import EventLog
from innovator_rl.runs.run_dir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "runs" / "demo")
    run.open_attempt(total_steps=2)
    log = EventLog(run.path, run.name, 1)
    recorder = Recorder(run.path, writer="trainer", attempt=1)
    for step in (1, 2):
        log.write("phase", step, phase="generating")
        for uid in ("a", "b"):
            for sample in range(2):
                recorder.rollout(
                    RolloutRow(
                        step=step, prompt_uid=uid, sample=sample, data_source="sums", prompt_tokens=5, response_tokens=7,
                        reward=float(sample), correct=bool(sample), outcome="error" if (uid, sample) == ("b", 1) else "scored",
                        reason="timeout" if (uid, sample) == ("b", 1) else "correct", generate_seconds=2.0,
                        queued_seconds=0.25, reward_seconds=0.5, prompt="a secret question", response="a secret answer",
                    )
                )  # fmt: skip
                recorder.update(UpdateRow(step=step, prompt_uid=uid, sample=sample, kept=uid == "a", drop_reason=""))
        log.write("phase", step, phase="updating")
        log.write("phase", step, phase="syncing")
        log.write("step", step, seconds=1.0)
    recorder.close()
    log.close()
    return run


def test_each_sample_has_its_spans_in_order_and_only_trained_ones_an_update(run: RunDir) -> None:
    memory = InMemorySpanExporter()
    assert export(step_spans(run.path, 1), memory)
    spans = memory.get_finished_spans()
    assert Counter(span.name for span in spans) == {
        "step": 1, "phase generating": 1, "phase updating": 1, "phase syncing": 1,
        "sample": 4, "generate": 4, "score": 4, "update": 2,
    }  # fmt: skip
    assert len({span.context.span_id for span in spans}) == len(spans)
    by_id = {span.context.span_id: span for span in spans}
    for sample in (span for span in spans if span.name == "sample"):
        parts = {span.name: span for span in spans if span.parent and span.parent.span_id == sample.context.span_id}
        assert parts["generate"].end_time - parts["generate"].start_time == pytest.approx(2e9, abs=2e6)
        assert parts["score"].start_time - parts["generate"].end_time == pytest.approx(0.25e9, abs=2e6)
        assert ("update" in parts) == (sample.attributes["innovator.prompt_uid"] == "a")
        assert by_id[sample.parent.span_id].name == "step"
        assert sample.attributes["gen_ai.usage.output_tokens"] == 7
        assert all(sample.start_time <= span.start_time <= span.end_time <= sample.end_time for span in parts.values())
    failed = [span for span in spans if not span.status.is_ok]
    assert {span.status.description for span in failed} == {"timeout"}
    assert {span.name for span in failed} == {"sample", "score"}
    assert "secret" not in "".join(span.to_json() for span in spans)


def test_exporting_twice_gives_the_same_spans(run: RunDir) -> None:
    assert step_spans(run.path, 2) == step_spans(run.path, 2)
    assert {span.trace for span in step_spans(run.path, 1)}.isdisjoint(span.trace for span in step_spans(run.path, 2))
    assert step_spans(run.path, 3) == []


def test_a_sink_exports_every_step_once(run: RunDir) -> None:
    memory = InMemorySpanExporter()
    sink = SpanSink(run, memory)
    for step in (1, 1, 2):
        sink.write(step, {})
    sink.close()
    assert Counter(span.name for span in memory.get_finished_spans())["step"] == 2


class Refusing(SpanExporter):
    """A collector that accepts nothing."""

    def __init__(self) -> None:
        self.calls = 0

    def export(self, spans: object) -> SpanExportResult:
        self.calls += 1
        return SpanExportResult.FAILURE


def test_a_collector_that_refuses_is_reported_once_and_asked_no_more(run: RunDir) -> None:
    target = Refusing()
    sink = SpanSink(run, target)
    sink.write(1, {})
    sink.write(2, {})
    with pytest.raises(ConnectionError, match="innovator runs spans demo"):
        sink.close()
    assert target.calls == 1


def test_the_command_names_a_collector_that_does_not_answer(
    run: RunDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("innovator_rl.rollouts.spans.EXPORT_SECONDS", 0.2)
    for words, message in (([], "http://127.0.0.1:9"), (["--step", "7"], "recorded steps 1 to 2")):
        with pytest.raises(SystemExit) as stop:
            main(["runs", "spans", "demo", "--runs-dir", str(run.path.parent), *words])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
