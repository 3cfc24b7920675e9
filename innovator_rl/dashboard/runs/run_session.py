"""A run that somebody looks at: its index, kept current by one thread, and the readers of its files.

The thread looks for new segments several times a second, and reads texts and tokens for the word index between looks.
`version` grows with every change a reader could see; it names cached answers and wakes the page.
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
from innovator_rl.runs.metrics import read_metrics
from innovator_rl.runs.run_dir import RunDir

LOOK_SECONDS = 0.3
FIRST_ANSWER_SECONDS = 1.5  # how long the first request waits for the index of a run that has none
CACHED_ANSWERS = 64

T = TypeVar("T")
log = logging.getLogger(__name__)


class RunSession:
    """One run opened for reading. Close it to stop its thread."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.reader = SegmentReader(run.path)
        self.index = RolloutIndex(run.path)
        self.digest = BackgroundIndexer(self.index, self.reader)
        self.session = time.monotonic()
        self.seconds_to_index: float | None = None
        self.versions = {"rollouts": 0, "words": 0, "status": 0, "metrics": 0, "labels": 0}
        self.used = time.monotonic()
        self.error = ""
        self.alarms: dict[str, int] | None = None  # by severity, once they have been looked at
        self._digested = False
        self._stamps: dict[str, Any] = {}
        self._cache: OrderedDict[Any, Any] = OrderedDict()
        self._guard = threading.Lock()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"index-{run.name}", daemon=True)
        self._thread.start()

    @property
    def building(self) -> bool:
        """Whether the first indexing is still under way."""
        return not self._ready.is_set()

    def wait(self, seconds: float = FIRST_ANSWER_SECONDS) -> bool:
        """Wait for the first indexing, a short while only: a page with half of the rows beats a blank one."""
        self.used = time.monotonic()
        return self._ready.wait(seconds)

    def wait_read(self, seconds: float = 30.0) -> bool:
        """Wait until texts and tokens are read too; for exports and tests."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._ready.is_set() and self._digested:
                return True
            time.sleep(0.02)
        return False

    def cached(self, key: Any, of: tuple[str, ...], make: Callable[[], T]) -> T:
        """`make()`, remembered until one of the named parts of the run changes."""
        full = (key, tuple(self.versions[name] for name in of))
        with self._guard:
            if full in self._cache:
                self._cache.move_to_end(full)
                return self._cache[full]  # type: ignore[no-any-return]
        value = make()
        with self._guard:
            self._cache[full] = value
            while len(self._cache) > CACHED_ANSWERS:
                self._cache.popitem(last=False)
        return value

    def metrics(self) -> list[dict[str, Any]]:
        """metrics.jsonl, a dictionary a step, read again only when it changed."""
        return self.cached("metrics", ("metrics",), lambda: read_metrics(self.run.metrics_jsonl))

    def changed(self, part: str) -> None:
        """Count a change of one part of the run."""
        self.versions[part] += 1

    def close(self) -> None:
        """Stop the thread and close the index."""
        self._stop.set()
        self._thread.join(timeout=30)
        self.digest.restart()  # what was read of a step is kept
        self.index.close()

    def _keep(self) -> None:
        looked = 0.0
        while not self._stop.is_set():
            try:
                began = time.monotonic()
                pause = LOOK_SECONDS
                if began - looked >= LOOK_SECONDS:
                    self._look()
                    looked = time.monotonic()
                    pause = max(LOOK_SECONDS, 10 * (looked - began) if not self.building else 0)
                if self._digest_a_while(pause):
                    continue
                self._stop.wait(pause)
            except Exception as error:  # a damaged disk must not end the page; the next look may succeed
                self.error = f"{type(error).__name__}: {error}"
                log.warning("run %s: %s", self.run.name, self.error, exc_info=not self.building)
                self._ready.set()
                self._stop.wait(2.0)

    def _look(self) -> None:
        if self.index.refresh():
            self.digest.restart()
            self._digested = False
            self.changed("rollouts")
        if self.building:
            self.seconds_to_index = time.monotonic() - self.session
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

    def _digest_a_while(self, seconds: float) -> bool:
        """Read texts for about `seconds`; False when there was nothing to read."""
        deadline = time.monotonic() + seconds
        worked = False
        while not self._stop.is_set() and time.monotonic() < deadline:
            began = time.monotonic()
            if not self.digest.work():
                if worked or not self._digested:
                    self.changed("words")
                self._digested = True
                return worked
            worked = True
            self._stop.wait(min(0.05, 0.2 * (time.monotonic() - began)))  # leave room for requests
        if worked:
            self.changed("words")
        return worked
