"""Windows put together are the text, and no window ends inside a formula, a table or code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.data.documents.spans import outside, protected_spans
from innovator_rl.data.documents.windows import merge, split

PIECES = st.sampled_from(
    [
        "$x^2$", "$$\na = b\n\nc\n$$", "\\(a\\)", "\\[\nE = mc^2\n\\]", "\\begin{align}\na&=b\\\\\n\\end{align}",
        "```py\nx = '$'\n\ny\n```", "`a $ b`", "| a | b |\n|---|---|\n| $x$ | 2 |\n", "a | b\n--|--\n1 | 2\n",
        "$", "$$", "\\[", "`", "```", "|", "\n\n", "\n", " ", "costs $5 and $6", "A sentence. ", "力学。", "\\$", "\\\\",
        "+--+--+\n| a | b |\n+--+--+\n", "<table><tr><td>1</td></tr></table>", "~~~\n|\n~~~",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=40).map("".join))


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.integers(1, 80), st.integers(0, 60))
def test_merged_windows_are_the_text_and_cut_nothing_that_is_protected(text: str, size: int, overlap: int) -> None:
    windows = list(split(text, size, overlap))
    assert merge(windows) == text
    spans = list(protected_spans(text))
    for window in windows:
        assert window.body
        assert text[: window.start].endswith(window.context)
        assert len(window.context) <= overlap
        for place in (window.start, window.start - len(window.context)):
            assert not any(span.start < place < span.end for span in spans)
        if len(window.body) > size:
            assert any(s.start >= window.start and s.end == window.start + len(window.body) for s in spans)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_pieces_are_the_text_and_spans_are_in_order(text: str) -> None:
    assert "".join(piece for piece, _ in outside(text)) == text
    place = 0
    for span in protected_spans(text):
        assert place <= span.start < span.end
        assert span.start <= span.inner_start <= span.inner_end <= span.end
        place = span.end


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is $x$ or $y + 1$, for $5 and $6.", [("inline", "$x$"), ("inline", "$y + 1$")]),
        ("A $$a$$ b \\[c\\] d \\(e\\)", [("display", "$$a$$"), ("display", "\\[c\\]"), ("inline", "\\(e\\)")]),
        ("```\n$x$\n```\nand `$y$` and \\$z$", [("code", "```\n$x$\n```"), ("code", "`$y$`")]),
        ("t\n\n| a | $|x|$ |\n|---|---|\n| 1 | 2 |\n\nend", [("table", "| a | $|x|$ |\n|---|---|\n| 1 | 2 |")]),
        ("\\begin{equation*}x\\end{equation*} $a\n\nb$", [("display", "\\begin{equation*}x\\end{equation*}")]),
        ("```\nnot closed $x$", [("inline", "$x$")]),
    ],
)
def test_what_is_protected(text: str, found: list[tuple[str, str]]) -> None:
    assert [(span.kind, text[span.start : span.end]) for span in protected_spans(text)] == found


def test_windows_end_at_paragraphs_and_sentences() -> None:
    text = "One two three.\n\nFour five six. Seven eight $x = 1$ nine."
    assert [w.body for w in split(text, 25)] == ["One two three.\n\n", "Four five six. ", "Seven eight $x = 1$ nine."]
    assert [w.context for w in split(text, 25, 8)] == ["", " three.\n\n"[-8:], "ve six. "]
    with pytest.raises(ValueError, match="size must be positive"):
        next(split(text, 0))


@pytest.mark.parametrize(
    "mark", ["$a ", "`", "$$ \\[ ", "```\n", "| a\n", "\\begin{align}", "\\(", "~~~~\n```\n", "<table"]
)
def test_opening_marks_without_an_end_cost_no_more_than_text(mark: str) -> None:
    # Looking for the end of each mark again would take hours here.
    text = mark * 30_000
    assert merge(split(text, 500, 50)) == text
