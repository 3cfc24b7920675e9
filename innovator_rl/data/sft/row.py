"""Define a row for supervised fine-tuning: the conversation, and where its answer comes from."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("data_source", pa.string()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("answer", pa.string()),
        ("reward", pa.string()),
        (
            "models",
            pa.list_(
                pa.struct(
                    [
                        ("role", pa.string()),
                        ("model", pa.string()),
                        ("prompt_sha256", pa.string()),
                        ("seed", pa.int64()),
                        ("prompt_tokens", pa.int64()),
                        ("response_tokens", pa.int64()),
                        ("cost", pa.float64()),
                        ("agrees", pa.bool_()),
                        ("answer", pa.string()),
                    ]
                )
            ),
        ),
    ]
)


@dataclass(frozen=True)
class ModelUse:
    """One model's part in a row.

    Attributes:
        role: "writer", "editor" or "verifier".
        model: The name under which its endpoint serves it.
        prompt_sha256: Hash of the messages that it got.
        seed: Seed of its sampling.
        prompt_tokens: Tokens that it read.
        response_tokens: Tokens that it wrote.
        cost: By the prices of its endpoint's section.
        agrees: A verifier's vote; None for the others.
        answer: The final answer that the rewarder read in a verifier's response.
    """

    role: str
    model: str
    prompt_sha256: str
    seed: int
    prompt_tokens: int
    response_tokens: int
    cost: float
    agrees: bool | None = None
    answer: str | None = None


@dataclass(frozen=True)
class SftRow:
    """One conversation that ends with the answer to learn."""

    id: str
    data_source: str
    messages: tuple[dict[str, str], ...]
    answer: str
    reward: str
    models: tuple[ModelUse, ...] = ()


def write_sft_rows(path: Path, rows: Iterable[SftRow]) -> int:
    """Write rows to a Parquet file and return how many there are."""
    plain = [
        {**asdict(row), "messages": list(row.messages), "models": [asdict(use) for use in row.models]} for row in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # several machines may build it on one disk
    pq.write_table(pa.Table.from_pylist(plain, SCHEMA), draft, compression="zstd")
    draft.replace(path)
    return len(plain)
