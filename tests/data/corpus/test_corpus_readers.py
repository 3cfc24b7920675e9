"""Every format gives its documents; everything that cannot be read is an error with file and row."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.readers import read_files
from innovator_rl.data.corpus.readers.opening import find_files
from innovator_rl.data.corpus.recipe import Source
from innovator_rl.errors import UserError

zstandard = pytest.importorskip("zstandard")


def read(path: Path | str, **settings: object) -> list[Document | RowError]:
    source = Source.model_validate({"name": "s", "path": str(path), **settings})
    return list(read_files(find_files("s", source.path), source))


def texts(items: list[Document | RowError]) -> list[str]:
    return [item.text for item in items if isinstance(item, Document)]


def errors(items: list[Document | RowError]) -> list[tuple[str, int, str]]:
    return [(item.file, item.row, item.reason) for item in items if isinstance(item, RowError)]


ROWS = [{"text": f"row {i} é 向", "n": i} for i in range(5)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_lines_and_two_streams_in_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    path.write_bytes(COMPRESS[suffix](LINES) + COMPRESS[suffix](LINES))
    found = read(path)
    assert texts(found) == [row["text"] for row in ROWS] * 2
    assert found[6] == Document(id="s/rows.jsonl" + suffix + "#7", text="row 1 é 向", source="s", file=path.name, row=7)


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESS if suffix])
def test_cut_and_foreign_files(tmp_path: Path, suffix: str) -> None:
    many = b"".join(json.dumps({"text": f"{i} {i * 2654435761 % 2**32:x}"}).encode() + b"\n" for i in range(20_000))
    path = tmp_path / f"rows.jsonl{suffix}"
    path.write_bytes(COMPRESS[suffix](many)[:-50])
    found = read(path)
    (error,) = errors(found)
    assert error[2] == "broken file"
    assert error[1] == len(texts(found)) + 1
    path.write_bytes(b"this is not compressed at all, whatever its name is")
    assert [error[2] for error in errors(read(path))] == ["broken file"]


def test_formats(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "b.json").write_bytes(LINES)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "c.parquet")
    (tmp_path / "d.md").write_text("# Title\n\nText", encoding="utf-8-sig")
    (tmp_path / "e.txt").write_bytes(b"one\r\ntwo")
    (tmp_path / "f.bin").write_bytes(b"?")
    found = read(tmp_path)
    assert texts(found) == [row["text"] for row in ROWS] * 3 + ["# Title\n\nText", "one\ntwo"]
    assert errors(found) == [("f.bin", 0, "unknown format")]
    assert texts(read(tmp_path / "f.bin", reader="text")) == ["?"]


def test_an_archive_of_compressed_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        for name, content in {"x/rows.jsonl.xz": lzma.compress(LINES), "x/a.txt": b"text", "y": b"?"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    found = read(tmp_path / "all.tar.gz")
    assert len(texts(found)) == 6
    assert errors(found) == [("all.tar.gz!y", 0, "unknown format")]
    assert len(read(tmp_path / "all.tar.gz", members="x/*.txt")) == 1
    cut = (tmp_path / "all.tar.gz").read_bytes()[:-60]
    (tmp_path / "all.tar.gz").write_bytes(cut)
    assert "broken file" in {error[2] for error in errors(read(tmp_path / "all.tar.gz"))}


def tar_of(count: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(count):
            info = tarfile.TarInfo(f"{number}.txt")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"text"))
    return buffer.getvalue()


def test_an_archive_that_is_damaged_or_lacks_its_end_is_an_error(tmp_path: Path) -> None:
    whole = tar_of(9)
    damaged = {
        "header": whole[:3072] + b"\xff" * 100 + whole[3172:],
        "boundary": whole[:3072],
        "inside": whole[:3172],
        "data": whole[:3586],
        "two": whole + whole,
    }
    for name, content in damaged.items():
        path = tmp_path / f"{name}.tar"
        path.write_bytes(content)
        found = read(path)
        assert errors(found) == [(path.name, 0, "broken file")], name
        assert len(texts(found)) == (9 if name == "two" else 3), name
    for suffix, compress in {
        ".tar": bytes,
        ".tgz": gzip.compress,
        ".txz": lzma.compress,
        ".TGZ": gzip.compress,
    }.items():
        (tmp_path / f"good{suffix}").write_bytes(compress(whole))
        assert texts(read(tmp_path / f"good{suffix}")) == ["text"] * 9


def test_links_are_followed_and_one_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    for name in ("blobs/0", "blobs/1", "snapshot/plain.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    folder = tmp_path / "snapshot"
    (folder / "a.txt").symlink_to(tmp_path / "blobs" / "0")
    (folder / "more").symlink_to(tmp_path / "blobs")
    (tmp_path / "blobs" / "loop").symlink_to(folder)
    assert texts(read(folder, reader="text")) == ["blobs/0", "blobs/0", "blobs/1", "snapshot/plain.txt"]
    assert texts(read(folder / "*.txt")) == ["blobs/0", "snapshot/plain.txt"]
    (folder / "b.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"the link '.*b.txt' leads to a file that is not found"):
        read(folder)


@pytest.mark.parametrize(
    "name", ["[1] x.txt", "what?.txt", "a::b.txt", "star*.txt", "a#b.txt", "50%25.txt", "x{y}.txt"]
)
def test_names_with_the_characters_of_patterns_and_urls(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text")
    assert texts(read(tmp_path)) == texts(read(tmp_path / name)) == ["text"]


def test_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,Water boils, as you know\n\n2,"quoted, fine"\n3\n4,"not closed\n5,x\n')
    (tmp_path / "b.tsv").write_text('id\ttext\n1\t"Vector" is a word\n2\t"not closed\n3\tthird\n')
    found = read(tmp_path)
    assert texts(found) == ["quoted, fine", '"Vector" is a word', '"not closed', "third"]
    assert errors(found) == [
        ("a.csv", 1, "more cells than columns"),
        ("a.csv", 3, "no text"),
        ("a.csv", 4, "not a table"),
    ]
    assert found[0].detail == "3 cells, the first row names 2 columns"


def test_lone_surrogates_in_any_column_are_errors(tmp_path: Path) -> None:
    rows = [{"text": "x", key: value} for key, value in {"id": "\ud800", "kind": "\ud800", "note": ["\ud800"]}.items()]
    rows.append({"text": "x", "kind": "a long text " * 10})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(tmp_path / "a.jsonl", fields={"id": "id", "discipline": "kind"}, keep=["note"])
    assert [(e.reason, e.detail.split(",")[0]) for e in found if isinstance(e, RowError)] == [
        ("not UTF-8", "'id'"),
        ("not UTF-8", "'discipline'"),
        ("not UTF-8", "'note'"),
        ("no discipline", f"over 64 bytes: {('a long text ' * 10)[:80]}"),
    ]


def test_columns(tmp_path: Path) -> None:
    rows = [
        {"body": "x", "key": 7, "field": "physics", "lang": None},
        {"body": 3},
        {"other": 1},
        "text",
        {"body": "\ud800"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = {"text": "body", "id": "key", "discipline": "field", "language": "lang"}
    found = read(tmp_path / "a.jsonl", fields=fields, keep=["key"], language="en", discipline="none")
    assert found[0] == Document("s/7", "x", "s", "physics", "en", "", "a.jsonl", 1, {"key": 7})
    assert [error[1:] for error in errors(found)] == [
        (2, "no text"),
        (3, "no text"),
        (4, "not an object"),
        (5, "not UTF-8"),
    ]


def test_a_long_line_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(100):
            file.write(b"x" * 2**20)
        file.write(b'"}\n{"text": "after"}\n')
    (tmp_path / "small.jsonl").write_text('{"text": "x"}\n')
    read(tmp_path / "small.jsonl")  # what reading imports is no part of the measurement
    tracemalloc.start()
    found = read(path, max_document_bytes=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts(found) == ["before", "after"]
    assert errors(found) == [("a.jsonl", 2, "too long")]
    assert peak < 50 * 2**20, "half of the line, and room for what other threads of the test session allocate"


def test_broken_text_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc\xff")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing PAR1")
    (tmp_path / "c.json").write_text("[1, ")
    (tmp_path / "d.txt").write_text("x" * 200)
    found = read(tmp_path, max_document_bytes=100)
    assert [error[2] for error in errors(found)] == ["not UTF-8", "not Parquet", "not JSON", "too long"]


def test_globs_and_urls(tmp_path: Path) -> None:
    for name in ("a/1.txt", "a/2.txt", "b/3.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts(read(tmp_path / "*" / "[12].txt")) == ["a/1.txt", "a/2.txt"]
    assert [item.file for item in read(tmp_path)] == ["a/1.txt", "a/2.txt", "b/3.txt"]
    memory = fsspec.filesystem("memory")
    with memory.open("/corpus/rows.jsonl", "wb") as file:
        file.write(LINES)
    assert len(texts(read("memory://corpus/*.jsonl"))) == 5
    with pytest.raises(UserError, match="matches no file"):
        read(tmp_path / "*.parquet")
    with pytest.raises(UserError, match="cannot be read"):
        read("nowhere://x")
