r"""Convert MathML to LaTeX with pandoc, many formulas per process, and check a conversion leaf by leaf.

Pandoc is a program of the package `pypandoc-binary`; it is called as a process and needs no network. Three things are
mended around it. A square on a closing bar (`|x|` with the exponent on the bar alone) would turn into a subscript, so
the bars become a fence first. Crossed-out units are lost unless the strike is diagonal. Its thin spaces (`\mspace`) are
not understood by every renderer.
"""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.optional import require
from innovator_rl.errors import WorkerError

OPEN, CLOSE = "\ue010", "\ue011"
"""Private-use characters around a formula's dollar signs and number in the text of a document that waits for conversion."""

PENDING = "pending_formulas"
"""Key in `Document.info` of the formulas that wait for conversion."""

BATCH_FORMULAS = 4_000
BATCH_CHARACTERS = 2**25
CACHED_FORMULAS = 200_000

_PLACE = re.compile(rf"{OPEN}(\$*)(\d+){CLOSE}")
_TOUCHING = re.compile(rf"(?<=[${CLOSE}])(?={OPEN}\$)|(?<={CLOSE})(?=\$)")
"""Where a formula meets another one or a dollar sign of the text: "$a$$b$" would be read as one displayed formula."""
_MARKS = str.maketrans("", "", OPEN + CLOSE)
_THIN = re.compile(r"\\mspace\{-?[\d.]+mu\}")
_EDGES = re.compile(r"\A(?:\s|\\[ ,])+|(?:\s|(?<!\\)\\[ ,])+\Z")
"""Spaces at both ends; a backslash and its space go together."""

_BARS = ("|", "∣", "‖")


@cache
def etree() -> Any:
    """Return `lxml.etree`, which only CNXML and MathML need."""
    return require("lxml.etree", "lxml", "CNXML")


def placeholder(number: int, mark: str) -> str:
    """Return what stands for a pending formula in a text.

    Args:
        number: Index in the document's pending formulas.
        mark: "$" for a formula in a line, "$$" for a displayed one.
    """
    return f"{OPEN}{mark}{number}{CLOSE}"


def strip_marks(root: Any) -> None:
    """Remove the two characters from a tree, so that they stand for formulas only."""
    for element in root.iter():
        if isinstance(element.tag, str):
            element.text = element.text and element.text.translate(_MARKS)
            for name, value in element.attrib.items():
                element.set(name, value.translate(_MARKS))
        element.tail = element.tail and element.tail.translate(_MARKS)


def convert_pending(items: Iterable[Document | RowError]) -> Iterator[Document | RowError]:
    """Replace the formulas of documents by LaTeX, in batches; order is kept and other items pass unchanged."""
    waiting: list[Document | RowError] = []
    formulas, characters, cache = 0, 0, dict[str, str]()
    for item in items:
        waiting.append(item)
        if isinstance(item, Document):
            formulas += len(item.info.get(PENDING, ()))
            characters += len(item.text)
        if formulas == 0 or formulas >= BATCH_FORMULAS or characters >= BATCH_CHARACTERS:
            yield from _convert(waiting, cache)
            waiting, formulas, characters = [], 0, 0
    yield from _convert(waiting, cache)


def _convert(items: list[Document | RowError], cache: dict[str, str]) -> Iterator[Document | RowError]:
    if len(cache) > CACHED_FORMULAS:
        cache.clear()
    pending = {
        xml for item in items if isinstance(item, Document) for xml in item.info.get(PENDING, ()) if xml not in cache
    }
    new = sorted(pending)
    cache.update(zip(new, to_latex(new), strict=True))
    for item in items:
        if isinstance(item, Document) and PENDING in item.info:
            yield _filled(item, cache)
        else:
            yield item


def _filled(document: Document, cache: dict[str, str]) -> Document:
    formulas = document.info[PENDING]
    empty = sum(1 for xml in formulas if not cache[xml])

    def latex(match: re.Match[str]) -> str:
        formula = cache[formulas[int(match[2])]]
        return f"{match[1]}{formula}{match[1]}" if formula else ""

    info = {key: value for key, value in document.info.items() if key != PENDING}
    info |= {"formulas": len(formulas)} | ({"empty_formulas": empty} if empty else {})
    text = _PLACE.sub(latex, _TOUCHING.sub(" ", document.text))
    assert not {OPEN, CLOSE} & set(text), f"{document.id}: a formula was not converted"
    return replace(document, text=text, info=info)


def to_latex(formulas: Sequence[str]) -> list[str]:
    """Return the LaTeX of each MathML formula; empty where a formula shows nothing.

    Args:
        formulas: XML of `math` elements, with or without namespaces.

    Raises:
        UserError: when pypandoc-binary is not installed.
        WorkerError: when pandoc fails.
    """
    if not formulas:
        return []
    # Each formula has an element with its number, because one that shows nothing leaves no paragraph behind.
    page = "".join(f'<div id="f{i}">{_prepared(xml)}</div>' for i, xml in enumerate(formulas))
    tree = json.loads(_pandoc(("-f", "html", "-t", "json"), f"<html><body>{page}</body></html>"))
    found = [""] * len(formulas)
    for block in tree["blocks"]:
        if block["t"] == "Div" and block["c"][0][0].startswith("f"):
            found[int(block["c"][0][0][1:])] = " ".join(_math_in(block["c"][1]))
    return [_tidied(latex) for latex in found]


def _math_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("t") == "Math":
            yield node["c"][1]
        else:
            yield from _math_in(node.get("c"))
    elif isinstance(node, list):
        for child in node:
            yield from _math_in(child)


