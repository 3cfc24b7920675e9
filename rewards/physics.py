"""Physics answers: quantities with units, numbers to their significant figures, formulas by their values, lists and
vectors by parts.

What decides, in order: hedging ("2 or 3") is no answer; a quantity is compared in SI units with the same dimensions;
a formula is compared with case-sensitive symbols at random points in 50-digit arithmetic (`rewards.latex`); what that
reader cannot read (integrals, sums, inequalities) goes to math-verify, unless the two sides use different letters,
which it would not notice.

Tolerance: two numbers agree if the one with more digits rounds to the other, given at least two significant figures,
or if a decimal one is within half a percent. Two integers, and two exact formulas, must be equal.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import mpmath

from innovator_rl.scoring import Score, right, wrong
from rewards.evaluation import evaluate, has_decimals, sample, symbols
from rewards.extraction import Found, all_boxed, final_part, find_answer, unmarked
from rewards.latex import Node, Unreadable, read
from rewards.quantities import EXACT, RELATIVE, quantity, same_quantity

MAX_ANSWER_CHARS = 2_000
TRIALS = 4

_HEDGE = re.compile(
    r"(?<![A-Za-z\\])(?:or|either|maybe|perhaps)(?![A-Za-z])|\\(?:text|mathrm)\s*\{\s*or\s*\}|\\lor(?![a-z])"
)
_RELATION = re.compile(r"\\(?:approx|simeq|equiv|cong|doteq|sim)(?![A-Za-z])|≈|≃|≡")
_FILLER = re.compile(
    r"^(?:(?:(?:is|are|equals?|equal to|approximately|about|roughly|around|thus|so)(?![A-Za-z])|=|~|:)\s*)+",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Za-z][a-z]{2,}")
_MATRIX = re.compile(r"\\begin\{([pbvB]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
_ALIGNED = re.compile(r"\\begin\{(?:aligned|gathered|cases|array)\}(.*?)\\end\{[a-z]+\}", re.DOTALL)
_CLAUSE = re.compile(
    r"[,.;]?\s*(?:\\q?quad\s*)*\\text\s*\{\s*\(?,?\s*(?:with|where|for|at|as|so|when|if)\b.*$", re.DOTALL
)
_COSTLY = re.compile(r"\d\^-?\d+\^|\^-?\d{5,}|\d{5,}!|!!!")
_UNCERTAIN = re.compile(r"\d\s*(?:\\pm|±)\s*\d+\.\d|\d\.\d+\s*(?:\\pm|±)")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def hedged(text: str) -> bool:
    """Whether an answer offers alternatives."""
    return bool(_HEDGE.search(text))


def tidy(text: str) -> str:
    """One spelling of the same answer: no dollars, no sizing, one relation sign."""
    text = unmarked(text)
    text = _siunitx(text)
    text = _ALIGNED.sub(lambda match: re.sub(r"\\\\(?:\[[^\]]*\])?", ", ", match.group(1)).replace("&", ""), text)
    text = re.sub(r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle)(?![A-Za-z])", "", text)
    text = _CLAUSE.sub("", text)
    text = text.replace("$", " ").replace("**", "^") if "$" in text else text
    return _FILLER.sub("", _RELATION.sub("=", text).strip()).strip().rstrip(".,;").strip()


def _siunitx(text: str) -> str:
    """`\\qty{5}{\\kilo\\gram}` and `\\SI` as a number and unit words."""

    def spelled(match: re.Match[str]) -> str:
        unit = re.sub(r"\\(square|cubic)\s*\\([a-z]+)", r"\\\2\\\1d", match.group(2)).replace("\\cubicd", "\\cubed")
        unit = unit.replace("\\squared", "^{2}").replace("\\cubed", "^{3}").replace("\\per", " / ")
        unit = re.sub(r"\\(kilo|milli|micro|nano|mega|giga|centi|pico)\s*\\", r"\\\1", unit)
        return f"{match.group(1)} " + re.sub(r"\\([a-z]+)", r" \1", unit)

    return re.sub(r"\\(?:SI|qty)\s*\{([^{}]*)\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}", spelled, text)


def split_top(text: str, separators: str) -> list[str]:
    """Split at separators outside every bracket."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char in separators and depth <= 0 and not (char == "," and _is_thousands(text, index)):
            if index and (text[index - 1] == "\\" or (char == "=" and text[index - 1] in "<>!")):
                continue  # a thin space, or a relation of two signs
            parts.append(_stripped(text[start:index]))
            start = index + 1
    return [*parts, _stripped(text[start:])]


