"""Draw and compare molecules in a separate process and cache the results.

A model wrote the molecules. A parser that crashes or never ends costs its process and one error, not the server.
"""

from __future__ import annotations

import multiprocessing
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from innovator_rl.dashboard.molecules import drawing_worker
from innovator_rl.dashboard.web.errors import RequestError

SECONDS = 10.0
CACHED = 500
SELFIES = re.compile(r"(?:\[[A-Za-z0-9=#@+\-\\/.]{1,24}\]){2,}")
DRAWN_REWARDERS = ("caption2mol", "mol2caption", "chemistry")
PROMPT_CHARS = 100_000

Row = dict[str, Any]


class Molecules:
    """Draws molecules. Close it to end its process."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._cache: OrderedDict[Any, Any] = OrderedDict()
        self._guard = threading.Lock()

    def figures(self, predicted: str, gold: str) -> Row:
        """Return validity, formula and similarity of two molecules."""
        return self._call(drawing_worker.figures, predicted, gold)  # type: ignore[no-any-return]

    def draw(self, predicted: str, gold: str, theme: str, side: str, width: int, height: int) -> str:
        """Return an SVG of both molecules."""
        return self._call(drawing_worker.draw, predicted, gold, theme, side, width, height)  # type: ignore[no-any-return]

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        key = (function.__name__, *arguments)
        with self._guard:  # one call at a time: a molecule takes a millisecond
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            try:
                value = self._process().submit(function, *arguments).result(timeout=SECONDS)
            except TimeoutError as error:
                self._end()
                raise RequestError(f"drawing the molecule took longer than {SECONDS:.0f} s", 503) from error
            except BrokenProcessPool as error:
                self._end()
                raise RequestError("the molecule crashed its parser", 503) from error
            self._cache[key] = value
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
            return value

    def _process(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):  # a stuck parser ignores a shutdown
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def close(self) -> None:
        """End the process."""
        with self._guard:
            self._end()


def molecule_texts(row: Row, prompt: str | None, answer: str | None) -> tuple[str, str | None, str | None] | None:
    """Return role, predicted and gold molecule of a response.

    None where it is not about molecules.

    The role is `answer` where the response's molecule is compared with the reference, and `question` where the prompt contains
    the molecule, which then takes the place of gold.
    """
    rewarder = row.get("rewarder") or row.get("data_source")
    if rewarder not in DRAWN_REWARDERS:
        return None
    if rewarder == "caption2mol":
        return "answer", row.get("extracted"), answer
    found = SELFIES.search((prompt or "")[:PROMPT_CHARS])
    return ("question", None, found[0]) if found else None
