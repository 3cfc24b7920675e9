"""Decide which skipped tests are expected; any other skip fails the session when `INNOVATOR_STRICT_SKIPS=1` (`make test`).

A skip hides a promise. Each entry names, with the reason, a condition that a machine may lack and the project cannot ship.
"""

import re

import pytest

EXPECTED = {
    r"real data .* is not here": "published data sets cannot be shipped; INNOVATOR_DATA names the folder that holds them",
    r"needs a trained run: INNOVATOR_REAL_RUNS": "the page is looked at with a run of one's own",
    r"only root can become another user": "an ordinary user cannot test what another user may do",
    r"does not hold here: ": "a layer of the sandbox that this kernel does not offer; `innovator doctor` names it",
    r"the tree's memory is not bounded here": "no writable cgroup; `innovator doctor` names it",
    r"network namespaces cannot be made here": "only root can make two hosts of one machine; continuous integration may not",
    r"no isolation on this machine": "user namespaces are switched off; `innovator doctor` names it",
}
"""Regular expression of a skip's reason -> why it is allowed."""

BROWSER = r"needs Chromium"
"""Allowed where INNOVATOR_REQUIRE_BROWSER is not 1, and announced; continuous integration sets it."""


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a test was skipped."""
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")


def unexpected(reports: list[pytest.TestReport], browser_required: bool) -> list[str]:
    """Return `test: reason` of each skip that nothing allows."""
    allowed = [*EXPECTED, *([] if browser_required else [BROWSER])]
    found = []
    for report in reports:
        reason = reason_of(report)
        if not any(re.search(pattern, reason) for pattern in allowed):
            found.append(f"{report.nodeid}: {reason}")
    return found
