"""Every page in both themes and at both widths: it is shown without a complaint, fits, and passes axe."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request

import pytest
from e2e_browser import Visitor, axe_source, browser_missing

RUN = "runs/demo-science"
LOOKS = [("light", 1280), ("dark", 390)]
"""These two see both themes and both widths: contrast depends on the theme, the layout on the width."""


@pytest.fixture(scope="session")
def pages(address: str) -> dict[str, str]:
    """Name of each page and its address; the responses are chosen by what they show."""

    def first(**selection: str) -> str:
        query = urllib.parse.urlencode({"size": 1, "histogram": "none", "sort": "-step", **selection})
        with urllib.request.urlopen(f"{address}/api/{RUN}/rollouts?{query}", timeout=60) as answer:
            row = json.load(answer)["rows"][0]
        return f"{row['step']}/{row['uid']}/{row['sample_index']}"

    physics = first(domain="physics", correct="true", status="kept")
    return {
        "runs": "",
        "compare": "compare?run=demo-science&run=demo-baseline",
        "run": RUN,
        "rollouts": f"{RUN}/rollouts?domain=physics&correct=false",
        "groups": f"{RUN}/rollouts?view=groups&status=dropped",
        "group": f"{RUN}/group/{physics.rsplit('/', 1)[0]}",
        "differences": f"{RUN}/group/{physics.rsplit('/', 1)[0]}?view=diff",
        "response": f"{RUN}/response/{physics}",
        "molecules": f"{RUN}/response/{first(domain='caption2mol', reason='partial')}",
        "tests": f"{RUN}/response/{first(domain='code', reason='wrong_output')}",
        "tokens": f"{RUN}/response/{physics}?tab=tokens&metric=ratio",
        "change": f"{RUN}/change",
        "health": f"{RUN}/health",
        "rescore": f"{RUN}/rescore?step=24&domain=physics",
        "labels": f"{RUN}/labels",
        "why": f"{RUN}/why",
        "turns": "runs/reading/response/1/u/2",
        "sql": f"{RUN}/sql?sql=SELECT%20domain%2C%20avg(reward)%20FROM%20responses%20GROUP%20BY%20ALL",
    }


@pytest.mark.parametrize("visit", LOOKS, indirect=True, ids=lambda look: f"{look[0]}-{look[1]}")
def test_every_page_is_shown_fits_and_passes_axe(visit: Visitor, pages: dict[str, str]) -> None:
    if axe_source() is None:
        browser_missing("needs axe-core: pip install axe-playwright-python")
    found = {}
    for name, path in pages.items():
        page = visit.go(path)
        visit.picture(name)
        assert page.locator("main h1").count() == 1, f"{name} has no heading: {page.locator('main').inner_text()[:300]}"
        assert page.locator(".state.error").count() == 0, f"{name}: {page.locator('.state.error').first.inner_text()}"
        assert visit.overflow() <= 0, f"{name} is {visit.overflow()} px too wide"
        if violations := visit.violations():
            found[name] = violations
    assert found == {}


def test_a_page_that_does_not_exist_says_so(visit: Visitor) -> None:
    visit.expected = ("404",)
    assert "no such page" in visit.go("nowhere").locator("main").inner_text()
    assert "run not found" in visit.go("runs/absent").locator("main").inner_text()
    assert "Try again" in visit.go(f"{RUN}/response/1/none/0").locator("main").inner_text()


def test_the_bad_files_of_a_run_are_named_and_the_rest_is_shown(visit: Visitor) -> None:
    page = visit.go(RUN)
    page.locator("details.problems summary").click()
    assert "rollouts/step=000003/" in page.locator("details.problems").inner_text()
    assert page.locator("figure.chart canvas").count() > 4


def test_a_crashed_run_is_shown_as_crashed(visit: Visitor) -> None:
    page = visit.go("")
    line = page.locator("tr", has_text="demo-crashed")
    assert "crashed" in line.inner_text()
