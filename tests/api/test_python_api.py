"""The Python interface: cheap to import, typed, and the same answers as the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import innovator_rl as ir
from innovator_rl import api
from innovator_rl.errors import EngineError
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow
from innovator_rl.runs.run_dir import RunDir
from upcycle.checkpoint.verify import Check


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A run of two steps with one group of two responses each."""
    run = RunDir(tmp_path / "runs" / "demo")
    attempt = run.open_attempt(total_steps=2)
    recorder = Recorder(run.path, writer="test", attempt=attempt)
    for step in (1, 2):
        for sample, mark in enumerate((1.0, 0.0)):
            recorder.rollout(
                RolloutRow(
                    step=step,
                    prompt_uid=f"p{step}",
                    sample=sample,
                    domain="physics",
                    prompt="Which unit has force?",
                    answer="newton",
                    reward=mark,
                    correct=bool(mark),
                    reason="correct" if mark else "wrong",
                    response="newton" if mark else "joule",
                )
            )
            recorder.update(UpdateRow(step=step, prompt_uid=f"p{step}", sample=sample, kept=True, advantage=mark - 0.5))
    recorder.close()
    for step in (1, 2):
        run.heartbeat(step, "updating")
        run.write_metrics(step, {"actor/entropy": 1.5 / step} | ({"extra/late": 1.0} if step == 2 else {}))
    run.config_yaml.write_text("name: demo\nschedule: {steps: 2}\n")
    run.finish("finished")
    return run.path


def test_the_import_is_cheap_and_the_names_are_listed() -> None:
    code = (
        "import sys, innovator_rl as ir\n"
        "heavy = ('torch', 'verl', 'ray', 'pydantic', 'pyarrow', 'typer')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "print({'train', 'score', 'open_run', 'upcycle', 'Run', 'UserError'} <= set(dir(ir)))\n"
        "ir.train, ir.score, ir.open_run, ir.upcycle\n"
        "print([name for name in ('torch', 'verl', 'ray') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines() == ["[]", "True", "[]"], result.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        ir.trian  # noqa: B018


def test_score_returns_one_typed_score_per_row_in_order() -> None:
    scores = ir.score([{"response": str(i), "answer": "3"} for i in range(5)], reward="math", workers=1)
    assert [score.correct for score in scores] == [False, False, False, True, False]
    assert all(isinstance(score, ir.Score) for score in scores)


def test_score_takes_a_function_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_reward_module.py").write_text("def same(response, answer):\n    return response == answer\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from own_reward_module import same

    assert [s.correct for s in ir.score([{"response": "a", "answer": "a"}, {"response": "b"}], reward=same)] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("row", "reward", "message"),
    [
        ({"response": "x"}, "maht", "did you mean math"),
        ({"response": "x"}, len, "at the top level of a file"),
        ({"answer": "x"}, "math", "`response` must be a string"),
        ({"response": "x", "info": "{"}, "math", "`info` must be an object"),
        ({"response": "x", "info": [1]}, "math", "`info` must be an object, got list"),
    ],
)
def test_a_mistake_in_the_rows_is_a_user_error(row: dict[str, object], reward: object, message: str) -> None:
    with pytest.raises(ir.UserError, match=message):
        ir.score([row], reward=reward)  # type: ignore[arg-type]


def test_a_run_is_facts_metrics_and_rollouts(recorded: Path) -> None:
    run = ir.open_run(recorded)
    assert (run.name, run.state.status, run.state.step) == ("demo", "finished", 2)
    assert run.config.schedule.steps == 2
    assert run.steps() == [1, 2]
    metrics = run.metrics()
    assert isinstance(metrics, pa.Table)
    assert metrics["actor/entropy"].to_pylist() == [1.5, 0.75]
    assert metrics["extra/late"].to_pylist() == [None, 1.0]
    rollouts = run.rollouts()
    assert rollouts.aggregate("step, avg(reward) AS reward", "step").order("step").fetchall() == [(1, 0.5), (2, 0.5)]
    table = run.rollouts(steps=2, kind="train").to_arrow_table()
    assert sorted(table["response"].to_pylist()) == ["joule", "newton"]
    assert sorted(table["advantage"].to_pylist()) == [-0.5, 0.5]


