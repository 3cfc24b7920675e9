"""Find text that agrees with a reference without being an answer.

They are the question repeated (`echo`), and arithmetic that is left to the reader (`unevaluated`). A chain such as
`4 J + 3 J = 7 J` is neither, for one of its members is the answer.
"""

from __future__ import annotations

import math
import re

from rewards.equivalence.containers import items
from rewards.equivalence.normalize import split_top, tidy
from rewards.equivalence.quantities import Quantity, quantity
from rewards.equivalence.shapes import matrix_in_rows

MAX_PROMPT_CHARS, MAX_AMOUNTS = 20_000, 40
_TOKEN = re.compile(r"\d+(?:\.\d+)?|\.\d+|\\?[A-Za-z]+|[^\sA-Za-z0-9$.,;:!?{}()\[\]\\&~]")
_SILENT = {"\\text", "\\mathrm", "\\left", "\\right", "\\mathbf", "\\mathit", "\\operatorname", "\\quad", "\\boxed"}
_SPELLED = {"\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cdot": "*", "\\times": "*", "×": "*", "−": "-", "\\ast": "*"}
_NUMBER = re.compile(r"(?:\\frac|[\d.+\-/%]| )*(?:\* 10 \^ (?:- )?\d+)?")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_NAME = re.compile(r"(?:\\[A-Za-z]+|[A-Za-z]|[A-Za-z][a-z]{2,})'*(?:_(?:\{[^{}]*\}|\w))?")
_TEN_POWER = re.compile(
    r"(?<=[\d)}.])\s*(?:\\times|\\cdot|\\ast|[*×·x])?\s*10\s*\^\s*(?:\{\s*[-+]?\s*\d+\s*\}|\(\s*[-+]?\d+\s*\)|[-+]?\d+)|(?<=\d)[eE][-+]?\d+"
)
_UNIT_POWER = re.compile(r"\^\s*(?:\{[^{}]*\}|[-+]?\d+)")
_JOINED = re.compile(
    r"(?:[\d)}.!]|[\d)}.!\s][A-Za-z/%]+)\s*(?:[+-][\s(\[{]*(?:\\(?:left|frac|sqrt)\s*[(\[{]*\s*)*|"
    r"(?:[*×·⋅]|\\(?:times|cdot|ast)(?![a-z])|(?<=\d)\s*x(?=\s*\d))[\s(\[{]*(?:\\(?:left|frac)\s*[(\[{]*\s*)*)\d|\)\s*\(\s*\d|(?<![\d.^])\d+(?:\.\d*)?\s+\d+(?![\d\s]*/)"
)
_ROOT = re.compile(r"(?:[*×·⋅]|\\(?:times|cdot|ast)(?![a-z]))\s*\\sqrt\s*\{?\s*(\d{1,12})\s*\}?(?!\d)")
_ROOT_FIRST = re.compile(
    r"^(\s*[-+]?)\s*(\\sqrt\s*(?:\{\s*\d{1,12}\s*\}|\d))\s*(?:[*×·⋅]|\\(?:times|cdot|ast)(?![a-z]))\s*"
    r"(\\[dt]?frac\s*(?:\{\s*\d+\s*\}\s*\{\s*\d+\s*\}|\d\s*\d)|\d+(?:\.\d+)?)(?![\d.!^])"
)
_MIXED = re.compile(r"\d+(?:\s|\\[,;:! ])*\\[dt]?frac\s*(?:\{\s*\d+\s*\}\s*\{\s*\d+\s*\}|\d\s*\d)")
_AMOUNT = re.compile(r"(?<![\w.])[-+]?\d[\d,.]*\s*[^\s\d.,;:?!()$*]+")
_BY_ITS_UNIT = re.compile(r"(?<=\d)\s*\*\s*(?=[A-Za-z°])")
_REPEATED = re.compile(r"\\(?:sum|prod|i+nt)(?![a-z])")
_LOG_BASE = re.compile(r"(\\log)\s*_\s*(?:\d|\{\s*\d+\s*\})")
_ROOT_AS_POWER = re.compile(r"(?<![\d.])(\d{1,12})\s*\^\s*\{\s*(?:1\s*/\s*2|\\frac\s*\{?1\}?\s*\{?2\}?)\s*\}")
_IRRATIONAL = re.compile(r"\\(?:sqrt|pi|ln|log|exp|sin|cos|tan)(?![a-z])|√|π")


def degenerate_reason(text: str, gold: str, prompt: str = "") -> str | None:
    """Return `echo` or `unevaluated` where an agreeing text is no answer, else None."""
    if echoes(text, gold, prompt):
        return "echo"
    return "unevaluated" if unevaluated(text, gold) else None


def echoes(text: str, gold: str, prompt: str) -> bool:
    """Return whether a text repeats a piece of the prompt, not the reference.

    A bare number may be repeated. The comparison goes token by token, without white space, dollars, brackets and
    punctuation. Where the question names the unit of the reference, its own quantity in another spelling is a repetition
    too: `71 min` for 71 minutes in s.
    """
    if not prompt:
        return False
    window = prompt[-MAX_PROMPT_CHARS:]
    question = f" {_tokens(window)} "
    members, golds = _members(text), _members(gold)
    amounts = _amounts(window) if _names_unit(gold, window) else []
    return all(
        (_repeats(member, question) or _is_one_of(member, amounts)) and not any(_alike(member, one) for one in golds)
        for member in members
    )


