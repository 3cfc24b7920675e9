"""Long reasoning has an outline with jumps; turns and molecules stand where a reader looks for them."""

from __future__ import annotations

import pytest
from e2e_browser import Visitor
from e2e_reading import LONG

RESPONSE = "runs/reading/response/1/u"
TOP = "node => node.getBoundingClientRect().top"


def test_sixty_thousand_characters_have_an_outline_with_jumps(visit: Visitor) -> None:
    page = visit.go(f"{RESPONSE}/0")
    assert len(LONG) > 60_000
    assert len(page.locator(".prose.long").text_content()) > 54_000  # less the marks of formulas
    assert page.locator(".result").inner_text().count("42") == 2
    page.locator(".outline .entry", has_text="Step 40").click()
    heading = page.locator(".prose p", has_text="Step 40: bound the term")
    assert 0 <= heading.evaluate(TOP) < 200
    page.keyboard.press("]")
    page.wait_for_timeout(100)
    assert "Step 41" in page.locator(".outline [aria-current=true]").inner_text()
    page.locator(".outline .answer").last.click()
    assert page.locator(".prose", has_text="Result").last.is_visible()


@pytest.mark.parametrize("sample", [1, 2], ids=["by the template", "as recorded"])
def test_turns_are_a_timeline_and_tool_results_are_marked(visit: Visitor, sample: int) -> None:
    page = visit.go(f"{RESPONSE}/{sample}")
    turns = [turn.inner_text() for turn in page.locator(".turns > li").all()]
    assert [text.split("\n")[0].split(". ")[1] for text in turns] == ["Model", "Tool call", "Tool result", "Model"]
    assert "not trained on" in turns[2]
    assert page.locator(".turn.masked").count() == 1
    page.get_by_role("button", name="Raw").click()
    visit.settle()
    assert page.locator("pre.raw").count() == 1


def test_a_molecule_stands_beside_the_text(visit: Visitor) -> None:
    page = visit.go("runs/demo-science/rollouts?domain=caption2mol&reason=partial")
    page.locator("a.preview").first.click()
    visit.settle()
    picture, text = page.locator(".molecule-picture img").bounding_box(), page.locator(".prose.long").bounding_box()
    assert picture["x"] > text["x"] + text["width"]
    assert max(picture["y"], text["y"]) < 800
