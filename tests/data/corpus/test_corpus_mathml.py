"""Formulas survive MathML -> LaTeX -> MathML, and a module becomes Markdown with its formulas in place."""

import io
import random
import tarfile
from pathlib import Path

import pytest
from lxml import etree
from real_data import real

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.readers import read_files
from innovator_rl.data.corpus.readers.mathml import leaves, round_trip, to_latex, to_mathml
from innovator_rl.data.corpus.readers.opening import find_files
from innovator_rl.data.corpus.recipe import Source

pytest.importorskip("pypandoc")

SPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'


def math(content: str) -> str:
    return f"<math{SPACE}>{content}</math>"


def test_constructs_that_need_care() -> None:
    bar = "<mo>|</mo>"
    cases = {
        # The exponent stands on the closing bar: it must stay an exponent.
        f"{bar}<mi>ψ</mi><mo>(</mo><mi>x</mi><mo>)</mo><msup>{bar}<mn>2</mn></msup>": r"^{2}",
        "<mn>5</mn><menclose notation='horizontalstrike'><mtext>km</mtext></menclose>": r"5\cancel{\text{km}}",
        "<mn>5</mn><menclose notation='updiagonalstrike'><mtext>km</mtext></menclose>": r"5\cancel{\text{km}}",
        "<mi>a</mi><mspace width='0.1em'/><mi>b</mi>": r"a\,b",
        "<mi mathvariant='bold'>F</mi><mo>=</mo><mi>m</mi><mi mathvariant='bold'>a</mi>": r"\mathbf{F} = m\mathbf{a}",
        "<mn>9.8</mn><mtext>m/s</mtext><msup><mrow/><mn>2</mn></msup>": r"9.8\text{m/s}^{2}",
        "<mi>a</mi><mo>→</mo><mspace width='0.5em'/>": r"a\rightarrow",
        "<mrow/>": "",
        "": "",
    }
    found = to_latex([math(content) for content in cases])
    for latex, (content, expected) in zip(found, cases.items(), strict=True):
        assert expected in latex.replace("{}", "").replace(r"\, ", r"\,"), (content, latex)
        assert "_{2}" not in latex
        assert "middle" not in latex
        assert not latex.endswith("\\")
        assert expected or not latex
    assert round_trip([math(content) for content in cases]) == []


def generated(source: random.Random, depth: int = 0) -> str:
    """A random formula of the constructs that textbooks use."""
    if depth > 2 or source.random() < 0.3:
        leaf = source.choice(["mi", "mn", "mtext"])
        text = {"mi": "xyzαβωF", "mn": "0123456789", "mtext": "abcgm"}[leaf]
        return f"<{leaf}>{source.choice(text)}</{leaf}>"
    inside = [generated(source, depth + 1) for _ in range(3)]
    a, b, c = (f"<mrow>{part}</mrow>" for part in inside)
    return source.choice(
        [
            f"{a}<mo>+</mo>{b}<mo>=</mo>{c}",
            f"<mfrac>{a}{b}</mfrac>",
            f"<msup>{a}{b}</msup>",
            f"<msub>{a}{b}</msub>",
            f"<msubsup>{a}{b}{c}</msubsup>",
            f"<msqrt>{a}</msqrt>",
            f"<mroot>{a}{b}</mroot>",
            f"<mover>{a}<mo>→</mo></mover>",
            f"<mo>(</mo>{a}<mo>,</mo>{b}<mo>)</mo>",
            f"<mfenced>{a}{b}</mfenced>",
            f"<mfenced open='[' close='|' separators=';'>{a}{b}{c}</mfenced>",
            f"<munderover><mo>∑</mo>{a}{b}</munderover>{c}",
            f"<mtable><mtr><mtd>{a}</mtd><mtd>{b}</mtd></mtr><mtr><mtd>{c}</mtd><mtd>{a}</mtd></mtr></mtable>",
        ]
    )


def test_generated_formulas_survive_character_by_character() -> None:
    source = random.Random(0)
    formulas = [math(generated(source)) for _ in range(300)]
    lost = round_trip(formulas)
    assert lost == [], lost[:3]


def test_the_check_notices_a_lost_character() -> None:
    whole, short = math("<mi>x</mi><mo>+</mo><mn>1</mn>"), math("<mi>x</mi><mn>1</mn>")
    assert leaves(whole) != leaves(short)
    assert to_mathml([r"\frac{1}{2}", r"\frac{1}{"])[1] is None