def unevaluated(text: str, gold: str) -> bool:
    r"""Return whether a text leaves the arithmetic of a number to the reader.

    That is numbers joined by + - or a product sign, a sum, product or integral. Fractions, roots, powers, signs and
    powers of ten are numbers; an exact form such as `(\sqrt{5}-1)/2` may stand for a decimal.
    """
    text = matrix_in_rows(tidy(text)) or text
    golds = _members(gold)
    parts = items(golds[-1]).parts
    if len(golds) > 1 or any(_arithmetic(part) or quantity(part) is None for part in parts):
        return False
    if "." in gold and _IRRATIONAL.search(text):
        return False
    if _IRRATIONAL.search(gold):
        text = _ROOT_AS_POWER.sub(r"\\sqrt{\1}", _LOG_BASE.sub(r"\1", text))
        if all(
            any(_is_exact_sum(part) or not _arithmetic(part) for part in items(member).parts)
            for member in _members(text)
        ):
            return False
    return all(any(_arithmetic(part) for part in items(member).parts) for member in _members(text))


def _is_exact_sum(text: str) -> bool:
    r"""Return whether a text is a sum that cannot be worked out: one rational term at most, and different irrational ones."""
    terms = [term for term in split_top(text.replace("-", "+"), "+") if term]
    surds = [term[place.start() :] for term in terms if (place := _IRRATIONAL.search(term))]
    different = len(set(surds)) == len(surds) >= max(1, len(terms) - 1)
    return len(terms) > 1 and different and not any(map(_arithmetic, terms))


def _members(text: str) -> list[str]:
    """Return the members of a chain of equalities, a lone name aside."""
    members = split_top(tidy(text), "=")
    return [member for member in members if not _NAME.fullmatch(member)] or members


def _tokens(text: str) -> str:
    text = _FRACTION.sub(r"\1/\2", re.sub(r"(?<=\d),(?=\d{3})", "", text))
    tokens = (_SPELLED.get(token, token) for token in _TOKEN.findall(text) if token not in _SILENT)
    return " ".join(re.sub(r"(\.\d*?)0+$", r"\1", token).rstrip(".") if "." in token else token for token in tokens)


def _repeats(member: str, question: str) -> bool:
    tokens = _tokens(member)
    telling = " " in tokens and re.search(r"[^A-Za-z\s\\']", tokens) is not None
    return telling and f" {tokens} " in question and not _NUMBER.fullmatch(tokens)


def _names_unit(gold: str, question: str) -> bool:
    """Return whether a question has the unit of the reference as a word."""
    unit = re.sub(r"^[-+\d.,\s]+", "", gold).strip()
    return bool(unit) and re.search(rf"(?<![A-Za-z]){re.escape(unit)}(?![A-Za-z])", question) is not None


def _amounts(question: str) -> list[Quantity]:
    """Return the numbers with units that a question gives."""
    found = [quantity(text) for text in _AMOUNT.findall(question)[:MAX_AMOUNTS]]
    return [one for one in found if one is not None and one.unit is not None]


def _is_one_of(member: str, amounts: list[Quantity]) -> bool:
    """Return whether a member is one of these, with the same number and a unit of the same size."""
    one = quantity(_BY_ITS_UNIT.sub(" ", member)) if amounts else None
    if one is None or one.unit is None:
        return False
    return any(one.value == other.value and one.unit == other.unit for other in amounts)


def _alike(member: str, gold: str) -> bool:
    """Return whether two strings are the same but for the spelling of the unit."""
    if _tokens(member) == _tokens(gold):
        return True
    if quantity(member) is None or quantity(gold) is None or _arithmetic(member):
        return False
    return re.findall(r"\d+", _tokens(member)) == re.findall(r"\d+", _tokens(gold))


def _arithmetic(text: str) -> bool:
    text = _ROOT_FIRST.sub(r"\1\3 \\cdot \2", text)  # `\sqrt{3} \cdot 2` is as evaluated as `2 \cdot \sqrt{3}`
    if any(math.isqrt(int(digits)) ** 2 == int(digits) for digits in _ROOT.findall(text)):
        return True
    text = _MIXED.sub("1", text)
    plain = _UNIT_POWER.sub("", _TEN_POWER.sub("", text.replace("\\pm", "").replace("\\$", "")))
    plain = re.sub(r"\\frac\s*\d\s*\d|(?<=\d)(?:\\[,;:! ]|\s)+(?=\d{3}(?!\d))", "1", plain)
    plain = re.sub(r"\\(?:text|mathrm)\s*\{([^{}]*)\}|\\[ ,;:!]", r" \1 ", plain)
    return bool(_JOINED.search(plain) or _REPEATED.search(plain))
