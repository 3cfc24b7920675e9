"""Steps drop what they should and nothing else."""

import gzip
import importlib
import inspect
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps import STEPS
from innovator_rl.data.corpus.steps.base import GlobalStep, MapStep, Result, decision_name
from innovator_rl.data.corpus.steps.decontaminate import Decontaminate, EvaluationSet
from innovator_rl.data.corpus.steps.exact import DropDuplicateParagraphs, DropDuplicates, first_occurrences, paragraphs
from innovator_rl.data.corpus.steps.label import LabelDiscipline
from innovator_rl.data.corpus.steps.near import DropNearDuplicates
from innovator_rl.data.corpus.steps.short import DropShort
from innovator_rl.data.corpus.words import count_words, hash_ngrams, split_words
from innovator_rl.errors import UserError


def documents(*parts: str) -> list[Document]:
    return [Document(id=str(i), text=text) for i, text in enumerate(parts)]


def run_map(step: MapStep, *parts: str) -> list[Result]:
    transform = step.open()
    return [transform(document) for document in documents(*parts)]


def run_global(step: GlobalStep, folder: Path, *parts: list[str]) -> list[list[Result]]:
    scans = [folder / f"scan{i}" for i in range(len(parts))]
    for scan, part in zip(scans, parts, strict=True):
        scan.mkdir()
        step.scan(documents(*part), scan)
    decided = folder / "decided"
    decided.mkdir()
    step.decide(scans, decided)
    return [
        [result for _, result in step.apply(documents(*part), decided / decision_name(i))]
        for i, part in enumerate(parts)
    ]


def kept(results: list[Result]) -> list[bool]:
    return [result.document is not None for result in results]


def test_words_of_several_scripts() -> None:
    assert split_words("Die Größe 3.5 of H₂O: 向量空间") == [
        "die",
        "größe",
        "3",
        "5",
        "of",
        "h2o",
        "向",
        "量",
        "空",
        "间",
    ]
    assert count_words("naïve x_1 向量") == 5
    assert len(hash_ngrams(["a", "b"], 3)) == 0
    assert len(set(hash_ngrams(list("abcabcd"), 3).tolist())) == 4


def test_short_documents() -> None:
    results = run_map(DropShort(min_words=3), "one two", "one two three", "向量空")
    assert kept(results) == [False, True, True]
    assert results[0].reason == "under 3 words"


def test_exact_duplicates_across_parts_keep_the_first(tmp_path: Path) -> None:
    first, second = run_global(
        DropDuplicates(), tmp_path, ["The mass is 3 g.", "The mass is 4 g."], ["the  MASS\nis 3 g", "A new one."]
    )
    assert kept(first) == [True, True]
    assert kept(second) == [False, True]


def test_paragraphs_keep_short_legends_and_drop_empty_documents(tmp_path: Path) -> None:
    shared = "Energy is conserved in every closed system."
    step = DropDuplicateParagraphs(min_words=5)
    (results,) = run_global(step, tmp_path, [f"Figure\n\n{shared}", f"Figure\n\n{shared}\n\nNew words.", shared])
    assert results[1] == Result(Document(id="1", text="Figure\n\nNew words."), "duplicate paragraph", 1)
    assert results[2] == Result(None, "duplicate paragraphs only")


@given(st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=30), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_first_occurrences_against_a_set(parts: list[list[int]]) -> None:
    seen: set[int] = set()
    expected = []
    for part in parts:
        expected.append([])
        for value in part:
            expected[-1].append(value in seen)
            seen.add(value)
    found = first_occurrences([np.array(part, np.uint64) for part in parts])
    assert [mask.tolist() for mask in found] == expected


def words_of(seed: int, count: int) -> list[str]:
    source = random.Random(seed)
    return [f"w{source.randrange(5000)}" for _ in range(count)]


def changed(words: list[str], share: float, seed: int) -> list[str]:
    source = random.Random(seed)
    return [f"x{source.randrange(10**6)}" if source.random() < share else word for word in words]


def test_planted_copies_are_found_and_nothing_else(tmp_path: Path) -> None:
    step = DropNearDuplicates(threshold=0.8)
    originals = [words_of(i, 300) for i in range(120)]
    copies, unlike = [], []
    for i, words in enumerate(originals):
        copy = changed(words, 0.012, 1000 + i)
        a, b = set(step.shingles(" ".join(words))), set(step.shingles(" ".join(copy)))
        similarity = len(a & b) / len(a | b)
        (copies if similarity >= 0.8 else unlike).append(" ".join(copy))
    assert len(copies) > 80
    rest = [" ".join(words_of(i, 300)) for i in range(500, 560)] + unlike
    first, second, third = run_global(step, tmp_path, [" ".join(words) for words in originals], copies, rest)
    assert all(kept(first))
    assert sum(kept(second)) <= 0.01 * len(copies) + 1
    assert all(kept(third))


