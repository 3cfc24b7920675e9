"""Split text into tokens, with Unicode signs and plain names spelled as TeX.

Everything here is linear in the length of the text, which is capped.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.equivalence import notation

MAX_CHARS, MAX_TOKENS = 2_000, 1_200


class UnreadableFormula(Exception):
    """A text that is no formula for this reader, or too large to evaluate."""


_SPELLED = re.compile(r"(?<![A-Za-z\\_{])(" + "|".join(notation.SPELLED) + r")(?![A-Za-z])")
_ROMAN_D = re.compile(r"\\(?:mathrm|text|rm|operatorname|textrm)\s*(?:\{\s*d\s*\}|d(?![A-Za-z]))|\{\s*\\rm\s+d\s*\}")
_ROMAN = re.compile(r"\\(?:mathrm|operatorname\*?|text|textrm|mathop)\s*\{\s*\\?([A-Za-z]+)\s*\}")


def spelled_out(text: str) -> str:
    """Unicode letters, signs, sub- and superscripts as TeX."""
    if text.isascii():
        return text
    for char, command in notation.UNICODE_LETTERS.items():
        text = text.replace(char, f"\\{command} ")
    for char, command in notation.UNICODE_SIGNS.items():
        text = text.replace(char, command)
    text = re.sub(r"√\s*\(", r"\\sqrt(", text)
    text = re.sub(r"√\s*(\{|\\?\w+)", lambda m: "\\sqrt" + (m[1] if m[1] == "{" else f"{{{m[1]}}}"), text)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ]+", lambda m: "^{" + m.group().translate(notation.SUPERSCRIPTS) + "}", text)
    text = re.sub(r"[₀-₉₊₋ₙᵢⱼₖₘₚₑ]+", lambda m: "_{" + m.group().translate(notation.SUBSCRIPTS) + "}", text)
    text = re.sub(r"[①-⑳]", lambda m: str(ord(m.group()) - 0x245F) + ", ", text)
    return re.sub(r"([A-Za-z}])\u0307", r"\\dot{\1}", re.sub(r"([A-Za-z])\u20d7", r"\\vec{\1}", text))


def _function_word(match: re.Match[str]) -> str:
    word = match.group(1)
    if word in notation.FUNCTIONS or word in ("max", "min"):
        return f"\\{word} "
    return f" {word} " if len(word) == 1 else match.group()


def tokens_of(text: str) -> list[str]:
    r"""Split a formula into numbers, `\command` names, letters and marks.

    Raises:
        UnreadableFormula: Where the text is too long.
    """
    return [*_tokens(text)]


@lru_cache(maxsize=1024)
def _tokens(text: str) -> tuple[str, ...]:
    if len(text) > MAX_CHARS:
        raise UnreadableFormula("too long")
    text = re.sub(r"(?<=\d)(?:\{,\\?!?\}|,\\!\s*|,|\\,|\{,\\:\}|~)(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<=\d) (?=\d{3}(?!\d))", "", text)
    text = _ROMAN.sub(_function_word, _ROMAN_D.sub("d", spelled_out(text)))
    if "\\" not in text:
        text = re.sub(r"(?<![A-Za-z\d])([A-Za-z])(\d+)(?![A-Za-z\d.])", r"\1_{\2}", text)
    text = _SPELLED.sub(r"\\\1 ", text).replace("**", "^")
    found: list[str] = []
    in_matrix = "\\begin" in text
    for number, command, letter, mark in notation.TOKEN.findall(text):
        token = number or ("\\" + command if command else "") or letter or mark
        if token and command not in notation.SPACING:
            token = notation.ALIASES.get(token, token)
            if token and token != "$" and (token != "&" or in_matrix):
                found.append(token)
    if len(found) > MAX_TOKENS:
        raise UnreadableFormula("too long")
    return tuple(found)
