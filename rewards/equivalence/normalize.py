"""Bring answers into one spelling, and split them at separators outside brackets.

Writers differ in what carries no meaning: dollars, sizing commands, variants of relation signs, remarks behind the
answer. Every such difference that is removed here needs no case in the comparisons behind.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from rewards.equivalence.plain_text import plain_chinese, plain_text
from rewards.equivalence.remarks import split_remark
from rewards.equivalence.tokens import spelled_out
from rewards.equivalence.wrappers import undressed

# A response that passed through a JSON or Python string unescaped has lost "\t" of \text to a tab, "\f" of \frac to a
# form feed and so on; a doubly escaped one has two backslashes. Both are the model's answer, not its mistake.
_BROKEN = (
    (re.compile(r"\t(?=ext|imes|heta|au\b|an\b|frac)"), r"\\t"),
    (re.compile(r"\x0c(?=rac)"), r"\\f"),
    (re.compile(r"\x08(?=egin|oxed|eta|ar\b|inom)"), r"\\b"),
    (re.compile(r"\r(?=ight|ho\b|m\b)"), r"\\r"),
    (re.compile(r"(?<![A-Za-z\\])rac(?=\s*\{)"), r"\\frac"),
    (re.compile(r"(?<![A-Za-z\\])ext(?=\s*\{)"), r"\\text"),
    (re.compile(r"(?<!\\)\\{4}(?!\\)"), r"\\\\"),
    (
        re.compile(
            r"(?<!\\)\\\\(?=(?:[dt]?frac|pi|sqrt|left|right|[bB]igg?[lrm]?|text|theta|alpha|le|ge|in|infty|cup)(?![A-Za-z]))"
        ),
        r"\\",
    ),
)
# An answer that is said to be about something is graded as that something: tolerances are the comparison's business.
_RELATION = re.compile(r"\\(?:approx|simeq|equiv|cong|doteq|sim|coloneqq|triangleq|propto)(?![A-Za-z])|≈|≃|≡|≅|:=|==")
# What may stand before an answer without being a part of it: `is about 5`, `x = ` with the x cut off, `\therefore 5`.
_FILLER = re.compile(
    r"^(?:(?:(?:is|are|equals?|equal to|approximately|exactly|about|roughly|around|thus|so|therefore|hence|only|it is|"
    r"the answer is)(?=[\s:,\\]|$)|\\(?:text|mathrm)\s*\{\s*(?:only|exactly|approximately|about|roughly|around|approx\.?|is|are|the number|"
    r"(?:the\s+)?(?:final\s+)?answer(?:\s+is)?)\s*:?\s*\}|"
    r"=(?!=)|~|:|\\therefore|\\implies|\\Rightarrow|\\left\.|&)\s*)+",
    re.IGNORECASE,
)
# Environments that only align their lines become one list of lines; matrices and cases keep their structure.
_ALIGNED = re.compile(
    r"\\begin\{(?:aligned|gathered|align\*?|gather\*?|equation\*?|split|array)\}(?:\{[^{}]*\})?(.*?)"
    r"\\end\{(?:aligned|gathered|align\*?|gather\*?|equation\*?|split|array)\}",
    re.DOTALL,
)
_SIZING = re.compile(
    r"\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits)(?![A-Za-z])\s*\.?(?![\d])"
)
# 30 degrees 15' is a sum of two units without a plus sign, so it is written as one number of degrees.
_ARC_MINUTES = re.compile(
    r"(\d+)\s*\^\s*\{?\s*\\(?:text)?circ\s*\}?\s*(\d+(?:\.\d+)?)\s*(?:'|\^\s*\{?\s*\\prime\s*\}?)(?!')"
    r"(?:\s*(\d+(?:\.\d+)?)\s*(?:''|\"|\^\s*\{?\s*\\prime\s*\\prime\s*\}?))?"
)
_SIUNITX = re.compile(r"\\(?:SI|qty)\s*(?:\[[^\]]*\])?\s*\{([^{}]*)\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_SIUNITX_NUMBER = re.compile(r"\\(?:num|ang)\s*\{([^{}]*)\}")
_SIUNITX_UNIT = re.compile(r"\\(?:unit|si)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_POWER_WORDS = (("squared", "2"), ("cubed", "3"))
# `the 5th` counts as 5; a currency sign is a unit that problems ask for by name and answers leave out at will.
_ORDINAL = re.compile(
    r"(?<=\d)\s*(?:\^\s*\{?\s*(?:\\(?:text|mathrm)\s*\{\s*)?(?:th|st|nd|rd)\s*\}?\s*\}?|(?:th|st|nd|rd)\b)"
)
_CURRENCY = re.compile(r"\\\$|[€£¥₹]|\b(?:USD|dollars?|euros?|EUR)\b(?=[^A-Za-z]|$)|\bRs\.?\s*(?=\}?\s*\d)")
_LINE_BREAK = re.compile(r"\s*\\\\(?![A-Za-z](?!\s*=))(?:\[[^\]]*\])?\s*(?=\S)")
_COMMA_IN_TEXT = re.compile(r"\\(?:text|mathrm)\s*\{\s*([,;])\s*\}")
_EMPTY_TEXT = re.compile(r"\\(?:text|mathrm)\s*\{\s*\}")
_UNIT_SQUARED = re.compile(r"(\\(?:text|mathrm)\s*\{\s*|\b)(units?)\s*(\}?)\s*\^\s*\{?\s*([23])\s*\}?")
_NOON = re.compile(r"(?<=:\d\d)(?:\s|~)*(\\(?:text|mathrm)\s*\{\s*)?([ap])\.?\s?m\b\.?(?(1)\s*\})", re.IGNORECASE)
_RATIO = re.compile(r"(?<=\d)\s*(?:\\text\s*\{\s*to\s*\}|\bto\b|\\colon(?![a-z]))\s*(?=\d)")
_BY = re.compile(r"(?<=\d)(?<!^0)(?<![^\d.]0)\s*[xX]\s*(?=\d)")
_UNKNOWN_X = re.compile(r"(?<![A-Za-z\\])[xX](?![A-Za-z])")
_MODULUS = re.compile(r"\s*\\[bp]?mod(?![a-z])\s*")
_MEMBER = re.compile(r"^[A-Za-z]\s*(?:\\in(?![A-Za-z])|∈)\s*(?=\\\{[^|:]*\\\}$)")  # of a set that is listed
_BAR = re.compile(r"\\(?:vert|mid|lvert|rvert)(?![A-Za-z])")
_STATE = r"((?:[^|<>{}\\]|\\(?!rangle|langle)[A-Za-z]+|\\[,;:! ]|\{[^{}|]*\}){1,60}?)"
_KET = re.compile(rf"\|\s*{_STATE}\s*\\rangle(?![a-z])")
_ASCII_KET = re.compile(r"\|([A-Za-z0-9+-]{1,8})>(?!=)")
_BRA = re.compile(rf"(?:\\langle(?![a-z])|<)\s*{_STATE}\s*(?:\||(?=\\ket))")
_AROUND = re.compile(r"^(?:\\[,;:! ]|\\q?quad(?![A-Za-z])|\s|~)+|(?:\\[,;:! ]|\\q?quad|\\\\|\s|~|\\$)+$")
_INNER = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
_BRAKETS = (
    (re.compile(rf"\\[bB]raket\s*{_INNER}(?!\s*\{{)"), r"\\langle \1\\rangle "),
    (re.compile(rf"\\(?:[b]raket|ip|innerproduct)\s*{_INNER}\s*{_INNER}"), r"\\langle \1|\2\\rangle "),
    (re.compile(rf"\\(?:ketbra|dyad|op)\s*{_INNER}\s*{_INNER}"), r"|\1\\rangle\\langle \2|"),
    (re.compile(rf"\\(?:mel|matrixel)\s*{_INNER}\s*{_INNER}\s*{_INNER}"), r"\\langle \1|\2|\3\\rangle "),
    (re.compile(rf"\\(?:expval|ev)\s*{_INNER}(?!\s*\{{)"), r"\\langle \1\\rangle "),
)
_INTEGERS = r"(?:\\mathbb\s*(?:\{\s*Z\s*\}|Z)|ℤ)"
_QUOTIENT = re.compile(rf"{_INTEGERS}\s*/\s*(?:\(\s*(\w+)\s*\)|(\w+)\s*{_INTEGERS}|\(\s*(\w+)\s*{_INTEGERS}\s*\))")
BRACKETS = {"(": ")", "[": "]", "{": "}"}


def mended(text: str) -> str:
    r"""Put back the escapes that a JSON or Python string swallowed (`\f` + `rac`)."""
    for pattern, replacement in _BROKEN:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=2048)
def parted(text: str) -> tuple[str, str]:
    """Return the answer itself, in TeX with ASCII signs, and the remark behind it."""
    # Order matters: escapes come first, since every later pattern looks for commands; remarks come after sizing, so that
    # their brackets are plain; the filler comes last, since splitting off a remark may leave one.
    text = plain_chinese(plain_text(text))
    text = re.sub(r"[ \t$~]{2,}", " ", undressed(unboxed(unmarked(mended(text.strip())))))
    text = spelled_out(_RELATION.sub("=", bare_of_parentheses(text)))
    text = _with_times(_siunitx(text))
    if "\\begin" in text and not re.search(r"\\begin\{array\}[^&]*&", text):
        text = _ALIGNED.sub(lambda match: re.sub(r"\\\\(?:\[[^\]]*\])?", ", ", match.group(1)).replace("&", ""), text)
    if "\\begin" not in text and "\\\\" in text:
        text = _LINE_BREAK.sub(", ", text)
    text = _COMMA_IN_TEXT.sub(r"\1 ", text.replace("**", "^"))
    text = _SIZING.sub("", text).replace("\\{,\\}", "{,}")
    text = re.sub(r"\\(?:tfrac|dfrac|cfrac)", r"\\frac", text)
    text = text.replace("\\$", " ").replace("$", " ").replace("\\leqslant", "\\le ").replace("\\geqslant", "\\ge ")
    text = _NOON.sub(lambda match: f" {match[2].upper()}M", text)
    if (plain := _CURRENCY.sub(" ", text)) != text:
        text = _EMPTY_TEXT.sub(" ", plain)
    text = _UNIT_SQUARED.sub(_unnamed_units, _ORDINAL.sub("", text))
    text = _ARC_MINUTES.sub(_degrees, text)
    text = _RATIO.sub(":", _MODULUS.sub(" mod ", text))
    if "Z" in text or "ℤ" in text:
        text = _QUOTIENT.sub(lambda match: f"\\mathbb{{Z}}_{{{match[match.lastindex or 1]}}}", text)
    text, remark = split_remark(_kets(text))
    text = _MEMBER.sub("", stripped(_FILLER.sub("", text.strip())))
    return text.rstrip(".,;:").strip(), remark


def _unnamed_units(match: re.Match[str]) -> str:
    r"""Write `\text{units}^2` as `\text{square units}`."""
    return f"{match[1]}{'square' if match[4] == '2' else 'cubic'} {match[2]}{match[3]}"


def _degrees(match: re.Match[str]) -> str:
    """Write degrees, minutes and seconds of arc as one fraction of a degree."""
    seconds = 3600 * Decimal(match[1]) + 60 * Decimal(match[2]) + Decimal(match[3] or 0)
    return f"({seconds / 60}/60)^{{\\circ}}" if not match[3] else f"({seconds}/3600)^{{\\circ}}"


def _with_times(text: str) -> str:
    """Write `7 x 5` with a times sign, where no unknown has that name."""
    written = _BY.sub(r" \\times ", text)
    return text if _UNKNOWN_X.search(written) else written


def tidy(text: str) -> str:
    """Return the answer itself, in TeX with ASCII signs, without the remark behind it."""
    return parted(text)[0]


def bare_of_parentheses(text: str) -> str:
    """Without parentheses around parentheses, however many."""
    # One pair may be an interval, a point or a list; two pairs around the same content never are.
    match = re.fullmatch(r"(\(+)([^()]*)(\)+)", text)
    return match[2] if match and len(match[1]) == len(match[3]) > 1 else text


def unboxed(text: str) -> str:
    """Return the content of a box that is the whole text."""
    while match := re.fullmatch(r"\\(?:boxed|fbox)\s*\{(.*)\}", text, re.DOTALL):
        inner = match.group(1)
        if not _encloses("{" + inner + "}"):
            break
        text = inner.strip()
    return text


def unmarked(text: str) -> str:
    """Without the dollar signs, emphasis and final full stop around an answer."""
    text = text.strip().strip("*`").strip()
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$")):
        if len(text) > len(opening) + len(closing) - 1 and text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            if opening not in inner:
                text = inner.strip()
                break
    return text[:-1].strip() if text.endswith(".") and not text.endswith("..") else text


def _kets(text: str) -> str:
    r"""Write Dirac's brackets as `\bra{a}` and `\ket{b}`, so that no bar or comma of theirs splits a text."""
    if "\\" in text:
        for pattern, spelled in _BRAKETS:
            text = pattern.sub(spelled, text)
    if "rangle" not in text and "langle" not in text and ">" not in text:
        return text
    if "\\rangle" in text or "\\langle" in text:
        text = _BAR.sub("|", text)
    text = _ASCII_KET.sub(r"\\ket{\1}", _KET.sub(r"\\ket{\1}", text))
    return _BRA.sub(r"\\bra{\1}", text)