def _tidied(latex: str) -> str:
    return _EDGES.sub("", _THIN.sub(lambda _: r"\,", latex))


def _prepared(xml: str) -> str:
    """Return a formula without namespace prefixes, and with the constructs that pandoc gets wrong rewritten."""
    root = etree().fromstring(xml)
    for element in root.iter(etree().Element):
        element.tag = etree().QName(element).localname
        if element.tag == "menclose":
            strike = "strike" in element.get("notation", "") and "diagonal" not in element.get("notation", "")
            if strike:
                element.set("notation", "updiagonalstrike")
    for script in [e for e in root.iter("msup", "msub", "msubsup") if _is_bar(e[0] if len(e) else None)]:
        _fence(script)
    etree().cleanup_namespaces(root)
    return etree().tostring(root, encoding="unicode", with_tail=False)


def _is_bar(element: Any) -> bool:
    return element is not None and element.tag == "mo" and (element.text or "").strip() in _BARS


def _fence(script: Any) -> None:
    """Move what stands between an opening bar and the bar of `script` into the base of `script`."""
    parent = script.getparent()
    if parent is None:
        return
    before = list(script.itersiblings(preceding=True))
    bar = (script[0].text or "").strip()
    opening = next((i for i, e in enumerate(before) if _is_bar(e) and (e.text or "").strip() == bar), None)
    if not opening:  # none before, or nothing between the bars
        return
    row = etree().Element("mrow")
    closing = script[0]
    script.replace(closing, row)
    for element in reversed(before[: opening + 1]):
        row.append(element)
    row.append(closing)


def _pandoc(arguments: Sequence[str], content: str) -> bytes:
    program = require("pypandoc", "pypandoc-binary", "reading MathML").get_pandoc_path()
    done = subprocess.run([program, *arguments], input=content.encode(), capture_output=True)
    if done.returncode:
        raise WorkerError(f"pandoc failed with status {done.returncode}: {done.stderr.decode(errors='replace')[:300]}")
    return done.stdout


def to_mathml(formulas: Sequence[str]) -> list[str | None]:
    """Return the MathML of each LaTeX formula; None where pandoc cannot parse it."""
    if not formulas:
        return []
    version = json.loads(_pandoc(("-f", "html", "-t", "json"), ""))["pandoc-api-version"]
    blocks = [
        {"t": "Div", "c": [[f"f{i}", [], []], [{"t": "Plain", "c": [{"t": "Math", "c": [{"t": "InlineMath"}, f]}]}]]}
        for i, f in enumerate(formulas)
    ]
    tree = {"pandoc-api-version": version, "meta": {}, "blocks": blocks}
    page = _pandoc(("-f", "json", "-t", "html", "--mathml"), json.dumps(tree))
    found: list[str | None] = [None] * len(formulas)
    for block in etree().fromstring(b"<html>" + page + b"</html>").iter("div"):
        math = block.find(".//{*}math")
        if math is not None:
            for annotation in math.findall(".//{*}annotation"):
                annotation.getparent().remove(annotation)
            found[int(block.get("id")[1:])] = etree().tostring(math, encoding="unicode", with_tail=False)
    return found


_ALIKE = str.maketrans(
    dict.fromkeys("−–—‐‑", "-")
    | dict.fromkeys("∗⋆★", "*")
    | dict.fromkeys("∣│", "|")
    | dict.fromkeys("′’‘`", "'")
    | dict.fromkeys("·∙•", "⋅")
    | dict.fromkeys("‾ˉ_\u0304\u0305\u0332", "¯")
    | dict.fromkeys("→⟶", "\u20d7")
    | dict.fromkeys("^∧\u0302", "ˆ")
    | dict.fromkeys("˜∼\u0303", "~")
    | {"∥": "||", "‖": "||", "″": "''", "”": "''", "“": "''", "‴": "'''", "…": "...", "⋯": "..."}
    | {
        "ϕ": "φ",
        "ϵ": "ε",
        "ϑ": "θ",
        "Δ": "∆",
        "Ω": "Ω",
        "μ": "µ",
        "ℓ": "l",
        "∘": "°",
        "⟨": "〈",
        "⟩": "〉",
        "∕": "/",
        "⁄": "/",
    }
)
"""Characters that look alike -> one of them."""


def leaves(xml: str) -> str:
    """Return the visible characters of a formula in order, with characters that look alike made equal."""
    root = etree().fromstring(xml)
    text = "".join(_leaf_text(root))
    flat = unicodedata.normalize("NFKD", text.translate(_ALIKE)).translate(_ALIKE)
    return "".join(c for c in flat if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc") and c != "\u0338")


def _leaf_text(element: Any) -> Iterator[str]:
    if not len(element):
        yield element.text or ""
        return
    fenced = etree().QName(element).localname == "mfenced"
    children = [child for child in element if isinstance(child.tag, str)]
    separators = "".join(element.get("separators", ",").split()) if fenced else ""
    yield element.get("open", "(") if fenced else ""
    for place, child in enumerate(children):
        if place and separators:
            yield separators[min(place, len(separators)) - 1]
        yield from _leaf_text(child)
    yield element.get("close", ")") if fenced else ""


def round_trip(formulas: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the formulas that do not survive MathML -> LaTeX -> MathML character by character.

    Returns:
        (MathML, LaTeX, what the LaTeX shows) of each that differs; formulas that show nothing are left out.
    """
    latex = to_latex(formulas)
    back = to_mathml(latex)
    return [
        (xml, tex, leaves(again) if again else "cannot be parsed")
        for xml, tex, again in zip(formulas, latex, back, strict=True)
        if leaves(xml) and (again is None or leaves(again) != leaves(xml))
    ]