def _stripped(text: str) -> str:
    return re.sub(r"^(?:\\[,;:! ]|\\quad|\s|~)+|(?:\\[,;:! ]|\s|~)+$", "", text)


def _is_thousands(text: str, index: int) -> bool:
    return (
        bool(re.match(r"\d{3}(?!\d)", text[index + 1 :]))
        and text[index - 1 : index].isdigit()
        and text[:index].isdigit()
    )


def same_formula(gold: Node, said: Node) -> bool:
    """Equal at every random point; decimal coefficients may differ by rounding, but then by the same at every
    point.
    """
    names = symbols(gold) | symbols(said)
    tolerance = RELATIVE if has_decimals(gold) or has_decimals(said) else EXACT
    for trial in range(TRIALS):
        values = sample(names, trial)
        with mpmath.workdps(40):
            a, b = evaluate(gold, values), evaluate(said, values)
            if abs(a - b) > tolerance * max(abs(a), abs(b), mpmath.mpf(10) ** -40):
                return False
    return True


def same_equation(gold: tuple[Node, Node], said: tuple[Node, Node]) -> bool:
    """Whether two equations say the same: their residuals differ by one constant factor."""
    names = symbols(gold[0]) | symbols(gold[1]) | symbols(said[0]) | symbols(said[1])
    ratios = []
    for trial in range(TRIALS):
        values = sample(names, trial)
        with mpmath.workdps(40):
            a = evaluate(gold[0], values) - evaluate(gold[1], values)
            b = evaluate(said[0], values) - evaluate(said[1], values)
            if abs(a) < EXACT or abs(b) < EXACT:
                return abs(a) < EXACT and abs(b) < EXACT
            ratios.append(a / b)
    return all(abs(ratio - ratios[0]) <= EXACT * abs(ratios[0]) for ratio in ratios)


def equivalent(gold: str, said: str, in_list: bool = False) -> bool:
    """Whether two answers agree: quantities, formulas, equations, lists, vectors, matrices or words.

    Members of a list (`in_list`) must have the same names on their left, since names are what tells them apart.
    """
    gold, said = tidy(gold), tidy(said)
    if not gold or not said:
        return False
    if gold == said:
        return True
    parts = _structure(gold, said)
    if parts is not None:
        return parts
    if _is_words(gold):
        return _plain(gold) == _plain(said)
    sides, said_sides = split_top(gold, "="), split_top(said, "=")
    if len(sides) > 1 or len(said_sides) > 1:
        return _equations(sides, said_sides, in_list)
    return _expressions(gold, said)


def _expressions(gold: str, said: str) -> bool:
    a, b = quantity(gold), quantity(said)
    if a is not None and b is not None:
        return same_quantity(a, b)
    try:
        return same_formula(read(gold), read(said))
    except Unreadable:
        return _by_math_verify(gold, said)


def _equations(gold: list[str], said: list[str], in_list: bool) -> bool:
    """Equations by name and value. A chain such as `x = a = b` must hold the answer in every member, or `x = 7 = 8`
    would be right.
    """
    if len(gold) == 1:
        if quantity(said[0]) is not None and not _expressions(gold[0], said[0]):
            return False  # `8 = 7` asserts nothing about 7
        members = [part for part in said[1:] if quantity(part) is not None or part == said[-1]]
        return all(_expressions(gold[0], part) for part in members)
    if len(said) == 1:
        return _name(gold[0]) is not None and _expressions(gold[-1], said[0])
    names = _name(gold[0]), _name(said[0])
    if names[0] and names[1]:
        same = names[0] == names[1] if in_list else _alike(names[0], names[1])
        return same and all(_expressions(gold[-1], part) for part in said[1:] if quantity(part) or part == said[-1])
    try:
        return same_equation((read(gold[0]), read(gold[-1])), (read(said[0]), read(said[-1])))
    except Unreadable:
        return _by_math_verify("=".join(gold), "=".join(said))


