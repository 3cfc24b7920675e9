"""Pictures and figures of molecules, made in a process of their own and remembered.

The texts come from a model: a parser that crashes or never ends costs its process and an error in the picture, not the server.
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
REMEMBERED = 500
SELFIES = re.compile(r"(?:\[[A-Za-z0-9=#@+\-\\/.]{1,24}\]){2,}")
DRAWN_REWARDERS = ("caption2mol", "mol2caption", "chemistry")
PROMPT_CHARS = 100_000

Row = dict[str, Any]


class Molecules:
    """Draws molecules. Close it to end its process."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._held: OrderedDict[Any, Any] = OrderedDict()
        self._guard = threading.Lock()

    def figures(self, predicted: str, gold: str) -> Row:
        """Validity, formula, similarity of two molecules. Raises `RequestError`."""
        return self._call(drawing_worker.figures, predicted, gold)  # type: ignore[no-any-return]

    def draw(self, predicted: str, gold: str, theme: str, side: str, width: int, height: int) -> str:
        """An SVG of both. Raises `RequestError`."""
        return self._call(drawing_worker.draw, predicted, gold, theme, side, width, height)  # type: ignore[no-any-return]

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        key = (function.__name__, *arguments)
        with self._guard:  # one molecule at a time: they take a millisecond
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            try:
                value = self._process().submit(function, *arguments).result(timeout=SECONDS)
            except TimeoutError as error:
                self._end()
                raise RequestError(f"the molecule took longer than {SECONDS:.0f} s", 503) from error
            except BrokenProcessPool as error:
                self._end()
                raise RequestError("the molecule crashed its parser", 503) from error
            self._held[key] = value
            while len(self._held) > REMEMBERED:
                self._held.popitem(last=False)
            return value

    def _process(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):  # a stuck parser does not answer a shutdown
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def close(self) -> None:
        """End the process."""
        with self._guard:
            self._end()


def molecule_texts(row: Row, prompt: str | None, answer: str | None) -> tuple[str, str | None, str | None] | None:
    """Role, predicted and gold molecule of a response; None where none is involved.

    `answer`: the response's molecule beside the reference. `question`: the prompt's molecule, in the place of the gold one.
    """
    rewarder = row.get("rewarder") or row.get("data_source")
    if rewarder not in DRAWN_REWARDERS:
        return None
    if rewarder == "caption2mol":
        return "answer", row.get("extracted"), answer
    asked = SELFIES.search((prompt or "")[:PROMPT_CHARS])
    return ("question", None, asked[0]) if asked else None
