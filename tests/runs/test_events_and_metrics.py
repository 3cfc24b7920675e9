"""Events are whole lines that become a trace, and runs are metrics that Prometheus reads."""

import json
import threading
import urllib.request
from pathlib import Path

import pytest

from innovator_rl.cli.main import main
from innovator_rl.runs import prometheus
from innovator_rl.runs.events import NAME, EventLog, read_events, trace
from innovator_rl.runs.run_dir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "runs" / 'demo"x')
    for attempt in (1, 2):
        run.open_attempt(total_steps=9)
        log = EventLog(run.path, run.name, attempt)
        log.write("phase", 3, phase="generating", detail="vLLM")
        log.write("dropped", 3, prompt_uid=f"uid-{attempt}", reason="all_wrong")
        log.write("phase", 3, phase="updating", detail="")
        log.write("step", 3, seconds=2.5, reward=0.5)
        log.close()
        run.heartbeat(3, "updating")
        run.write_metrics(3, {"critic/score/mean": 0.5 * attempt, "actor/entropy": float("nan")})
        run.finish("failed" if attempt == 1 else "finished")
    return run


def test_a_trace_has_the_phases_of_the_last_attempt(run: RunDir) -> None:
    events = list(read_events(run.path / NAME))
    assert all({"time", "run", "attempt", "step", "event"} <= event.keys() for event in events)
    found = trace(events, 3)["traceEvents"]
    phases = [event for event in found if event["ph"] == "X"]
    assert [event["name"] for event in phases] == ["generating vLLM", "updating"]
    assert phases[0]["ts"] + phases[0]["dur"] == phases[1]["ts"]
    assert [event["args"]["prompt_uid"] for event in found if event["ph"] == "i"] == ["uid-2"]
    assert [event for event in trace(events, 4)["traceEvents"] if event["ph"] != "M"] == []


def test_a_torn_line_costs_itself_alone(run: RunDir) -> None:
    before = len(list(read_events(run.path / NAME)))
    with (run.path / NAME).open("a") as file:
        file.write('{"time": "2026')
    assert len(list(read_events(run.path / NAME))) == before


def test_values_of_secrets_stay_out_of_events(tmp_path: Path) -> None:
    log = EventLog(tmp_path, "demo", 1)
    log.write("phase", 0, phase="starting", detail="judge(api_key='sk-1')")
    log.close()
    assert "sk-1" not in (tmp_path / NAME).read_text()


def test_metrics_have_one_type_each_and_escaped_labels(run: RunDir) -> None:
    text = prometheus.render([run])
    assert 'innovator_run_status{run="demo\\"x",status="finished"} 1' in text
    assert 'innovator_run_status{run="demo\\"x",status="running"} 0' in text
    assert 'innovator_metric{run="demo\\"x",name="critic/score/mean"} 1' in text
    assert "nan" not in text.lower()
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) >= 5


def test_the_endpoint_answers_scrapes_and_nothing_else(run: RunDir) -> None:
    with prometheus.server(run.path.parent, "127.0.0.1", 0) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{serving.server_port}"
        with urllib.request.urlopen(f"{base}/metrics", timeout=20) as answer:
            assert answer.read().decode().startswith("# HELP innovator_run_status")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{base}/", timeout=20)
        serving.shutdown()


def test_the_commands(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNOVATOR_RUNS_DIR", str(run.path.parent))

    def call(*words: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(["runs", *words])
        return int(stop.value.code or 0)

    assert call("metrics") == 0
    assert "innovator_run_step" in capsys.readouterr().out
    assert call("metrics", "--listen", "nowhere") == 2
    out = tmp_path / "trace.json"
    assert call("trace", run.name, "--step", "3", "--out", str(out)) == 0
    assert len(json.loads(out.read_text())["traceEvents"]) == 5
    assert call("trace", run.name, "--step", "8", "--out", str(out)) == 2