def _name(text: str) -> str | None:
    """The symbol on a left-hand side, perhaps applied to others: `v`, `E_n`, `\\psi(x, t)`; None for a formula or
    number.
    """
    text = re.sub(r"\([A-Za-z\\, _{}0-9']*\)$", "", text.strip())
    if not text or quantity(text) is not None:
        return None
    try:
        tree = read(text)
        return tree.text if tree.kind == "symbol" else None
    except Unreadable:
        return text if re.fullmatch(r"\\?[A-Za-z]+", text) else None


def _alike(gold: str, said: str) -> bool:
    """Whether two names may mean the same: an index, a prime or a capital is the writer's choice (`T`, `t_1`), the
    letter is not.
    """
    first, second = (name.split("_")[0].rstrip("'").casefold() for name in (gold, said))
    return first == second


def _structure(gold: str, said: str) -> bool | None:
    """Compare by parts when the reference has parts; None when it has none."""
    gold, said = _as_tuple(gold, said), _as_tuple(said, gold)
    matrices = _MATRIX.fullmatch(gold.strip()), _MATRIX.fullmatch(said.strip())
    if matrices[0]:
        if not matrices[1]:
            return False
        rows = [[row.split("&") for row in re.split(r"\\\\", m.group(2).strip().rstrip("\\"))] for m in matrices if m]
        return [len(r) for r in rows[0]] == [len(r) for r in rows[1]] and all(
            equivalent(a, b) for a, b in zip(itertools.chain(*rows[0]), itertools.chain(*rows[1]), strict=True)
        )
    kind, parts = _parts(gold)
    said_kind, said_parts = _parts(said)
    if not kind.startswith("("):
        parts, said_parts = _signs(parts), _signs(said_parts)
    if len(parts) == 1:
        return False if len(said_parts) > 1 and not kind and "\\pm" not in said and quantity(gold) else None
    if len(parts) != len(said_parts):
        return False
    if kind and said_kind and kind != said_kind:
        return False
    return _match(parts, said_parts, ordered=kind[:1] in ("(", "["))


def _as_tuple(text: str, other: str) -> str:
    """A row or column vector as a tuple, where the other side is one."""
    matrix = _MATRIX.fullmatch(text.strip())
    if not matrix or _MATRIX.fullmatch(other.strip()):
        return text
    entries = [part for part in re.split(r"\\\\|&", matrix.group(2)) if part.strip()]
    return f"({', '.join(entries)})" if not ("&" in matrix.group(2) and "\\\\" in matrix.group(2)) else text


def _several(gold: str) -> bool:
    """Whether a reference has several values, so that "2 or -2" is a list and no hedge."""
    text = tidy(gold)
    return "\\pm" in text or len(_parts(text)[1]) > 1


def _signs(parts: list[str]) -> list[str]:
    """Each part with a plus-minus sign as two."""
    return [
        part.replace("\\pm", sign)
        for part in parts
        for sign in (("+", "-") if "\\pm" in part and not _UNCERTAIN.search(part) else ("\\pm",))
    ]


def _match(gold: list[str], said: list[str], ordered: bool) -> bool:
    if len(gold) != len(said) or len(gold) > 12:
        return False
    if ordered:
        return all(equivalent(a, b, in_list=True) for a, b in zip(gold, said, strict=True))
    left = list(said)
    for part in gold:
        hit = next((candidate for candidate in left if equivalent(part, candidate, in_list=True)), None)
        if hit is None:
            return False
        left.remove(hit)
    return True


def _parts(text: str) -> tuple[str, list[str]]:
    """The bracket pair around a list, if any, and its parts."""
    text = text.strip().replace("\\{", "{").replace("\\}", "}").replace("\\langle", "(").replace("\\rangle", ")")
    kind = ""
    if text[:1] in _BRACKETS and text[-1:] in ")]}" and _encloses(text):
        kind, inner = text[0] + text[-1], text[1:-1]
        parts = split_top(inner, ",;")
        return (kind, parts) if len(parts) > 1 else ("", [text])
    parts = [
        p
        for part in split_top(text, ",;")
        for p in re.split(r"\s+(?:and|or)\s+|\\text\s*\{\s*(?:and|or)\s*\}", part)
        if p.strip()
    ]
    return "", parts


