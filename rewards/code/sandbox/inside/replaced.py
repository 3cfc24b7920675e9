"""Carry what a check puts in the place of `input`, standard input and functions of libraries to the program.

    seen = Replaced(); seen.watch()         # in the checker, before and after the check's code is loaded
    stdin, environ, found = seen.now()      # at each call
    with applied(stdin, environ, found):    # in the program, around that call
        ...

A replacement travels as any value does: a mock of the check as a handle, which the program may call and use as the
check set it up, and of which it can change nothing.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import os
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

_SEEDED = ("random", "numpy.random")
_BUILTINS = ("input", "print", "open")
_STREAMS = {("sys", "stdin"), ("sys", "stdout"), ("sys", "stderr"), *(("builtins", name) for name in _BUILTINS)}
_FILE = {"read", "readline", "readlines", "write", "writelines", "seek", "tell", "close", "flush", "getvalue", "closed"}
_FILES = (io.StringIO, io.BytesIO, io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
_OPERATIONS = ("enter", "exit", "iter", "next", "len", "getitem", "contains", "bool", "str", "int", "float")


class Replaced:
    """What the code of this process has replaced since this object was made."""

    def __init__(self) -> None:
        self.stdin = sys.stdin
        self.functions = {name: getattr(builtins, name) for name in _BUILTINS}
        self.environ = dict(os.environ)
        self.active: list[Any] = []

    def watch(self) -> None:
        """Note from now on what `unittest.mock.patch` replaces."""
        mock: Any = importlib.import_module("unittest.mock")
        enter, leave, active = mock._patch.__enter__, mock._patch.__exit__, self.active

        def entered(patch: Any) -> Any:
            found = enter(patch)
            active.append(patch)
            return found

        def left(patch: Any, *error: Any) -> Any:
            active[:] = [other for other in active if other is not patch]
            return leave(patch, *error)

        mock._patch.__enter__, mock._patch.__exit__ = entered, left

    def now(self) -> tuple[str | None, dict[str, str] | None, list[tuple[str, str, Any]]]:
        """Return the rest of standard input, the environment and [module, name, replacement], None where unchanged."""
        found = [
            ("builtins", name, getattr(builtins, name))
            for name, before in self.functions.items()
            if getattr(builtins, name) is not before
        ]
        for patch in self.active:
            place = _place(patch)
            if place is not None and place not in _STREAMS:
                found.append((*place, getattr(patch.target, patch.attribute, None)))
        environ = dict(os.environ)
        return self._rest(), environ if environ != self.environ else None, found

    def _rest(self) -> str | None:
        if sys.stdin is self.stdin or not isinstance(sys.stdin, (io.StringIO, io.TextIOWrapper)):
            return None
        with contextlib.suppress(Exception):
            return sys.stdin.read()
        return ""

    @staticmethod
    def give_back(count: Any) -> None:
        """Leave the last characters of standard input, which the program did not read, to whoever reads next."""
        if isinstance(sys.stdin, io.StringIO) and isinstance(count, int) and 0 < count <= sys.stdin.tell():
            sys.stdin.seek(sys.stdin.tell() - count)


def watch_seeds(note: Callable[[tuple[str, tuple[Any, ...]]], object]) -> None:
    """Tell of every call that seeds the shared generator of `random` or of numpy in this process."""
    for name in _SEEDED:
        if name.partition(".")[0] in sys.modules:
            module: Any = importlib.import_module(name)

            def seed(*args: Any, _plain: Any = module.seed, _name: str = name) -> Any:
                note((_name, args))
                return _plain(*args)

            module.seed = seed


def seed(calls: Any) -> None:
    """Seed the same generators here."""
    for name, args in calls:
        if name in _SEEDED:
            with contextlib.suppress(Exception):
                importlib.import_module(name).seed(*args)


def _place(patch: Any) -> tuple[str, str] | None:
    target = getattr(patch, "target", None)
    if isinstance(target, types.ModuleType):
        return target.__name__, str(patch.attribute)
    if isinstance(target, type):
        return target.__module__, f"{target.__qualname__}.{patch.attribute}"
    return None


@contextlib.contextmanager
def applied(stdin: Any, environ: Any, found: Any) -> Iterator[io.StringIO | None]:
    """Replace the same here, as far as it is here; give the standard input that was put up."""
    before, variables = sys.stdin, dict(os.environ)
    restore: list[tuple[Any, str, Any]] = []
    stream = io.StringIO(stdin) if isinstance(stdin, str) else None
    sys.stdin = stream or before
    if isinstance(environ, dict):
        os.environ.clear()
        os.environ.update(environ)
    for module, path, value in found:
        with contextlib.suppress(ImportError, AttributeError, TypeError):
            target: Any = importlib.import_module(module)
            *way, name = path.split(".")
            for part in way:
                target = getattr(target, part)
            restore.append((target, name, getattr(target, name)))
            setattr(target, name, value)
    try:
        yield stream
    finally:
        for target, name, value in reversed(restore):
            setattr(target, name, value)
        sys.stdin = before
        if isinstance(environ, dict):
            os.environ.clear()
            os.environ.update(variables)


def may_use(op: str, target: Any, name: str) -> bool:
    """Return whether the program may use a mock, an open file or a generator of random numbers of the check in this way.

    Of a mock it gets what the check set up, and nothing that configures it or asserts how it was called.
    """
    if isinstance(target, _FILES):
        return name in _FILE if op == "getattr" else op in ("enter", "exit", "iter", "next")
    if isinstance(target, _generators()):
        return op == "getattr" and not name.startswith("_")
    mock: Any = sys.modules.get("unittest.mock")
    if mock is None or not isinstance(target, mock.NonCallableMock):
        return False
    if op != "getattr":
        return op in _OPERATIONS
    own = name.startswith(("_", "assert")) or name == "method_calls" or hasattr(mock.MagicMock, name)
    return not own


def _generators() -> tuple[type, ...]:
    numpy: Any = sys.modules.get("numpy.random")
    return (random.Random, *(() if numpy is None else (numpy.Generator, numpy.RandomState)))
