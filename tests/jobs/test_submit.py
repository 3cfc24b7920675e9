"""A job is planned without a cluster: what runs, with which paths, and what is refused."""

import json
import shlex
from pathlib import Path

import pytest

from innovator_rl.config import load
from innovator_rl.errors import UserError
from innovator_rl.jobs import submit
from innovator_rl.jobs.submit import plan_job
from innovator_rl.runs.run_dir import RunDir


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with one configuration, built data and a converted model."""
    root = tmp_path / "checkout"
    for name in ("configs/train", "data/gsm8k", "datasets/gsm8k", "datasets/physics", "models/moe"):
        (root / name).mkdir(parents=True)
    (root / "datasets/gsm8k/sample.jsonl").write_text("{}\n")
    (root / "datasets/physics/sample.jsonl").write_text("{}\n")
    (root / "data/gsm8k/train.parquet").write_bytes(b"PAR1")
    (root / "models/moe/config.json").write_text("{}")
    (root / "configs/train/demo.yaml").write_text("name: demo\ndata: {train: [physics], validation: [physics]}\n")
    monkeypatch.chdir(root)
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    return root


def test_a_plan_equals_a_ray_job_submit_line(root: Path) -> None:
    job = plan_job("configs/train/demo.yaml", ["schedule.steps=5"], address="http://head:8265")
    assert job.entrypoint == "innovator train configs/train/demo.yaml schedule.steps=5"
    assert job.run_path == root / "runs" / "demo"
    assert job.runtime_env["env_vars"]["INNOVATOR_RUNS_DIR"] == str(root / "runs")
    words = shlex.split(job.command_line)
    assert words[:3] == ["ray", "job", "submit"]
    assert words[words.index("--working-dir") + 1] == str(root)
    assert json.loads(words[words.index("--runtime-env-json") + 1])["excludes"] == job.runtime_env["excludes"]
    assert job.command_line.endswith("-- innovator train configs/train/demo.yaml schedule.steps=5")


def test_what_is_not_uploaded_is_named_by_its_absolute_path(root: Path) -> None:
    words = ["data.train=[gsm8k, physics]", "model.path=models/moe"]
    job = plan_job("configs/train/demo.yaml", words)
    config = load("configs/train/demo.yaml", shlex.split(job.entrypoint)[3:])
    assert config.data.train == (str(root / "data/gsm8k/train.parquet"), "physics")
    assert config.data.validation == ("physics",)
    assert config.model.path == str(root / "models/moe")


def test_a_runs_directory_inside_the_checkout_is_not_uploaded(root: Path) -> None:
    (root / "experiments/old").mkdir(parents=True)
    (root / "experiments/old/run.json").write_text("{}")
    job = plan_job("configs/train/demo.yaml", ["logging.runs_dir=experiments"])
    assert not [name for name in job.package.files if name.startswith("experiments")]
    assert "/experiments" in job.runtime_env["excludes"]


def test_a_configuration_outside_the_upload_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    with pytest.raises(UserError, match=r"mine\.yaml is not among the files uploaded"):
        plan_job(tmp_path / "mine.yaml")
    (root / "runs").mkdir()
    (root / "runs/mine.yaml").write_text("name: mine\n")
    with pytest.raises(UserError, match="not among the files uploaded"):
        plan_job("runs/mine.yaml")


def test_a_run_that_is_alive_is_not_submitted_again(root: Path) -> None:
    run = RunDir(root / "runs/demo")
    run.open_attempt()
    try:
        with pytest.raises(UserError, match="innovator runs stop demo"):
            plan_job("configs/train/demo.yaml")
    finally:
        run.finish("finished")
    plan_job("configs/train/demo.yaml")


def test_no_cluster_is_one_sentence(root: Path) -> None:
    with pytest.raises(UserError, match=r"no Ray dashboard answers there .*ray start --head"):
        submit.client("http://127.0.0.1:9")


def test_dry_run_on_the_command_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from innovator_rl.cli.main import main

    with pytest.raises(SystemExit) as stop:
        main(["submit", "configs/train/demo.yaml", "schedule.steps=5", "--dry-run"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "upload: 3 files" in shown
    assert "-- innovator train configs/train/demo.yaml schedule.steps=5" in shown


def test_secrets_are_names_and_a_value_is_refused(root: Path) -> None:
    job = plan_job("configs/train/demo.yaml", secrets=["WANDB_API_KEY", "WANDB_API_KEY"])
    assert job.runtime_env["env_vars"]["INNOVATOR_SECRETS"] == "WANDB_API_KEY"
    words = ["reward.routes.physics=\"j.py:J(api_key='sk-0123456789')\""]
    with pytest.raises(UserError, match=r"add --secret NAME") as stopped:
        plan_job("configs/train/demo.yaml", words)
    assert "0123456789" not in str(stopped.value)
    with pytest.raises(UserError, match="must be a name"):
        plan_job("configs/train/demo.yaml", secrets=["sk-0123456789"])


def test_a_setting_that_moves_is_given_once(root: Path) -> None:
    job = plan_job("configs/train/demo.yaml", ["data.train=[gsm8k]", "schedule.steps=5"])
    keys = [word.partition("=")[0] for word in shlex.split(job.entrypoint)[3:]]
    assert sorted(keys) == ["data.train", "schedule.steps"]


def test_the_rows_of_a_file_of_questions_are_checked_before_the_upload(root: Path) -> None:
    from innovator_rl.jobs.preflight import require_ready

    (root / "q.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n{"question": "1 + 2?", "answer": "3"}\n')
    words = ["model.path=tiny-qwen2", "data.train=[q.jsonl]", "data.validation=[]", "schedule.validate_every=0"]
    words += ["schedule.validate_before=false", "reward.routes.q=math"]
    with pytest.raises(UserError, match=r"algorithm.prompts_per_step = 64: data.train has 2 rows"):
        require_ready(load("configs/train/demo.yaml", words))
    require_ready(load("configs/train/demo.yaml", [*words, "algorithm.prompts_per_step=2"]))
    (root / "q.jsonl").write_text('{"question": "1 + 1?"}\n')
    with pytest.raises(UserError, match=r"q\.jsonl"):
        require_ready(load("configs/train/demo.yaml", [*words, "algorithm.prompts_per_step=1"]))
