"""Show the progress of fine-tuning: one line per update, rewritten on a terminal."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from innovator_rl.runs.files import duration

RECENT = 10


class SftProgress:
    """Print what the run does, with its rate and the time left.

    Args:
        total_steps: Updates of the whole run.
        stream: Where to write.
        live: "auto" (lines, rewritten on a terminal), True (the same) or False (nothing).
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self, total_steps: int, stream: TextIO, live: bool | str = "auto", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._stream, self._clock = total_steps, stream, clock
        self._shows = live is not False
        self._rewrites = stream.isatty()
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._open = False

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._print(text, stays=True)

    def step(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Report an update, or a validation."""
        if "val/loss" in metrics:
            self._print(f"validation at step {step} | loss {metrics['val/loss']:.4f}", stays=True)
            return
        self._recent.append(float(metrics.get("perf/seconds", 0.0)))
        left = sum(self._recent) / len(self._recent) * (self._total - step)
        parts = [
            f"step {step}/{self._total}",
            f"loss {metrics.get('loss', float('nan')):.4f}",
            f"{metrics.get('perf/tokens_per_second', 0.0):,.0f} tokens/s",
            duration(self._recent[-1]),
            f"{duration(left)} left",
        ]
        self._print(" | ".join(parts), stays=False)

    def close(self) -> None:
        """End the line that is being rewritten."""
        if self._open:
            self._open = False
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("\n")

    def _print(self, text: str, stays: bool) -> None:
        if not self._shows:
            return
        with contextlib.suppress(OSError, ValueError):  # a closed terminal must not end a run
            if self._rewrites:
                self._stream.write(f"\r\x1b[K{text}" + ("\n" if stays else ""))
                self._open = not stays
            else:
                self._stream.write(text + "\n")
            self._stream.flush()