def _encloses(text: str) -> bool:
    depth = 0
    for index, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return index == len(text) - 1
    return False


def _plain(text: str) -> str:
    return (
        re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*|[\s{}$]|\\[,;: ]", "", text)
        if "\\" in text
        else re.sub(r"\s+", " ", text).casefold()
    )


def _is_words(text: str) -> bool:
    """A reference in words, such as `\\text{increases}` or `True`."""
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    return (
        "\\" not in plain
        and bool(_WORDS.search(plain))
        and not re.search(r"[=^_+*/\d]", plain)
        and quantity(plain) is None
    )


def costly(text: str) -> bool:
    """Whether exact arithmetic on an answer could take for ever: towers of numbers, huge exponents and factorials."""
    return bool(_COSTLY.search(re.sub(r"[{}()\s]", "", text)))


def _by_math_verify(gold: str, said: str) -> bool:
    if costly(said) and not costly(gold):
        return False
    letters = [set(re.findall(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", text)) for text in (gold, said)]
    if {c.lower() for c in letters[0]} & {c.lower() for c in letters[1]} and {
        c for c in letters[0] ^ letters[1] if c.swapcase() in letters[0] | letters[1]
    }:
        return False
    if quantity(gold) is not None or quantity(said) is not None:
        return False  # it drops units and rounds to six decimals
    from math_verify import parse, verify

    a, b = (parse(f"${text}$", parsing_timeout=None) for text in (gold, said))
    return bool(a and b and verify(a, b, timeout_seconds=None))


def candidates(found: Found) -> list[str]:
    """Readings of an answer, the whole first; of a sentence also its last formula and what follows its last relation
    sign.
    """
    texts = [found.text]
    if found.kind in ("phrase", "tail", "bare", "tag"):
        formulas = re.findall(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", found.text)
        if formulas:
            texts.append(next(filter(None, formulas[-1])))
        plain = tidy(found.text)
        if _WORDS.search(re.sub(r"\\[A-Za-z]+", "", plain)) and (
            number := re.search(r"(?:\s|^)[-+−]?[\d.]+\d*.*$", plain)
        ):
            texts.append(number.group().strip())
    return texts


def compare(answer: str, found: Found) -> Score:
    """Judge a found answer against a reference."""
    if len(found.text) > MAX_ANSWER_CHARS:
        return wrong("too_long", found.text[:100])
    if hedged(found.text) and not hedged(answer) and not _several(answer):
        return wrong("ambiguous_answer", found.text[:200])
    for text in candidates(found):
        if equivalent(answer, text):
            return right(text[:200])
    return wrong(extracted=found.text[:200])


class Physics:
    """Rewards an answer that agrees with the reference; `info["final_answers"]` lists several that must all appear as
    boxes in order.
    """

    def __call__(self, response: str, answer: str, info: dict[str, Any]) -> Score:
        golds = [str(part) for part in info.get("final_answers") or []] or [answer]
        if not all(gold.strip() for gold in golds):
            return wrong("bad_reference")
        if len(golds) == 1:
            found = find_answer(response)
            return compare(golds[0], found) if found else wrong("no_answer")
        boxes = all_boxed(final_part(response))
        if not boxes:
            return wrong("no_answer")
        if len(boxes) == 1:
            boxes = split_top(boxes[0], ";")
        if len(boxes) != len(golds):
            return wrong("malformed_answer", "; ".join(boxes)[:200])
        judged = [compare(gold, Found(box, "boxed")) for gold, box in zip(golds, boxes, strict=True)]
        share = sum(score.correct for score in judged) / len(judged)
        extracted = "; ".join(boxes)[:200]
        if all(score.correct for score in judged):
            return right(extracted, share=1.0)
        return wrong(extracted=extracted, share=share)
