"""The prose linter reports what the glossary forbids, where it stands, and nothing else."""

from pathlib import Path

import pytest

from tools.prose_lint import Linter, Rule, load_rules, main

RULES, SKIP = load_rules()
LINTER = Linter(RULES)


def reports(path: str, source: str) -> list[tuple[int, str]]:
    """Return line and phrase of every report."""
    return [(report.line, report.phrase) for report in LINTER.check(path, source)]


@pytest.mark.parametrize("rule", RULES, ids=[rule.match[:30] for rule in RULES])
def test_every_rule_reports_its_bad_sentence_and_not_its_good_one(rule: Rule) -> None:
    alone = Linter([rule])
    assert [report.use for report in alone.check("page.md", rule.bad)] == [rule.use]
    assert not list(alone.check("page.md", rule.good))
    assert not reports("page.md", rule.good), "a good sentence is good by every rule"


def test_markdown_is_checked_outside_of_code_and_links() -> None:
    page = "The donor.\n\n```\ninnovator upcycle induct\n```\n\n`judge` and [a page](judge.md)\n\nTwo\nalarms.\n"
    assert reports("page.md", page) == [(1, "donor"), (10, "alarms")]


def test_markdown_between_off_and_on_is_not_checked() -> None:
    assert reports("page.md", "<!-- prose: off -->\ndonor\n<!-- prose: on -->\ndonor\n") == [(4, "donor")]


def test_a_phrase_may_continue_on_the_next_line() -> None:
    assert reports("page.md", "No sign\nof life.") == [(1, "sign of life")]
    assert reports("module.py", "# no sign\n# of life\n") == [(1, "sign of life")]
    assert reports("module.py", '"""No sign\nof life."""\n') == [(1, "sign of life")]


def test_python_prose_is_docstrings_comments_and_messages() -> None:
    module = '''"""Call the judge."""
verdict = judge(fate)  # the fate
message = f"the donor {verdict} is dense"
title = "Alarms"
key = "donor"
pattern = r"the donor (is|was)"
query = "SELECT fate FROM donor"
'''
    assert reports("module.py", module) == [(1, "judge"), (2, "fate"), (3, "donor"), (4, "Alarms")]


def test_strings_of_tests_are_data() -> None:
    assert reports("tests/test_x.py", '"""A verdict."""\nsaid = "the verdict is right"\n') == [(1, "verdict")]


def test_javascript_prose_is_comments_and_strings() -> None:
    script = """// the donor
const verdict = judge("the verdict is");
/* two
 * alarms */
const text = `no ${donor} alarm`;
const pattern = /the donor"/;
const other = "a fine text";
"""
    assert reports("app.js", script) == [(1, "donor"), (2, "verdict"), (4, "alarms"), (5, "alarm")]


def test_html_and_yaml_are_checked_where_people_read_them() -> None:
    assert reports("index.html", '<p class="donor">The donor</p>\n<script>donor()</script>') == [(1, "donor")]
    assert reports("run.yaml", "donor: x  # the donor\n") == [(1, "donor")]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("page.md", "A judge is a language model. <!-- prose: allow judge -->"),
        ("module.py", "x = 1  # a judge grades (prose: allow judge\n"),
        ("module.py", '"""A judge\nthat grades.\n"""  # prose: allow judge\n'),
        ("app.js", "// a judge; prose: allow judge"),
    ],
)
def test_a_comment_allows_a_phrase_on_its_line(path: str, source: str) -> None:
    assert reports(path, source) == []
    assert reports(path, source.replace("allow judge", "allow donor"))


def test_the_command_prints_file_line_and_replacement(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.prose_lint.tracked", lambda paths: ["page.md"])
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text("Fine.\n")
    assert main([]) == 0
    Path("page.md").write_text("Fine.\nTwo alarms.\n")
    assert main([]) == 1
    assert capsys.readouterr().out == "page.md:2: 'alarms' -> use alert\n"
