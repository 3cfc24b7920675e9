"""Write metrics as TensorBoard event files.

Only the tensorboard package is needed, neither torch nor TensorFlow.

Every attempt adds its own event file to the same directory, so a resume erases nothing. Steps that a resume redoes
would be drawn twice; the writer opens a resumed attempt with TensorBoard's own restart mark, which makes it discard
the abandoned steps and keep everything before them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from innovator_rl.runs.files import json_safe

FLUSH_SECONDS = 10

log = logging.getLogger(__name__)


class TensorBoardWriter:
    """A writer of scalars. Once it is open, errors are logged and never raised."""

    def __init__(self, directory: Path, resume_step: int = 0) -> None:
        """Open an event file in `directory`.

        Args:
            directory: Where the event files are.
            resume_step: The last step kept from earlier attempts; 0 for a new run.

        Raises:
            OSError: The directory cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        again = resume_step > 0 or any(
            directory.iterdir()
        )  # an earlier attempt without a checkpoint is done again whole
        self._writer = EventFileWriter(str(directory), flush_secs=FLUSH_SECONDS)
        if again:
            restart = SessionLog(status=SessionLog.START)
            first = resume_step + 1 if resume_step > 0 else 0
            self._writer.add_event(Event(wall_time=time.time(), step=first, session_log=restart))

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Add one point per number in `metrics`.

        Text, nulls and non-finite numbers are left out.
        """
        values = []
        for name, raw in metrics.items():
            value = json_safe(raw)
            if isinstance(value, (int, float)) and math.isfinite(value):
                values.append(Summary.Value(tag=name, simple_value=float(value)))
        try:
            self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
            self._writer.flush()
        except (OSError, ValueError, RuntimeError) as error:  # metrics.jsonl is the record; the events are a copy
            log.warning("TensorBoard events of step %d not written: %s", step, error)

    def close(self) -> None:
        """Write what is buffered and close."""
        try:
            self._writer.close()
        except (OSError, ValueError, RuntimeError) as error:
            log.warning("TensorBoard event file not closed cleanly: %s", error)
