"""Web pages, LaTeX source, PDFs and data sets of the hub become documents; what cannot be read is an error of its own file."""

import gzip
import json
from pathlib import Path

import pytest
from raw_papers import DAMAGED_LATEX, HTML, LATEX, make_pdf, two_column_paper
from real_data import needs, real

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.readers import hub, latex, read_files
from innovator_rl.data.corpus.readers.opening import find_files, identify
from innovator_rl.data.corpus.recipe import Source
from innovator_rl.data.documents import pdf
from innovator_rl.errors import UserError

for package in ("pypandoc", "trafilatura", "pypdfium2", "docling", "wordfreq"):
    pytest.importorskip(package)


def read(path: Path, **settings: object) -> list[Document | RowError]:
    source = Source.model_validate({"name": "s", "path": str(path), **settings})
    return list(read_files(find_files("s", source.path), source))


def only(path: Path) -> Document:
    (item,) = read(path)
    assert isinstance(item, Document), item
    return item


def test_a_page_keeps_its_text_formulas_tables_and_references_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(HTML, encoding="utf-8")
    document = only(tmp_path / "a.html")
    for part in (
        "# Harmonic motion", "## Period", r"energy $E = \frac{1}{2}kx^{2}$, which", r"With $\omega_0$ the", "$$F=-kx$$",
        r"Hooke [1] and $T_1 = 2\pi$.", "$$a_b = c$$", "Die Feder schwingt. 弹簧振动。", "| A | $3$ |", "Figure 1. A mass",
        "`x[1] = a_b`\n\n## References", "R. Hooke, Lectures",
    ):  # fmt: skip
        assert part in document.text
    for part in ("cookies", "Home", "Related", "rights reserved", "w0", "zqformula", "var x"):
        assert part not in document.text
    assert document.info == {"title": "Springs", "formulas": 2}


def test_the_backslashes_of_a_page_stay_and_those_of_the_extraction_go(tmp_path: Path) -> None:
    long = "This is a long enough paragraph about physics that is kept as the main text of the page."
    body = (
        f"<p>{long} The pattern \\d+\\.\\d+ and a\\_b, x_1 * y [2] &lt; 3, <code>p\\*q\\.r</code>, costs ~5.</p><p>1. One.</p>"
        "<p># is a mark.</p><table><tr><th>A</th><th>B</th></tr><tr><td>P(A|B)</td><td>3</td></tr></table>"
    )
    (tmp_path / "a.html").write_text(f"<html><body><article><h1>Head</h1>{body}<p>{long}</p></article></body></html>")
    text = only(tmp_path / "a.html").text
    for part in (
        r"\d+\.\d+ and a\_b, x_1 * y [2] < 3, `p\*q\.r`, costs ~5.", "\n1. One.", "\n# is a mark.", r"| P(A\|B) | 3 |",
    ):  # fmt: skip
        assert part in text, text


def test_latex_becomes_markdown_with_its_macros_expanded_and_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.tex").write_text(LATEX)
    text = only(tmp_path / "a.tex").text
    assert text.startswith(
        "# Forces on a spring\n\n## Introduction\n\nThe force is $\\mathbf{F} = -k\\mathbf{x}$, see [@hooke1678]."
    )
    assert "$$\n\\begin{aligned}\nE &= \\frac{1}{2} k x^2 \\\\\nF &= -kx\n\\end{aligned}\n$$" in text
    assert "| 1   | $x$ |" in text
    assert "Water is \\ce{H2O} and \\unknown{thing} stays." in text
    assert Path("/etc/hostname").read_text().strip() not in text


def test_a_part_that_pandoc_cannot_read_stays_latex_and_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.tex").write_text(DAMAGED_LATEX)
    document = only(tmp_path / "a.tex")
    assert document.info["raw_paragraphs"] == 1
    assert "An open \\textbf{brace and $\\frac{a{b}$." in document.text
    assert "\\mathbf{F} = -k\\mathbf{x}" in document.text
    assert "Water is \\ce{H2O}" in document.text


def test_latex_that_hangs_the_parser_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latex, "SECONDS", 0.0)
    (tmp_path / "a.tex").write_text("\\section{A}\n\nOne.\n\nTwo.\n")
    assert only(tmp_path / "a.tex").info["raw_paragraphs"] == 3


