"""A secret is a reference everywhere but in the process that uses it, and its value is in no file."""

import json
from pathlib import Path

import pytest
import yaml

from innovator_rl import secret_values
from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.scoring import registry

VALUE = "correct-horse-battery"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(secret_values, "_seen", set())
    monkeypatch.setenv("INNOVATOR_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    (tmp_path / "secrets").mkdir()
    return tmp_path / "secrets"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("J(api_key='sk-1')", "J(api_key='***')"),
        ('J(model="m", token = "abc", n=3)', 'J(model="m", token = "***", n=3)'),
        ("judge(key='x y')", "judge(key='***')"),
        ("J(hf_token='t', max_tokens=100)", "J(hf_token='***', max_tokens=100)"),
        ("verl.x.api_key=abc", "verl.x.api_key=***"),
        ("J(api_key='${env:JUDGE_KEY}')", "J(api_key='${env:JUDGE_KEY}')"),
        ("Bearer sk-proj-0123456789", "Bearer ***"),
        ("reward.routes.keys=math", "reward.routes.keys=math"),
        ("rollout_is: token, loss_agg_mode=token-mean", "rollout_is: token, loss_agg_mode=token-mean"),
    ],
)
def test_values_are_masked_and_references_stay(text: str, masked: str) -> None:
    assert secret_values.mask(text) == masked
    assert secret_values.mask(masked) == masked


def test_a_value_comes_from_the_environment_or_a_file_of_its_owner(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="secret 'JUDGE_KEY' not found in the environment"):
        secret_values.require("JUDGE_KEY")
    (places / "JUDGE_KEY").write_text(f"{VALUE}\n")
    (places / "JUDGE_KEY").chmod(0o644)
    with pytest.raises(UserError, match="must not be readable by other users"):
        secret_values.require("JUDGE_KEY")
    (places / "JUDGE_KEY").chmod(0o600)
    assert secret_values.require("JUDGE_KEY") == VALUE
    monkeypatch.setenv("JUDGE_KEY", "from-environment")
    assert secret_values.require("JUDGE_KEY") == "from-environment"
    with pytest.raises(UserError, match="must be the name"):
        secret_values.require("sk-1")


def test_a_value_that_was_looked_up_is_masked_wherever_it_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", VALUE)
    assert secret_values.resolve(["${env:JUDGE_KEY}", {"a": "x ${env:JUDGE_KEY}"}]) == [VALUE, {"a": f"x {VALUE}"}]
    assert secret_values.mask(f"401 for {VALUE} at https://host") == "401 for *** at https://host"


def test_the_rewarder_gets_the_value_and_its_name_keeps_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", VALUE)
    place = tmp_path / "essay.py"
    place.write_text(
        "class Judge:\n    def __init__(self, api_key=''):\n        self.api_key = api_key\n"
        "    def __call__(self, response):\n        return 1.0\n"
    )
    name = f"{place}:Judge(api_key='${{env:JUDGE_KEY}}')"
    assert registry.load(name).api_key == VALUE  # type: ignore[attr-defined]
    assert VALUE not in secret_values.mask(name)
    assert secret_values.restore(secret_values.protect(name)) == name
    assert "${" not in secret_values.protect(name)


def test_a_job_gets_its_secrets_by_name(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret_values.SECRETS_VARIABLE, "JUDGE_KEY")
    with pytest.raises(UserError, match="JUDGE_KEY"):
        secret_values.export_requested()
    (places / "JUDGE_KEY").write_text(VALUE)
    (places / "JUDGE_KEY").chmod(0o600)
    monkeypatch.setenv("JUDGE_KEY", "")
    assert secret_values.export_requested() == ["JUDGE_KEY"]


def test_no_file_of_a_run_holds_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["innovator", "train", "x.yaml", "reward.routes.q=j.py:J(api_key='sk-1')"])
    run = RunDir(tmp_path / "demo")
    run.open_attempt()
    run.finish("failed", "OSError: J(api_key='sk-1') refused")
    written = "".join(path.read_text() for path in run.path.rglob("*") if path.is_file())
    assert "sk-1" not in written
    assert json.loads(run.run_json.read_text())["command"][-1] == "reward.routes.q=j.py:J(api_key='***')"


def test_a_configuration_is_masked_by_key_and_keeps_its_other_values() -> None:
    document = {"verl": {"api_key": "abc", "prompt_key": "prompt", "rollout_is": "token"}, "names": ["a"], "n": 3}
    masked = secret_values.mask_values(document)
    assert masked == {**document, "verl": {**document["verl"], "api_key": "***"}}  # type: ignore[dict-item]
    assert yaml.safe_load(yaml.safe_dump(masked)) == masked


def test_reward_workers_see_the_secrets_that_their_rewarders_name_and_no_others() -> None:
    environment = {
        "PATH": "/bin",
        "HF_TOKEN": "a",
        "WANDB_API_KEY": "b",
        "JUDGE_KEY": "c",
        "AWS_PROFILE": "d",
        "KEYMAP": "e",
    }
    kept = secret_values.reduced(environment, ["math", "j.py:J(api_key='${env:JUDGE_KEY}')"])
    assert kept == {"PATH": "/bin", "JUDGE_KEY": "c", "KEYMAP": "e"}
    environment[secret_values.KEEP_VARIABLE] = "HF_TOKEN"
    assert "HF_TOKEN" in secret_values.reduced(environment, [])


def test_a_worker_process_gets_the_reduced_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from innovator_rl.scoring import ScoreRequest, ScoringPool

    place = tmp_path / "spy.py"
    place.write_text(
        "import os\nfrom innovator_rl.scoring import Score\n"
        "class Spy:\n    def __init__(self, key=''):\n        self.key = key\n"
        "    def __call__(self, response):\n"
        "        seen = [n for n in ('HF_TOKEN', 'JUDGE_KEY') if n in os.environ]\n"
        "        return Score(value=1.0, correct=True, reason='correct', extracted=f'{seen} {len(self.key)}')\n"
    )
    monkeypatch.setenv("HF_TOKEN", "not-yours")
    monkeypatch.setenv("JUDGE_KEY", VALUE)
    plain, asking = f"{place}:Spy", f"{place}:Spy(key='${{env:JUDGE_KEY}}')"
    with ScoringPool(1, 30.0, 0, warm=[plain]) as pool:
        assert pool.score(ScoreRequest(plain, response="x")).extracted == "[] 0"
        assert pool.score(ScoreRequest(asking, response="x")).extracted == f"['JUDGE_KEY'] {len(VALUE)}"
