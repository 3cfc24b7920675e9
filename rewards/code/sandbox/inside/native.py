"""Run a compiled program: a shared library whose `main` is called in this process.

Nothing is executed, so the filter of system calls is that of a Python program, which refuses `execve`. The library is
what a compiler made of a stranger's source, and as untrusted as that.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import NoReturn

ENTRY = "solution_main"  # another name of `main`, which the interpreter has, too
LIBRARY = "/tmp/solution.so"
THREAD_STACK_BYTES = 8 * 2**20
_ATTRIBUTE_BYTES = 64


def run(descriptor: int) -> NoReturn:
    """Load the library that can be read from `descriptor`, call its `main`, and exit as C does."""
    with open(descriptor, "rb") as source, open(LIBRARY, "wb") as target:
        target.write(source.read())
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
    libc.pthread_attr_init(attributes)  # by default a thread would reserve as much as the deep stack of this one
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(THREAD_STACK_BYTES))
    libc.pthread_setattr_default_np(attributes)
    library = ctypes.CDLL(LIBRARY, mode=os.RTLD_NOW)
    os.unlink(LIBRARY)
    words = (ctypes.c_char_p * 2)(b"solution", None)
    libc.exit(library[ENTRY](1, words))
    os._exit(1)
