"""Give a deadline to the data set's own code, a checker or a check.

    try:
        with deadline(2.0):
            custom_checker(...)
    except DeadlineExceeded:
        ...

Such code runs outside the sandbox on what a program returned, and a value chosen for it could keep it busy forever.
Its time is taken from the solution's. The thread is interrupted between two steps of Python code: one long step inside
C is not (see docs/sandbox.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator


class DeadlineExceeded(BaseException):
    """The block ran past its deadline.

    No `Exception`, so that the code inside does not take it for its own.
    """


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `DeadlineExceeded` in the block after `seconds` of wall time, never later."""
    thread = ctypes.c_ulong(threading.get_ident())
    lock, over = threading.Lock(), threading.Event()

    def interrupt() -> None:
        with lock:
            if not over.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(DeadlineExceeded))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            over.set()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, None)  # one on its way is called back
