r"""Repair the LaTeX formulas of a text. A parser decides: what parses is never touched.

    repaired = repair_formulas(["The energy $E = \\frac{1{2} m v^2$ is conserved."])[0]
    repaired.text, repaired.rules, repaired.left

Pandoc reads every distinct formula of a batch of documents in one process. For one that it cannot read, `formula_rules`
proposes small edits, and the first that parses takes its place. What remains may go to a language model, which gets the
passage around the formula and answers with the whole passage: its answer counts only if the new formula parses and every
byte outside it is unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from innovator_rl.data.corpus.readers.mathml import to_mathml
from innovator_rl.data.documents.formula_rules import proposals
from innovator_rl.data.documents.latex import defects, tokens
from innovator_rl.data.documents.spans import Span, protected_spans

Rewrite = Callable[[str], str]
"""Takes a passage with one broken formula and returns the passage with the formula repaired, or anything else."""

CONTEXT_CHARS = 400
"""Text before and after a formula that a language model sees."""

_ALIGNED = ("align", "alignat", "aligned", "flalign", "eqnarray", "gather", "multline")
_EDGES = re.compile(r"(\s*)(.*?)((?:(?<!\\)\s+)?)", re.DOTALL)
"""White space around a formula; a space behind a backslash is a command."""

_ROWS = re.compile(r"(?<!\\)&|\\\\")
_STAND_INS: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\\(?:nonumber|notag|hfill|hline|displaystyle)(?![A-Za-z])"), " "),
    (re.compile(r"\\(?:rm|bf|it|cal)(?![A-Za-z])"), " "),
    (re.compile(r"\\[hv]space\*?\s*\{[^{}]*\}"), " "),
    (re.compile(r"\\(?:ref|eqref|label|ce|pu|cite)\s*\{(?:[^{}]|\{[^{}]*\})*\}"), "{x}"),
    (re.compile(r"\\(?:text)?color\s*\{[^{}]*\}"), " "),
    (re.compile(r"\\[dt]binom(?![A-Za-z])"), r"\\binom"),
    (re.compile(r"\\cfrac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:smash|[hv]phantom)(?![A-Za-z])"), r"\\phantom"),
    (re.compile(r"\\(?:textup|hbox|intertext)(?![A-Za-z])"), r"\\text"),
    (re.compile(r"\\mathnormal(?![A-Za-z])"), r"\\mathit"),
    (re.compile(r"\\degree(?![A-Za-z])"), r"\\circ"),
    (re.compile(r"\\over(?![A-Za-z])"), "+"),
]
"""LaTeX that is right and that pandoc cannot read -> what stands for it while the formula is checked."""


class Parser:
    r"""Decide whether formulas parse; a formula is read once.

    A formula parses when pandoc reads it and each `\left` has its `\right` in the same group, which pandoc does not
    ask for and LaTeX does.
    """

    def __init__(self, cached: int = 200_000) -> None:
        self._cached = cached
        self._known: dict[str, bool] = {}

    def parses(self, formulas: Iterable[str]) -> dict[str, bool]:
        """Return for each distinct formula whether it parses."""
        wanted = list(dict.fromkeys(formulas))
        if len(self._known) + len(wanted) > self._cached:
            self._known.clear()
        new = [latex for latex in wanted if latex not in self._known]
        self._known.update(zip(new, _read(new), strict=True))
        return {latex: self._known[latex] for latex in wanted}


def _read(formulas: Sequence[str]) -> list[bool]:
    paired = [not any(defect.kind != "command" for defect in defects(tokens(latex))) for latex in formulas]
    result = [False] * len(formulas)
    plain = [i for i, good in enumerate(paired) if good]
    for i, math in zip(plain, to_mathml([_stand_in(formulas[i]) for i in plain]), strict=True):
        result[i] = math is not None
    # Rows and columns are right where the text puts the formula into an environment of its own.
    rows = [i for i in plain if not result[i] and _ROWS.search(formulas[i])]
    wrapped = [rf"\begin{{aligned}}{_stand_in(formulas[i])}\end{{aligned}}" for i in rows]
    for i, math in zip(rows, to_mathml(wrapped), strict=True):
        result[i] = math is not None
    return result


def _stand_in(latex: str) -> str:
    for pattern, new in _STAND_INS:
        latex = pattern.sub(new, latex)
    return latex


@dataclass(frozen=True, slots=True)
class RepairedText:
    """A text with its formulas repaired.

    Attributes:
        formulas: Formulas of the text.
        rules: Formulas that a rule repaired.
        model: Formulas that the language model repaired.
        refused: Answers of the language model that did not parse or changed something else.
        left: Formulas that do not parse and stay as they are.
    """

    text: str
    formulas: int = 0
    rules: int = 0
    model: int = 0
    refused: int = 0
    left: int = 0


def repair_formulas(
    documents: Sequence[str], parser: Parser | None = None, model: Rewrite | None = None
) -> list[RepairedText]:
    """Repair the formulas of several documents at once.

    Args:
        documents: Markdown with LaTeX.
        parser: Remembers what it has read; give the same one for many batches.
        model: Repairs what the rules cannot; nothing does by default.

    Returns:
        One result per document. Where every formula parses, the text is the one that was given.

    Raises:
        UserError: when pypandoc-binary is not installed.
        WorkerError: when pandoc fails.
    """
    parser = parser or Parser()
    spans = [[span for span in protected_spans(text) if span.kind in ("inline", "display")] for text in documents]
    inner = [[text[s.inner_start : s.inner_end] for s in found] for text, found in zip(documents, spans, strict=True)]
    sound = parser.parses(latex for formulas in inner for latex in formulas)
    repaired = repair_latex([latex for latex, good in sound.items() if not good], parser)
    results = []
    for text, found, formulas in zip(documents, spans, inner, strict=True):
        replaced = [
            (span, repaired[latex])
            for span, latex in zip(found, formulas, strict=True)
            if latex in repaired and _stays_one(text, span, repaired[latex])
        ]
        broken = sum(1 for latex in formulas if not sound[latex])
        changed = RepairedText(_replace(text, replaced), len(found), len(replaced), left=broken - len(replaced))
        results.append(_by_model(changed, parser, model) if model is not None and changed.left else changed)
    return results


def repair_latex(formulas: Sequence[str], parser: Parser) -> dict[str, str]:
    """Return broken formula -> repaired formula, for those that a rule repairs."""
    proposed = {}
    for latex in dict.fromkeys(formulas):
        edges = _EDGES.fullmatch(latex)
        assert edges is not None, latex
        # What is checked is what will stand in the text, white space included.
        proposed[latex] = [f"{edges[1]}{text}{edges[3]}" for text in proposals(edges[2]) if text.strip()]
    accepted = parser.parses(text for texts in proposed.values() for text in texts)
    repaired = {latex: next((text for text in texts if accepted[text]), "") for latex, texts in proposed.items()}
    return {latex: text for latex, text in repaired.items() if text}


def _stays_one(text: str, span: Span, latex: str) -> bool:
    """Return whether the span with another formula in it is still one formula from its first mark to its last."""
    whole = text[span.start : span.inner_start] + latex + text[span.inner_end : span.end]
    return [(s.start, s.end) for s in protected_spans(whole)] == [(0, len(whole))]


def _replace(text: str, replaced: Sequence[tuple[Span, str]]) -> str:
    parts, place = [], 0
    for span, latex in replaced:
        parts += [text[place : span.inner_start], latex]
        place = span.inner_end
    return "".join([*parts, text[place:]])


def _by_model(done: RepairedText, parser: Parser, model: Rewrite) -> RepairedText:
    """Ask the model about each formula that is left; its answers are checked before they count."""
    text = done.text
    spans = [span for span in protected_spans(text) if span.kind in ("inline", "display")]
    sound = parser.parses(text[s.inner_start : s.inner_end] for s in spans)
    replaced, refused = [], 0
    for span in spans:
        if sound[text[span.inner_start : span.inner_end]]:
            continue
        start = max(0, span.start - CONTEXT_CHARS)
        passage = text[start : span.end + CONTEXT_CHARS]
        place = span.moved(-start)
        latex = _checked(model(passage), passage, place, parser)
        if latex is None:
            refused += 1
        else:
            replaced.append((span, latex))
    return RepairedText(
        _replace(text, replaced), done.formulas, done.rules, len(replaced), refused, done.left - len(replaced)
    )


def _checked(answer: str, passage: str, place: Span, parser: Parser) -> str | None:
    """Return the formula of a model's answer, or None when the answer does more than repair the formula."""
    before, after = passage[: place.inner_start], passage[place.inner_end :]
    if len(answer) < len(before) + len(after) or not (answer.startswith(before) and answer.endswith(after)):
        return None
    latex = answer[len(before) : len(answer) - len(after)]
    if not latex.strip() or not _stays_one(passage, place, latex):
        return None
    return latex if parser.parses([latex])[latex] else None
