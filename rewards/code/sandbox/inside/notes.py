"""Carry the warnings and log records of a program to the check, where `assertWarns` and `assertLogs` look for them.

    recorder = Recorder()           # in the program, once a check that looks for them asks
    found = recorder.take()         # with each answer
    repeat(found, warning_class)    # in the check

Only text travels: the message of a warning with its line, the name, level and message of a record.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import warnings
from collections.abc import Callable
from typing import Any

MAX_NOTES, MAX_CHARS = 200, 2000
_MENTIONS = re.compile(r"warn|logging|assertLogs|assertNoLogs", re.IGNORECASE)


def mentions_notes(source: str) -> bool:
    """Return whether the text of a check looks for warnings or log records."""
    return _MENTIONS.search(source) is not None


class Recorder:
    """What this process has warned of and logged since it was last asked.

    Args:
        lineage: Describes a class of warnings to the other side.
    """

    def __init__(self, lineage: Callable[[type], list[Any]]) -> None:
        self._found: list[list[Any]] = []
        logging: Any = importlib.import_module("logging")  # here: most programs log nothing

        def warned(message: Any, category: type, filename: str, line: int, *_: Any, **__: Any) -> None:
            self._note("warning", lineage(category), str(message), line)

        class Handler(logging.Handler):  # type: ignore[misc, name-defined]
            """Notes each record."""

            def emit(handler, record: Any) -> None:
                self._note("record", record.name, record.levelno, record.getMessage())

        warnings.simplefilter("always")
        warnings.showwarning = warned  # type: ignore[assignment]
        logging.getLogger().addHandler(Handler())
        if logging.getLogger().level == logging.WARNING:  # as it is before a program sets it
            logging.getLogger().setLevel(1)

    def _note(self, kind: str, *parts: Any) -> None:
        if len(self._found) < MAX_NOTES:
            self._found.append([kind, *(part[:MAX_CHARS] if isinstance(part, str) else part for part in parts)])

    def take(self) -> list[list[Any]]:
        """Return what was noted, and forget it."""
        found, self._found[:] = list(self._found), []
        return found


def repeat(found: Any, warning_class: Callable[[list[Any]], type]) -> None:
    """Warn and log here what the other side noted; raises `ValueError` or `TypeError` for what is no note.

    Args:
        found: The notes.
        warning_class: Returns the nearest class here that a lineage names.
    """
    for kind, *parts in found[:MAX_NOTES]:
        if kind == "warning":
            lineage, text, line = parts
            category = warning_class(lineage)
            category = category if issubclass(category, Warning) else UserWarning
            warnings.warn_explicit(str(text), category, "solution.py", int(line), registry={})
        else:
            name, level, text = parts
            logging: Any = importlib.import_module("logging")
            logger = logging.getLogger(str(name) if name != "root" else None)
            with contextlib.suppress(RecursionError):
                if logger.isEnabledFor(int(level)):
                    logger.handle(logger.makeRecord(str(name), int(level), "solution.py", 0, str(text), (), None))
