"""Makes this folder's helpers, such as `real_data`, importable from every test below it, and tests independent of each other."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

# A shell starts background commands with Ctrl-C ignored, and what the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_loop_of_another_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Playwright's event loop stays marked as running in this thread between browser tests; elsewhere it is out of the way."""
    if "e2e" in request.path.parts:
        yield
        return
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)
