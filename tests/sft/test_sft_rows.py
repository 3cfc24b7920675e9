"""Conversations are checked row by row, measured, and written once."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl import models
from innovator_rl.errors import UserError
from innovator_rl.sft import rows as sft_rows
from innovator_rl.sft.rows import Prepared, conversation, prepare, read_rows

GOOD = {"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}], "other": 1}


def prepared(tmp_path: Path, lines: list[Any], **changes: Any) -> Prepared:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    options: dict[str, Any] = {"max_tokens": 200, "too_long": "drop", "bad_rows": "drop", **changes}
    return prepare([path], models.make("tiny-qwen2"), tmp_path / "data", "train", **options)


def row(*pairs: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in pairs]}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ([1], "expected an object, found list"),
        ({"prompt": "x"}, "expected `messages`, a list of role and content, found keys prompt"),
        ({"messages": "hi"}, "found str"),
        ({"messages": []}, "found list"),
        ({"messages": ["hi"]}, "message 1: role None must be one of system, user, assistant"),
        (row(("user", "a"), ("tool", "b")), "message 2: role 'tool' must be one of"),
        (row(("user", None), ("assistant", "b")), "message 1: content must be text, found None"),
        (row(("user", "a"), ("assistant", "  ")), "message 2: content must be text"),
        (row(("user", [{"type": "image"}]), ("assistant", "b")), "message 1: content must be text"),
        (row(("user", "a"), ("system", "s"), ("assistant", "b")), "message 2: a system message must be the first"),
        (row(("user", "a"), ("assistant", "b"), ("user", "c")), "the last message must be the assistant's, found user"),
        (row(("system", "a"), ("assistant", "b")), "expected a user message"),
        (row(("user", "\ud800"), ("assistant", "b")), "message 1: content has a lone surrogate"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(record: Any, why: str) -> None:
    found = conversation(record)
    assert isinstance(found, str)
    assert why in found


VALUES = st.none() | st.integers() | st.text(max_size=3)


@settings(max_examples=60)
@given(st.recursive(VALUES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x), max_leaves=6))
def test_no_row_breaks_the_check(record: Any) -> None:
    for value in (record, {"messages": record}, {"messages": [record]}):
        found = conversation(value)
        assert isinstance(found, str) or found[-1]["role"] == "assistant"


def test_bad_rows_are_named_with_file_and_row(tmp_path: Path) -> None:
    lines = [GOOD, b"{broken", {"messages": []}, b"\xff\xfe", GOOD]
    with pytest.raises(UserError) as caught:
        prepared(tmp_path, lines, bad_rows="error")
    text = str(caught.value)
    assert f"{tmp_path / 'rows.jsonl'} row 2: not JSON" in text
    assert "row 3: no conversation" in text
    assert "row 4: not UTF-8" in text
    assert "data.bad_rows=drop" in text
    listed = [json.loads(line) for line in (tmp_path / "data" / "train-bad-rows.jsonl").read_text().splitlines()]
    assert [item["row"] for item in listed] == [2, 3, 4]


def test_dropped_rows_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    long = row(("user", "x" * 300), ("assistant", "y"))
    found = prepared(tmp_path, [GOOD, b"nonsense", long, GOOD])
    assert (found.rows, found.dropped) == (2, {"not JSON": 1, "too long": 1})
    table = pq.read_table(found.path).to_pylist()
    assert table == [{"messages": GOOD["messages"]}] * 2
    assert found.tokens == 2 * found.longest
    with pytest.raises(UserError, match=r"row 3: too long \(\d+ tokens, data.max_tokens is 200\)"):
        prepared(tmp_path, [GOOD, GOOD, long], too_long="error")
    with pytest.raises(UserError, match="no usable row"):
        prepared(tmp_path, [long])


def test_the_same_rows_are_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared(tmp_path, [GOOD])
    monkeypatch.setattr(sft_rows, "_write", None)
    assert prepared(tmp_path, [GOOD]) == first
    with pytest.raises(TypeError):  # another content is another file
        prepared(tmp_path, [GOOD, GOOD])


def test_two_machines_prepare_the_same_rows_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad: dict[str, Any] = {"messages": []}
    checked, once = sft_rows._checked, iter([True])

    def meanwhile(*arguments: Any) -> Any:
        if next(once, False):
            prepared(tmp_path, [GOOD, bad, GOOD])  # the other machine, from its start to its end
        return checked(*arguments)

    monkeypatch.setattr(sft_rows, "_checked", meanwhile)
    found = prepared(tmp_path, [GOOD, bad, GOOD])
    assert pq.read_table(found.path).num_rows == found.rows == 2
    assert len((tmp_path / "data" / "train-bad-rows.jsonl").read_text().splitlines()) == 1
    assert len([*(tmp_path / "data").iterdir()]) == 3  # no draft is left
    found.path.write_bytes(found.path.read_bytes()[:40])  # what an earlier release left
    assert prepared(tmp_path, [GOOD, bad, GOOD]) == found
    assert pq.read_table(found.path).num_rows == 2


def test_parquet_gzip_and_broken_files_are_read_or_named(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([GOOD, GOOD]), tmp_path / "a.parquet")
    assert [record["messages"] for _, record in read_rows(tmp_path / "a.parquet")] == [GOOD["messages"]] * 2
    content = gzip.compress(b"".join(json.dumps(GOOD).encode() + b"\n" for _ in range(2000)))
    (tmp_path / "b.jsonl.gz").write_bytes(content)
    assert len(list(read_rows(tmp_path / "b.jsonl.gz"))) == 2000
    (tmp_path / "cut.jsonl.gz").write_bytes(content[: len(content) // 2])
    (tmp_path / "no.parquet").write_bytes(b"no parquet")
    for name in ("cut.jsonl.gz", "no.parquet"):
        assert list(read_rows(tmp_path / name))[-1][1].reason == "broken file"
    with pytest.raises(UserError, match="unknown format"):
        list(read_rows(tmp_path / "c.csv"))
