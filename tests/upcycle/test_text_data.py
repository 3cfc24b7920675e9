"""Sources, the held-out split, packing and the order of batches."""

import bz2
import gzip
import json
import lzma
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.errors import UserError
from innovator_rl.models.byte_tokenizer import byte_tokenizer
from upcycle.config.schema import validate
from upcycle.config.stages import DataConfig, TextSource
from upcycle.data.documents import documents, is_held_out, source_files
from upcycle.data.order import GENERAL, BatchSchedule, shares_of
from upcycle.data.packing import NO_LABEL, Corpora, open_corpora
from upcycle.data.tokens import tokenize

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
        ("a.jsonl", '{"q": 1}', {"template": "{question}"}, "row 1 .* does not fit the template"),
        ("a.jsonl", "{", {"template": "{q}"}, "cannot be read: not JSON"),
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
        source_files([source(tmp_path / "none*.txt")], "physics")
    with pytest.raises(UserError, match="has no sources"):
        source_files([], "physics")


def test_a_bare_pattern_is_a_source_and_a_discipline_without_any_is_empty() -> None:
    config = validate({"base_model": "d", "disciplines": {"a": ["x.txt"], "b": None}, "general": "g/*.txt"})
    assert config.disciplines["a"] == (TextSource(paths=("x.txt",)),)
    assert config.disciplines["b"] == ()
    assert config.general[0].paths == ("g/*.txt",)
    assert DataConfig().sequence_length == 8192


ROWS = [{"text": f"document {number} of a file in its own format"} for number in range(5)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".jsonl.gz", gzip.compress),
        (".jsonl.xz", lzma.compress),
        (".jsonl.bz2", bz2.compress),
        (".jsonl.zst", zstandard.ZstdCompressor().compress),
        (".json", bytes),
        (".ndjson", bytes),
    ],
)
def test_compressed_rows_are_rows(suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / f"d{suffix}").write_bytes(pack(LINES))
    assert list(documents([source(tmp_path / f"d{suffix}", template="{text}")], "x")) == [row["text"] for row in ROWS]


def test_parquet_gives_its_rows(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "d.parquet")
    assert len(list(documents([source(tmp_path / "d.parquet", template="{text}")], "x"))) == 5


@pytest.mark.parametrize("value", [["a list of words"], {"words": "an object"}])
def test_a_column_without_text_of_its_own_is_refused(value: object, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps({"q": value}))
    with pytest.raises(UserError, match=r"row 1 of .*d.jsonl cannot be read: does not fit the template"):
        list(documents([source(tmp_path / "d.jsonl", template="{q}")], "x"))
    inside = "{q[0]}" if isinstance(value, list) else "{q[words]}"
    assert list(documents([source(tmp_path / "d.jsonl", template=inside)], "x"))


def test_a_missing_number_of_a_table_is_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": [float("nan"), 1234567.5]}), tmp_path / "d.parquet")
    left_out: Counter[str] = Counter()
    assert list(documents([source(tmp_path / "d.parquet", template="{t}")], "x", left_out=left_out)) == ["1234567.5"]
    assert sum(left_out.values()) == 1


def test_a_file_with_nul_bytes_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_bytes("text in UTF-16 without a mark".encode("utf-16-le"))
    with pytest.raises(UserError, match="not text"):
        list(documents([source(tmp_path / "d.txt")], "x"))


@pytest.mark.parametrize("name", ["d.arrow", "d.warc.gz", "d.docx", "d.bin", "d", "d.lz4"])
def test_an_unknown_format_is_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PAR1 or whatever")
    with pytest.raises(UserError, match="unknown format") as caught:
        list(documents([source(tmp_path / name)], "x"))
    assert "\n" not in str(caught.value)
    if not name.endswith(".gz"):
        assert list(documents([source(tmp_path / name, reader="text")], "x")) == ["PAR1 or whatever"]


