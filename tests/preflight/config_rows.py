"""Rows of data as the configuration tests plant them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def row(index: int, source: str = "gsm8k", reward: str = "math") -> dict[str, Any]:
    return {
        "data_source": source,
        "prompt": [{"role": "user", "content": f"What is {index} + {index}?"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": str(2 * index)},
        "extra_info": {
            "id": str(index),
            "index": index,
            "domain": "math",
            "reward": reward,
            "info": "{}",
            "split": "train",
        },
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
