"""Load the batch of the next step while this one is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from upcycle.data.batch import Batch

Load = Callable[[int], list[Batch]]


class Ahead:
    """A loader that has the next step's batch ready.

    What a step gets is what `load` gives for its number: a run that loads ahead and one that does not are the same run.
    """

    def __init__(self, load: Load, steps: int) -> None:
        """Start loading on the first call.

        Args:
            load: Returns the batch of a step, in slices; it is called in another thread.
            steps: Steps of the run; nothing is loaded past the last one.
        """
        self._load, self._steps = load, steps
        self._pool = ThreadPoolExecutor(1, "batches")
        self._next: tuple[int, Future[list[Batch]]] | None = None

    def __call__(self, step: int) -> list[Batch]:
        """Return the batch of a step and begin to load the one after it.

        An error of loading is raised here, in the step that needs the batch.
        """
        ready = self._next[1] if self._next and self._next[0] == step else self._pool.submit(self._slices, step)
        self._next = None
        batch = ready.result()
        if step + 1 < self._steps:
            self._next = step + 1, self._pool.submit(self._slices, step + 1)
        return batch

    def _slices(self, step: int) -> list[Batch]:
        slices = self._load(step)
        if torch.cuda.is_available():  # a copy from pinned memory does not stop the host
            slices = [Batch(*(field.pin_memory() for field in batch)) for batch in slices]
        return slices
