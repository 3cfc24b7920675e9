"""What parses is never changed; what does not is repaired by small edits, or by a model whose answer is checked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.data.documents.formula_rules import LONGEST, PROPOSALS, proposals
from innovator_rl.data.documents.formulas import Parser, Rewrite, repair_formulas, repair_latex
from innovator_rl.data.documents.latex import defects, tokens
from innovator_rl.data.documents.spans import outside, protected_spans

pytest.importorskip("pypandoc")
PARSER = Parser()
WORDS = r"a x 2 + = , ( ) { } ^ _ & \\ \frac \frac{a}{b} \sqrt{2} \left( \right) \left\{ \right. \alpha \frca \1eft"
MORE = r"\text{if} \begin{aligned} \end{aligned} \mathbf{v} \int_0^1 \mymacro ^{2} _{i} | \, \% # \ce{H2O} µ 力 \ \$"
ATOMS = st.sampled_from([*WORDS.split(), *MORE.split()])
LATEX = st.lists(ATOMS, min_size=1, max_size=12).map(" ".join)


@settings(max_examples=25, deadline=None)
@given(st.lists(LATEX, min_size=1, max_size=8), st.sampled_from(["$", "$$"]))
def test_a_formula_that_parses_is_never_changed_and_nothing_outside_one_is(formulas: list[str], mark: str) -> None:
    text = " ~ ".join(f"{mark}{latex}{mark}" for latex in formulas)
    (done,) = repair_formulas([text], PARSER)
    before, after = ([piece for piece, _ in outside(t)] for t in (text, done.text))
    kept = [piece for piece, protected in outside(text) if not protected]
    assert [piece for piece, protected in outside(done.text) if not protected] == kept
    spans = list(protected_spans(text))
    assert done.formulas == len(spans)
    sound = PARSER.parses(text[s.inner_start : s.inner_end] for s in spans)
    broken = 0
    for one, other in zip(before, after, strict=True):
        inner = one.strip("$")
        if sound.get(inner, True):
            assert one == other
        else:
            broken += 1
            assert one == other or PARSER.parses([other.strip("$")]) == {other.strip("$"): True}
    assert broken == done.rules + done.left


@pytest.mark.parametrize(
    ("broken", "right"),
    [
        (r"\frac{a{b}", r"\frac{a}{b}"),
        (r"\frac{\sqrt{a}{b}", r"\frac{\sqrt{a}}{b}"),
        (r"\frac a}{b}", r"\frac {a}{b}"),
        (r"x^{2 + y", r"x^{2} + y"),
        (r"\sum_{i=1^{n} x", r"\sum_{i=1}^{n} x"),
        (r"\text{kg = 5", r"\text{kg} = 5"),
        (r"\left( x ) + 1", r"\left( x \right) + 1"),
        (r"\left( x + (y) + 1", r"\left( x + (y) + 1\right)"),
        (r"( x + 1 \right)", r"\left( x + 1 \right)"),
        (r"\left{ a \right}", r"\left\{ a \right\}"),
        (r"\frca{a}{b}", r"\frac{a}{b}"),
        (r"\1eft( x \right)", r"\left( x \right)"),
        (r"\a1pha + \0mega t", r"\alpha + \Omega t"),
        (r"\rnathrm{m}", r"\mathrm{m}"),
        (r"\fr ac{a}{b} \s in x", r"\frac{a}{b} \sin x"),
        (r"\le ft( x \right)", r"\left( x \right)"),
        (r"\alphax + 2", r"\alpha x + 2"),
        (r"\begin{aligned}a&=b\\c&=d", r"\begin{aligned}a&=b\\c&=d\end{aligned}"),
        ("x^2\u200b + \\frac{1}{2", r"x^2 + \frac{1}{2}"),
        (r"x^", r"x"),
        (r"50\% # x", r"50\% \# x"),
        (" {a\n", " {a}\n"),
        ("{a\\ ", "{a\\ }"),
    ],
)
def test_breaks_and_their_repair(broken: str, right: str) -> None:
    assert repair_latex([broken], PARSER) == {broken: right}


@pytest.mark.parametrize(
    "latex", [r"\mymacro{x}", r"\frac{a}", "{" * 400, r"\left(" * 300, "x" * LONGEST + "{", "} {" * 50]
)
def test_what_no_rule_repairs_stays_and_costs_a_bounded_number_of_proposals(latex: str) -> None:
    assert len(list(proposals(latex))) <= PROPOSALS
    (done,) = repair_formulas([f"A ${latex}$ b"], PARSER) if len(latex) < 100 else [None]
    if done is not None and not done.rules:
        assert (done.text, done.left) == (f"A ${latex}$ b", 1)


@pytest.mark.parametrize(
    "good",
    [
        r"\ce{H2SO4 -> 2H+}",
        r"a &= b \\ c &= d \nonumber",
        r"\cfrac{1}{2} \degree",
        r"\left. x \right|_{0}^{1}",
        r"\{ x \}",
    ],
)
def test_right_latex_that_pandoc_cannot_read_counts_as_right(good: str) -> None:
    assert PARSER.parses([good]) == {good: True}


def test_a_repair_that_would_end_the_formula_elsewhere_is_not_made() -> None:
    (done,) = repair_formulas([r"A $\$ ^$ b."], PARSER)
    assert (done.text, done.rules, done.left) == (r"A $\$ ^$ b.", 0, 1)


def test_defects_name_what_has_no_partner() -> None:
    found = tokens(r"\left( {a \right) + \leftarrow \begin{array}{l} b")
    assert [(d.kind, d.mark) for d in defects(found)] == [
        ("open", r"\left("), ("open", "{"), ("close", r"\right)"), ("open", r"\begin{array}")
    ]  # fmt: skip


TEXT = r"The mass $\foo{m}$ has energy $E = mc^2$, and $\frac{a}$ is wrong."


@pytest.mark.parametrize(
    ("model", "text", "repaired", "refused"),
    [
        (lambda p: p.replace(r"\foo{m}", "m").replace(r"\frac{a}", r"\frac{a}{2}"), TEXT, 0, 2),  # two formulas at once
        (lambda p: p.replace(r"\foo{m}", "m"), TEXT.replace(r"\foo{m}", "m"), 1, 1),
        (lambda p: p.replace(r"\foo{m}", r"\bar{m"), TEXT, 0, 2),
        (lambda p: p.replace(r"\foo{m}", "m$ or $n"), TEXT, 0, 2),
        (lambda p: p.replace(r"\foo{m}", "m").replace("The", "A"), TEXT, 0, 2),
        (lambda p: p.replace(r"\foo{m}", "m") + "\n", TEXT, 0, 2),
        (lambda p: "Sure! Here is the repaired text.", TEXT, 0, 2),
        (lambda p: "", TEXT, 0, 2),
    ],
)
def test_a_models_answer_counts_only_when_it_repairs_the_formula_and_nothing_else(
    model: Rewrite, text: str, repaired: int, refused: int
) -> None:
    (done,) = repair_formulas([TEXT], PARSER, model)
    assert (done.text, done.model, done.refused, done.left) == (text, repaired, refused, 2 - repaired)
