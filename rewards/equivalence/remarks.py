r"""Split an answer from the remark behind it, and compare remarks.

A remark is a condition (`where x > 0`, `for all even n`), a declaration (`n \in \mathbb{Z}`), an explanation or a note
on precision. It is never thrown away: two answers whose conditions differ are different answers. A remark that only
one side states is let through, unless it denies something.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from rewards.equivalence.descriptions import directions
from rewards.equivalence.notation import listed

# Each pattern finds where a remark begins. They are tried once each and never leave an empty answer.
_WORDS = (
    r"(?:with|where|for(?!\s+(?:all|any|each|every|some))|at|as|so|when|if|which|is|are|in\s+which|such\s+that|because|since|provided|assuming|i\.e\.|"
    r"that\s+is|to\s+\w+\s+(?:decimal|significant)|rounded|approximately|from|after|of\s+the)"
)
_BEGINS = (
    re.compile(
        r"(?:[,;.]|\\q?quad)\s*(?:\\q?quad\s*|~|\\[,;: ]\s*)*\\text\s*\{\s*(?!,?\s*(?:and|or)\b)"
        r"[^{}]*[a-z]{2,}\s+[^{}]*[a-z]{2,}[^{}]*\}.*$",
        re.DOTALL,
    ),
    re.compile(
        rf"[,.;:]?\s*(?:\\q?quad\s*|\\[,;:! ]\s*)*\\(?:text|mbox|mathrm|textrm)\s*\{{\s*[(,]?\s*{_WORDS}\b.*$",
        re.DOTALL,
    ),
    re.compile(
        r"[,.;]?\s+\(?(?:where|such\s+that|in\s+which|provided|assuming|because|since|"
        r"with\s+\$?\\?[A-Za-z]\b)\s.*$",
        re.DOTALL,
    ),
    re.compile(
        r"[,.;]?(?:\s+|(?=\\text))(?:\\text\s*\{\s*)?for\s+(?:all|any|some|every|each)\b.*?(?=(?:,\s*)?(?:\\text\s*\{[\s,]*)?(?<![a-z])and\b|$)",
        re.DOTALL,
    ),
    re.compile(
        r"\s*\(\s*(?:\\text\s*\{)?\s*(?:i\.e\.|or\s+|approximately|approx\.?|about|=|\\approx|≈|where|for|in|since|to)\b[^()]*\}?\)\s*$"
    ),
    re.compile(
        r"\s*[,;]?\s*(?:\\q?quad\s*|\\[,;: ]\s*)*\(?\s*[a-z](?:_\w)?\s*=\s*(?:0\s*,\s*)?(?:\\pm\s*)?1\s*,\s*(?:\\pm\s*)?2\s*"
        r"(?:,\s*(?:\\pm\s*)?3\s*)?,\s*(?:\\[lc]?dots|\.\.\.)\s*\)?\s*$"
    ),
    re.compile(
        r"\s*,?\s*\\?\(?\s*[a-z]\s*\\in\s*(?:\\mathbb\s*\{?\s*[ZNQRC]\s*\}?|[ZNQRC])(?:_\{?[^{}]*\}?|\^\+)?\s*\)?\s*$"
    ),
)
_WRAP = re.compile(
    r"\\(?:text|mbox|mathrm|textrm|mathbf|textbf)\s*\{([^{}]*)\}|\\(?:q?quad|[,;:! ])(?![A-Za-z])|[${}~]"
)
_NOTE = re.compile(
    r"(?:(?:because|since|as|so|i\.e\.|that\s+is|to\s+\w+\s+(?:decimal|significant)|rounded|approximately|approx|about|"
    r"assuming)(?![a-z])|=|or\s).*$",
    re.DOTALL | re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?:\s*,\s*(?:\\pm\s*)?3)?\s*,\s*(?:\\[lc]?dots|\.\.\.)")
_CONTINUED = re.compile(r"\}\s*[.,]?\s*[+*/^-][^{}]*$")  # a formula goes on behind the words: no remark
_SETS = {"Z": "integer", "N": "natural", "Q": "rational", "C": "complex", "R": "real"}
_MEMBER = re.compile(r"\\?([A-Za-z])(?:_\w+)?\s*(?:\\in|∈)\s*(?:\\mathbb\s*)?\{?\s*([ZNQRCℤℕℝ])(\^\+|_\{?>\s*0\}?)?")
_RELATION = re.compile(r"[<>=≤≥≠]|\\(?:leq?|geq?|neq?|leqslant|geqslant|lt|gt)(?![A-Za-z])")
_OPERAND = r"[^\s,;<>=≤≥≠]+"
_RELATED = re.compile(
    rf"{_OPERAND}(?:\s*(?:[<>=≤≥≠]+|\\(?:leqslant|geqslant|leq?|geq?|neq?|lt|gt)(?![A-Za-z]))\s*{_OPERAND})+"
)
_DECLARES = re.compile(
    r"\\in(?![a-z])|∈|\b(?:integers?|natural|constants?|arbitrary|even|odd|all|any|every|each|some)\b"
)
_SILENT = set(
    listed(
        "where when if for all any every each with at such that the a an is are be in and only then real reals number "
        "numbers value values constant constants arbitrary free so this which has have being denotes as of to we"
    )
)
_DENIED = re.compile(
    r"\b(?:not|never|wrong|incorrect|false|untrue|except|unless|else|otherwise|too)\b|n't\b", re.IGNORECASE
)


_BLANKS = re.compile(r"\s{2,}")
_FROM_TO = re.compile(r"\bfrom\b.*\bto\b")


def split_remark(text: str) -> tuple[str, str]:
    """Return an answer without its remark, and the remark (empty where there is none).

    Args:
        text: A normalized answer.
    """
    found: list[str] = []
    text = _BLANKS.sub(lambda match: "\n" if "\n" in match.group() else " ", text)
    if "\\begin{cases}" in text:
        return text, ""
    for pattern in _BEGINS:
        match = pattern.search(text)
        if match is None or _CONTINUED.search(match.group()):
            continue
        shorter = text[: match.start()] + text[match.end() :]
        if shorter.strip(" ,.;:"):
            found.append(match.group())
            text = shorter
    return text, " ; ".join(found)


def compatible(first: str, second: str, same: Callable[[str, str], bool]) -> bool:
    """Return whether two remarks may stand behind one answer.

    Args:
        first: A remark, or nothing.
        second: The other one.
        same: Compares two relations.
    """
    if not first and not second:
        return True
    a, b = _condition(first), _condition(second)
    if not a or not b or a == b:
        return not (_DENIED.search(a) or _DENIED.search(b)) or a == b
    relations = [_RELATED.findall(_spaced(text)) for text in (a, b)]
    words = [_words(_RELATED.sub(" ", _spaced(text)), text) for text in (a, b)]
    if len(relations[0]) != len(relations[1]):
        return False
    left = list(relations[1])
    for relation in relations[0]:
        hit = next((other for other in left if same(relation, other)), None)
        if hit is None:
            return False
        left.remove(hit)
    return words[0] == words[1] and _turned(a) == _turned(b)


def _turned(text: str) -> list[str]:
    """Return the words whose order tells where something points or goes: `south of west`, `from A to B`."""
    return re.findall(r"\w+", text) if _FROM_TO.search(text) else [*directions(text).values()]


def _condition(remark: str) -> str:
    """Return what a remark states, without explanations and notes on precision."""
    plain = re.sub(r"\s+", " ", _WRAP.sub(lambda match: f" {match[1] or ''} ", remark))
    plain = _GOES_ON.sub(",...", plain)
    pieces = [piece.strip(" ,.;:()") for piece in plain.split(" ; ")]
    return " ; ".join(piece for piece in pieces if piece and not _NOTE.match(piece))


def _spaced(text: str) -> str:
    return (
        re.sub(r"\s*([<>=≤≥≠])\s*", r" \1 ", text)
        if not _RELATION.search(text)
        else re.sub(r"\s*([<>=≤≥≠]+|\\(?:leqslant|geqslant|leq?|geq?|neq?|lt|gt)(?![A-Za-z]))\s*", r" \1 ", text)
    )


def _words(text: str, whole: str) -> Counter[str]:
    """Count what a condition says in words; declared names count by their kind alone."""
    kinds = Counter[str]()
    declares = _DECLARES.search(whole) is not None
    for _, name, positive in _MEMBER.findall(whole):
        kind = _SETS.get({"ℤ": "Z", "ℕ": "N", "ℝ": "R"}.get(name, name), name)
        kinds["natural" if positive and kind == "integer" else kind] += 1
    text = _MEMBER.sub(" ", text)
    text = re.sub(r"\bpositive\s+integer", "natural", text)
    found = Counter(
        word.rstrip("s") if len(word) > 3 else word for word in re.findall(r"[A-Za-z]+|\d+(?:\.\d+)?", text)
    )
    for word in [*found]:
        if word.casefold() in _SILENT or (declares and len(word) == 1 and word.isalpha()):
            del found[word]
    del kinds["real"]
    # A kind counts once: `m, n integers` and `m \in Z, n \in Z` declare the same.
    return (
        Counter({word.casefold() if len(word) > 1 else word for word in found} | set(kinds))
        if found or kinds
        else Counter()
    )
