"""Sources, the held-out split, packing and the order of batches."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.errors import UserError
from innovator_rl.models.byte_tokenizer import byte_tokenizer
from upcycle.config.schema import validate
from upcycle.config.stages import DataConfig, TextSource
from upcycle.data.documents import documents, is_held_out, require_files
from upcycle.data.packing import GENERAL, NO_LABEL, BatchSchedule, Corpora, even_shares, tokenize

END = 258


def source(path: Path, **more: object) -> TextSource:
    return TextSource(paths=(str(path),), **{"min_characters": 1, **more})  # type: ignore[arg-type]


def test_rows_tables_pages_and_plain_files_become_documents(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"q": "one", "chat": [{"t": "x"}, {"t": "deep"}]}\n\n{"q": "two", "chat": [0, {"t": "y"}]}\n'
    )
    (tmp_path / "b.tsv").write_text("SMILES\ttext\nCCO\tethanol\n*not a molecule\tbroken\n")
    (tmp_path / "c.html").write_text("<head><title>T</title></head><p>a &lt; b</p><script>no</script><p>end</p>")
    (tmp_path / "d.json").write_text(json.dumps([{"q": "three"}]))
    found = documents(
        [
            source(tmp_path / "a.jsonl", template="{q}: {chat[1][t]}"),
            source(tmp_path / "b.tsv", template="{text} {SELFIES}", selfies="SMILES"),
            source(tmp_path / "c.html"),
            source(tmp_path / "d.json", template="{q}"),
        ],
        "x",
    )
    assert list(found) == ["one: deep", "two: y", "ethanol [C][C][O]", "a < b\n\nend", "three"]


def test_duplicates_are_one_document(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("the same  text\n")
    assert len(list(documents([source(tmp_path / "*.txt")], "x"))) == 1


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("a.jsonl", '{"q": 1}', {}, "set `template`"),
        ("a.jsonl", '{"q": 1}', {"template": "{question}"}, "row 1 .* does not fit template"),
        ("a.jsonl", "{", {"template": "{q}"}, "cannot be read as .jsonl"),
        ("a.txt", "", {}, "has no text"),
        ("a.jsonl.gz", "plain", {"template": "{q}"}, "cannot be read"),
    ],
)
def test_a_bad_source_is_one_line_that_names_it(
    name: str, content: str, more: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        list(documents([source(tmp_path / name, **more)], "physics"))
    assert "physics" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_empty_disciplines_are_found_without_reading(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file matches"):
        require_files([source(tmp_path / "none*.txt")], "physics")
    with pytest.raises(UserError, match="has no sources"):
        require_files([], "physics")


def test_a_bare_pattern_is_a_source_and_a_discipline_without_any_is_empty() -> None:
    config = validate({"base_model": "d", "disciplines": {"a": ["x.txt"], "b": None}, "general": "g/*.txt"})
    assert config.disciplines["a"] == (TextSource(paths=("x.txt",)),)
    assert config.disciplines["b"] == ()
    assert config.general[0].paths == ("g/*.txt",)
    assert DataConfig().sequence_length == 8192


@given(st.text(min_size=1), st.floats(0, 1), st.integers(0, 9))
def test_the_split_depends_on_text_alone_and_grows_with_its_share(text: str, share: float, seed: int) -> None:
    held = is_held_out(text, share, seed)
    assert held == is_held_out(f"  {text}\n", share, seed)
    assert not is_held_out(text, 0.0, seed)
    assert is_held_out(text, 1.0, seed)
    if held:
        assert is_held_out(text, min(1.0, share + 0.1), seed)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    lines = [json.dumps({"t": f"document {number} " + "ab" * (number % 17)}) for number in range(200)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    return tmp_path


def corpora(folder: Path, length: int = 32, split: str = "train") -> tuple[Corpora, dict[str, dict[str, int]]]:
    sources = {"physics": [source(folder / "rows.jsonl", template="{t}")]}
    counts = tokenize(sources, byte_tokenizer(), folder / "data", 0.2, 0)
    return Corpora(folder / "data", split, ["physics"], length), counts


def test_windows_hold_every_token_once_and_stop_at_borders(texts: Path) -> None:
    packed, counts = corpora(texts)
    size = packed.size("physics")
    assert size == (counts["physics"]["train"] - 1) // 32
    batch = packed.batch([("physics", index) for index in range(size)], {"physics": 0})
    stream = batch.tokens.flatten()
    assert (stream[1:] == np.load(texts / "data/physics.train.tokens.npy")[1 : len(stream)].astype(np.int64)).all()
    ends = batch.tokens == END
    assert (batch.labels[ends] == NO_LABEL).all(), "nothing is predicted across a border"
    inside = batch.labels[:, :-1] != NO_LABEL
    assert (batch.labels[:, :-1][inside] == batch.tokens[:, 1:][inside]).all()
    starts = batch.positions == 0
    assert starts[:, 0].all()
    assert (starts[:, 1:] == ends[:, :-1]).all(), "positions start again after each end token"
    assert set(batch.positions.diff(dim=1)[~starts[:, 1:]].tolist()) == {1}


def test_held_out_documents_are_not_in_training(texts: Path) -> None:
    corpora(texts)
    parts = {}
    for split in ("train", "held_out"):
        tokens = np.load(texts / f"data/physics.{split}.tokens.npy").tolist()
        text = bytes(256 - 246 if t == END else t for t in tokens).decode()
        parts[split] = set(text.strip("\n").split("\n"))
    assert len(parts["train"]) + len(parts["held_out"]) == 200
    assert 20 <= len(parts["held_out"]) <= 60
    assert not parts["train"] & parts["held_out"]


def test_tokens_are_built_once_and_again_when_the_sources_change(texts: Path) -> None:
    corpora(texts)
    file = texts / "data/physics.train.tokens.npy"
    first = file.stat().st_mtime_ns
    corpora(texts)
    assert file.stat().st_mtime_ns == first
    tokenize({"physics": [source(texts / "rows.jsonl", template="more {t}")]}, byte_tokenizer(), texts / "data", 0.2, 0)
    assert file.stat().st_mtime_ns > first


def test_too_little_text_for_one_sequence_is_said(texts: Path) -> None:
    corpora(texts)
    with pytest.raises(UserError, match="less than one sequence"):
        Corpora(texts / "data", "held_out", ["physics"], 100_000)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.floats(0, 0.9), st.integers(1, 16), st.integers(1, 30), st.integers(0, 5))
def test_the_schedule_is_stratified_pure_and_walks_whole_epochs(
    disciplines: int, general: float, batch: int, steps: int, seed: int
) -> None:
    names = [f"d{number}" for number in range(disciplines)]
    shares = even_shares(names, general)
    assert sum(shares.values()) == pytest.approx(1)
    sizes = {name: 3 + number for number, name in enumerate(shares)}
    schedule = BatchSchedule(sizes, shares, batch, steps, seed)
    steps_in_order = [schedule.picks(step) for step in range(steps)]
    again = BatchSchedule(sizes, shares, batch, steps, seed)
    assert [again.picks(step) for step in reversed(range(steps))] == steps_in_order[::-1]
    flat = [pick for picks in steps_in_order for pick in picks]
    for name, share in shares.items():
        mine = [index for found, index in flat if found == name]
        assert abs(len(mine) - share * len(flat)) <= 3
        for start in range(0, len(mine) - sizes[name] + 1, sizes[name]):
            assert sorted(mine[start : start + sizes[name]]) == list(range(sizes[name]))


def test_general_text_is_not_a_discipline() -> None:
    assert even_shares(["a", "b"], 0.0) == {"a": 0.5, "b": 0.5}
    assert even_shares(["a", "b"], 0.2) == {"a": 0.4, "b": 0.4, GENERAL: 0.2}