def test_a_pdf_in_two_columns_becomes_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(two_column_paper())
    document = only(tmp_path / "a.pdf")
    parts = [
        "# On the motion of a spring", "## 1 Introduction", "of considerable use in every part of physics.",
        "friction is small and the mass is large, which is the usual case", "Figure 1: The mass at rest and in motion.",
        "a sensor that was calibrated before each run of the experiment", "## References", "[1] R. Hooke",
        "1 The data are available from the authors.",
    ]  # fmt: skip
    places = [document.text.find(part) for part in parts]
    assert -1 not in places, document.text
    assert places == sorted(places)
    assert "Journal of Springs" not in document.text
    assert "\n43\n" not in document.text
    assert document.info["pages"] == 3
    assert document.info["page heads and numbers removed"] == 6


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not PDF"),
        (b"this is not a PDF", "not PDF"),
        (two_column_paper()[:400], "not PDF"),
        (make_pdf([[(60, 700, 10, "F1", "secret")]], encrypted=True), "encrypted"),
        (make_pdf([[], []]), "no text"),
    ],
    ids=["empty", "foreign", "cut", "encrypted", "scanned"],
)
def test_bad_pdfs_are_counted_with_the_reason_and_their_neighbors_stay(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    (tmp_path / "b.txt").write_text("A good neighbor.")
    error, neighbor = read(tmp_path)
    assert isinstance(error, RowError)
    assert (error.file, error.row, error.reason) == ("a.pdf", 1, reason)
    assert isinstance(neighbor, Document)


def test_a_pdf_that_crashes_or_hangs_the_library_is_an_error_of_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pdf.PdfError, match="not read within") as hung:
        pdf.read_layout(two_column_paper(), timeout=0.01)
    assert hung.value.reason == "timed out"
    monkeypatch.setattr(pdf.sys, "executable", "/bin/false")
    with pytest.raises(pdf.PdfError, match="ended with status 1"):
        pdf.read_layout(b"", timeout=10)


@needs("layout/multi_page.pdf")
def test_a_real_pdf(tmp_path: Path) -> None:
    text = only(real("layout/multi_page.pdf")).text
    assert "## Pre-Digital Era (19th - Early 20th Century)\n\nThe origins of word processing can be traced" in text


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.html", b"", "not HTML"),
        ("a.html", b"<html><body> </body></html>", "no text"),
        ("a.tex", b"plain words", "not LaTeX"),
        ("a.tex", b"\\begin{document}\\end{document}", "no text"),
        ("a.tex", b"\\section{\xff}", "not UTF-8"),
        ("a.html.gz", gzip.compress(HTML.encode() * 50)[:-9], "broken file"),
        ("a.pdf.gz", gzip.compress(two_column_paper())[:-9], "broken file"),
    ],
    ids=[
        "empty",
        "empty-html",
        "no-latex",
        "empty-latex",
        "no-utf-8",
        "cut-html",
        "cut-pdf",
    ],  # contents have times in them
)
def test_bad_files_are_errors_with_file_and_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    (error,) = read(tmp_path / name)
    assert isinstance(error, RowError)
    assert (error.file, error.reason) == (name, reason)


def test_a_line_of_100_mb_a_broken_character_and_a_cut_file_lose_nothing_else(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"row {i}"}).encode() for i in range(4)]
    long = b'{"text": "' + b"x" * 100_000_000 + b'"}'
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([lines[0], long, lines[1], b'{"text": "\xff"}', lines[2]]) + b"\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n")[:-6])
    found = read(tmp_path, max_document_bytes=2**20)
    errors = [(e.file, e.row, e.reason) for e in found if isinstance(e, RowError)]
    assert errors == [("a.jsonl", 2, "too long"), ("a.jsonl", 4, "not UTF-8"), ("b.jsonl.gz", 5, "broken file")]
    assert [d.text for d in found if isinstance(d, Document)] == [
        "row 0",
        "row 1",
        "row 2",
        *(f"row {i}" for i in range(4)),
    ]


def test_rows_of_a_data_set_are_documents_and_its_faults_are_errors(tmp_path: Path) -> None:
    rows = [{"text": "one", "kind": "a"}, {"text": "two", "kind": "b"}, {"kind": "c"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source.model_validate({"name": "s", "path": "hub://o/n", "keep": ["kind"]})
    one, two, bad = hub.read_dataset(str(tmp_path), "o/n/train", source, "train")
    assert (one.text, two.info, bad.reason, bad.row) == ("one", {"kind": "b"}, "no text", 3)
    (missing,) = hub.read_dataset(str(tmp_path), "o/n/test", source, "test")
    assert (missing.reason, missing.row) == ("broken data set", 0)


def test_ids_of_the_hub_are_checked_and_without_a_network_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.parse_hub("s", "hub://o/n?split=test&subset=x") == hub.HubDataset("o/n", "test", "x")
    with pytest.raises(UserError, match="must be hub://OWNER/NAME"):
        hub.parse_hub("s", "hub://name")
    with pytest.raises(UserError, match="unknown option 'splt'"):
        hub.parse_hub("s", "hub://o/n?splt=test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="'o/n' at revision 'main' cannot be found on the hub") as caught:
        hub.find_hub("s", "hub://o/n")
    assert "\n" not in str(caught.value)


def test_a_data_set_is_identified_by_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    class Api:
        def dataset_info(self, name: str, revision: str, timeout: float) -> object:
            return type("Info", (), {"sha": f"commit-of-{revision}", "used_storage": 7})()

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    (file,) = hub.find_hub("s", "hub://o/n?split=test&revision=v2")
    assert (file.name, file.size) == ("o/n/test", 7)
    assert hub.parse_hub("s", file.url) == hub.HubDataset("o/n", "test", "", "commit-of-v2")
    assert identify(file, {}) != identify(hub.find_hub("s", "hub://o/n?split=test&revision=v3")[0], {})
