"""An annotator is believed only where it agrees with the gold passages, whoever it is and however it answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.recipe import CorpusRecipe, load_corpus_recipe
from innovator_rl.data.quality.annotator import AnnotatorSettings, annotate, check_agreement, read_answer
from innovator_rl.data.quality.grading import GoldPassage, Levels, load_gold, load_rubric, measure_agreement
from innovator_rl.endpoints import EndpointConfig
from innovator_rl.errors import UserError

pytest.importorskip("wordfreq")
GOLD = load_gold()
RUBRIC = load_rubric()
GOOD = next(passage for passage in GOLD if passage.id == "en-tides")
BAD = next(passage for passage in GOLD if passage.id == "en-nav")


def answer(levels: Levels) -> str:
    return json.dumps(levels.model_dump())


def reader(body: dict[str, Any], wrong: int = 0) -> str:
    """Answer like the reader of the gold passages, except for the first few of them."""
    text = body["messages"][-1]["content"]
    for number, passage in enumerate(GOLD):
        if f"<passage>\n{passage.text}\n</passage>" in text:
            levels = passage.levels
            if number < wrong:
                flipped = 0 if RUBRIC.keeps(levels) else 2
                levels = Levels(cleanliness=flipped, coherence=flipped, content=flipped)
            return "I look at each dimension {first}.\n```json\n" + answer(levels) + "\n```"
    return answer(Levels(cleanliness=2, coherence=2, content=2))


def endpoint(url: str, **keys: Any) -> EndpointConfig:
    return EndpointConfig(url=url, model="fake", **{"retries": 1, "concurrency": 16, **keys})


def test_the_gold_file_has_both_languages_and_both_halves() -> None:
    assert len(GOLD) >= 150
    assert len({passage.id for passage in GOLD}) == len(GOLD)
    for language in ("en", "zh"):
        for split in ("fitting", "held_out"):
            kept = [RUBRIC.keeps(p.levels) for p in GOLD if p.language == language and p.split == split]
            assert 0.3 < sum(kept) / len(kept) < 0.7
    by_topic: dict[str, set[str]] = {}
    for passage in GOLD:
        by_topic.setdefault(passage.id.split("+")[0].partition("-")[2], set()).add(passage.split)
    assert all(len(splits) == 1 for splits in by_topic.values())


def test_a_model_that_agrees_may_annotate(tmp_path: Path) -> None:
    with FakeEndpoint(["429", "html", "500"], answer=reader) as server:
        settings = AnnotatorSettings(endpoint=endpoint(server.url))
        agreement = check_agreement(settings, tmp_path / "replies.sqlite")
        assert agreement.kept == 1.0
        assert agreement.kappa == 1.0
        asked = len(server.requests)
        check_agreement(settings, tmp_path / "replies.sqlite")
        assert len(server.requests) == asked  # from the cache
        shown = server.requests[0]["messages"][-1]["content"]
        assert "cleanliness: Is this the text as its author wrote it?" in shown


def test_a_model_below_the_required_agreement_fails_with_the_passages(tmp_path: Path) -> None:
    with FakeEndpoint(answer=lambda body: reader(body, wrong=12)) as server:
        settings = AnnotatorSettings(endpoint=endpoint(server.url))
        with pytest.raises(UserError, match=r"agrees with 92.9% of 170 .*must be at least 95.0%") as error:
            check_agreement(settings, tmp_path / "replies.sqlite")
        for passage in GOLD[:12]:
            assert f"{passage.id} ({passage.kind})" in str(error.value)
        lower = settings.model_copy(update={"agreement": 0.92})
        assert check_agreement(lower, tmp_path / "replies.sqlite").kept == pytest.approx(1 - 12 / 170)


def test_signals_fail_the_usual_agreement_and_pass_a_lower_one() -> None:
    with pytest.raises(UserError, match=r"measured signals\) agrees with .* of 81 gold passages"):
        check_agreement(AnnotatorSettings())
    agreement = check_agreement(AnnotatorSettings(agreement=0.85))
    assert min(agreement.languages.values()) > 0.85


def test_a_fault_costs_one_passage(tmp_path: Path) -> None:
    with FakeEndpoint(["400"], answer=reader) as server:
        settings = AnnotatorSettings(endpoint=endpoint(server.url, concurrency=1))
        found = annotate(settings, [GOOD.text, BAD.text], tmp_path / "replies.sqlite")
    assert [annotation.reason for annotation in found] == ["rejected", ""]
    assert found[1].levels == BAD.levels


def test_a_used_up_budget_stops_and_keeps_the_answers(tmp_path: Path) -> None:
    with FakeEndpoint(answer=reader) as server:
        texts = [passage.text for passage in GOLD[:6]]
        with pytest.raises(UserError, match="budget is used up after"):
            annotate(
                AnnotatorSettings(endpoint=endpoint(server.url, max_requests=3, concurrency=1)), texts, tmp_path / "c"
            )
        annotate(AnnotatorSettings(endpoint=endpoint(server.url)), texts, tmp_path / "c")
        assert len(server.requests) == len(texts)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ('{"cleanliness": 2, "coherence": 1, "content": 0}', (2, 1, 0)),
        ('Maybe {"cleanliness": 0, "coherence": 0, "content": 0}? No: {"cleanliness": 2, "coherence": 2, "content": 2}', (2, 2, 2)),
        ('{"cleanliness": 3, "coherence": 1, "content": 0}', None),
        ('{"cleanliness": "2", "coherence": 1, "content": 0}', None),
        ('{"cleanliness": 2, "coherence": 1}', None),
        ('{"cleanliness": 2, "coherence": 1, "content": 0, "note": ""}', None),
        ("[2, 2, 2]", None),
        ("", None),
    ],
)  # fmt: skip
def test_answers(text: str, levels: tuple[int, int, int] | None) -> None:
    annotation = read_answer(text)
    assert (annotation.levels.values() if annotation.levels else None) == levels
    assert annotation.reason == ("" if levels else "invalid answer")


@given(st.text(max_size=60))
def test_no_answer_raises(text: str) -> None:
    annotation = read_answer(text + "{" * 5)
    assert annotation.levels is None or annotation.reason == ""


@given(st.lists(st.tuples(st.sampled_from(GOLD), st.booleans()), min_size=1, max_size=30))
def test_agreement_counts_decisions(rows: list[tuple[GoldPassage, bool]]) -> None:
    found = [passage.levels if same else None for passage, same in rows]
    agreement = measure_agreement([passage for passage, _ in rows], found, RUBRIC)
    assert agreement.kept == pytest.approx(sum(same for _, same in rows) / len(rows))
    assert len(agreement.disagreements) == sum(not same for _, same in rows)
    assert -1 <= agreement.kappa <= 1


def recipe(tmp_path: Path, **step: Any) -> CorpusRecipe:
    rows = [{"text": GOOD.text}, {"text": BAD.text}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return CorpusRecipe.model_validate(
        {
            "name": "small",
            "sources": [{"name": "a", "path": str(tmp_path / "a.jsonl")}],
            "steps": [{"step": "annotate_quality", "drop": True, **step}],
        }
    )


def test_a_build_states_who_annotated_and_how_well(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="agreement must be at least 95"):
        build_corpus(recipe(tmp_path), tmp_path / "out")
    manifest = build_corpus(recipe(tmp_path, agreement=0.85), tmp_path / "out")
    facts = manifest.stages[1].facts
    assert facts["annotator"] == "measured signals"
    assert facts["required agreement"] == 0.85
    assert {reason: count.documents for reason, count in manifest.stages[1].tally.dropped.items()} == {
        "low coherence": 1
    }
    card = (tmp_path / "out" / "small" / "README.md").read_text()
    assert (
        f"annotator measured signals, required agreement 0.85, gold passages 81, agreement {facts['agreement']}" in card
    )


def test_a_build_with_an_endpoint_asks_once(tmp_path: Path) -> None:
    with FakeEndpoint(answer=reader) as server:
        made = recipe(tmp_path, endpoint=endpoint(server.url).model_dump())
        manifest = build_corpus(made, tmp_path / "out")
        assert manifest.stages[1].facts["annotator"] == "model fake"
        assert manifest.stages[1].tally.documents_out == 1
        asked = len(server.requests)
        assert asked == len(GOLD)  # both documents are gold passages, whose answers are known
        assert build_corpus(made, tmp_path / "out").stages[1].run == 0
        assert len(server.requests) == asked


def test_an_endpoint_without_valid_answers_stops_the_build(tmp_path: Path) -> None:
    def nonsense(body: dict[str, Any]) -> str:
        return reader(body) if any(p.text[:60] in body["messages"][-1]["content"] for p in GOLD) else "fine"

    with FakeEndpoint(answer=nonsense) as server:
        made = recipe(tmp_path, endpoint=endpoint(server.url).model_dump())
        (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(9)))
        with pytest.raises(UserError, match=r"9 of 9 documents have no valid answer of model fake \(invalid answer"):
            build_corpus(made, tmp_path / "out")


def test_the_recipe_of_general_text_grades_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ftfy")
    chosen = [GOOD, BAD, *(p for p in GOLD if p.id in ("zh-tides", "zh-nerve+shuffled-words", "en-lorem"))]
    for number, passage in enumerate(chosen):
        (tmp_path / f"{number}.md").write_text(passage.text)
    monkeypatch.setenv("TEXT", str(tmp_path))
    path = Path(__file__).resolve().parents[3] / "configs/data/corpus-general.yaml"
    manifest = build_corpus(load_corpus_recipe(path), tmp_path / "out")
    assert sum(source.documents for source in manifest.sources) == 2
    dropped = [reason for stage in manifest.stages for reason in stage.tally.dropped]
    assert "placeholder" in dropped
    assert "low content" in dropped or "low coherence" in dropped


def test_a_wrong_key_of_the_endpoint_names_the_near_one(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    step = "{step: annotate_quality, endpoint: {url: 'http://127.0.0.1:1/v1', model: a, concurrenc: 2}}"
    path.write_text(f"name: a\nsources: [{{name: a, path: a}}]\nsteps: [{step}]\n")
    with pytest.raises(UserError, match="concurrenc', did you mean 'concurrency'"):
        load_corpus_recipe(path)
