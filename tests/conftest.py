"""Make this folder's helpers importable from every test below it, keep tests independent, and fail on unexpected skips."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
from expected_skips import BROWSER, reason_of, unexpected
from hypothesis import HealthCheck, settings

# A busy machine generates examples slowly, which is no fault of the code under test.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Announce the tests that did not run for want of a browser, and the skips that nothing allows."""
    skipped = terminalreporter.stats.get("skipped", [])
    without_browser = sum(BROWSER in reason_of(report) for report in skipped)
    if without_browser:
        terminalreporter.section("NOT RUN", sep="!", red=True)
        terminalreporter.line(
            f"{without_browser} browser tests did not run: apt-get install --no-install-recommends chromium"
        )
    for line in terminalreporter.config.stash.get(UNEXPECTED, []):
        terminalreporter.line(f"unexpected skip: {line}", red=True)


UNEXPECTED = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session in which a test was skipped for a reason that `expected_skips` does not list."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("INNOVATOR_STRICT_SKIPS") != "1" or reporter is None or hasattr(session.config, "workerinput"):
        return
    lines = unexpected(reporter.stats.get("skipped", []), os.environ.get("INNOVATOR_REQUIRE_BROWSER") == "1")
    session.config.stash[UNEXPECTED] = lines
    if lines and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
