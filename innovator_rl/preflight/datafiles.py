"""Describe a data file for the checks: its columns, rows and data sources.

Parquet metadata and a few columns are read, never the whole file. A file of one's own (JSON lines, JSON, CSV or TSV) is
converted before training; here only its existence is checked, because the conversion names a wrong row by file and
line, and its result is checked like any other file.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROWS_LOOKED_AT = 200_000
PROMPTS_LOOKED_AT = 2_000
PROMPTS_KEPT = 256  # spread over those looked at; their tokens are counted
OWN = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
PACKED = (".gz", ".xz", ".bz2", ".zst")


Row = dict[str, Any]


@dataclass(frozen=True)
class DataFile:
    """One file of rows.

    `problem` is set where it cannot be read; `sources` and `rewarders` come from the rows that were read.
    """

    path: Path
    problem: str = ""
    own: bool = False  # converted before training
    rows: int = 0
    columns: frozenset[str] = frozenset()
    wrong: tuple[str, ...] = ()  # columns that are there but not as a row needs them
    sources: frozenset[str] = frozenset()
    rewarders: dict[str, frozenset[str]] = field(default_factory=dict)  # data_source -> names in extra_info.reward
    shortest_prompt: int | None = None  # characters
    prompts: tuple[list[dict[str, Any]], ...] = ()  # some of them
    samples: dict[str, Row] = field(default_factory=dict)  # data_source -> its first row


def read(path: Path) -> DataFile:
    """Read one file; what is wrong with it is in `problem`, not raised."""
    if not path.exists():
        return DataFile(path, problem="no such file")
    if path.is_dir():
        return DataFile(path, problem="a folder, not a file")
    if is_own(path.name):
        return DataFile(path, own=True)
    if path.suffix != ".parquet":
        return DataFile(
            path,
            problem=f"{path.suffix or 'no suffix'} is an unknown format: expected .parquet, .jsonl, .json, .csv or .tsv",
        )
    try:
        return _parquet(path)
    except Exception as error:  # pyarrow and json raise many kinds; each means the file cannot be read
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return DataFile(path, problem=f"cannot be read: {reason}")


def is_own(name: str) -> bool:
    """Return whether a file name is that of rows with questions and answers, plain or compressed."""
    plain = name.lower()
    for packed in PACKED:
        plain = plain.removesuffix(packed)
    return plain.endswith(OWN)


def _parquet(path: Path) -> DataFile:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    schema, rows = file.schema_arrow, file.metadata.num_rows
    wanted = [name for name in ("data_source", "extra_info", "reward_model", "prompt") if name in schema.names]
    batches, seen = [], 0
    if wanted and rows:
        for batch in file.iter_batches(batch_size=5_000, columns=wanted):
            batches += (
                batch.to_pylist()
                if seen < PROMPTS_LOOKED_AT
                else batch.drop_columns([n for n in ("prompt",) if n in wanted]).to_pylist()
            )
            seen += batch.num_rows
            if seen >= ROWS_LOOKED_AT:
                break
    return _describe(path, rows, frozenset(schema.names), batches)


def _describe(path: Path, count: int, columns: frozenset[str], rows: list[dict[str, Any]]) -> DataFile:
    wrong = set()
    rewarders: dict[str, set[str]] = {}
    samples: dict[str, Row] = {}
    shortest = None
    prompts: list[list[dict[str, Any]]] = []
    for row in rows:
        source = row.get("data_source")
        if not isinstance(source, str) or not source:
            wrong.add("data_source: a name, for example gsm8k")
            continue
        samples.setdefault(source, row)
        extra = row.get("extra_info")
        name = extra.get("reward") if isinstance(extra, dict) else None
        rewarders.setdefault(source, set()).add(name or "")
        model = row.get("reward_model")
        if not isinstance(model, dict) or model.get("ground_truth") is None:
            wrong.add("reward_model: {style: rule, ground_truth: TEXT}")
        if "prompt" in row:
            size = _prompt_size(row["prompt"])
            if size is None:
                wrong.add("prompt: a list of {role, content}")
            else:
                shortest = size if shortest is None else min(shortest, size)
                prompts.append(row["prompt"])
    return DataFile(
        path=path,
        rows=count,
        columns=columns,
        wrong=tuple(sorted(wrong)),
        sources=frozenset(rewarders),
        rewarders={source: frozenset(names) for source, names in rewarders.items()},
        shortest_prompt=shortest,
        prompts=tuple(prompts[:: max(1, -(-len(prompts) // PROMPTS_KEPT))]),
        samples=samples,
    )


def _prompt_size(prompt: Any) -> int | None:
    """Return the characters of a chat prompt; None where it is not one."""
    if not isinstance(prompt, list) or not prompt:
        return None
    if not all(
        isinstance(message, dict) and isinstance(message.get("content"), str) and message.get("role")
        for message in prompt
    ):
        return None
    return sum(len(message["content"]) for message in prompt)
