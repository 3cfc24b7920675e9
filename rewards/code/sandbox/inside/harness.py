"""Run the program as a script, or as a module whose entry point is called.

Nothing here contains what is expected, so there is nothing to steal and nothing worth patching: whatever a program
does to this code, all it can change is its own output.
"""

from __future__ import annotations

import _sitebuiltins
import atexit
import builtins
import contextlib
import errno
import io
import json
import linecache
import os
import sys
import threading
import traceback
import types
from typing import Any

import checker
import native
import objects

FILE_NAME = "solution.py"
THREAD_STACK_BYTES = 16 * 2**20
PRINTED_BYTES = 2**20
_OURS = (
    "zygote", "solution_process", "kernel", "ipc", "rootfs", "harness", "values", "encoder", "decoder", "objects",
    "checker", "comparison", "plain_types", "native", "arrays", "raised", "remotes", "replaced", "coroutines",
    "operations", "shared_files", "unpickling", "held", "notes",
)  # fmt: skip
_DESCRIPTORS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def prepare() -> None:
    """Do once, in the supervisor, what every run would have to do: each step costs a fork memory of its own."""
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    for name in _OURS:
        sys.modules.pop(name, None)
    sys.argv[:] = [FILE_NAME]
    sys.orig_argv[:] = [FILE_NAME]
    os.environ.clear()
    os.environ.update({"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"})
    sys.set_int_max_str_digits(0)
    threading.stack_size(THREAD_STACK_BYTES)
    _interactive_names()


def enter(order: dict[str, Any], descriptors: list[int], report: int) -> None:
    """Run in this process and end it.

    Args:
        order: `program` and `prelude`, with `entry_point` where it is called; or `native`, for a compiled program; or
            `checker`, the tests of a row.
        descriptors: The standard streams, with the library of a compiled program, or the socket of the calls.
        report: Where to write what the program died of.
    """
    script = len(descriptors) >= 3
    null = os.open("/dev/null", os.O_RDWR) if not script else -1
    for target, source in enumerate(descriptors[:3] if script else [null] * 3):
        os.dup2(source, target)
    for source in set(descriptors[:3] if script else [null]):
        os.close(source)
    _standard_streams()
    status = 0
    try:
        if "native" in order:
            os.close(report)
            native.run(descriptors[3])
        elif "checker" in order:
            checker.enter(order["checker"], descriptors[0])
        else:
            _program(order, None if script else descriptors[0], report)
    except SystemExit as error:
        status = _exit_status(error)
    except BaseException as error:
        status = 1
        _report(report, error)
    _finish(status)


def _program(order: dict[str, Any], calls: int | None, report: int) -> None:
    source = order["program"]
    linecache.cache[FILE_NAME] = (len(source), None, source.splitlines(True), FILE_NAME)
    try:
        prelude = compile(order["prelude"], "prelude.py", "exec", dont_inherit=True)
        code = compile(source, FILE_NAME, "exec", dont_inherit=True)
    except Exception as error:
        os.write(report, json.dumps({"kind": "compile", "name": f"{type(error).__name__}: {error}"[:300]}).encode())
        os._exit(1)
    module = types.ModuleType("__main__" if calls is None else "solution")
    module.__dict__["__builtins__"] = builtins
    module.__file__ = FILE_NAME
    sys.modules[module.__name__] = module
    if calls is not None:
        sys.modules["__main__"] = module  # for dataclasses, pickle and typing, which look a class's module up
    exec(prelude, module.__dict__)
    shared = {name for name, found in module.__dict__.items() if isinstance(found, type)}
    exec(code, module.__dict__)
    if calls is not None:
        _serve(calls, order, module.__dict__, shared)


def _interactive_names() -> None:
    """Offer what the interpreter offers besides its built-in names, and the standard streams as files."""
    builtins.exit = builtins.quit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")  # type: ignore[assignment]
    builtins.copyright = builtins.credits = builtins.license = _sitebuiltins._Printer("license", "")  # type: ignore[assignment]
    builtins.help = _sitebuiltins._Helper()
    plain_open = io.open

    def open(file: Any, *args: Any, **kwargs: Any) -> Any:
        number = _DESCRIPTORS.get(file) if isinstance(file, str) else None
        return plain_open(file if number is None else os.dup(number), *args, **kwargs)

    open.__doc__ = plain_open.__doc__
    builtins.open = io.open = open


