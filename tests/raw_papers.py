"""Raw papers for tests, written by this script: PDFs with columns, heads and footnotes, damaged LaTeX, and web pages."""

from __future__ import annotations

Item = tuple[float, float, float, str, str]
"""x and y in points from the bottom left, font size, font (`F1` regular, `F2` bold), text."""


def make_pdf(pages: list[list[Item]], encrypted: bool = False) -> bytes:
    """A PDF with Helvetica text at given places."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(pages), b" ".join(b"%d 0 R" % (5 + 2 * i) for i in range(len(pages)))),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, items in enumerate(pages):
        lines = []
        for x, y, size, font, text in items:
            shown = text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
            lines.append(b"BT /%s %g Tf 1 0 0 1 %g %g Tm (%s) Tj ET" % (font.encode(), size, x, y, shown))
        stream = b"\n".join(lines)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> "
            b"/Contents %d 0 R >>" % (6 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    if encrypted:
        objects.append(
            b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -44 /O <%s> /U <%s> >>" % (b"3f" * 32, b"a1" * 32)
        )
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    lock = b" /Encrypt %d 0 R /ID [<00> <00>]" % len(objects) if encrypted else b""
    return out + b"trailer << /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, lock, start)


def column(x: float, top: float, lines: list[str], size: float = 10, font: str = "F1") -> list[Item]:
    return [(x, top - 12 * i, size, font, line) for i, line in enumerate(lines)]


def two_column_paper() -> bytes:
    """Three pages in two columns: a title, heads, page numbers, a heading, a footnote, a caption, cut words and sentences."""
    first = [
        (100.0, 720.0, 18.0, "F2", "On the motion of a spring"),
        *column(60, 660, ["1 Introduction"], font="F2"),
        *column(60, 640, [
            "The motion of a mass on a spring is one of",
            "the oldest problems of mechanics and of con-",
            "siderable use in every part of physics.",
        ]),
        *column(60, 590, [
            "We look at the energy of the system and at its",
            "decay when friction is small and the mass is",
        ]),
        *column(330, 660, [
            "large, which is the usual case in a laboratory.",
            "The period does not depend on the amplitude.",
        ]),
        *column(330, 620, ["Figure 1: The mass at rest and in motion."], size=9),
        *column(330, 590, [
            "The energy is the sum of two parts, and it was",
            "measured with a sensor that was calibrated be-",
        ]),
        *column(60, 120, ["1 The data are available from the authors."], size=7),
    ]  # fmt: skip
    second = column(60, 700, ["fore each run of the experiment at room level.", "The results agree with the model."])
    third = [
        *column(60, 700, ["References"], font="F2"),
        *column(60, 680, ["[1] R. Hooke, Lectures de Potentia Restitutiva, 1678."]),
    ]
    pages = []
    for number, items in enumerate((first, second, third), start=1):
        pages.append([(60, 775, 8, "F1", f"Journal of Springs {number}"), *items, (300, 30, 8, "F1", str(40 + number))])
    return make_pdf([list(page) for page in pages])


LATEX = r"""\documentclass{article}
\newcommand{\vect}[1]{\mathbf{#1}}
\title{Forces on a \emph{spring}}
\begin{document}
\maketitle
\section{Introduction}\label{sec:intro} % a comment
The force is $\vect{F} = -k\vect{x}$, see \cite{hooke1678}.
\begin{align}\label{eq:a}
E &= \frac{1}{2} k x^2 \nonumber \\
F &= -kx
\end{align}
\begin{tabular}{ll}A & B\\ 1 & $x$\\\end{tabular}

Water is \ce{H2O} and \unknown{thing} stays.

\input{/etc/hostname}
\end{document}
"""
DAMAGED_LATEX = LATEX.replace("Water is", "An open \\textbf{brace and $\\frac{a{b}$.\n\nWater is")

HTML = """<!DOCTYPE html><html><head><title>Springs</title><script>var x = "$a$";</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/x">About us</a></li></ul></nav>
<div class="cookie-banner">We use cookies to improve this site. Accept all</div>
<main><article><h1>Harmonic motion</h1>
<p>A mass on a spring has the energy <math xmlns="http://www.w3.org/1998/Math/MathML"><mi>E</mi><mo>=</mo>
<mfrac><mn>1</mn><mn>2</mn></mfrac><mi>k</mi><msup><mi>x</mi><mn>2</mn></msup></math>, which is conserved without friction.</p>
<h2>Period</h2><p>With <span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>w</mi></mrow>
<annotation encoding="application/x-tex">\\omega_0</annotation></semantics></math></span>
<span class="katex-html" aria-hidden="true">w0</span></span> the period follows; see Hooke [1] and \\(T_1 = 2\\pi\\).</p>
<p><math display="block" alttext="{\\displaystyle F=-kx}"><mi>F</mi></math></p>
<p>MathJax writes <script type="math/tex; mode=display">a_b = c</script> for the reader. Die Feder schwingt. 弹簧振动。</p>
<table><tr><th>Spring</th><th>k</th></tr><tr><td>A</td><td><math><mn>3</mn></math></td></tr></table>
<figure><img src="a.png"><figcaption>Figure 1. A mass on a spring in equilibrium.</figcaption></figure>
<pre><code>x[1] = a_b</code></pre>
<h2>References</h2><ol class="references"><li>R. Hooke, Lectures de Potentia Restitutiva, 1678.</li></ol></article></main>
<aside><p>Related articles: Ten facts on springs</p></aside>
<footer><p>© 2024 Science site. All rights reserved. Privacy policy</p></footer></body></html>"""
