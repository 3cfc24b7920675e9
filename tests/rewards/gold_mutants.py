"""Change a reference in one place so that it becomes a wrong answer: twenty operators.

Each operator takes the text of a reference and yields a few changes of it. Most are wrong by construction; the
few that may be harmless (a dummy variable renamed, a factor in front of zero) are argued in the test that uses them.
"""

import re
from collections.abc import Callable, Iterator

MAX_PER_OPERATOR = 3
Operator = Callable[[str], Iterator[str]]


def _replaced(pattern: str, new: str | Callable[[re.Match[str]], str]) -> Operator:
    """Return an operator that replaces one match of a pattern at a time."""
    compiled = re.compile(pattern)

    def operator(text: str) -> Iterator[str]:
        for match in [*compiled.finditer(text)][:MAX_PER_OPERATOR]:
            said = match.expand(new) if isinstance(new, str) else new(match)
            yield text[: match.start()] + said + text[match.end() :]

    return operator


_DIGITS = r"(?<![\d.^_{a-zA-Z])\d+(?:\.\d+)?(?![\d.]|\s*th)"
_LETTER = r"(?<![\\A-Za-z{])[a-zA-Z](?![A-Za-z])(?!\s*\()"


def _first_digit(match: re.Match[str]) -> str:
    return str(int(match.group()[0]) % 9 + 1) + match.group()[1:]


def _number_up(match: re.Match[str]) -> str:
    whole, point, rest = match.group().partition(".")
    return str(int(whole) + 1 + int(int(whole) * 0.02)) + point + rest


OPERATORS: dict[str, Operator] = {
    "first digit": _replaced(_DIGITS, _first_digit),
    "number raised": _replaced(_DIGITS, _number_up),
    "decimal point moved": _replaced(r"(?<![\d.])(\d+)\.(\d)(\d*)", r"\1\2.\3"),
    "plus to minus": _replaced(r"(?<=[\w)}] )\+(?= ?[\w\\(])", "-"),
    "minus to plus": _replaced(r"(?<=[\w)}] )-(?= ?[\w\\(])", "+"),
    "leading minus": lambda text: iter([text[1:] if text.startswith("-") else "-" + text]),
    "exponent raised": _replaced(r"\^(?:\{(\d)\}|(\d))", lambda m: f"^{{{int(m[1] or m[2]) + 1}}}"),
    "exponent dropped": _replaced(r"\^(?:\{[2-9]\}|[2-9])", ""),
    "sine to cosine": _replaced(r"\\sin(?![a-z])", r"\\cos"),
    "cosine to sine": _replaced(r"\\cos(?![a-z])", r"\\sin"),
    "fraction inverted": _replaced(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\\frac{\2}{\1}"),
    "root dropped": _replaced(r"\\sqrt\{([^{}]*)\}", r"(\1)"),
    "pi dropped": _replaced(r"\\pi(?![a-z])", "1 "),
    "letter replaced": _replaced(_LETTER, lambda m: "w" if m.group() != "w" else "v"),
    "case flipped": _replaced(_LETTER, lambda m: m.group().swapcase()),
    "index changed": _replaced(r"_(?:\{(\w)\}|(\w))", lambda m: "_7" if (m[1] or m[2]) != "7" else "_8"),
    "relation turned": _replaced(
        r"<|>|\\leq?(?![a-z])|\\geq?(?![a-z])",
        lambda m: " > " if m[0][-2:] not in (">", "ge", "eq") or "l" in m[0] else " < ",
    ),
    "prefix": _replaced(
        r"\\(?:mathrm|text)\{\s*~?(m|J|N|s|K|eV|Pa|V|A|W|Hz|g|mol)(?=[ /}^])",
        lambda m: m.group().removesuffix(m[1]) + "k" + m[1],
    ),
    "condition": _replaced(r"\b(?:even|odd|integer|positive|negative|prime|left|right|odd)\b", "composite"),
    "one more": lambda text: iter([f"{text} + 1"]),
    "twice": lambda text: iter([f"2({text})"]),
    "member dropped": _replaced(r",\s*[^,()\[\]{}=]+$", ""),
    "denied": _replaced(r"\\text\{\s*(?=[a-z])", r"\\text{not "),
}


def mutants(gold: str) -> Iterator[tuple[str, str]]:
    """Yield the name of an operator and a changed text."""
    for name, operator in OPERATORS.items():
        for text in operator(gold):
            if "".join(text.split()) != "".join(gold.split()):
                yield name, text
