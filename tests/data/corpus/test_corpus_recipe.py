"""A mistake in a recipe is one sentence with the key, the value and what is near."""

from pathlib import Path

import pytest

from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.paths import expand_path
from innovator_rl.data.corpus.recipe import is_corpus_recipe, load_corpus_recipe
from innovator_rl.errors import UserError

GOOD = """
name: small
sources: [{name: a, path: a.jsonl}]
steps: [{step: drop_short, min_words: 5}]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: small", "nam: small", "unknown key 'nam', did you mean 'name'"),  # codespell:ignore nam
        ("path: a.jsonl", "path: a.jsonl, licence: x", "licence', did you mean 'license'"),  # codespell:ignore licence
        ("min_words: 5", "minwords: 5", "'steps.0.minwords', did you mean 'min_words'"),
        ("drop_short", "drop_shrt", "unknown step 'drop_shrt', did you mean 'drop_short'"),
        ("step: drop_short, ", "", "steps.0: expected a mapping with the key 'step'"),
        ("min_words: 5", "min_words: 0", "steps.0.min_words: .* found 0"),
        (
            "{name: a, path: a.jsonl}",
            "{name: a, path: x, fields: {txt: x}}",
            "unknown field 'txt', did you mean 'text'",
        ),
        ("{name: a, path: a.jsonl}", "{name: a, path: x}, {name: a, path: y}", "'a' must be used once"),
        ("name: small", "steps: []\nname: small", "line 5, column 1: the key 'steps' is given twice"),
        ("name: small", "[", "line 4, column 1: expected"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_corpus_recipe(path)


def test_recipes_of_corpora_have_steps(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    assert is_corpus_recipe(path)
    path.write_text("name: x\ndomain: math\n")
    assert not is_corpus_recipe(path)
    assert not is_corpus_recipe(tmp_path / "none.yaml")


def test_paths_name_missing_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_DATA", "/data")
    assert expand_path("${SOME_DATA}/a") == "/data/a"
    assert expand_path("s3://bucket/a") == "s3://bucket/a"
    monkeypatch.delenv("SOME_DATA")
    with pytest.raises(UserError, match="variable SOME_DATA is not set"):
        expand_path("${SOME_DATA}/a")


def test_a_missing_source_and_an_unknown_reader(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD.replace("a.jsonl", str(tmp_path / "a.jsonl")))
    with pytest.raises(UserError, match=r"source 'a'.* is not found; .* contains recipe.yaml"):
        build_corpus(load_corpus_recipe(path), tmp_path / "out")
    path.write_text(GOOD.replace("path: a.jsonl", f"path: {path}, reader: jsnl"))
    with pytest.raises(UserError, match="unknown reader 'jsnl'; expected one of jsonl"):
        build_corpus(load_corpus_recipe(path), tmp_path / "out")