def test_a_run_is_found_by_name_and_a_typo_lists_the_runs(recorded: Path) -> None:
    assert ir.open_run("demo", recorded.parent).path == recorded
    with pytest.raises(ir.UserError, match=r"run 'dmo' not found.*: demo"):
        ir.open_run("dmo", recorded.parent)
    assert "status='finished'" in repr(ir.open_run(recorded))


def test_overrides_change_single_settings_of_a_section() -> None:
    config = ir.configure(
        "moe",
        name="x",
        algorithm={"dynamic_sampling": {"enabled": True}},
        data={"mixture": {"unit-arithmetic": 2.0}},
        **{"schedule.steps": 3},
    )
    assert (config.name, config.schedule.steps, config.schedule.save_every) == ("x", 3, 4)
    assert config.algorithm.dynamic_sampling.enabled
    assert config.algorithm.learning_rate == 1e-3
    assert config.data.mixture == {"unit-arithmetic": 2.0}
    assert ir.configure(config, logging={"wandb": True}).logging.wandb
    with pytest.raises(ir.UserError, match=r"schedule\.stepz: unknown key"):
        ir.configure("moe", schedule={"stepz": 3})


def test_a_run_that_cannot_work_stops_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ir.UserError, match=r"rollout\.temperature"):
        ir.train("moe", logging={"runs_dir": str(tmp_path / "runs")}, rollout={"temperature": 0.0})
    assert not (tmp_path / "runs").exists()


def test_a_prepared_run_is_the_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INNOVATOR_PLATFORM", "TRANSFER_QUEUE_ENABLE", "TQDM_DISABLE"):
        monkeypatch.setenv(name, "")  # prepare changes the environment of its process; put it back afterwards
    prepared = api.prepare(ir.configure("moe", logging={"runs_dir": str(tmp_path)}))
    assert Path(api.write_dry_run(prepared)["run"]) == tmp_path / "moe"
    assert (tmp_path / "moe" / "verl.yaml").is_file()


def test_upcycle_checks_its_configuration_first(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mixture\.spilt"):
        ir.upcycle("tiny", runs_dir=str(tmp_path), mixture={"spilt": 3})
    assert json.dumps(list(tmp_path.iterdir())) == "[]"


def test_upcycle_names_the_checks_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check("tensors", True, "0 differ", "0"), Check("logits", False, "0.5", "1e-05")]
    monkeypatch.setattr("upcycle.stages.pipeline.train", lambda *_arguments: None)
    monkeypatch.setattr("upcycle.stages.pipeline.export", lambda config, log, dense: tmp_path / config.name)
    monkeypatch.setattr("upcycle.stages.folders.latest_mixture", lambda _config: tmp_path)
    monkeypatch.setattr("upcycle.checkpoint.verify.verify", lambda *_places, progress: iter(checks))
    with pytest.raises(
        EngineError, match=r"/tiny-upcycle fails its checks \(logits: 0\.5 \(bound 1e-05\)\); remove that folder"
    ):
        ir.upcycle("tiny", runs_dir=str(tmp_path))
    checks.pop()
    assert ir.upcycle("tiny", runs_dir=str(tmp_path)) == tmp_path / "tiny-upcycle"
    with pytest.raises(ir.UserError, match=r"base_config\.hidden_size = 7: the base model's config\.json has 128"):
        ir.upcycle("tiny", runs_dir=str(tmp_path), base_config={"hidden_size": 7})


@pytest.mark.slow
def test_a_type_checker_sees_the_interface(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "import innovator_rl as ir\n"
        "reveal_type(ir.score([], reward='math'))\n"
        "reveal_type(ir.open_run('x').state.status)\n"
        "reveal_type(ir.train('demo'))\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", "--ignore-missing-imports", "use.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "MYPYPATH": str(Path(ir.__file__).parents[1])},
    )
    for shown in ("list[innovator_rl.scoring.api.Score]", "innovator_rl.recorded_run.Run", 'Revealed type is "str"'):
        assert shown in result.stdout, result.stdout
