"""What a reader does: filter, sort, step through, compare, label, query, all of it in the address."""

from __future__ import annotations

import re

from e2e_browser import Visitor

RUN = "runs/demo-science"


def total(visit: Visitor) -> int:
    text = visit.settle().locator(".page-head [role=status]").inner_text()
    return int(re.sub(r"\D", "", text))


def test_a_point_of_a_curve_opens_its_responses(visit: Visitor) -> None:
    page = visit.go(RUN)
    chart = page.locator("figure.chart .plot.pickable").first
    chart.focus()
    page.keyboard.press("ArrowLeft")
    assert "step 23" in page.locator("figure.chart figcaption").first.inner_text()
    page.keyboard.press("Enter")
    visit.settle()
    assert "rollouts?step=23" in page.url
    assert total(visit) > 0
    page.go_back()
    visit.settle()
    box = page.locator("figure.chart .plot.pickable").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    visit.settle()
    assert "/rollouts?step=" in page.url


def test_charts_zoom_hide_take_logarithms_and_are_found(visit: Visitor) -> None:
    page = visit.go(RUN)
    chart = page.locator("figure.chart", has=page.get_by_text("Reward, all samples")).first
    before = chart.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    name = chart.get_by_role("button", name="physics")
    name.click()
    assert name.get_attribute("aria-pressed") == "false"
    assert chart.locator("canvas").evaluate("canvas => canvas.toDataURL()") != before
    chart.get_by_role("button", name="log").click()
    assert chart.get_by_role("button", name="log").get_attribute("aria-pressed") == "true"
    box = chart.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50, steps=4)
    page.mouse.up()
    chart.get_by_role("button", name="all steps").click()
    assert chart.get_by_role("button", name="all steps").count() == 0
    assert "/rollouts" not in page.url
    shown = page.locator("figure.chart").count()
    page.get_by_label("Find charts and metrics").fill("grad_norm")
    page.get_by_label("Find charts and metrics").press("Enter")
    visit.settle()
    assert page.locator("figure.chart").count() == 1 < shown
    assert "actor/grad_norm" in page.locator("figure.chart").inner_text()