@pytest.mark.parametrize(
    ("row", "template", "kept"),
    [
        ({"q": "the electron", "a": None}, "{q} {a}", False),
        ({"q": "the electron", "a": {"unit": None}}, "{q} {a[unit]}", False),
        ({"q": "the electron", "a": [None, 1]}, "{q} {a[0]!s}", False),
        ({"q": "the electron", "a": None}, "{q}", True),
        ({"q": "None of these", "a": 0}, "{q} {a}", True),
        ({"q": "the electron", "a": False}, "{q} {a}", True),
    ],
)
def test_null_never_becomes_a_word(row: dict[str, object], template: str, kept: bool, tmp_path: Path) -> None:
    ordinary = {"q": "an ordinary row", "a": [1, 2] if "[" in template else 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(ordinary) + "\n")
    left_out: Counter[str] = Counter()
    found = documents([source(tmp_path / "a.jsonl", template=template.partition(" {a[u")[0])], "x", left_out=left_out)
    if "[unit]" in template:
        found = documents([source(tmp_path / "a.jsonl", template=template)], "x", left_out=left_out)
        assert left_out == Counter()
        with pytest.raises(UserError, match="row 2"):  # [1, 2] has no unit: that is a wrong template, not a null
            list(found)
        return
    assert len(list(found)) == 1 + kept
    assert sum(left_out.values()) == (not kept)
    assert all("null in" in reason for reason in left_out)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\u000b", "\u001c"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_unicode_line_separators_do_not_end_a_row(separator: str, suffix: str, tmp_path: Path) -> None:
    text = f"first part{separator}second part"
    line = json.dumps({"text": text}, ensure_ascii=False)
    (tmp_path / f"a{suffix}").write_bytes((line + "\n" + json.dumps({"text": "other"}) + "\n").encode())
    assert list(documents([source(tmp_path / f"a{suffix}", template="{text}")], "x")) == [text, "other"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"q": "the text"}'),
        ("a.json", '[{"q": "the text"}]'),
        ("a.csv", "q,a\nthe text,1"),
        ("a.tsv", "q\ta\nthe text\t1"),
        ("a.txt", "the text"),
        ("a.html", "<p>the text</p>"),
    ],
)
def test_a_byte_order_mark_is_no_text(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
    template = {} if name.endswith((".txt", ".html")) else {"template": "{q}"}
    assert list(documents([source(tmp_path / name, **template)], "x")) == ["the text"]


def test_tables_keep_newlines_quotes_and_long_fields(tmp_path: Path) -> None:
    long = "x" * 300_000
    (tmp_path / "a.csv").write_text(f'q,a\n"line one\nline ""two""",42\n"{long}",7\nshort\n')
    left_out: Counter[str] = Counter()
    found = list(documents([source(tmp_path / "a.csv", template="{q} = {a}")], "x", left_out=left_out))
    assert found == ['line one\nline "two" = 42', f"{long} = 7"]
    assert sum(left_out.values()) == 1, "the last row has no second column"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>For a < b and b > c we have</p>", "For a < b and b > c we have"),
        ("<p>if x<y and z>w then 0<x<1</p><p>end</p>", "if x<y and z>w then 0<x<1\n\nend"),
        ("<p>p <= q <- r << s</p>", "p <= q <- r << s"),
        ("<p>a &lt; b &amp; c</p>", "a < b & c"),
        ("<ul><li>one</li><li>two <b>bold</b></li></ul>", "one\n\ntwo bold"),
        ("a<script>if (a < b) {}</script>b", "ab"),
    ],
)
def test_less_than_in_a_page_is_text(markup: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(markup)
    assert list(documents([source(tmp_path / "a.html")], "x")) == [text]


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


def corpora(folder: Path, length: int = 32, split: str = "train", **data: object) -> Corpora:
    sources = {"physics": [source(folder / "rows.jsonl", template="{t}")]}
    tokenize(sources, byte_tokenizer(), folder / "data", 0.2, 0)
    settings = DataConfig(sequence_length=length, held_out=0.2, **data)  # type: ignore[arg-type]
    return open_corpora(sources, byte_tokenizer(), folder / "data", settings)[split]


def stored(folder: Path, split: str = "train") -> np.ndarray:
    return np.fromfile(folder / f"data/physics.{split}-0000.bin", "<u2").astype(np.int64)


def test_windows_hold_every_token_once_and_stop_at_borders(texts: Path) -> None:
    packed = corpora(texts)
    size = packed.size("physics")
    tokens = stored(texts)
    assert size == len(tokens) // 32
    batch = packed.batch([("physics", index) for index in range(size)], {"physics": 0})
    stream = batch.tokens.flatten()
    assert (stream.numpy() == tokens[: len(stream)]).all()
    ends = batch.tokens == END
    assert (batch.labels[ends] == NO_LABEL).all(), "nothing is predicted across a border"
    labels = batch.labels.flatten().numpy()
    inside = labels != NO_LABEL
    assert (inside == (stream.numpy() != END)).all(), "also the last token of a window predicts"
    following = tokens[1 : len(stream) + 1]
    assert (labels[: len(following)][inside[: len(following)]] == following[inside[: len(following)]]).all()
    starts = batch.positions == 0
    assert starts[:, 0].all()
    assert (starts[:, 1:] == ends[:, :-1]).all(), "positions start again after each end token"
    assert set(batch.positions.diff(dim=1)[~starts[:, 1:]].tolist()) == {1}


def test_packing_by_document_cuts_only_what_is_longer_than_a_window(texts: Path) -> None:
    packed = corpora(texts, 48, packing="documents")
    tokens = stored(texts).tolist()
    whole = sorted(_pieces([tokens], END))
    batch = packed.batch([("physics", index) for index in range(packed.size("physics"))], {"physics": 0})
    rows = [
        [token for token, label, place in zip(*row, strict=True) if label != NO_LABEL or (token == END and place)]
        for row in zip(batch.tokens.tolist(), batch.labels.tolist(), batch.positions.tolist(), strict=True)
    ]
    assert sorted(_pieces(rows, END)) == whole, "every document is whole in one window"
    assert packed.fill("physics") > 0.9
    assert corpora(texts, 16, packing="documents").fill("physics") > 0.8, "longer documents are cut at the length"


def _pieces(rows: list[list[int]], end: int) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for row in rows:
        piece: list[int] = []
        for token in row:
            if token == end:
                if piece:
                    found.append(tuple(piece))
                piece = []
            else:
                piece.append(token)
        assert not piece, "a document goes on past its window"
    return found


def test_held_out_documents_are_not_in_training(texts: Path) -> None:
    corpora(texts)
    parts = {}
    for split in ("train", "held_out"):
        text = bytes(256 - 246 if t == END else t for t in stored(texts, split).tolist()).decode()
        parts[split] = set(text.strip("\n").split("\n"))
    assert len(parts["train"]) + len(parts["held_out"]) == 200
    assert 20 <= len(parts["held_out"]) <= 60
    assert not parts["train"] & parts["held_out"]


def test_tokens_are_built_once_and_again_when_any_byte_of_the_text_changes(texts: Path) -> None:
    first = corpora(texts).batch([("physics", 0)], {"physics": 0}).tokens
    file = texts / "data/physics.train-0000.bin"
    before = file.stat().st_mtime_ns
    corpora(texts)
    assert file.stat().st_mtime_ns == before
    rows = texts / "rows.jsonl"
    state = rows.stat()
    rows.write_bytes(rows.read_bytes().replace(b"document", b"pamphlet"))
    os.utime(rows, ns=(state.st_atime_ns, state.st_mtime_ns))  # the same name, size and time: only the bytes differ
    changed = corpora(texts).batch([("physics", 0)], {"physics": 0}).tokens
    assert not (first == changed).all()
    with rows.open("a") as more:
        more.writelines(f'\n{{"t": "one more {number} of the same file"}}' for number in range(1800))
    assert corpora(texts).size("physics") > 9 * len(changed)


def test_a_special_token_spelled_in_a_document_is_text(tmp_path: Path) -> None:
    text = "abc <|im_end|> def <|endoftext|> ghi"
    (tmp_path / "a.txt").write_text(text)
    tokenize({"physics": [source(tmp_path / "a.txt")]}, byte_tokenizer(), tmp_path / "data", 0.0, 0)
    tokens = stored(tmp_path).tolist()
    assert tokens.count(END) == 1
    assert bytes(tokens[:-1]).decode() == text


def test_too_little_text_for_one_sequence_is_said(texts: Path) -> None:
    with pytest.raises(UserError, match="less than one sequence"):
        corpora(texts, 100_000)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.floats(0, 0.9), st.integers(1, 16), st.integers(1, 30), st.integers(0, 5))
