"""Index text and token series in the background.

Full text, previews, repetition and means of the token series need every text and every token. They are read after the
rollout index, newest step first, one row group at a time, so that a page can be served at once and is completed later.
Each text is read once (`indexed`); the token series are read when the update has been recorded (`measured`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from innovator_rl.rollouts.fulltext import PREVIEW_CHARS
from innovator_rl.rollouts.index import RolloutIndex
from innovator_rl.rollouts.segment_reader import SegmentReader

NGRAM = 4
NGRAM_CHARS = 20_000  # of a response, for its repetition
log = logging.getLogger(__name__)
SERIES = ("entropy", "clip_side", "old_logprobs", "rollout_logprobs")


class BackgroundIndexer:
    """The background reading of one run, in small pieces of `work`."""

    def __init__(self, index: RolloutIndex, reader: SegmentReader) -> None:
        self._index, self._reader = index, reader
        self._pieces: Iterator[None] | None = None

    def progress(self) -> tuple[int, int]:
        """Return the number of responses whose text is indexed, and of all responses."""
        row = self._index.query("SELECT count(*) FILTER (indexed) AS done, count(*) AS total FROM stored_responses")[0]
        return int(row["done"]), int(row["total"])

    def restart(self) -> None:
        """Look for the newest work again, after the index changed or before it closes.

        What was read is kept.
        """
        self._pieces = None

    def work(self) -> bool:
        """Read one row group; return False when everything is read."""
        if self._pieces is None:
            self._pieces = self._all()
        try:
            next(self._pieces)
        except StopIteration:
            self._pieces = None
            return False
        except FileNotFoundError:  # merged away: the next refresh locates the rows
            self._pieces = None
        return True

    def _all(self) -> Iterator[None]:
        todo = self._index.query(
            """SELECT step, kind, attempt, bool_or(NOT indexed) AS texts, coalesce(bool_or(kept AND NOT measured), false) AS tokens
               FROM stored_responses WHERE NOT indexed OR (kept AND NOT measured) GROUP BY ALL ORDER BY step DESC"""
        )
        for item in todo:
            if item["texts"]:
                yield from self._read_texts(item["step"], item["kind"])
            if item["tokens"]:
                yield from self._read_tokens(item["step"], item["kind"], item["attempt"])

    def _read_texts(self, step: int, kind: str) -> Iterator[None]:
        rows = self._index.query(
            "SELECT rid, segment, position FROM stored_responses WHERE step = ? AND kind = ? AND NOT indexed",
            [step, kind],
        )
        places = {(row["segment"], row["position"]): row["rid"] for row in rows}
        read: dict[int, float | None] = {}
        try:
            for segment in sorted({row["segment"] for row in rows}):
                for first, table in self._row_groups(segment, ("prompt_uid", "prompt", "response")):
                    with costs_its_own_rows(segment):
                        rids = [places.get((segment, first + i)) for i in range(len(table))]
                        read.update(self._index_text(table, rids))
                    yield
        finally:  # a step is one write; one that is left half-way, because the index changed, keeps what was read
            self._index.fulltext.commit()
            self._mark(list(read), repetition=list(read.values()))
        self._mark([row["rid"] for row in rows if row["rid"] not in read])  # damaged: nothing more to learn of them

    def _row_groups(self, segment: str, columns: tuple[str, ...]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the readable row groups of a segment, which may be old, foreign or damaged."""
        try:
            for first, table in self._reader.groups(segment, columns):
                if not isinstance(table, Exception):
                    yield first, table
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            log.warning("%s: %s", segment, error)

    def _mark(self, rids: list[int], repetition: list[float | None] | None = None) -> None:
        columns: dict[str, Any] = {"rid": pa.array(rids, pa.int64()), "indexed": [True] * len(rids)}
        if repetition is not None:
            columns["repetition"] = pa.array(repetition, pa.float32())
        if rids:
            self._index.measure(pa.table(columns), [name for name in columns if name != "rid"])

    def _index_text(self, table: pa.Table, rids: list[int | None]) -> dict[int, float | None]:
        """Index a row group's text and return the repetition of each row that has a rid."""
        columns = [_texts(table, name) for name in ("prompt_uid", "prompt", "response")]
        found = [(rid, uid, p or "", r or "") for rid, uid, p, r in zip(rids, *columns, strict=True) if rid is not None]
        first: dict[str | None, int] = {}  # a group's responses repeat its prompt: one keeps its first characters
        for rid, uid, _, _ in found:
            first.setdefault(uid, rid)
        self._index.fulltext.add(
            [
                (rid, f"{prompt}\n{response}", preview(response), preview(prompt) if first[uid] == rid else None)
                for rid, uid, prompt, response in found
            ]
        )
        return {rid: repetition(response) for rid, _, _, response in found}

    def _read_tokens(self, step: int, kind: str, attempt: int) -> Iterator[None]:
        rows = self._index.query(
            "SELECT rid, prompt_uid, sample_index FROM stored_responses WHERE step = ? AND kind = ? AND kept AND NOT measured",
            [step, kind],
        )
        rids = {(row["prompt_uid"], row["sample_index"]): row["rid"] for row in rows}
        for segment in self._index.catalog.segments("updates", [step], kind):
            if segment.attempt < attempt:
                continue
            name = segment.path.relative_to(self._index.run_dir).as_posix()
            for _, table in self._row_groups(name, ("prompt_uid", "sample", *SERIES)):
                with costs_its_own_rows(name):
                    self._measure(table, rids)
                yield
        known = pa.table({"rid": pa.array(rids.values(), pa.int64()), "measured": [True] * len(rids)})
        self._index.measure(known, ["measured"])

    def _measure(self, table: pa.Table, rids: dict[tuple[str, int], int]) -> None:
        keys = list(zip(table["prompt_uid"].to_pylist(), table["sample"].to_pylist(), strict=True))
        chosen = [i for i, key in enumerate(keys) if key in rids]
        measured: dict[str, Any] = {"rid": pa.array([rids[keys[i]] for i in chosen], pa.int64())}
        for column, values in token_means(table).items():
            measured[column] = pa.array(values[chosen], pa.float32(), from_pandas=True)
        if chosen and len(measured) > 1:
            self._index.measure(pa.table(measured), [name for name in measured if name != "rid"])


