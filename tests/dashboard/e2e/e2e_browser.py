"""A visitor of the page: goes to addresses, waits until all is shown, keeps what the browser complained about."""

from __future__ import annotations

import os
import shutil
import time
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import pytest

REAL_RUNS = Path(os.environ["INNOVATOR_REAL_RUNS"]) if os.environ.get("INNOVATOR_REAL_RUNS") else None
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 60_000  # generous: a loaded machine must not fail a test
SHOWN = """document.getElementById('main').ariaBusy === 'false'
  && ['0', undefined].includes(document.documentElement.dataset.asking) && !document.querySelector('.loading')"""
AXE_RUN = """axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}).then(found =>
  found.violations.map(v => `${v.id}: ` + v.nodes.slice(0, 2).map(n =>
    n.html.slice(0, 200) + ' ' + (n.any[0]?.message ?? '')).join(' | ')))"""


def axe_source() -> str | None:
    """The axe-core script that axe-playwright-python carries, or None."""
    try:
        return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    except ModuleNotFoundError:
        return None


def browser_missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where INNOVATOR_REQUIRE_BROWSER=1 demands that the browser tests run."""
    if os.environ.get("INNOVATOR_REQUIRE_BROWSER") == "1":
        pytest.fail(f"INNOVATOR_REQUIRE_BROWSER=1, and this test {reason}", pytrace=False)
    pytest.skip(reason)


def find_chromium() -> str:
    """Return the path of Chromium; skip or fail the test where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or browser_missing("needs Chromium: apt-get install --no-install-recommends chromium")


class Browsing:
    """A browser and one context for each theme and width, whose cache of the page's scripts all tests share."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: dict[tuple[str, int], Any] = {}

    def context(self, theme: str, width: int) -> Any:
        """Return the context of a theme and a width."""
        if (theme, width) not in self._contexts:
            self._contexts[theme, width] = self._browser.new_context(
                viewport={"width": width, "height": 844 if width < 600 else 900},
                color_scheme=theme,
                reduced_motion="reduce",
                accept_downloads=True,
            )
        return self._contexts[theme, width]


class Visitor:
    """One browser page in one theme and width."""

    def __init__(self, browsing: Browsing, base: str, theme: str = "light", width: int = 1280) -> None:
        self.base, self.theme, self.width = base, theme, width
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()  # a busy server answers 503, and the page asks again
        self.page = browsing.context(theme, width).new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", lambda m: self._complain(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda problem: self._complain(str(problem)))
        self.page.on("dialog", lambda dialog: (self._complain(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._request)

    def _complain(self, text: str) -> None:
        if not any(part in text for part in (*self.expected, "503 (Service Unavailable)")):
            self.complaints.append(text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self._complain(f"called {request.url}")

    def go(self, path: str) -> Any:
        """Open `#/path` and wait until everything asked for is shown; returns the Playwright page."""
        self.page.goto(f"{self.base}/#/{path}")
        return self.settle()

    def settle(self) -> Any:
        """Wait until nothing is asked for any more."""
        end = time.monotonic() + WAIT_MS / 1000
        self.page.wait_for_timeout(30)
        while not self.page.evaluate(SHOWN):  # not wait_for_function: the page's policy forbids its eval
            assert time.monotonic() < end, f"still loading: {self.page.url}"
            self.page.wait_for_timeout(30)
        return self.page

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def violations(self) -> list[str]:
        """What axe finds against WCAG 2.2 A and AA."""
        source = axe_source()
        assert source is not None, "axe_source() is None: the caller skips"
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(source)
        return list(self.page.evaluate(AXE_RUN))

    def picture(self, name: str) -> None:
        """Keep a picture if the environment asks for them."""
        folder = os.environ.get("INNOVATOR_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}-{self.theme}-{self.width}.png")

    def close(self) -> None:
        """Close the page and forget its storage."""
        if self.page.url.startswith(self.base):
            self.page.evaluate("localStorage.clear()")
        self.page.close()
