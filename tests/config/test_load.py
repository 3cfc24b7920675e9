"""Reading a run: YAML's traps closed, overrides, and messages that say what to write instead."""

from pathlib import Path

import pytest

from innovator_rl.config import RunConfig, load
from innovator_rl.config.load import validate
from innovator_rl.config.schema_introspection import settings
from innovator_rl.errors import UserError


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_numbers_and_words_are_read_as_people_mean_them(tmp_path: Path) -> None:
    config = load(
        write(tmp_path, "algorithm: {learning_rate: 1e-6, rollout_correction: {level: off}}\nschedule: {steps: 7}\n")
    )
    assert config.algorithm.learning_rate == 1e-6
    assert config.algorithm.rollout_correction.level == "off"
    assert config.schedule.steps == 7


def test_an_empty_section_has_its_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, "rollout:\nverl:\n")) == RunConfig()


def test_overrides_win_and_reach_mappings(tmp_path: Path) -> None:
    path = write(tmp_path, "reward: {routes: {a: math}}\n")
    config = load(
        path, ["reward.routes.gsm8k=math", "data.train=[a.parquet, b.parquet]", "verl.trainer.balance_batch=false"]
    )
    assert config.reward.routes == {"a": "math", "gsm8k": "math"}
    assert config.data.train == ("a.parquet", "b.parquet")
    assert config.verl == {"trainer.balance_batch": False}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nname: b\n", ["line 2", "'name'", "twice"]),
        ("rollout:\n  top_p: 1.0\n  top_p: 0.9\n", ["line 3", "'top_p'", "twice"]),
        ("name: [a\n", ["line"]),
        ("- a\n- b\n", ["mapping"]),
        ("rollout: 3\n", ["rollout = 3", "samples_per_prompt"]),
        ("reward: {allow_unsafe_code: true}\n", ["reward.allow_unsafe_code", "reward.code_isolation", "standard"]),
        ("rollout: {top_k: 3}\n", ["rollout.top_k", "rollout.top_p", "rollout has"]),
        ("data: {train: a.parquet}\n", ["data.train", "list of text"]),
        ("schedule: {steps: many}\n", ["schedule.steps", "'many'", "whole number"]),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in [str(tmp_path / "run.yaml"), *words])


def test_all_mistakes_of_a_file_come_together(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, "schedule: {steps: 0}\nrollout: {top_p: 2, tmperature: 1}\n"))
    assert len(str(caught.value).splitlines()) == 3


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "")
    with pytest.raises(UserError, match=r"no such file; near: run\.yaml"):
        load(tmp_path / "runn.yaml")


@pytest.mark.parametrize("word", ["steps", "=3", "+schedule.steps=3", "~schedule"])
def test_an_override_is_key_equals_value(word: str) -> None:
    with pytest.raises(UserError, match=r"expected key=value|must not begin with"):
        load(None, [word])


def test_every_setting_has_words_and_one_default() -> None:
    for setting in settings():
        assert setting.description, setting.key
        assert "pydantic" not in repr(setting.default).lower(), f"{setting.key} has no default"
        assert "typing" not in setting.type, setting.key


def test_a_run_survives_being_written_down() -> None:
    config = load(None, ["data.train=[a]", "algorithm.prompts_per_update=8"])
    assert validate(config.model_dump(mode="json")) == config
