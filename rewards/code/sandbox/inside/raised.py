"""Describe an exception to the other side, and make one of a description.

Of a class that both sides have, an exception arrives as that class; of a class of the program's own, as a new class
of the same name under the nearest one known. What it was made with, and its fields (`errno`, `filename`, those of its
own), arrive as values; a constructor is called of built-in classes alone.
"""

from __future__ import annotations

import builtins
import contextlib
from typing import Any

OWN = ("solution", "__main__")
_PLAIN = (str, int, float, complex, bytes, tuple, list, dict, set, frozenset, type(None), BaseException)
_FIELDS: dict[type[BaseException], tuple[str, ...]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("name", "path"),
    AttributeError: ("name",),
    NameError: ("name",),
    SyntaxError: ("msg", "filename", "lineno", "offset", "text"),
}
MARK = "_from_the_program"
_TEXT = "_text_of_the_program"


def arguments(error: BaseException) -> list[Any]:
    """Return what an exception was made with; what is no plain value as its text."""
    found: list[Any] = []
    for part in error.args:
        with contextlib.suppress(Exception):
            found.append(part if isinstance(part, _PLAIN) else str(part))
    return found


def fields(error: BaseException) -> dict[str, Any]:
    """Return the fields of an exception, with `__cause__`, `__context__`, notes and the text that a class of its own gives it."""
    found: dict[str, Any] = {}
    with contextlib.suppress(Exception):
        found.update((name, value) for name, value in error.__dict__.items() if not name.startswith("__"))
    for kind, names in _FIELDS.items():
        if isinstance(error, kind):
            found.update((name, getattr(error, name, None)) for name in names)
    for name in ("__cause__", "__context__"):
        if isinstance(getattr(error, name), Exception):
            found[name] = getattr(error, name)
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        found["__notes__"] = [note for note in notes if isinstance(note, str)]
    with contextlib.suppress(Exception):
        if next(kind for kind in type(error).__mro__ if "__str__" in vars(kind)).__module__ in OWN:
            found[_TEXT] = str(error)
    return found


def make(kind: type[BaseException], args: Any, values: Any) -> BaseException:
    """Return an exception of a class, with what it was made with and its fields."""
    args = tuple(args) if isinstance(args, (list, tuple)) else ()
    values = values if isinstance(values, dict) else {}
    made: BaseException | None = None
    if getattr(builtins, kind.__name__, None) is kind or (kind.__module__ == "solution" and not _has_own_init(kind)):
        with contextlib.suppress(Exception):
            made = kind(*args)
    if made is None:
        made = kind.__new__(kind)
    made.args = args
    for name, value in values.items():
        _set(made, str(name), value)
    return made


def _has_own_init(kind: type) -> bool:
    return any("__init__" in vars(base) for base in kind.__mro__ if base.__module__ != "builtins")


def _set(error: BaseException, name: str, value: Any) -> None:
    if name in ("__cause__", "__context__"):
        setattr(error, name, value if isinstance(value, BaseException) else None)
    elif name == "__notes__":
        error.__notes__ = value if isinstance(value, list) else []
    elif any(isinstance(error, kind) and name in names for kind, names in _FIELDS.items()):
        with contextlib.suppress(Exception):
            setattr(error, name, value)
    elif not name.startswith("__") and not callable(getattr(type(error), name, None)):
        error.__dict__[name] = value


def named(name: str, base: type[BaseException]) -> type[BaseException]:
    """Return a new class of exceptions that stands for one of the program's own."""

    def text(self: BaseException) -> str:
        found = self.__dict__.get(_TEXT)
        return found if isinstance(found, str) else base.__str__(self)

    try:
        return type(name[:100], (base,), {"__module__": "solution", "__str__": text})
    except TypeError:  # a class of the prelude that cannot be extended
        return base
