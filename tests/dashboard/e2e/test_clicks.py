"""From the list of runs, what is read most often is a few clicks away."""

from __future__ import annotations

import re

from e2e_browser import Visitor

SHORTCUTS = {"worst": "reward 0\nkept", "truncated": "cut off", "a molecule": "caption2mol"}


def click(visit: Visitor, name: str) -> None:
    visit.page.get_by_role("link", name=name, exact=True).first.click()
    visit.settle()


def test_responses_and_dropped_groups_are_two_clicks_away(visit: Visitor) -> None:
    visit.go("")
    click(visit, "demo-science")
    for shortcut, expected in SHORTCUTS.items():
        click(visit, shortcut)
        assert "/response/" in visit.page.url
        assert expected in visit.page.locator(".page-head").inner_text()
        visit.page.go_back()
        visit.settle()
        assert visit.page.url.endswith("runs/demo-science")
    click(visit, "dropped groups")
    assert "all wrong" in visit.page.locator("tbody").inner_text()


def test_one_prompt_at_two_checkpoints_is_two_clicks_away(visit: Visitor) -> None:
    visit.go("")
    click(visit, "demo-science")
    click(visit, "a prompt over time")
    assert "/prompt?" in visit.page.url
    assert visit.page.locator(".diff").count() == 1
    assert len(set(visit.page.locator(".del-key, .ins-key").all_inner_texts())) == 2


def test_an_alert_opens_exactly_its_rows(visit: Visitor) -> None:
    page = visit.go("runs/demo-science/health")
    counts = [re.search(r"Read the ([\d,]+)", text) for text in page.locator(".alert a.button").all_inner_texts()]
    wanted = {place: found[1] for place, found in enumerate(counts) if found}
    assert len(wanted) > 2
    for place, count in wanted.items():
        page = visit.go("runs/demo-science/health")
        page.locator(".alert a.button").nth(place).click()
        visit.settle()
        assert page.locator(".page-head [role=status]").inner_text().split()[0] == count, page.url