MODULE = """<document xmlns="http://cnx.rice.edu/cnxml" xmlns:m="http://www.w3.org/1998/Math/MathML">
<title>Motion</title>
<metadata xmlns:md="http://cnx.rice.edu/mdml"><md:title>Motion</md:title>
<md:abstract><list><item>Define speed.</item></list></md:abstract></metadata>
<content>
<para id="p1">Speed is <m:math><m:mi>v</m:mi></m:math>, see <link target-id="f1"/>
 and <emphasis effect="italics">not</emphasis> H<sub>2</sub>O<footnote>a note</footnote>.</para>
<section id="s1"><title>Units</title>
<equation id="e1"><m:math><m:mi>v</m:mi><m:mo>=</m:mo><m:mfrac><m:mi>s</m:mi><m:mi>t</m:mi></m:mfrac></m:math></equation>
<figure id="f1"><media alt="x"><image src="a.jpg"/></media><caption>A car.</caption></figure>
<table id="t1"><tgroup cols="2"><thead><row><entry>a</entry><entry>b|c</entry></row></thead>
<tbody><row><entry>1</entry><entry><m:math><m:mrow/></m:math></entry></row></tbody></tgroup></table>
<exercise id="x1"><problem><para>How far?</para></problem><solution><para>2 m<newline/>or so</para></solution></exercise>
</section></content>
<glossary><definition><term>speed</term><meaning>distance per time</meaning></definition></glossary>
</document>"""

MARKDOWN = r"""# Motion

- Define speed.

Speed is $v$, see the figure and *not* H$_{2}$O (a note).

## Units

$$v = \frac{s}{t}$$

Figure: A car.

| a | b\vert c |
| --- | --- |
| 1 |  |

**Exercise.** How far?

**Solution.** 2 m
or so

## Glossary

**speed**: distance per time
"""


def archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:xz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))


def test_a_module_becomes_markdown(tmp_path: Path) -> None:
    path = tmp_path / "book.tar.xz"
    members = {"LICENSE": b"x", "modules/m1/index.cnxml": MODULE.encode(), "modules/m2/index.cnxml": b"<document>"}
    archive(path, members)
    source = Source(name="book", path=str(path), members="modules/*/index.cnxml", discipline="physics")
    document, error = read_files(find_files("book", str(path)), source)
    assert isinstance(document, Document)
    assert document.text == MARKDOWN
    assert document.info == {"title": "Motion", "formulas": 3, "empty_formulas": 1}
    assert document.id == "book/book.tar.xz!modules/m1/index.cnxml#1"
    assert isinstance(error, RowError)
    assert (error.reason, error.file) == ("not XML", "book.tar.xz!modules/m2/index.cnxml")


def one_text(path: Path) -> str:
    (document,) = read_files(find_files("a", str(path)), Source(name="a", path=str(path)))
    assert isinstance(document, Document)
    return document.text


def test_formulas_that_touch_each_other_or_a_dollar_sign_stay_apart(tmp_path: Path) -> None:
    a, b = ("<m:math><m:mi>a</m:mi></m:math>", "<m:math><m:mi>b</m:mi></m:math>")
    para = f"Costs ${a}{b}<sub>2</sub>, SO<sub>4</sub><sup>2−</sup>, e<sup>{a}</sup>, \ue0107\ue011 ends."
    (tmp_path / "a.cnxml").write_text(MODULE.replace("How far?", para), encoding="utf-8")
    assert "Costs $ $a$ $b$ $_{2}$, SO$_{4}^{2−}$, e$^{a}$, 7 ends." in one_text(tmp_path / "a.cnxml")


def test_formulas_of_a_page_stay_apart_from_dollar_signs(tmp_path: Path) -> None:
    pytest.importorskip("trafilatura")
    long = "This is a long enough paragraph about physics that is kept as the main text of the page."
    body = f"<p>{long} Costs ${math('<mi>z</mi>')}{math('<mi>y</mi>')} and $\\(x\\)$ here.</p>"
    (tmp_path / "a.html").write_text(f"<html><body><article><h1>Head</h1>{body}<p>{long}</p></article></body></html>")
    assert "Costs $ $z$ $y$ and $ $x$ $ here." in one_text(tmp_path / "a.html")


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    module = f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{tmp_path}/secret.txt">]>' + MODULE.replace("How far?", "&x;")
    (tmp_path / "index.cnxml").write_text(module)
    source = Source(name="a", path=str(tmp_path / "index.cnxml"))
    (document,) = read_files(find_files("a", source.path), source)
    assert isinstance(document, Document)
    assert "secret" not in document.text


@pytest.mark.slow
@pytest.mark.parametrize("book", ["university-physics-bundle", "chemistry-bundle", "calculus-bundle"])
def test_formulas_of_a_textbook_survive(book: str) -> None:
    formulas: set[str] = set()
    with tarfile.open(real(f"textbooks/raw/{book}.tar.xz")) as file:
        for member in file:
            if member.name.endswith("index.cnxml"):
                content = file.extractfile(member)
                assert content is not None
                found = etree.fromstring(content.read()).iter("{http://www.w3.org/1998/Math/MathML}math")
                formulas.update(etree.tostring(f, encoding="unicode", with_tail=False) for f in found)
    sample = random.Random(0).sample(sorted(formulas), min(3000, len(formulas)))
    lost = round_trip(sample)
    assert len(lost) / len(sample) <= 0.005, lost[:20]
