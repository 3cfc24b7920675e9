"""Rows survive the Parquet file, verl's loader reads it, and faults are named by file, row and column."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from innovator_rl.data.rows import SCHEMA, Row, check_columns, faults, fingerprint_of, read_rows, write_rows
from innovator_rl.errors import UserError


def row(index: int = 0, **changes: object) -> Row:
    values: dict[str, object] = {
        "data_source": "gsm8k", "prompt": ({"role": "user", "content": f"What is {index} + 1?"},), "domain": "math",
        "answer": str(index + 1), "reward": "math", "id": f"m/{index}", "index": index, "split": "train",
    }  # fmt: skip
    return Row(**{**values, **changes})  # type: ignore[arg-type]


def test_rows_come_back_and_keep_one_schema(tmp_path: Path) -> None:
    rows = [row(0), row(1, info={"type": "call", "cases": [{"args": [1, "ü"]}]})]
    assert write_rows(tmp_path / "a.parquet", rows, fingerprint="abc") == 2
    write_rows(tmp_path / "b.parquet", [row(0)])
    assert list(read_rows(tmp_path / "a.parquet")) == rows
    assert pq.read_schema(tmp_path / "a.parquet").remove_metadata() == SCHEMA
    assert pq.read_schema(tmp_path / "b.parquet").remove_metadata() == SCHEMA
    assert (fingerprint_of(tmp_path / "a.parquet"), fingerprint_of(tmp_path / "b.parquet")) == ("abc", "")
    assert faults(tmp_path / "a.parquet") == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_hugging_face_datasets_reads_what_verl_needs(tmp_path: Path) -> None:
    import datasets

    write_rows(tmp_path / "a.parquet", [row(3)])
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "hf"))
    record = loaded["train"][0]
    assert record["prompt"] == [{"role": "user", "content": "What is 3 + 1?"}]
    assert record["reward_model"] == {"style": "rule", "ground_truth": "4"}
    assert record["extra_info"] == {
        "id": "m/3", "index": 3, "domain": "math", "reward": "math", "info": "{}", "split": "train",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": " "}, "ground_truth"),
        ({"prompt": ()}, "column 'prompt'"),
        ({"prompt": ({"role": "assistant", "content": "x"},)}, "last message is from 'assistant'"),
        ({"data_source": ""}, "data_source"),
    ],
)
def test_a_fault_names_file_row_and_column(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = tmp_path / "bad.parquet"
    write_rows(path, [row(0), row(1, **changes)])
    with pytest.raises(UserError, match=rf"bad\.parquet, row 1, .*{message}"):
        list(read_rows(path))
    assert len(faults(path)) == 1


def test_info_that_is_no_json_object_is_a_fault(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", [row(0)])
    record = pq.read_table(tmp_path / "a.parquet").to_pylist()[0]
    record["extra_info"]["info"] = "[1"
    pq.write_table(pa.Table.from_pylist([record], schema=SCHEMA), tmp_path / "a.parquet")
    assert "extra_info.info" in faults(tmp_path / "a.parquet")[0]


def test_unreadable_files_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="innovator data build"):
        check_columns(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        check_columns(tmp_path / "text.parquet")
    pq.write_table(pa.table({"prompt": ["plain text"]}), tmp_path / "other.parquet")
    with pytest.raises(UserError, match="no column 'data_source'"):
        check_columns(tmp_path / "other.parquet")
    write_rows(tmp_path / "a.parquet", [row(0)])
    table = pq.read_table(tmp_path / "a.parquet")
    broken = table.set_column(1, "prompt", pa.array(["plain text"]))
    pq.write_table(broken, tmp_path / "plain.parquet")
    with pytest.raises(UserError, match="column 'prompt' is string"):
        check_columns(tmp_path / "plain.parquet")
