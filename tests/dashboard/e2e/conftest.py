"""A real Chromium in front of a real server: the demo's runs, and a run whose every text is hostile.

Without Chromium or Playwright the tests are skipped, and the reason names the command that installs it;
`INNOVATOR_REQUIRE_BROWSER=1` (`.ci/run`) makes that a failure. `INNOVATOR_SCREENSHOTS=DIR` keeps a picture of every page
visited.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_browser import FLAGS, REAL_RUNS, Browsing, Visitor, browser_missing, find_chromium
from e2e_hostile import write_hostile_run, write_long_run
from e2e_reading import write_reading_run


@pytest.fixture(scope="session")
def runs_dir(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's three runs, one full of hostile text, one of long names and one of long responses."""
    root = tmp_path_factory.mktemp("runs")
    shutil.copytree(demo_root, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".index"))
    write_hostile_run(root / "hostile")
    write_long_run(root / ("long" + "x" * 200))
    write_reading_run(root / "reading")
    return root


@pytest.fixture(scope="session")
def address(runs_dir: Path) -> Iterator[str]:
    """Where the dashboard of those runs (and of those in INNOVATOR_REAL_RUNS, if it is set) is served."""
    import uvicorn

    from innovator_rl.dashboard.app import create_app

    roots = [runs_dir, *([REAL_RUNS] if REAL_RUNS else [])]
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(create_app(roots, demo=True), log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    _index(base, ("demo-science", "demo-baseline", "hostile"))
    yield base
    server.should_exit = True
    thread.join(timeout=20)
    listening.close()


def _index(base: str, names: tuple[str, ...]) -> None:
    """Ask for each run until it is indexed, so that no test measures the building."""
    end = time.monotonic() + 120
    for name in names:
        while time.monotonic() < end:
            with urllib.request.urlopen(f"{base}/api/runs/{name}", timeout=60) as answer:
                if json.load(answer)["index"]["state"] == "ready":
                    break
            time.sleep(0.2)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """One browser for all tests."""
    path = find_chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        browser_missing("needs Playwright: pip install playwright")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(FLAGS), timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browsing(chromium: object) -> Browsing:
    """The contexts of that browser."""
    return Browsing(chromium)


@pytest.fixture
def visit(browsing: Browsing, address: str, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """A fresh page; the test fails if the page logged an error, broke the content policy or called another server."""
    theme, width = getattr(request, "param", ("light", 1280))
    visitor = Visitor(browsing, address, theme, width)
    yield visitor
    visitor.close()
    assert visitor.complaints == []
