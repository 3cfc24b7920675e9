"""Row groups are small where rows are heavy, so that one response's tokens cost little to read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from innovator_rl.rollouts.schema import TOKENS
from innovator_rl.rollouts.segment_reader import SegmentReader, UnreadableRow
from innovator_rl.rollouts.segments import ROW_GROUP_TOKENS, write_segment


@pytest.mark.parametrize(
    ("tokens", "empty", "rows"), [(8_000, 900, 16), (1_000, 0, 131), (10, 0, 1_024), (0, 1_000, 1_024)]
)
def test_a_row_group_holds_about_so_many_tokens(tmp_path: Path, tokens: int, empty: int, rows: int) -> None:
    long = [[0] * tokens] * (1_200 - empty) if tokens else [None] * 1_200
    columns = {"token_ids": long + [None] * (1_200 - len(long)), "sample": list(range(1_200))}
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(1_200, f.type) for f in TOKENS]
    write_segment(tmp_path, "s.parquet", [pa.Table.from_arrays(arrays, schema=TOKENS)], TOKENS)
    metadata = pq.read_metadata(tmp_path / "s.parquet")
    assert metadata.row_group(0).num_rows == min(rows, 1_200)
    assert rows * tokens <= ROW_GROUP_TOKENS or rows == 16
    reader = SegmentReader(tmp_path)
    places = [("s.parquet", position) for position in (0, rows - 1, rows, 1_199)]
    assert [row["sample"] for row in reader.rows(places, ["sample"]).values()] == [0, rows - 1, rows, 1_199]
    assert reader.arrays("s.parquet", 5, ["sample"]) == {"sample": 5}
    with pytest.raises(UnreadableRow):
        reader.rows([("s.parquet", 1_200)], ["sample"])