@contextlib.contextmanager
def costs_its_own_rows(segment: str) -> Iterator[None]:
    """Let a row group of another schema cost its own rows and nothing else."""
    try:
        yield
    except (pa.ArrowException, LookupError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s: a row group cannot be read: %s", segment, error)


def _texts(table: pa.Table, column: str) -> list[str | None]:
    """Return a text column; None for every row of a file that lacks it, or has another type there."""
    if column not in table.column_names:
        return [None] * table.num_rows
    return [value if isinstance(value, str) else None for value in table[column].to_pylist()]


def preview(text: str) -> str:
    """Return the first characters of a response, on one line."""
    return " ".join(text[: 4 * PREVIEW_CHARS].split())[:PREVIEW_CHARS]


def repetition(text: str) -> float | None:
    """Return the share of 4-word sequences that occurred before.

    None for shorter text.
    """
    words = text[:NGRAM_CHARS].split()
    count = len(words) - NGRAM + 1
    if count < 1:
        return None
    return 1 - len(set(zip(*(words[start:] for start in range(NGRAM)), strict=False))) / count


def token_means(table: pa.Table) -> dict[str, np.ndarray]:
    """Reduce the token series of each row; NaN where a value is unknown.

    Returns:
        Arrays of one value per row, those that the table has columns for: `entropy` (mean, nats), `clip_low` and
        `clip_high` (shares of clipped tokens), `gap` (mean |old - rollout log-probability|).
    """
    found: dict[str, np.ndarray] = {}
    if "entropy" in table.column_names:
        found["entropy"] = _means(table["entropy"])
    if "clip_side" in table.column_names:
        found["clip_low"] = _means(table["clip_side"], lambda side: side < 0)
        found["clip_high"] = _means(table["clip_side"], lambda side: side > 0)
    if {"old_logprobs", "rollout_logprobs"} <= set(table.column_names):
        old, rollout = (_lists(table[name]) for name in ("old_logprobs", "rollout_logprobs"))
        if old[1].shape == rollout[1].shape and np.array_equal(old[0], rollout[0]):
            found["gap"] = _reduce(old[0], np.abs(old[1] - rollout[1]))
    return found


def _lists(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return a list column as offsets of shape (rows + 1,) and flat values.

    Empty and null lists alike have no values.
    """
    array = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    lengths = np.asarray(array.value_lengths().fill_null(0))
    values = np.asarray(array.flatten(), dtype=np.float64)
    return np.concatenate([[0], np.cumsum(lengths)]), values


def _means(column: pa.ChunkedArray, of: Any = None) -> np.ndarray:
    offsets, values = _lists(column)
    return _reduce(offsets, of(values) if of else values)


def _reduce(offsets: np.ndarray, values: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0))])
    counts = np.diff(offsets)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, (sums[offsets[1:]] - sums[offsets[:-1]]) / np.maximum(counts, 1), np.nan)
