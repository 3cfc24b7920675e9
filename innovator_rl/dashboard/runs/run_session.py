"""Open a run for reading: its index, kept current by a thread, and its files.

The thread checks for new segments several times per second and reads text and tokens for the full-text index in between.
`versions` grows with every change that a reader could see; it is the key of cached responses and triggers events.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from innovator_rl.rollouts.background_indexer import BackgroundIndexer
from innovator_rl.rollouts.index import RolloutIndex
from innovator_rl.rollouts.segment_reader import SegmentReader
from innovator_rl.runs.run_dir import RunDir

POLL_SECONDS = 0.3
FIRST_RESPONSE_SECONDS = 1.5  # how long the first request waits for the index of a run that has none
CACHED_RESPONSES = 64

T = TypeVar("T")
CountAlerts = Callable[["RunSession"], dict[str, int]]
"""Counts the alerts of an opened run by severity. The rules live above this package, so they are passed in."""

log = logging.getLogger(__name__)


class RunSession:
    """One run opened for reading. Close it to stop its thread."""

    def __init__(self, run: RunDir, count_alerts: CountAlerts | None = None) -> None:
        self.run = run
        self._count_alerts = count_alerts
        self.reader = SegmentReader(run.path)
        self.index = RolloutIndex(run.path)
        self.indexer = BackgroundIndexer(self.index, self.reader)
        self._opened = time.monotonic()
        self.seconds_to_index: float | None = None
        self.versions = {"rollouts": 0, "words": 0, "status": 0, "metrics": 0, "labels": 0}
        self.used = time.monotonic()
        self.error = ""
        self._texts_read = False
        self._stamps: dict[str, Any] = {}
        self._cache: OrderedDict[Any, Any] = OrderedDict()
        self._guard = threading.Lock()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"index-{run.name}", daemon=True)
        self._thread.start()

    @property
    def building(self) -> bool:
        """Return whether the first indexing is still in progress."""
        return not self._ready.is_set()

    def wait(self, seconds: float = FIRST_RESPONSE_SECONDS) -> bool:
        """Wait for the first indexing, but not for long.

        A page with half of the rows is better than a blank one.
        """
        self.used = time.monotonic()
        return self._ready.wait(seconds)

    def wait_read(self, seconds: float = 30.0) -> bool:
        """Wait until text and tokens are read too; return whether they are."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._ready.is_set() and self._texts_read:
                return True
            time.sleep(0.02)
        return False

    def cached(self, key: Any, of: tuple[str, ...], make: Callable[[], T]) -> T:
        """Return `make()`, cached until one of the parts `of` the run changes."""
        full = (key, tuple(self.versions[name] for name in of))
        with self._guard:
            if full in self._cache:
                self._cache.move_to_end(full)
                return self._cache[full]  # type: ignore[no-any-return]
        value = make()
        with self._guard:
            self._cache[full] = value
            while len(self._cache) > CACHED_RESPONSES:
                self._cache.popitem(last=False)
        return value

    def metrics(self) -> list[dict[str, Any]]:
        """Return metrics.jsonl, one dictionary per step.

        It is read again only when it changed.
        """
        return self.cached("metrics", ("metrics", "status"), self.run.metrics)

    def alert_counts(self) -> dict[str, int] | None:
        """Return the alerts by severity; None where nothing counts them.

        What the rules read from the record is cached by version. The heartbeat is checked on every call, because time passes
        without any file changing.
        """
        return self._count_alerts(self) if self._count_alerts else None

    def changed(self, part: str) -> None:
        """Count a change of one part of the run."""
        self.versions[part] += 1

    def close(self) -> None:
        """Stop the thread and close the index."""
        self._stop.set()
        self._thread.join(timeout=30)
        self.indexer.restart()  # commits what was read
        self.index.close()

    def _follow(self) -> None:
        checked = 0.0
        while not self._stop.is_set():
            try:
                began = time.monotonic()
                pause = POLL_SECONDS
                if began - checked >= POLL_SECONDS:
                    self._check()
                    checked = time.monotonic()
                    pause = max(POLL_SECONDS, 10 * (checked - began) if not self.building else 0)
                if self._index_texts(pause):
                    continue
                self._stop.wait(pause)
            except Exception as error:  # a damaged disk must not stop the page; the next check may succeed
                self.error = f"{type(error).__name__}: {error}"
                log.warning("run %s: %s", self.run.name, self.error, exc_info=not self.building)
                self._ready.set()
                self._stop.wait(2.0)

    def _check(self) -> None:
        if self.index.refresh():
            self.indexer.restart()
            self._texts_read = False
            self.index.aggregate()
            self.changed("rollouts")
        if self.building:
            self.seconds_to_index = time.monotonic() - self._opened
            self._ready.set()
        for part, path in (("status", self.run.run_json), ("metrics", self.run.metrics_jsonl)):
            try:
                stat = path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size)
            except OSError:
                stamp = (0, 0)
            if self._stamps.get(part, stamp) != stamp:
                self.changed(part)
            self._stamps[part] = stamp

    def _index_texts(self, seconds: float) -> bool:
        """Read text for about `seconds`; return False when there was nothing to read."""
        deadline = time.monotonic() + seconds
        worked = False
        while not self._stop.is_set() and time.monotonic() < deadline:
            began = time.monotonic()
            if not self.indexer.work():
                if worked or not self._texts_read:
                    self.changed("words")
                self._texts_read = True
                return worked
            worked = True
            self._stop.wait(min(0.05, 0.2 * (time.monotonic() - began)))  # leaves time for requests
        if worked:
            self.changed("words")
        return worked
