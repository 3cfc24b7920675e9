"""Read what a caption states: classes, roles, parents, conjugates.

Captions of ChEBI are generated from its ontology, so their sentences have few forms: "It has a role as a ...", "It is a
..., a ... and a ...", "It derives from a ...", "It is a conjugate base of a ...". Free wording states nothing here and
is scored by the text similarities alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

GENERIC = frozenset(
    {"natural product", "organic compound", "organic molecule", "molecule", "compound", "class of compound", "acid"}
    | {"organic molecular entity", "chemical compound", "base", "hydride", "alkane", "drug", "metabolite"}
    | {"organic heterocyclic compound"}
)
GENERIC_WEIGHT = 0.15
MAX_PHRASES = 60
_SENTENCE = re.compile(r"(?<=[^\s.])\.(?:\s+(?=[A-Z\"'(])|\s*$)|\n+")
_RELATIONS = (
    ("role", re.compile(r"\b(?:has|have|having|with|plays?|exhibits?)\s+(?:a|an|the)?\s*roles?\s+(?:as|of)\s+(.+)")),
    ("conjugate_acid", re.compile(r"\bconjugate acid of\s+(.+)")),
    ("conjugate_base", re.compile(r"\bconjugate base of\s+(.+)")),
    ("enantiomer", re.compile(r"\benantiomer of\s+(.+)")),
    ("tautomer", re.compile(r"\btautomer of\s+(.+)")),
    ("parent_hydride", re.compile(r"\bderives? from (?:a|an|the) hydride of\s+(.+)")),
    ("parent", re.compile(r"\b(?:derives? from|functionally related to)\s+(.+)")),
    ("source", re.compile(r"\b(?:found in|isolated from)\s+(.+)")),
)
_CLASS = re.compile(r"^(?:the molecule|it|this molecule|this|the compound)\s+is\s+((?:an?|the|one)\s+.+)")
_TAIL = re.compile(
    r"[,;:]?\s+(?:that|which|in which|where|whose|with|having|consisting|composed|comprising|obtained|carrying|resulting|"
    r"formed|arising|derived|bearing|containing|isolated|found|used|produced|substituted|of formula|and it|it)\b.*"
)
_ITEM = re.compile(r"(?:,\s*|\s+)and\s+(?=an?\s)|,\s*(?=an?\s)|,\s+and\s+|\s+as well as\s+")
_ARTICLE = re.compile(r"^(?:(?:an?|the)\s+)?(?:members? of\s+)?(?:the\s+)?(?:class of\s+)?(?:an?\s+)?")


@dataclass(frozen=True)
class CaptionFact:
    """One claim about the molecule, e.g. `role`, `plant metabolite`."""

    kind: str
    phrase: str

    @property
    def weight(self) -> float:
        """Return what knowing it is worth: little for what is predicted of everything."""
        return GENERIC_WEIGHT if self.phrase in GENERIC or self.phrase.endswith(" metabolite") else 1.0


def sentences(caption: str) -> list[str]:
    """Return the sentences of a caption without their full stops."""
    return [one.strip() for one in _SENTENCE.split(caption) if one and one.strip()]


def bare_class(sentence: str) -> bool:
    """Return whether a sentence does nothing but name classes ("It is a ketone and an ester")."""
    text = " ".join(sentence.lower().split()).strip(" .")
    match = _CLASS.match(text)
    return bool(match and not _TAIL.search(match.group(1)) and not any(one.search(text) for _, one in _RELATIONS))


@lru_cache(maxsize=8_192)
def facts_of(caption: str) -> frozenset[CaptionFact]:
    """Return the claims of a caption, at most `MAX_PHRASES`."""
    found: dict[CaptionFact, None] = {}
    for sentence in _SENTENCE.split(caption):
        text = " ".join((sentence or "").lower().split())
        for kind, phrases in _claims(text):
            for item in _ITEM.split(phrases):
                phrase = singular(_ARTICLE.sub("", item.strip(" .,;")))
                if phrase and len(phrase) <= 120:
                    found[CaptionFact(kind, phrase)] = None
    return frozenset(list(found)[:MAX_PHRASES])


def _claims(sentence: str) -> list[tuple[str, str]]:
    claims: list[tuple[str, str]] = []
    related = False
    for kind, pattern in _RELATIONS:
        if kind == "parent" and any(known == "parent_hydride" for known, _ in claims):
            continue
        if match := pattern.search(sentence):
            phrases = re.split(r"\s+and (?:it )?(?:has|is|derives)\b", match.group(1), maxsplit=1)[0]
            claims.append((kind, phrases if kind == "role" else _TAIL.sub("", phrases)))
            related = related or kind not in ("role", "source")
    if match := _CLASS.match(sentence):
        head = _TAIL.sub("", match.group(1))
        if not re.match(r"(?:the|an?)\s+(?:conjugate|enantiomer|tautomer|natural product)\b", head):
            claims.append(("class", head))
    return claims


def singular(phrase: str) -> str:
    """Return a phrase with its last word in the singular.

    `pterocarpans` as `pterocarpan`.
    """
    return re.sub(r"(?<=[a-rt-z]{3})s$", "", phrase)


def agreement(predicted: frozenset[CaptionFact], gold: frozenset[CaptionFact]) -> tuple[float, float]:
    """Return weighted precision and recall, 1 each where both state nothing.

    A phrase that shares words with one of the same kind counts by their Dice coefficient.
    """
    if not predicted or not gold:
        return (1.0, 1.0) if not predicted and not gold else (0.0, 0.0)
    return _covered(predicted, gold), _covered(gold, predicted)


def _covered(these: frozenset[CaptionFact], those: frozenset[CaptionFact]) -> float:
    total = sum(one.weight for one in these)
    return sum(one.weight * max((_alike(one, other) for other in those), default=0.0) for one in these) / total


def _alike(one: CaptionFact, other: CaptionFact) -> float:
    if one.kind != other.kind:
        return 0.0
    if one.phrase == other.phrase:
        return 1.0
    mine, theirs = set(re.findall(r"\w+", one.phrase)), set(re.findall(r"\w+", other.phrase))
    dice = 2 * len(mine & theirs) / max(1, len(mine) + len(theirs))
    return dice if dice >= 0.5 else 0.0