def _standard_streams() -> None:
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        raw = io.FileIO(number, mode, closefd=False)
        raw.name = f"<{name}>"  # type: ignore[misc]
        buffer = io.BufferedWriter(raw) if raw.writable() else io.BufferedReader(raw)
        stream = io.TextIOWrapper(buffer, "utf-8", "surrogateescape", line_buffering=number == 2)
        stream.mode = mode  # type: ignore[misc]  # fast input classes of contests look at it
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _report(descriptor: int, error: BaseException) -> None:
    """Say what the program died of.

    It can only be believed about a failure, and is only read after one.
    """
    kind = "exception"
    if isinstance(error, MemoryError):
        kind = "memory"
    elif isinstance(error, ModuleNotFoundError) or (
        isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES, errno.EROFS)
    ):
        kind = "forbidden"
    try:
        trail = error.__traceback__.tb_next if error.__traceback__ else None
        lines = [step.lineno for step in traceback.extract_tb(trail) if step.filename == FILE_NAME]
        text = {"kind": kind, "name": type(error).__name__, "line": lines[-1] if lines else None}
        os.write(descriptor, json.dumps({**text, "message": str(error)[:200]}).encode()[:4000])
        traceback.print_exception(type(error), error, trail, limit=-20)
    except BaseException:
        os.write(descriptor, json.dumps({"kind": kind}).encode())


def _finish(status: int) -> None:
    """Do what the interpreter does at the end of a script, then end."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        status = status or 1
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        try:
            stream.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass
        except BaseException:
            status = status or 120
    os._exit(status)


class _Printed(io.RawIOBase):
    """What is printed during a call, up to a bound."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.kept += bytes(data)[: max(0, PRINTED_BYTES - len(self.kept))]
        return len(data)

    def take(self) -> str:
        text = bytes(self.kept).decode("utf-8", "replace")
        self.kept.clear()
        return text


def _serve(descriptor: int, order: dict[str, Any], space: dict[str, Any], shared: set[str]) -> None:
    """Answer the other side until it closes."""
    printed = {"out": _Printed(), "err": _Printed()}
    streams = [
        io.TextIOWrapper(io.BufferedWriter(each), "utf-8", "surrogateescape", write_through=True)
        for each in printed.values()
    ]
    sys.stdout, sys.stderr = streams
    current: list[Any] = []

    def entry() -> Any:
        if order["fresh"] or not current:
            current[:] = [_entry_point(order["entry_point"], space)]
        return current[0]

    def taken() -> dict[str, str]:
        for stream in streams:
            with contextlib.suppress(ValueError):  # the program closed it
                stream.flush()
        found = {name: each.take() for name, each in printed.items()}
        return {name: text for name, text in found.items() if text}

    def write(line: bytes) -> None:
        line += b"\n"
        while line:
            line = line[os.write(descriptor, line) :]

    with open(descriptor, "rb", closefd=False) as questions:
        peer = objects.Peer(questions.readline, write, space, objects.OPEN, entry, taken)
        peer.theirs = shared - {order["entry_point"].partition("(")[0].partition(".")[0]}
        peer.fresh = order["fresh"]
        peer.tested = entry() if isinstance(entry(), type) else None
        taken()
        write(b"{}")
        while line := questions.readline():
            peer.serve(json.loads(line))


def _entry_point(expression: str, space: dict[str, Any]) -> Any:
    """Return what is called: a function, or the method of a class where the tests or the program have that form."""
    try:
        return eval(expression, space)
    except (NameError, AttributeError):
        name = expression.rpartition(".")[2]
        if "Solution" in expression and callable(space.get(name)):
            return space[name]
        if name == expression and hasattr(space.get("Solution"), name):
            return getattr(space["Solution"](), name)
        raise