def _siunitx(text: str) -> str:
    r"""Write `\qty{5}{\kilo\gram}` and `\SI` as a number and unit words."""

    def unit(written: str) -> str:
        written = re.sub(
            r"\\(square|cubic)\s*\\([a-z]+)", lambda m: f"\\{m[2]}^{2 if m[1] == 'square' else 3} ", written
        )
        for word, power in _POWER_WORDS:
            written = written.replace("\\" + word, f"^{power} ")
        written = re.sub(r"\\per(?![a-z])", " / ", re.sub(r"\\tothe\s*", "^", written))
        written = re.sub(r"\\(kilo|milli|micro|nano|mega|giga|centi|pico|femto|tera|deci|hecto)\s*\\", r"\\\1", written)
        return re.sub(r"\\([a-z]+)", r" \1", written).replace(".", " ")

    text = _SIUNITX.sub(lambda match: f"{match[1]} \\mathrm{{{unit(match[2])}}}", text) if "\\" in text else text
    text = _SIUNITX_UNIT.sub(lambda match: f"\\mathrm{{{unit(match[1])}}}", text) if "\\" in text else text
    return _SIUNITX_NUMBER.sub(r"\1", text) if "\\" in text else text


def split_top(text: str, separators: str, thousands: bool = True) -> list[str]:
    """Split at separators outside every bracket.

    Args:
        text: The text.
        separators: Characters to split at; a thin space is none.
        thousands: Whether a comma in a number such as 12,500 is part of the number.
    """
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char in separators and depth <= 0 and not (char == "," and thousands and _is_thousands(text, index)):
            if index and (text[index - 1] == "\\" or (char == "=" and text[index - 1] in "<>!")):
                continue  # a thin space, or a relation of two signs
            parts.append(stripped(text[start:index]))
            start = index + 1
    return [*parts, stripped(text[start:])]


def stripped(text: str) -> str:
    """Without white space of any kind around."""
    return _AROUND.sub("", text) if "\\" in text or "~" in text else text.strip()


def _is_thousands(text: str, index: int) -> bool:
    before = re.search(r"(?<![\d.,])\d{1,3}(?:,\d{3})*$", text[max(0, index - 40) : index])
    return bool(before and re.match(r"\d{3}(?!\d)|\\!\s*\d{3}(?!\d)", text[index + 1 : index + 8]))


def encloses(text: str) -> bool:
    """Return whether the first bracket of a text closes at its end."""
    return text[:1] in BRACKETS and text[-1:] in BRACKETS.values() and _encloses(text)


def _encloses(text: str) -> bool:
    depth = 0
    for index, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return index == len(text) - 1
    return False
