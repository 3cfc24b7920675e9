"""Many tabs of one browser share one connection for announcements, so that none waits for ever."""

from __future__ import annotations

from typing import Any

from e2e_browser import SHOWN, WAIT_MS

TABS = 8


def test_eight_tabs_load_and_hear_the_same_news(chromium: Any, address: str) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
    streams: list[str] = []
    context.on("request", lambda request: "/api/events" in request.url and streams.append(request.url))
    try:
        pages = [context.new_page() for _ in range(TABS)]
        for page in pages:
            page.goto(f"{address}/#/runs/demo-science/rollouts", timeout=WAIT_MS)
            page.wait_for_function(SHOWN, timeout=WAIT_MS)
        assert all(page.locator("table.grid tbody tr").count() > 10 for page in pages)
        assert len(streams) == 1
        # another tab takes over as soon as the one that read the stream is gone, possibly before close() returns
        with context.expect_event("request", lambda request: "/api/events" in request.url, timeout=WAIT_MS):
            pages[0].close()
        pages[2].goto(f"{address}/#/runs/demo-science", timeout=WAIT_MS)
        pages[2].wait_for_function(SHOWN, timeout=WAIT_MS)
    finally:
        context.close()


def test_a_page_that_does_not_come_up_says_so(chromium: Any, address: str) -> None:
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.route("**/js/app/main.js", lambda route: route.abort())
        page.goto(address, timeout=WAIT_MS)
        page.get_by_text("The page could not be loaded").wait_for(timeout=WAIT_MS)
    finally:
        context.close()


def test_a_page_that_came_up_is_not_called_late(chromium: Any, address: str) -> None:
    context = chromium.new_context(bypass_csp=True)
    try:
        page = context.new_page()
        page.clock.install()
        page.goto(f"{address}/#/", timeout=WAIT_MS)
        page.locator("main h1").wait_for(timeout=WAIT_MS)
        page.clock.fast_forward(120_000)
        assert page.get_by_text("The page could not be loaded").count() == 0
        assert page.locator("main h1").count() == 1
    finally:
        context.close()
