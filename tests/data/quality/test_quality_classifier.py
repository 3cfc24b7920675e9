"""The classifier is stored without code, learns nothing from held-out sources, and must pass its gate in each language."""

import json
from pathlib import Path

import numpy as np
import pytest

from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.recipe import CorpusRecipe
from innovator_rl.data.quality.classifier import ARRAYS, MODEL, QualityModel, fit_model, load_model, save_model
from innovator_rl.data.quality.distill import Share, distill
from innovator_rl.data.quality.grading import load_gold, load_rubric
from innovator_rl.data.quality.signals import NAMES, measure
from innovator_rl.data.quality.trees import evaluate_trees, export_trees
from innovator_rl.errors import UserError

pytest.importorskip("wordfreq")
ensemble = pytest.importorskip("sklearn.ensemble")
GOLD = load_gold()
RUBRIC = load_rubric()


@pytest.fixture(scope="module")
def model() -> QualityModel:
    chosen = [passage for passage in GOLD if passage.split == "fitting"]
    good = np.array([RUBRIC.keeps(passage.levels) for passage in chosen])
    groups = [passage.id.split("+")[0] for passage in chosen]
    return QualityModel(fit_model([passage.text for passage in chosen], good, groups), {})


def test_arrays_give_the_log_odds_of_the_trees() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 5))
    trees = ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0)
    trees.fit(rows, rows[:, 0] * rows[:, 1] > 0.1)
    arrays = export_trees(trees, 5)
    other = random.normal(size=(500, 5))
    np.testing.assert_allclose(evaluate_trees(arrays, other), trees.decision_function(other), atol=1e-9)


def test_a_saved_model_gives_the_same_probabilities(model: QualityModel, tmp_path: Path) -> None:
    digest = save_model(model, tmp_path / "a")
    assert digest == save_model(model, tmp_path / "b")
    texts = [passage.text for passage in GOLD[::9]]
    loaded = load_model(tmp_path / "a")
    np.testing.assert_array_equal(loaded.predict(texts), model.predict(texts))
    np.testing.assert_allclose(loaded.predict(texts[:1]), loaded.predict(texts)[:1])
    assert loaded.predict([]).shape == (0,)
    with np.load(tmp_path / "a" / ARRAYS, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_a_changed_model_is_refused(model: QualityModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    stored = (tmp_path / ARRAYS).read_bytes()
    (tmp_path / ARRAYS).write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    with pytest.raises(UserError, match="has another content"):
        load_model(tmp_path)
    card = json.loads((tmp_path / MODEL).read_text())
    (tmp_path / MODEL).write_text(json.dumps(card | {"format": 0}))
    with pytest.raises(UserError, match="another format"):
        load_model(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        load_model(tmp_path / "none")


def test_one_class_or_one_origin_cannot_be_learned() -> None:
    with pytest.raises(UserError, match="found 2 good of 2"):
        fit_model(["a", "b"], np.array([True, True]), ["x", "y"])
    with pytest.raises(UserError, match="at least two origins"):
        fit_model(["a", "b"], np.array([True, False]), ["x", "x"])


def test_signals_are_finite_and_named() -> None:
    for text in ("", " ", "\x00", "$", "a" * 50_000, "1" * 50_000, "的" * 300, GOLD[0].text):
        signals = measure(text)
        assert tuple(signals) == NAMES
        assert all(np.isfinite(value) and value >= 0 for value in signals.values()), text[:20]


@pytest.mark.parametrize(
    ("kind", "signal"),
    [
        ("misread text", "odd words"),
        ("misread text", "rare characters"),
        ("repetition", "repeated sentences"),
        ("formulas removed", "holes"),
        ("page debris", "inner foreign lines"),
        ("wrong decoding", "lost characters"),
        ("shuffled words", "disorder"),
        ("license", "legal"),
        ("placeholder", "filler"),
    ],
)
def test_each_damage_raises_its_signal(kind: str, signal: str) -> None:
    good = [measure(passage.text)[signal] for passage in GOLD if passage.kind == "good"]
    bad = [measure(passage.text)[signal] for passage in GOLD if passage.kind == kind]
    assert np.mean(bad) > np.mean(good) + 0.05


def test_wilson_interval() -> None:
    low, high = Share(90, 100).interval()
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)
    assert Share(0, 0).interval() == (0.0, 1.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rows: dict[str, list[dict[str, str]]] = {"early": [], "late": []}
    for passage in GOLD:
        if "+" not in passage.id:
            rows["early" if passage.split == "fitting" else "late"].append({"text": passage.text})
    for name, listed in rows.items():
        for number in range(4):
            text = "".join(json.dumps(row) + "\n" for row in listed[number::4])
            (folder / f"{name}{number}.jsonl").write_text(text)
    recipe = {
        "name": "sample",
        "sources": [{"name": name, "path": str(folder / f"{name}*.jsonl")} for name in rows],
        "steps": [{"step": "add_damaged_copies", "kinds_each": 2}, {"step": "annotate_quality", "agreement": 0.85}],
    }
    build_corpus(CorpusRecipe.model_validate(recipe), folder)
    return folder / "sample"


def test_distilling_writes_a_model_with_its_card(corpus: Path, tmp_path: Path) -> None:
    card = distill(corpus, ["late"], tmp_path / "model", gate=0.6)
    assert set(card["languages"]) == {"en", "zh"}
    assert card["annotator"]["annotator"] == "measured signals"
    text = (tmp_path / "model" / "README.md").read_text()
    assert f"{card['languages']['zh']['accuracy']:.1%}" in text
    assert "en damaged: repetition" in text
    model = load_model(tmp_path / "model")
    assert model.card["sha256"]
    step = {"step": "grade_quality", "model": str(tmp_path / "model")}
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": GOLD[0].text}) + "\n" + json.dumps({"text": "登录 注册 " * 20}) + "\n"
    )
    recipe = {"name": "graded", "sources": [{"name": "a", "path": str(tmp_path / "a.jsonl")}], "steps": [step]}
    manifest = build_corpus(CorpusRecipe.model_validate(recipe), tmp_path)
    assert {name: count.documents for name, count in manifest.stages[1].tally.dropped.items()} == {"low quality": 1}


def test_below_the_gate_nothing_is_written(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the gate must be reached: 100\.0%"):
        distill(corpus, ["late"], tmp_path / "model", gate=1.0)
    assert not (tmp_path / "model").exists()
    with pytest.raises(UserError, match="'lat' is unknown; expected one of early, late"):
        distill(corpus, ["lat"], tmp_path / "model")
    with pytest.raises(UserError, match="passages on both sides"):
        distill(corpus, ["early", "late"], tmp_path / "model")
