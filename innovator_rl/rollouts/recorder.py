"""Write the rollout record during training at the cost of a queue append.

Rows go through a bounded queue to one background thread, which turns them into immutable Parquet segments (zstd,
written under a temporary name, synced, renamed). What cannot be written is kept and tried again; beyond a bound it is
dropped and counted. Nothing here raises into the caller. A killed process loses the rows of the last `flush_seconds`.

    recorder = Recorder(run.path, writer="reward-3", attempt=1)
    recorder.rollout(RolloutRow(step=12, prompt_uid="u1", sample=0, reward=1.0, response="..."))
    recorder.close()
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import queue
import secrets
import threading
import time
import zlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from innovator_rl.rollouts.schema import (
    DATASETS,
    KINDS,
    SCHEMA_VERSION,
    SCHEMAS,
    RolloutRow,
    UpdateRow,
    as_record,
    segment_name,
    step_directory,
)
from innovator_rl.rollouts.segments import compact, write_segment
from innovator_rl.runs.files import dump_json, read_json, write_atomic
from innovator_rl.runs.reading import as_whole

QUEUE_ROWS = 20_000
TOKEN_BYTES = 8 + 17
"""Recorded bytes of a response token: its id and log-probability, and what the update did to it."""
RESPONSE_BYTES = 3 * 2**10
"""Recorded bytes of a response apart from its tokens: prompt, text and score, compressed."""
LOSSES = "losses"  # a file for each writer that lost rows, so that readers can report it
WARN_EVERY_SECONDS = 30.0

log = logging.getLogger(__name__)


@dataclass
class RecorderStats:
    """Row counts since the recorder opened.

    `dropped` rows found the queue full or the disk refusing; `rejected` rows have values that no column takes.
    """

    accepted: int = 0
    written: int = 0
    dropped: int = 0
    rejected: int = 0
    pending: int = 0
    segments: int = 0
    bytes: int = 0
    seconds: float = 0.0
    last_error: str = ""


def keeps_tokens(prompt_uid: str, share: float) -> bool:
    """Return whether a prompt group is among those recorded token by token; every process and attempt decides alike."""
    return zlib.crc32(prompt_uid.encode()) < share * 2**32


def recorded_bytes(responses: float, tokens: float, share: float) -> float:
    """Estimate what responses take in the record.

    Args:
        responses: their number.
        tokens: mean length of a response (tokens).
        share: share of groups recorded token by token.
    """
    return responses * (RESPONSE_BYTES + TOKEN_BYTES * tokens * share)


class Recorder:
    """One process's writer of `rollouts/`, `tokens/` and `updates/`, for any thread."""

    def __init__(
        self,
        run_dir: str | Path,
        writer: str,
        attempt: int,
        flush_rows: int = 256,
        flush_seconds: float = 1.0,
        queue_rows: int = QUEUE_ROWS,
        token_share: float = 1.0,
    ) -> None:
        """Start the background thread.

        Args:
            run_dir: The run directory.
            writer: The name of this process in segment names.
            attempt: The number of the run's attempt.
            flush_rows: The number of waiting rows after which a segment is written at once.
            flush_seconds: The time after which a segment is written in any case.
            queue_rows: The number of rows that may wait.
            token_share: The share of prompt groups that are recorded token by token.
        """
        self.token_share = token_share
        self.path = Path(run_dir)
        self.writer = writer
        self.attempt = attempt
        self._flush_rows, self._flush_seconds, self._queue_rows = flush_rows, flush_seconds, queue_rows
        self._token = secrets.token_hex(4)  # a restarted writer of the same name must not replace its own segments
        self._sequence = 0
        self._queue: queue.Queue[RolloutRow | UpdateRow] = queue.Queue(maxsize=queue_rows)
        self._pending: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
        self._to_compact: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._stats = RecorderStats()
        self._guard = threading.Lock()  # the counts
        self._writing = threading.Lock()  # the segments: the thread and an explicit flush take turns
        self._closed = threading.Event()
        self._warned = -WARN_EVERY_SECONDS
        self._losses_reported = 0
        self._thread = threading.Thread(target=self._run, name=f"recorder-{writer}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    # The caller's side: never blocks on the disk, never raises.

    def rollout(self, row: RolloutRow) -> None:
        """Record one response with its score."""
        self._offer(row)

    def update(self, row: UpdateRow) -> None:
        """Record what an update made of one response."""
        self._offer(row)

    def compact(self, step: int) -> None:
        """Merge the step's segments of all writers in the background, when a step is over."""
        self._to_compact.put(step)

    def stats(self) -> RecorderStats:
        """Return a copy of the counts so far."""
        with self._guard:
            waiting = sum(len(rows) for rows in list(self._pending.values()))
            return RecorderStats(**{**asdict(self._stats), "pending": self._queue.qsize() + waiting})

    def flush(self) -> None:
        """Write everything recorded before this call; what the disk refuses stays pending."""
        try:
            with self._writing:
                self._drain()
                self._write_pending()
                self._report_losses()
        except Exception as error:  # no row may make a library raise into a training step
            self._report(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Flush and stop; closing twice is harmless.

        Rows that still cannot be written are counted as dropped.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join(timeout=30)
        self.flush()
        self._compact_steps()
        with self._writing:
            for key in list(self._pending):
                self._count_dropped(len(self._pending.pop(key)), "closed before the disk took them")
            self._report_losses()
        atexit.unregister(self.close)

    def _offer(self, row: RolloutRow | UpdateRow) -> None:
        if self._closed.is_set():
            self._count_dropped(1, "the recorder is closed")
            return
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            self._count_dropped(1, f"{self._queue_rows} rows are waiting for the disk")
            return
        with self._guard:
            self._stats.accepted += 1

    # The thread's side.

    def _run(self) -> None:
        deadline = time.monotonic() + self._flush_seconds
        while not self._closed.is_set():
            self._closed.wait(min(0.05, self._flush_seconds))
            due = time.monotonic() >= deadline
            if not due and self._queue.qsize() < self._flush_rows:
                continue
            self.flush()
            self._compact_steps()
            deadline = time.monotonic() + self._flush_seconds

    def _compact_steps(self) -> None:
        while not self._to_compact.empty():
            step = self._to_compact.get()
            for dataset, kind in itertools.product(DATASETS, KINDS):
                try:
                    compact(self.path, dataset, step, kind, self.attempt)
                except Exception as error:  # many small files are slower to read, and no worse than that
                    self._report(f"{dataset} of step {step} not merged: {type(error).__name__}: {error}")

    def _drain(self) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        while True:
            try:
                row = self._queue.get_nowait()
            except queue.Empty:
                break
            try:
                self._enqueue(row, now)
            except Exception as error:  # a row of the wrong shape is lost, its neighbors are not
                self._count_rejected(error)
        excess = sum(map(len, self._pending.values())) - 3 * self._queue_rows
        for key in list(self._pending):
            if excess <= 0:
                break
            lost = self._pending.pop(key)
            excess -= len(lost)
            self._count_dropped(len(lost), "the disk has refused them for too long")

    def _enqueue(self, row: RolloutRow | UpdateRow, now: datetime) -> None:
        record = as_record(row)
        assert row.kind in KINDS, f"kind {row.kind!r} is none of {KINDS}"
        step = int(row.step)
        record.update(schema_version=SCHEMA_VERSION, run=self.path.name, attempt=self.attempt, written_at=now)
        if isinstance(row, UpdateRow):
            self._pending["updates", row.kind, step].append(record)
            return
        self._pending["rollouts", row.kind, step].append(record)
        if row.token_ids is not None and keeps_tokens(row.prompt_uid, self.token_share):
            self._pending["tokens", row.kind, step].append(record)

    def _write_pending(self) -> None:
        for key in list(self._pending):
            rows = self._pending[key]
            started = time.monotonic()
            try:
                table = self._table(key[0], rows)
                size = self._write_segment(key, table) if table.num_rows else 0
            except OSError as error:
                self._report(f"{key[0]} of step {key[2]} not written, kept for another try: {error}")
                continue
            except Exception as error:  # another try would end alike; the other keys are still to be written
                del self._pending[key]
                self._count_dropped(
                    len(rows), f"{key[0]} of step {key[2]} cannot be written: {type(error).__name__}: {error}"
                )
                continue
            del self._pending[key]
            with self._guard:
                self._stats.written += table.num_rows if key[0] != "tokens" else 0
                self._stats.segments += bool(size)
                self._stats.bytes += size
                self._stats.seconds += time.monotonic() - started

    def _table(self, dataset: str, rows: list[dict[str, Any]]) -> pa.Table:
        schema = SCHEMAS[dataset]
        try:
            return pa.Table.from_pylist(rows, schema=schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            tables = [table for row in rows if (table := self._one_row(row, schema, dataset)) is not None]
            return pa.concat_tables(tables) if tables else schema.empty_table()

    def _one_row(self, row: dict[str, Any], schema: pa.Schema, dataset: str) -> pa.Table | None:
        # Half of a surrogate pair, which a byte-level tokenizer can emit, is not UTF-8: it is shown as "?".
        clean = {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in row.items()}
        try:
            return pa.Table.from_pylist([clean], schema=schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            if dataset != "tokens":
                self._count_rejected(error)
            return None

    def _write_segment(self, key: tuple[str, str, int], table: pa.Table) -> int:
        dataset, kind, step = key
        name = segment_name(kind, self.attempt, self.writer, self._token, self._sequence)
        directory = self.path / dataset / step_directory(step)
        size = write_segment(directory, name, [table], SCHEMAS[dataset])
        self._sequence += 1
        return size

    def _count_dropped(self, rows: int, why: str) -> None:
        with self._guard:
            self._stats.dropped += rows
        self._report(f"{rows} rows of the rollout record dropped: {why}")

    def _count_rejected(self, error: Exception) -> None:
        with self._guard:
            self._stats.rejected += 1
        self._report(f"a row of the rollout record rejected: {type(error).__name__}: {error}")

    def _report_losses(self) -> None:
        stats = self.stats()
        if stats.dropped + stats.rejected == self._losses_reported:
            return
        path = self.path / LOSSES / f"{self.writer}-{self._token}.json"
        with contextlib.suppress(OSError):  # the disk is why they were lost; the next flush tries again
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(
                path, dump_json({"dropped": stats.dropped, "rejected": stats.rejected, "why": stats.last_error})
            )
            self._losses_reported = stats.dropped + stats.rejected

    def _report(self, message: str) -> None:
        with self._guard:
            self._stats.last_error = message
            now = time.monotonic()
            loud = now - self._warned >= WARN_EVERY_SECONDS
            if loud:
                self._warned = now
        if loud:
            log.warning("%s: %s", self.writer, message)


def recorded_losses(run_dir: Path) -> tuple[int, str]:
    """Return how many rows of a run's record were lost, and the latest reason."""
    found = [read_json(path) or {} for path in sorted((run_dir / LOSSES).glob("*.json"))]
    rows = sum(as_whole(part.get(name)) or 0 for part in found for name in ("dropped", "rejected"))
    return rows, next((str(part["why"]) for part in reversed(found) if part.get("why")), "")
