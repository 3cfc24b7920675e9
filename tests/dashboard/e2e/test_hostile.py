"""What a model wrote never becomes anything but text, and never stops the page."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from e2e_browser import Visitor
from e2e_hostile import LONG, TEXTS, UID

GROUP = f"runs/hostile/group/1/{quote(UID, safe='')}"
RESPONSE = f"runs/hostile/response/1/{quote(UID, safe='')}"
FOREIGN = """document.querySelectorAll(`main script, main iframe, main object, main embed, main [onload],
  main [onerror], main [onclick], main [style*="url"], main form[action]`).length"""
BAD_LINKS = """[...document.querySelectorAll('main a')].map(a => a.getAttribute('href'))
  .filter(to => !/^(https?:|#)/.test(to) && !/^\/?api\//.test(to))"""


def check(visit: Visitor) -> None:
    page = visit.page
    assert page.evaluate("window.hacked") is None
    assert page.evaluate(FOREIGN) == 0
    assert page.evaluate(BAD_LINKS) == []
    images = page.evaluate("[...document.querySelectorAll('main img')].map(i => i.getAttribute('src'))")
    assert all(src.startswith("/api/molecules.svg") for src in images)


@pytest.mark.parametrize("sample", range(len(TEXTS)))
def test_a_hostile_response_is_only_text(visit: Visitor, sample: int) -> None:
    for tab in ("rendered", "raw", "tokens"):
        visit.go(f"{RESPONSE}/{sample}?tab={tab}")  # fails when it takes longer than a visitor waits
        assert visit.page.locator(".state.error").count() == 0
        check(visit)


def test_invisible_characters_are_written_out(visit: Visitor) -> None:
    text = visit.go(f"{RESPONSE}/3?tab=raw").locator("pre.raw:not(.short)").last.inner_text()
    assert "‹U+202E›" in text
    assert "‹U+200B›" in text
    assert "␀␇␛[31m" in text
    assert "\u202e" not in visit.page.locator("main").inner_text()


def test_ten_megabytes_are_read_in_parts(visit: Visitor) -> None:
    page = visit.go(f"{RESPONSE}/7")
    assert len(page.locator(".prose").last.inner_text()) < 100_000
    assert f"of {len(LONG):,}" in page.locator("main").inner_text()
    page.get_by_role("button", name="Later →").first.click()
    visit.settle()
    assert "offset=" in page.url
    check(visit)


def test_lists_groups_and_their_differences_are_only_text(visit: Visitor) -> None:
    lists = ("runs/hostile", "runs/hostile/rollouts", "runs/hostile/rollouts?view=groups", "runs/hostile/health")
    for path in (*lists, GROUP, f"{GROUP}?view=diff&a=0&b=1", f"{GROUP}?text=raw"):
        visit.go(path)
        check(visit)
    visit.go("runs/hostile/sql?sql=" + quote("SELECT response_tokens, domain, reason FROM responses"))
    check(visit)


@pytest.mark.parametrize("visit", [("light", 1280), ("dark", 390)], indirect=True, ids=str)
def test_names_and_values_of_any_length_stay_on_the_page(visit: Visitor) -> None:
    run = "runs/long" + "x" * 200
    views = ("", "/rollouts", "/rollouts?view=groups", "/health", "/response/1/u/0", "/response/1/u/0?tab=raw")
    for path in ("", *(run + view for view in views), f"{run}/group/1/u", f"{run}/prompt?prompt_id={'n' * 2_000}"):
        visit.go(path)  # fails when it takes longer than a visitor waits
        assert visit.page.locator(".state.error").count() == 0, path[-40:]
        assert visit.overflow() <= 0, f"{path[-40:]} is {visit.overflow()} px too wide"
