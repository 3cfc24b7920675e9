"""Run the program as a script, or as a module whose entry point is called.

Nothing here contains what is expected, so there is nothing to steal and nothing worth patching: whatever a program
does to this code, all it can change is its own output.
"""

from __future__ import annotations

import atexit
import builtins
import dataclasses
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

import values

FILE_NAME = "solution.py"
STACK_BYTES = 64 * 2**20
_OURS = ("zygote", "solution_process", "kernel", "ipc", "rootfs", "harness", "values")


@dataclasses.dataclass
class Code:
    """A compiled program and the prelude that comes before it."""

    program: types.CodeType
    prelude: types.CodeType
    source: str

    @staticmethod
    def compile(given: dict[str, Any]) -> Code:
        """Compile; whatever the compiler raises passes through."""
        prelude = compile(given["prelude"], "prelude.py", "exec", dont_inherit=True)
        return Code(compile(given["program"], FILE_NAME, "exec", dont_inherit=True), prelude, given["program"])


def enter(code: Code, order: dict[str, Any], descriptors: list[int], report: int) -> None:
    """Run in this process and end it.

    `descriptors` are the standard streams, or the socket of the calls.
    """
    for name in _OURS:
        sys.modules.pop(name, None)
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    sys.argv[:] = [FILE_NAME]
    sys.orig_argv[:] = [FILE_NAME]
    os.environ.clear()
    os.environ.update({"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"})
    linecache.cache[FILE_NAME] = (len(code.source), None, code.source.splitlines(True), FILE_NAME)
    calls = "entry_point" in order
    if calls:
        null = os.open("/dev/null", os.O_RDWR)
        streams = [null, null, null]
    else:
        streams = descriptors
    for target, source in enumerate(streams):
        os.dup2(source, target)
    for source in set(streams):
        os.close(source)
    _standard_streams()
    module = types.ModuleType("solution" if calls else "__main__")
    module.__dict__["__builtins__"] = builtins
    module.__file__ = FILE_NAME
    sys.modules[module.__name__] = module
    status = 0
    try:
        exec(code.prelude, module.__dict__)
        exec(code.program, module.__dict__)
        if calls:
            _serve(descriptors[0], order, module.__dict__)
    except SystemExit as error:
        status = _exit_status(error)
    except BaseException as error:
        status = 1
        _report(report, error)
    _finish(status)


def _standard_streams() -> None:
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        raw = io.FileIO(number, mode, closefd=False)
        buffer = io.BufferedWriter(raw) if raw.writable() else io.BufferedReader(raw)
        stream = io.TextIOWrapper(buffer, "utf-8", "surrogateescape", line_buffering=number == 2)
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


def _serve(descriptor: int, order: dict[str, Any], space: dict[str, Any]) -> None:
    """Answer calls, one JSON line each, until the other end closes."""
    with open(descriptor, "rb", closefd=False) as questions, open(descriptor, "wb", closefd=False) as answers:
        target = None if order["fresh"] else eval(order["entry_point"], space)
        answers.write(b'{"ready": true}\n')
        answers.flush()
        for line in questions:
            request = json.loads(line)
            args = values.decode(request["args"], space)
            kwargs = values.decode(request["kwargs"], space)
            function = target if target is not None else eval(order["entry_point"], space)
            value = function(*args, **kwargs)
            sent = {"value": values.encode(args[request["in_place"]] if request.get("in_place") is not None else value)}
            answers.write(json.dumps(sent).encode() + b"\n")
            answers.flush()
