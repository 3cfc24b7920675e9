"""The deadline of code that runs outside the sandbox: it interrupts, it cannot be taken for an exception of that code,
and it never strikes after its block.
"""

import contextlib
import threading
import time

import pytest

from rewards.code.deadline import DeadlineExceeded, deadline


def swallow() -> None:
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.001)


def test_a_loop_that_swallows_exceptions_is_interrupted() -> None:
    with pytest.raises(DeadlineExceeded), deadline(0.05):
        swallow()


def test_it_holds_in_any_thread() -> None:
    ends: list[type] = []

    def work() -> None:
        try:
            with deadline(0.05):
                while True:
                    pass
        except DeadlineExceeded:
            ends.append(DeadlineExceeded)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert ends == [DeadlineExceeded]


def test_it_never_strikes_after_its_block() -> None:
    """Blocks that end just when their time does, again and again."""
    ends = []
    for turn in range(300):
        try:
            with deadline(0.001):
                time.sleep(0.0008 + turn % 5 * 1e-4)
            ends.append("in time")
        except DeadlineExceeded:
            ends.append("late")
        for _ in range(200):  # steps at which a late strike would be felt
            threading.get_ident()
    assert len(ends) == 300


def test_an_exception_of_the_block_passes_and_no_thread_stays() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), deadline(60):
        raise KeyError
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)
    assert threading.active_count() == before