def test_filters_live_in_the_address(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts")
    everything = total(visit)
    page.get_by_role("group", name="Domain").get_by_label("physics").check()
    physics = total(visit)
    assert 0 < physics < everything
    page.locator("#filter-correct").select_option("false")
    wrong = total(visit)
    assert 0 < wrong < physics
    assert "domain=physics" in page.url
    assert "correct=false" in page.url
    page.reload()
    assert total(visit) == wrong
    page.get_by_role("button", name="remove filter domain: physics").click()
    assert total(visit) > wrong
    page.go_back()
    assert total(visit) == wrong


def test_a_bin_of_the_histogram_filters_and_lets_go(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts")
    everything = total(visit)
    page.locator("button.bin").last.click()
    inside = total(visit)
    assert 0 < inside < everything
    assert "score_min=" in page.url
    page.get_by_role("button", name=re.compile("^remove filter score")).click()
    assert total(visit) == everything


def test_words_and_expressions_are_searched(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts")
    everything = total(visit)
    page.keyboard.press("/")
    page.keyboard.type("kinetic energy")
    page.keyboard.press("Enter")
    hits = total(visit)
    assert 0 < hits < everything
    page.get_by_label("Search by").select_option("regex")
    visit.settle()
    page.get_by_label("Search the responses").fill(r"boxed\{\d+")
    page.get_by_label("Search the responses").press("Enter")
    assert 0 < total(visit) < everything
    visit.expected = ("400",)
    page.get_by_label("Search the responses").fill("(")
    page.get_by_label("Search the responses").press("Enter")
    visit.settle()
    assert page.locator(".state.error").count() == 1


def test_the_keyboard_walks_the_list_and_the_responses(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts?domain=math&sort=-reward")
    rows = page.locator("tbody tr")
    addresses = [rows.nth(i).locator("a.preview").get_attribute("href") for i in range(3)]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    visit.settle()
    assert page.url.endswith(addresses[0])
    page.keyboard.press("j")
    visit.settle()
    page.wait_for_url(f"**{addresses[1]}")
    page.keyboard.press("3")
    visit.settle()
    assert "tab=tokens" in page.url
    page.keyboard.press("u")
    visit.settle()
    assert "/rollouts?" in page.url
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("h")
    visit.settle()
    assert page.url.endswith(f"{RUN}/health")


def test_a_group_is_compared_word_by_word(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts?view=groups&domain=physics&status=kept")
    page.locator("tbody a").first.click()
    visit.settle()
    assert page.locator("article.card").count() == 8
    page.keyboard.press("d")
    visit.settle()
    assert page.locator(".diff").count() == 1
    assert "in common" in page.locator(".panel", has=page.locator(".diff")).inner_text()
    options = page.get_by_label("Response b").locator("option")
    page.get_by_label("Response b").select_option(index=1)
    visit.settle()
    assert options.count() == 8
    assert "b=" in page.url


def test_the_token_strip_tells_each_figure(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts?status=kept&step=20")
    page.locator("a.preview").first.click()
    visit.settle()
    page.get_by_role("button", name="Tokens").click()
    visit.settle()
    for metric in ("Log-probability", "Ratio", "Clip side", "Entropy", "Trainer gap", "Advantage"):
        page.get_by_role("button", name=metric, exact=True).click()
        visit.settle()
        page.locator(".tokens").focus()
        page.keyboard.press("ArrowRight")
        told = page.locator(".token-info").inner_text()
        assert "log p" in told
        assert "entropy" in told
    visit.picture("token-figures")
    assert page.locator(".tokens .t[class*=' h'], .tokens .t[class*=' k']").count() > 0


def test_a_label_is_given_found_and_taken_back(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts?step=20")
    page.locator("a.preview").first.click()
    visit.settle()
    page.keyboard.press("m")
    page.keyboard.type("suspicious")
    page.get_by_label("Note").fill("<b>why?</b>")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="remove label suspicious").wait_for()
    address = page.url.split("?")[0]
    visit.go(f"{RUN}/labels")
    assert "<b>why?</b>" in page.locator("main").inner_text()
    visit.picture("labeled")
    visit.go(f"{RUN}/rollouts?label=suspicious")
    assert total(visit) == 1
    page.locator("a.preview").first.click()
    visit.settle()
    assert page.url.split("?")[0] == address
    page.get_by_role("button", name="remove label suspicious").click()
    page.get_by_role("button", name="remove label suspicious").wait_for(state="detached")
    visit.go(f"{RUN}/labels")
    assert "No label yet" in page.locator("main").inner_text()


def test_sql_answers_and_refuses(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/sql")
    page.get_by_role("textbox", name="SQL").fill(
        "SELECT step, prompt_uid, sample_index, reward FROM responses WHERE correct ORDER BY step LIMIT 7"
    )
    page.keyboard.press("Control+Enter")
    visit.settle()
    assert page.locator("tbody tr").count() == 7
    visit.expected = ("400", "403")
    visit.go(f"{RUN}/sql?sql=SELECT%20*%20FROM%20read_text('%2Fetc%2Fpasswd')")
    assert page.locator(".state.error").count() == 1
    assert "root:" not in page.locator("main").inner_text()


def test_rescoring_shows_what_would_change(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rescore?step=24&domain=physics")
    page.get_by_role("button", name=re.compile("^Re-score ")).click()
    visit.settle()
    assert "newly wrong" in page.locator("main").inner_text()
    visit.picture("rescored")


def test_change_lists_prompts_and_opens_them(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/change?step=1-12&step2=13-24")
    assert "newly solved" in page.locator("dl.tiles").inner_text()
    page.locator("table.grid .preview-cell .preview").first.click()
    visit.settle()
    assert "/group/" in page.url


def test_the_theme_is_remembered(visit: Visitor) -> None:
    page = visit.go("")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("t")
    page.reload()
    visit.settle()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_an_export_is_downloaded(visit: Visitor) -> None:
    page = visit.go(f"{RUN}/rollouts?step=20&domain=math")
    rows = total(visit)
    page.locator("details.menu summary").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="JSONL").click()
    assert len(waiting.value.path().read_text(encoding="utf-8").splitlines()) == rows
