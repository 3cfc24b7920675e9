"""Score a text from 0 to 10 by what can be measured in it: cleanliness, coherence and content.

    score = score_text(text)
    score.total, score.cleanliness, score.coherence, score.content, score.signals

Nothing is trained and nothing is random: each dimension starts at 10 and loses points for signals that damage or emptiness leave
behind. English is measured by words, Chinese by characters; `signals` names every rate, so that a score can be explained.
The rubric says how damaged, broken up or empty a text is. It does not know whether what it says is true.

Cleanliness falls with wrong decoding and lost characters, words that are none, broken formulas, lines that belong to a page or a
site, and repeated lines. Coherence falls with paragraphs without an end or a beginning, cut lines, too few function words
and sentences without an end. Content falls with few words, few different words, few informative words, and links.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from innovator_rl.data.corpus.optional import require
from innovator_rl.data.documents.irrelevant import line_reason
from innovator_rl.data.documents.latex import defects, tokens
from innovator_rl.data.documents.spans import outside, protected_spans
from innovator_rl.data.documents.vocabulary import COMMON, frequency, is_word

LONGEST = 200_000
"""Characters that are measured; a longer text is measured by its beginning."""

WEIGHTS = {"cleanliness": 0.4, "coherence": 0.3, "content": 0.3}

_CJK = re.compile("[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9'’]*|(?<!\d)\d{1,20}[A-Za-z][A-Za-z0-9]*")
_PLAIN = re.compile(r"[A-Za-z]+")
_LOST = re.compile(
    "[\ufffd\ufffe\ue000-\uf8ff\x00-\x08\x0b\x0e-\x1f\x80-\x9f]|Ã[\x80-\xbf ]|â€|Â[ °±·]|ï»¿|锟|\\(cid:\\d+\\)"
)
_SENTENCE_END = re.compile(r"[.!?。！？](?:[\"'”’)\]」』）]|\s|\Z)")
_ENDED = re.compile(r"[.!?:;。！？：；…][\"'”’)\]*_」』）]*\Z")
_CUT_LINE = re.compile(r"[^\W\d_]-\n[a-z]")
_STRUCTURE = re.compile(r"\s*(?:#|\||[-*•]\s|\d+[.)]\s|>|\*\*|\$\$|```|[A-Z][\w ]{0,60}:|图|表)")
_FUNCTION_EN = frozenset(
    ["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "with", "are", "by", "on", "be", "this", "from",
     "at", "an", "or", "which", "we", "was", "can", "not", "if", "when", "its", "has", "have", "these", "than", "into"]
)  # fmt: skip
_FUNCTION_ZH = re.compile("[的是在和了有为与中对从由以及其而将可之一不这]")
_LINK = re.compile(r"https?://|www\.|@\w+\.\w+|\]\(")


@dataclass(frozen=True, slots=True)
class QualityScore:
    """The quality of a text.

    Attributes:
        total: Weighted mean of the dimensions, 0 to 10.
        cleanliness: Free of damage and of what is not text, 0 to 10.
        coherence: Whole sentences and paragraphs, 0 to 10.
        content: Something to learn from, 0 to 10.
        language: `en` or `zh`, by the letters.
        signals: Every measured rate.
    """

    total: float
    cleanliness: float
    coherence: float
    content: float
    language: str
    signals: dict[str, float] = field(default_factory=dict)


def score_text(text: str) -> QualityScore:
    """Return the quality of a Markdown text.

    Args:
        text: Markdown with LaTeX, English or Chinese; other languages are measured by what they share with English.

    Returns:
        The score; an empty text scores 0 in every dimension.

    Raises:
        UserError: when the package wordfreq is not installed.
    """
    text = text[:LONGEST]
    if not text.strip():
        return QualityScore(0.0, 0.0, 0.0, 0.0, "en")
    prose = " ".join(piece for piece, protected in outside(text) if not protected)
    han = len(_CJK.findall(prose))
    chinese = han > 0.3 * max(1, han + len(_PLAIN.findall(prose)))
    signals = {
        **_damage(text, prose, chinese),
        **_flow(text, prose, chinese),
        **_substance(text, prose, chinese),
    }
    # Points lost = weight x how far a signal goes from its good value to its bad one.
    cleanliness = _points(signals, (("lost characters", 0, 0.02, 7), ("unknown words", 0.04, 0.25, 7),
                                    ("broken formulas", 0, 0.5, 4), ("irrelevant lines", 0, 0.4, 7),
                                    ("repeated lines", 0.05, 0.6, 5)))  # fmt: skip
    coherence = _points(signals, (("open paragraphs", 0.1, 0.8, 5), ("headless paragraphs", 0.02, 0.5, 4),
                                  ("cut lines", 0, 0.3, 3), ("function words", *((0.10, 0.02) if chinese else (0.28, 0.08)), 5),
                                  ("sentences", *((0.4, 0.0) if chinese else (0.5, 0.05)), 5)))  # fmt: skip
    content = _points(signals, (("size", 1.0, 0.1, 7), ("different words", 0.35, 0.08, 6),
                                ("informative words", 0.12, 0.02, 4), ("links", 0, 0.3, 5)))  # fmt: skip
    parts = {"cleanliness": cleanliness, "coherence": coherence, "content": content}
    total = sum(WEIGHTS[name] * value for name, value in parts.items())
    rounded = {name: round(value, 2) for name, value in parts.items()}
    return QualityScore(
        round(total, 2),
        **rounded,
        language="zh" if chinese else "en",
        signals={k: round(v, 4) for k, v in signals.items()},
    )


def _points(signals: dict[str, float], rules: tuple[tuple[str, float, float, float], ...]) -> float:
    points = 10.0
    for name, good, bad, weight in rules:
        points -= weight * min(1.0, max(0.0, (signals[name] - good) / (bad - good)))
    return max(0.0, points)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


@cache
def _han() -> frozenset[str]:
    return frozenset(
        "".join(require("wordfreq", "wordfreq", "scoring text").get_frequency_dict("zh", wordlist="large"))
    )


def _damage(text: str, prose: str, chinese: bool) -> dict[str, float]:
    words = _WORD.findall(prose)
    # Names and abbreviations are no damage; a small unknown word, or one with a digit inside, is.
    odd = sum(1 for w in words if len(w) > 2 and (w.islower() or not w.isalpha()) and not _is_known(w))
    whole = len(words)
    if chinese:
        han = _CJK.findall(prose)
        odd += sum(1 for c in han if c not in _han())
        whole += len(han)
    formulas = [text[s.inner_start : s.inner_end] for s in protected_spans(text) if s.kind in ("inline", "display")]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    counts = Counter(line for line in lines if len(line) > 20)
    return {
        "lost characters": _share(len(_LOST.findall(text)), len(text)),
        "unknown words": _share(odd, whole),
        "broken formulas": _share(sum(1 for latex in formulas if defects(tokens(latex))), len(formulas)),
        "irrelevant lines": _share(sum(1 for line in lines if line_reason(line)), len(lines)),
        "repeated lines": _share(sum(count - 1 for count in counts.values()), sum(counts.values())),
    }


def _is_known(word: str) -> bool:
    lower = word.lower().rstrip("'’s") if word.lower().endswith(("'s", "’s")) else word.lower()
    return is_word(lower)


def _flow(text: str, prose: str, chinese: bool) -> dict[str, float]:
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n|\f", text) if p.strip()]
    running = [p for p in paragraphs if not _STRUCTURE.match(p) and (len(p) > 60 or (chinese and len(p) > 20))]
    ended = sum(1 for p in running if _ENDED.search(p) or p.endswith(("$", "`")))
    headless = sum(1 for p in running if p[0].islower() or p[0] in ",;.)")
    words = [word.lower() for word in _PLAIN.findall(prose)]
    if chinese:
        han = len(_CJK.findall(prose))
        function, units = len(_FUNCTION_ZH.findall(prose)), han
        usual = 35
    else:
        function, units = sum(word in _FUNCTION_EN for word in words), len(words)
        usual = 22
    return {
        "open paragraphs": 1 - _share(ended, len(running)) if running else 1.0,
        "headless paragraphs": _share(headless, len(running)),
        "cut lines": _share(len(_CUT_LINE.findall(text)), text.count("\n")),
        "function words": _share(function, units),
        "sentences": min(1.0, _share(len(_SENTENCE_END.findall(prose)) * usual, units)),
    }


def _substance(text: str, prose: str, chinese: bool) -> dict[str, float]:
    if chinese:
        units = _CJK.findall(prose)[:2000]
        informative = _share(len([c for c in units if not _FUNCTION_ZH.match(c)]), len(units)) / 4
    else:
        units = [word.lower() for word in _PLAIN.findall(prose) if len(word) > 1][:2000]
        informative = _share(sum(1 for w in units if len(w) > 5 and 0 < frequency(w) < COMMON + 1.2), len(units))
    lines = max(1, sum(1 for line in text.split("\n") if line.strip()))
    # A long text repeats its words: what is expected of the different ones falls with the root of the length.
    expected = max(1.0, math.sqrt(len(units)) / 12)
    return {
        "size": min(1.0, math.log1p(len(units)) / math.log1p(200)),
        "different words": _share(len(set(units)), len(units)) * expected,
        "informative words": informative,
        "links": _share(len(_LINK.findall(prose)), lines),
    }
