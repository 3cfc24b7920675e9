"""`innovator runs` on a small recorded run, as a person and a script see it."""

import json
import socket
from pathlib import Path

import pytest

from innovator_rl.cli.main import main
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow
from innovator_rl.runs.run_dir import RunDir


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two attempts of one run: two groups a step, one kept, one all wrong; a validation at step 2."""
    run = RunDir(tmp_path / "runs" / "demo")
    for attempt, steps in ((1, (1, 2)), (2, (2,))):
        assert run.open_attempt(resume_step=steps[0] - 1, total_steps=2) == attempt
        with_kind = [("train", step) for step in steps] + [("validation", 2)]
        recorder = Recorder(run.path, writer="test", attempt=attempt)
        for kind, step in with_kind:
            for uid, marks in (("first", (1, 0)), ("second", (0, 0))):
                for sample, mark in enumerate(marks):
                    recorder.rollout(
                        RolloutRow(
                            step=step,
                            kind=kind,
                            prompt_uid=f"{uid}-{step}",
                            sample=sample,
                            domain="physics",
                            prompt="What is the unit of force?",
                            answer="newton",
                            reward=float(mark),
                            correct=bool(mark),
                            reason="correct" if mark else "wrong_unit",
                            response=f"The {'newton' if mark else 'joule'}.\x1b[31m",
                            response_tokens=4,
                        )
                    )
                    if kind == "train" and uid == "first":
                        recorder.update(
                            UpdateRow(step=step, prompt_uid=f"{uid}-{step}", sample=sample, kept=True, advantage=1.0)
                        )
        recorder.close()
        for step in steps:
            run.heartbeat(step, "updating")
            run.write_metrics(step, {"critic/score/mean": 0.25 * attempt, "actor/entropy": 1.5})
        run.finish("finished" if attempt == 2 else "failed", "" if attempt == 2 else "out of memory")
    monkeypatch.setenv("INNOVATOR_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["runs", *words])
    shown = capsys.readouterr()
    return int(stop.value.code or 0), shown.out, shown.err


def test_list(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list")
    assert code == 0
    assert out.splitlines()[1].split()[:4] == ["demo", "finished", "2/2", "2"]
    _, out, _ = call(capsys, "list", "--json")
    (row,) = json.loads(out)
    assert (row["status"], row["step"], row["reward"]) == ("finished", 2, 0.5)
    (runs / "empty").mkdir()
    code, out, _ = call(capsys, "list", "--runs-dir", str(runs / "empty"))
    assert (code, out) == (0, f"no runs in {runs / 'empty'}\n")


@pytest.mark.parametrize("command", ["list", "metrics"])
def test_a_folder_of_runs_that_does_not_exist_is_a_mistake(
    command: str, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call(capsys, command, "--runs-dir", str(runs / "absent"))
    assert (code, out) == (2, "")
    assert f"folder {str(runs / 'absent')!r} not found" in err
    monkeypatch.setenv("INNOVATOR_RUNS_DIR", str(runs / "absent"))
    assert call(capsys, command)[0] == 0, "nothing was trained yet"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:99999", "port up to 65535"),
        ("127.0.0.1:²", "must be HOST:PORT"),
        ("no.such.host.invalid:9400", "the host is not found; expected an address of this machine"),
        ("a..b:9400", "the host is not found"),
        ("192.0.2.1:9400", "the host is another machine"),
    ],
)
def test_an_address_that_cannot_be_listened_on_says_what_to_change(
    address: str, message: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host, _, port = address.rpartition(":")
    code, _, err = call(capsys, "metrics", "--listen", address)
    assert (code, message in err) == (2, True), err
    if port == "9400":
        with pytest.raises(SystemExit) as stop:
            main(["dashboard", str(runs), "--host", host, "--port", port, "--token", "x" * 32])
        assert (stop.value.code, message in capsys.readouterr().err) == (2, True)


def test_a_port_in_use_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = call(capsys, "metrics", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (code, "choose another port" in err) == (2, True), err


def test_show_a_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "show", "demo")
    assert code == 0
    for text in (
        "demo: finished",
        "attempt 1: from step 0, failed (out of memory)",
        "step 2: physics 25%",
        "1 kept, 1 dropped (all_wrong 1)",
        "actor/entropy",
        "reason correct",
        "What is the unit of force?",
    ):
        assert text in out
    assert "\x1b" not in out
    facts = json.loads(call(capsys, "show", "demo", "--json")[1])
    assert facts["last_validation"]["domains"]["physics"]["accuracy"] == 0.25


def test_show_a_step_and_a_group(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "show", "demo", "--step", "2")
    assert "2 prompts" in out
    assert "dropped: all_wrong" in out
    _, out, _ = call(capsys, "show", str(runs / "demo"), "--step", "2", "--group", "first-2")
    assert "1 of 2 correct (50%)" in out
    assert out.index("The newton.") < out.index("The joule.")
    rows = json.loads(call(capsys, "show", "demo", "--step", "2", "--group", "first-2", "--json")[1])
    assert [row["advantage"] for row in rows] == [1.0, 1.0]


def test_mistakes_are_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (("show", "dmo"), "run 'dmo' not found: no run.json"),
        (("show", "demo", "--step", "9"), "recorded train steps of 'demo' are 1 to 2"),
        (("show", "demo", "--group", "x"), "no such prompt in step 2"),
        (("show", "demo", "--kind", "test"), "'test' is not one of 'train', 'validation'"),
        (("stop", "demo"), "run 'demo' is not running: finished"),
        (("export", "demo", "--out", "x.csv"), "must end in .parquet or .jsonl"),
    ):
        code, _, err = call(capsys, *words)
        assert code == 2
        assert message in err
        assert len(err.splitlines()) == 1


def test_export(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out" / "demo.jsonl"
    code, shown, _ = call(capsys, "export", "demo", "--out", str(out), "--kind", "train")
    assert (code, shown) == (0, f"8 responses of demo in {out}\n")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {(row["step"], row["attempt"]) for row in rows} == {(1, 1), (2, 2)}


def test_a_remote_traceback_is_its_last_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDir(runs / "demo")
    run.open_attempt()
    run.finish(
        "failed", 'RayTaskError: ray::Worker.step()\n  File "worker.py", line 3\nValueError: 3 rows, expected 4\n'
    )
    listed = call(capsys, "list")[1].splitlines()
    assert len(listed) == 2
    assert listed[1].endswith("  ValueError: 3 rows, expected 4")
    assert call(capsys, "show", "demo")[1].splitlines()[0] == "demo: failed (ValueError: 3 rows, expected 4)"
    assert "line 3" in json.loads(call(capsys, "list", "--json")[1])[0]["detail"]
