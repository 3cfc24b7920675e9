"""Compare answers in words.

Two answers agree by the same words but for articles, case and endings, by a few synonyms, or where one is a short
answer that a sentence consists of.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.equivalence.notation import FUNCTIONS, GREEK, listed
from rewards.equivalence.ways import WAYS

_WRAP = re.compile(r"\\(?:text|mathrm|mathbf|textbf|textit|mbox|textrm|operatorname|textnormal)\s*\{([^{}]*)\}")
_WORD = re.compile(r"[A-Za-z][a-z]{2,}|\b(?:[Nn]o|[Uu]p|DNE|AC|DC)\b")
_ALLOWED = re.compile(r"[A-Za-z0-9 ,.'’\-/()!?]+")
_FILLERS = set(
    listed("the a an is are was were be it its this that will would of to in on at by with and has have there")
)
_DETERMINERS = set(listed("the a an any only all"))
_NEGATIONS = {"not", "no", "never", "none", "neither", "nor", "without", "cannot", "isn't", "doesn't", "n't"}


def _number_set(name: str, letter: str) -> dict[str, str]:
    r"""Return what a set of numbers is called: `\mathbb{Z}`, all integers, the set of integers."""
    words = [name, f"all {name}", f"the {name}", f"set of {name}", f"the set of {name}", f"set of all {name}"]
    words += [f"the set of all {name}", f"\\mathbb{{{letter}}}", f"\\mathbb{letter}", f"the {name}"]
    words += [f"{word} {name.removesuffix('s')}" for word in ("any", "every")]
    return dict.fromkeys(words, name)


_SYNONYMS = {
    **dict.fromkeys(
        ("infinity", "infinite", "infinitely many", "diverges", "divergent", "unbounded", "\\infty", "+\\infty"),
        "infinite",
    ),
    **dict.fromkeys(
        (
            "no solution",
            "no solutions",
            "none",
            "does not exist",
            "dne",
            "no such",
            "\\emptyset",
            "\\{\\}",
            "\\varnothing",
            "empty set",
            "the empty set",
            "no real solutions",
            "no real solution",
            "undefined",
            *(
                f"{there} {kind}solution{s}"
                for there, s in (("there are no", "s"), ("there is no", ""))
                for kind in ("", "real ")
            ),
            "no solutions exist",
            "no solution exists",
        ),
        "none",
    ),
    **dict.fromkeys(
        (
            "infinitely many solutions",
            "there are infinitely many solutions",
            "infinite solutions",
            "an infinite number of solutions",
        ),
        "infinite",
    ),
    **dict.fromkeys(("true", "yes", "correct"), "true"),
    **dict.fromkeys(("false", "no", "incorrect"), "false"),
    **dict.fromkeys(
        ("(-\\infty,\\infty)", "(-\\infty,+\\infty)", "all reals", "the reals", "reals", "all real values"),
        "real numbers",
    ),
    **_number_set("real numbers", "r"),
    **_number_set("positive integers", "z}^{+"),
    **dict.fromkeys(("\\mathbb{z}^+", "\\mathbb{z}_+", "\\mathbb{z}_{+}", "\\mathbb{z}_{>0}"), "positive integers"),
    **_number_set("integers", "z"),
    **_number_set("rational numbers", "q"),
    **_number_set("natural numbers", "n"),
    **_number_set("complex numbers", "c"),
}
_STRICT = set(_SYNONYMS.values())
"""Names of answers that no sentence contains without more ado: `no solution`, `true`."""

_WORDS_TOO = {"cis", "prime"}  # a kind of isomer, a kind of number
_TURNS = re.compile(
    r"\b(?:and|or|but|then|until|while|whereas|instead|rather|than|if|unless|although|except|before|after|both|either|maybe|"
    r"perhaps)\b"
)
_NEITHER = re.compile(r"neither\|neither [\w ]+ nor [\w ]+|neither [\w ]+ nor [\w ]+\|neither")
_PROPERTIES = set(
    listed(
        "odd even periodic aperiodic prime composite rational irrational real imaginary complex natural increasing decreasing "
        "monotonic monotone convex concave continuous discontinuous differentiable linear nonlinear quadratic cubic "
        "exponential logarithmic bijective injective surjective constant arithmetic geometric convergent divergent "
        "alternating harmonic bounded symmetric antisymmetric diagonal singular nonsingular invertible orthogonal unitary "
        "hermitian isosceles equilateral scalene obtuse acute abelian cyclic regular irregular elastic inelastic "
        "adiabatic isothermal isobaric isochoric exothermic endothermic transverse longitudinal "
        "tetrahedral octahedral bent pyramidal planar attractive repulsive"
    )
)
_KINDS = set(
    listed(
        "function number sequence series integral matrix graph operator triangle polygon quadrilateral angle map mapping group "
        "collision process reaction wave relation geometry shape structure force"
    )
)
"""Nouns that a question names, and that an answer may repeat behind one of the properties: odd, odd function."""

MAX_SHORT_WORDS, MAX_NAME_CHARS = 4, 120

_ELSEWHERE = re.compile(r"\b(?:north|south|east|west)\s+of\b|\b(?:up|down)\s+to\b|\d", re.IGNORECASE)
"""What makes another answer of a way: `north of east`, `up to 5`."""

_LISTED = re.compile(r"\s*(?:[,;&]|\b(?:and|or)\b)\s*", re.IGNORECASE)
_DIRECTED = re.compile(
    r"\b(?:than|to|from|by|of|before|after|over|under|above|below|into|onto|is|has|was)\b", re.IGNORECASE
)


@lru_cache(maxsize=1024)
def unwrapped(text: str) -> str:
    """Without font commands and the braces of TeX around words."""
    if "\\" not in text and "{" not in text:
        return " ".join(text.replace("~", " ").split())
    while (shorter := _WRAP.sub(r" \1 ", text)) != text:
        text = shorter
    return re.sub(r"\s+", " ", re.sub(r"\\[,;:! ]|[{}~]", " ", text)).strip()


@lru_cache(maxsize=1024)
def is_words(text: str) -> bool:
    r"""Return whether an answer is in words, such as `\text{increases}`."""
    plain = unwrapped(text)
    if "\\" in plain or not _ALLOWED.fullmatch(plain) or re.match(r"[-+]?[\d.(]", plain):
        return False
    words = [
        word for word in _WORD.findall(plain) if word in _WORDS_TOO or (word not in FUNCTIONS and word not in GREEK)
    ]
    return any(re.search(r"[aeiouyAEIOUY]", word) or word in ("DNE", "AC", "DC") for word in words)


@lru_cache(maxsize=1024)
def canonical(text: str) -> str | None:
    r"""Return the common name of synonyms, such as infinity and \infty; else None."""
    if len(text) > MAX_NAME_CHARS:
        return None
    plain = re.sub(r"\s+", " ", unwrapped(text)).strip(" .").casefold()
    tight = re.sub(r"\s+", "", text).casefold()
    return _SYNONYMS.get(plain) or _SYNONYMS.get(tight) or WAYS.get(plain)


def _stem(word: str) -> str:
    if len(word) > 6 and word.endswith(("ergent", "ergence")):  # converges, convergent
        return word.rpartition("erg")[0] + "erg"
    for ending in ("ing", "es", "ed", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 3:
            return word.removesuffix(ending).rstrip("e")
    return word.rstrip("e")


_PROPERTY_STEMS, _KIND_STEMS = ({_stem(word) for word in table} for table in (_PROPERTIES, _KINDS))


def _content(text: str) -> list[str]:
    plain = re.sub(r"\b\w{2,}\b", lambda match: match.group().casefold(), unwrapped(text)).replace("’", "'")
    words = [{"A": "a", "I": "i"}.get(word, word) for word in re.findall(r"[A-Za-z0-9']+", plain)]
    return [_stem(word) for word in words if word not in _FILLERS]


def _negated(text: str) -> bool:
    return any(word in _NEGATIONS or word.endswith("n't") for word in re.findall(r"[a-z']+", text.casefold()))


def same_words(first: str, second: str) -> bool:
    """Return whether two answers in words agree."""
    names = canonical(first), canonical(second)
    if all(names) or {*names} & _STRICT:
        return names[0] == names[1]
    if any(names) and _ELSEWHERE.search(second if names[0] else first):
        return False
    if _negated(first) != _negated(second) or first.startswith("-") != second.startswith("-"):
        return False
    if _NEITHER.fullmatch(f"{unwrapped(first)}|{unwrapped(second)}".casefold()):
        return True
    words = _content(first), _content(second)
    if words[0] == words[1]:
        return bool(words[0])
    if sorted(words[0]) == sorted(words[1]):
        return _in_any_order(unwrapped(first), unwrapped(second))
    if _same_property(*words):
        return True
    short, long = sorted((unwrapped(first).casefold(), unwrapped(second).casefold()), key=len)
    return _is_the_answer_of(short.strip(" ."), long)


def _in_any_order(first: str, second: str) -> bool:
    """Return whether the same words mean the same in another order: two of them, or a list.

    "Petya beats Vasya" is not "Vasya beats Petya", and "red to blue" not "blue to red".
    """
    parts = [sorted(tuple(_content(part)) for part in _LISTED.split(text) if part.strip()) for text in (first, second)]
    if len(parts[0]) > 1 and parts[0] == parts[1]:
        return True
    return len(_content(first)) <= 2 and not _DIRECTED.search(f"{first} {second}")


def _same_property(first: list[str], second: list[str]) -> bool:
    """Return whether two answers name one property, one of them with the noun that has it: `odd`, `odd function`."""
    short, long = sorted((first, second), key=len)
    known = len(short) == 1 and short[0] in _PROPERTY_STEMS
    return known and len(long) == 2 and long[0] == short[0] and long[1] in _KIND_STEMS


def _is_the_answer_of(short: str, sentence: str) -> bool:
    """Return whether a few words are the answer that a sentence gives.

    They begin it (after its article), as "Petya" does of "Petya will win", or are a phrase of two words or more of it.
    A single word from its middle proves nothing.
    """
    if _TURNS.search(short) or _TURNS.search(sentence) or _negated(sentence):
        return False
    predicted, whole = re.findall(r"[a-z0-9']+", short), re.findall(r"[a-z0-9']+", sentence)
    content = [word for word in predicted if word not in _FILLERS]
    if not content or len(predicted) > MAX_SHORT_WORDS or len(whole) < len(predicted) + 2:
        return False
    skipped = 1 if whole[0] in _DETERMINERS and predicted[0] not in _DETERMINERS else 0
    if whole[skipped : skipped + len(predicted)] == predicted:
        return True
    return len(content) > 1 and any(
        whole[k : k + len(predicted)] == predicted for k in range(len(whole) - len(predicted) + 1)
    )