def test_numbers_and_thresholds_count(tmp_path: Path) -> None:
    task = "A train of mass {} kg brakes from {} m/s within {} s on a level track. Find the mean force."
    texts = [task.format(i, i + 1, i + 2) for i in range(5)]
    (results,) = run_global(DropNearDuplicates(ngram=3), tmp_path, texts)
    assert all(kept(results))


def test_a_chain_of_similar_documents_is_not_one_duplicate(tmp_path: Path) -> None:
    base = [f"w{i}" for i in range(200)]
    chain = [" ".join(base[shift : shift + 100]) for shift in (0, 12, 24)]
    (results,) = run_global(DropNearDuplicates(threshold=0.75, ngram=1), tmp_path, chain)
    assert kept(results) == [True, False, True]


def evaluation(folder: Path) -> EvaluationSet:
    path = folder / "eval.jsonl.gz"
    long = "Two blocks of mass m rest on a table with friction and a cord joins them over a light pulley"
    rows = [{"problem": long, "id": 1}, {"problem": "Find the sum of all positive primes below ten.", "id": 2}]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return EvaluationSet(name="blocks", path=str(path), fields=("problem",))


def test_evaluation_text_is_removed_with_its_paragraph(tmp_path: Path) -> None:
    step = Decontaminate(against=(evaluation(tmp_path),))
    leak = "Exercise 7. Two blocks of mass m rest on a table, with friction; and a cord joins them both."
    clean = "Two blocks of mass m rest on a table."
    results = run_map(
        step,
        f"{clean}\n\n{leak}\n\nThe end.",
        clean,
        leak,
        "We find the sum of all positive primes below ten here.",
        "Two blocks of mass m rest\n\non a table with friction and a cord joins\n\nkept",
    )
    assert results[0] == Result(Document(id="0", text=f"{clean}\n\nThe end."), "evaluation text", 1)
    assert kept(results) == [True, True, False, False, True]
    assert results[4].document is not None
    assert paragraphs(results[4].document.text) == ["kept"]
    whole = run_map(step.model_copy(update={"remove": "document"}), f"{clean}\n\n{leak}")
    assert kept(whole) == [False]


def test_evaluation_sets_that_cannot_be_used_stop_the_build(tmp_path: Path) -> None:
    good = evaluation(tmp_path)
    with pytest.raises(UserError, match=r"evaluation set 'x' is not found at .*none"):
        Decontaminate(against=(good, EvaluationSet(name="x", path=str(tmp_path / "none"), fields=("a",)))).side_files()
    with pytest.raises(UserError, match="row 1 has no field 'question'; it has problem, id"):
        Decontaminate(against=(good.model_copy(update={"fields": ("question",)}),)).load()
    (tmp_path / "cut.jsonl.gz").write_bytes((tmp_path / "eval.jsonl.gz").read_bytes()[:40])
    with pytest.raises(UserError, match="cannot be read"):
        Decontaminate(against=(good.model_copy(update={"path": str(tmp_path / "cut.jsonl.gz")}),)).load()
    (tmp_path / "short.jsonl").write_text('{"problem": "1 + 1?"}\n')
    with pytest.raises(UserError, match="has no item of 8 words"):
        Decontaminate(against=(good.model_copy(update={"path": str(tmp_path / "short.jsonl")}),)).load()


def test_evaluation_text_inside_of_lists_and_objects_is_looked_for(tmp_path: Path) -> None:
    item = "A train leaves the station at noon and travels north at sixty miles per hour for three hours"
    rows = [{"q": "Which of these is\u2028a statement of the author?", "choices": {"text": ["no", item]}, "n": 3}]
    path = tmp_path / "eval.jsonl"
    path.write_text(json.dumps(rows[0], ensure_ascii=False) + "\n", encoding="utf-8-sig")
    named = EvaluationSet(name="trains", path=str(path), fields=("q", "choices"))
    assert kept(run_map(Decontaminate(against=(named,)), item, "Another text that is honest.")) == [False, True]
    with pytest.raises(UserError, match="the field 'n' has no text in any row"):
        Decontaminate(against=(named.model_copy(update={"fields": ("q", "n")}),)).load()


def test_the_key_of_a_task_has_every_module_of_documents_and_quality_that_its_step_uses() -> None:
    for step in STEPS.values():
        known = set(step.modules())
        for module in known - {step.__module__}:  # which is shared by several steps
            source = inspect.getsource(importlib.import_module(module))
            used = set(re.findall(r"^ *from (innovator_rl\.data\.(?:documents|quality)\.\w+) import", source, re.M))
            assert used <= known, f"{step.__name__}: {module}"


def test_disciplines_by_column() -> None:
    step = LabelDiscipline(column="subject", values={"hep-th": "physics"})
    transform = step.open()
    labeled = transform(Document(id="1", text="x", info={"subject": ["math", "hep-th"]})).document
    assert labeled is not None
    assert labeled.discipline == "physics"
    assert transform(Document(id="2", text="x", info={"subject": "law"})) == Result(None, "no discipline")
    own = transform(Document(id="3", text="x", discipline="biology")).document
    assert own is not None
    assert own.discipline == "biology"