def test_the_schedule_is_stratified_pure_and_walks_whole_epochs(
    disciplines: int, general: float, batch: int, steps: int, seed: int
) -> None:
    names = [f"d{number}" for number in range(disciplines)]
    shares = shares_of(names, general, {"d0": 3.0})
    assert sum(shares.values()) == pytest.approx(1)
    sizes = {name: 3 + number for number, name in enumerate(shares)}
    schedule = BatchSchedule(sizes, shares, batch, seed)
    steps_in_order = [schedule.picks(step) for step in range(steps)]
    again = BatchSchedule(sizes, shares, batch, seed)
    assert [again.picks(step) for step in reversed(range(steps))] == steps_in_order[::-1]
    flat = [pick for picks in steps_in_order for pick in picks]
    for name, share in shares.items():
        mine = [index for found, index in flat if found == name]
        assert abs(len(mine) - share * len(flat)) <= 3
        for start in range(0, len(mine) - sizes[name] + 1, sizes[name]):
            assert sorted(mine[start : start + sizes[name]]) == list(range(sizes[name]))


def test_a_run_of_a_billion_sequences_resumes_in_no_time() -> None:
    schedule = BatchSchedule({"a": 10**9, "b": 10**8}, {"a": 0.7, "b": 0.3}, 4, 0)
    far, again = schedule.picks(10**9), BatchSchedule({"a": 10**9, "b": 10**8}, {"a": 0.7, "b": 0.3}, 4, 0)
    assert far == again.picks(10**9)


def test_general_text_is_not_a_discipline() -> None:
    assert shares_of(["a", "b"], 0.0) == {"a": 0.5, "b": 0.5}
    assert shares_of(["a", "b"], 0.2) == {"a": 0.4, "b": 0.4, GENERAL: 0.2}
    assert shares_of(["a", "b"], 0.0, {"a": 3}) == {"a": 0.75, "b": 0.25}
    with pytest.raises(UserError, match=r"data.weights.c: unknown discipline; expected one of a, b"):
        shares_of(["a", "b"], 0.2, {"c": 1})
