r"""Read numbers in other spellings: in words, with a repeating decimal, in another base, with a decimal comma.

Each reader accepts one closed spelling and returns an exact number; what it does not know is left to the others.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rewards.equivalence.notation import listed

_UNITS = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)
_SMALL = {word: value for value, word in enumerate(_UNITS)} | _TENS
_POWERS = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES = {"hundred": 100, "dozen": 12, **_POWERS}
"""Words that multiply the number before them."""

_ORDINALS = listed(
    "fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth"
)
_ORDINALS += listed("seventeenth eighteenth nineteenth twentieth")
DENOMINATORS = {"half": 2, "third": 3, "quarter": 4} | {word: value for value, word in enumerate(_ORDINALS, 4)}
DENOMINATORS |= {"thirtieth": 30, "fortieth": 40, "fiftieth": 50, "sixtieth": 60, "seventieth": 70, "eightieth": 80}
DENOMINATORS |= {"ninetieth": 90, "hundredth": 100, "thousandth": 1000, "millionth": 10**6, "billionth": 10**9}
"""Names of the parts of one: the third of `two thirds`."""

NUMBER_WORDS = (*_SMALL, *_POWERS, "hundred", "dozen")
"""Words that numbers are written with."""

_SIGN = re.compile(r"(?:negative|minus)(?:\s+|-)")
_LONE_ONE = re.compile(r"an?(?:\s+|-)(?=[a-z])")
_HALF_OF = re.compile(
    r"(?:one(?:\s+|-))?half(?:\s+|-)(?:an?(?:\s+|-))?(?=(?:dozen|hundred|thousand|million|billion|trillion)$)"
)
_SCALED = re.compile(
    r"^(?:\\(?:text|mathrm|mbox)\s*\{)?\s*(" + "|".join(SCALES) + r")s?(?![A-Za-z])\s*(\}?)", re.IGNORECASE
)
_DIGITS = {**dict(zip("一二三四五六七八九", range(1, 10), strict=True)), "两": 2, "零": 0, "〇": 0}
_CHINESE_NUMBER = re.compile(r"[零〇一二两三四五六七八九]?十[一二三四五六七八九]?|[零〇一二两三四五六七八九]")
_REPEATING = re.compile(r"(?<![\d.])(\d*)\.(\d*)\\(?:overline|bar|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))(?![\d.])")
_TWO_DOTS = re.compile(r"(?<![\d.])(\d*)\.(\d*)\\dot\s*\{?\s*(\d)\s*\}?(\d*)\\dot\s*\{?\s*(\d)\s*\}?(?![\d.])")
_IN_PARENTHESES = re.compile(r"(?<![\d.])(\d*)\.\((\d+)\)(?![\d.])")
_AFTER_DIGITS = re.compile(r"(?<![\d.])(\d*)\.(\d+)\((\d+)\)(?![\d.])")
_DOTTED = re.compile(r"(?<![\d.])(\d*)\.(\d*?)(\d{1,6}?)\3{2,}(?:\\[lcd]?dots(?![a-z])|\.\.\.)")
_BY_STOPS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?![\d.,])")
_EUROPEAN = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+,\d+(?![\d.,])")
_SPACED = re.compile(
    r"([-+]?\d{1,3}(?:(?:[ ~\u202f]|\\[, ])\d{3})+),(\d{1,2}|\d{4,9})(?![\d.,])(?=$|\s*(?:[A-Za-z%\\]))"
)
_SWISS = re.compile(r"(?<![\d.,'])\d{1,3}(?:'\d{3})+(?![\d,'])")
_CENTS = re.compile(r"(\d{1,9})\s*(?:\\[ ,;])?(?:\\text\s*\{)?\s*(?:cents?|¢)\s*\}?\.?")
_DOLLARS = re.compile(r"\\\$|\bdollars?\b|\bUSD\b")
_CURRENCIES = {
    "dollar": re.compile(r"\\\$|\b(?:dollars?|USD)\b", re.IGNORECASE),
    "euro": re.compile(r"€|\b(?:euros?|EUR)\b", re.IGNORECASE),
    "pound": re.compile(r"£|\b(?:pounds?\s+sterling|GBP)\b|\\pounds(?![a-z])", re.IGNORECASE),
    "yen": re.compile(r"¥|\b(?:yen|JPY)\b", re.IGNORECASE),
    "yuan": re.compile(r"¥|\b(?:yuan|RMB|CNY)\b|元", re.IGNORECASE),
    "rupee": re.compile(r"₹|\b(?:rupees?|INR)\b", re.IGNORECASE),
    "ruble": re.compile(r"₽|\b(?:rubles?|roubles?|RUB)\b", re.IGNORECASE),
    "peso": re.compile(r"\bpesos?\b", re.IGNORECASE),
    "franc": re.compile(r"\b(?:francs?|CHF)\b", re.IGNORECASE),
}
_BASED = re.compile(
    r"\(?\s*([0-9A-Fa-f]+)\s*\)?\s*_\s*(?:\{\s*)?(?:\\(?:text|mathrm)\s*\{\s*)?(\d{1,2}|[a-z]+)\s*\}*|"
    r"([0-9A-Fa-f]+)\s*(?:\\text\s*\{)?\s*\(?(?:in\s+)?base\s*\}?\s*(\d{1,2}|[a-z]+)\s*\)?\}?|"
    r"0([xbo])([0-9A-Fa-f]+)"
)
_BASE_NAMES = {"binary": 2, "ternary": 3, "octal": 8, "decimal": 10, "hex": 16, "hexadecimal": 16}
_PREFIXES = {"b": 2, "o": 8, "x": 16}
_DIGITS_IN_TEXT = re.compile(r"^\\(?:text|mathrm|texttt|mathtt)\s*\{\s*([0-9A-Fa-f]+)\s*\}(?=\s*_)")
_THIN = re.compile(r"(?<=\d)(?:\\[,;]|\s)+(?=\d)")
MAX_DIGITS = 60


def spelled_number(text: str) -> Fraction | None:
    """Return the number that English or Chinese words state (`forty-two`, `minus two thirds`, `十二`), else None."""
    if _CHINESE_NUMBER.fullmatch(text):
        tens, ten, ones = text.partition("十")
        return Fraction((_DIGITS[tens] if tens else 1) * 10 + (_DIGITS[ones] if ones else 0) if ten else _DIGITS[text])
    if not text[:1].isalpha() or len(text) > MAX_DIGITS * 2:
        return None
    plain = text.strip().casefold()
    if sign := _SIGN.match(plain):
        value = _plain_number(plain[sign.end() :])
        return None if value is None else -value
    return _worded(plain)


def _plain_number(text: str) -> Fraction | None:
    """Return a number in words or plain digits."""
    return Fraction(text) if re.fullmatch(r"\d{1,30}(?:\.\d{1,30})?", text) else _worded(text)


def _worded(text: str) -> Fraction | None:
    """Return a number in words without a sign: whole, mixed or a fraction."""
    if half := _HALF_OF.match(text):
        value = _worded("one " + text[half.end() :])
        return value / 2 if value is not None else None
    text = _LONE_ONE.sub("one ", text, count=1) if _LONE_ONE.match(text) else text
    words = re.split(r"[\s-]+", text)
    if not words or len(words) > 12:
        return None
    whole = _whole(words)
    if whole is not None:
        return Fraction(whole)
    if "and" in words[1:-1]:
        joint = len(words) - 1 - words[::-1].index("and")
        before, share = _whole(words[:joint]), _share(words[joint + 1 :])
        if before is not None and share is not None and share < 1:
            return before + share
    if words[-1] in _POWERS and (value := _worded(" ".join(words[:-1]))) is not None and "and" in words:
        return value * _POWERS[words[-1]] if value.denominator > 1 else None
    return _share(words)


def _share(words: list[str]) -> Fraction | None:
    """Return a fraction in words: `two thirds`, `a half`, `five ten-thousandths`."""
    words = ["one" if word in ("a", "an") else word for word in words]
    if words == ["half"]:
        return Fraction(1, 2)
    if not words:  # `two and three and`
        return None
    name = "half" if words[-1] == "halves" else words[-1].removesuffix("s")
    below = DENOMINATORS.get(name)
    if below is None or len(words) < 2:
        return None
    above, scale = words[:-1], 1
    if below >= 1000 and above[-1] in ("ten", "hundred"):
        if above[-1] == "hundred" or len(above) < 2:  # `one hundred thousandths` has two readings
            return None
        above, scale = above[:-1], 10
    count = _whole(above)
    if count is None or count == 0 or (count == 1) == words[-1].endswith("s"):
        return None
    return Fraction(count, below * scale)


def _whole(words: list[str]) -> int | None:
    """Return a whole number in words."""
    words = [word for word in words if word != "and"] if len(words) > 1 else words
    if not words:
        return None
    if words[-1] in ("dozen", "dozens") and len(words) > 1:
        count = _whole(words[:-1])
        return count * 12 if count is not None else None
    total = group = 0
    last = 10**15
    for word in words:
        if word in _SMALL:
            value = _SMALL[word]
            if group % 100 and not (value < 10 and group % 10 == 0 and group % 100 >= 20):
                return None
            group += value
        elif word == "hundred" and (0 < group < 10 or (10 < group < 100 and group % 10 and not total)):
            group *= 100
        elif word in _POWERS and 0 < group < 1000 and _POWERS[word] < last:
            total, group, last = total + group * _POWERS[word], 0, _POWERS[word]
        else:
            return None
    return total + group


def scale_word(rest: str) -> tuple[int, str] | None:
    r"""Return the factor of a number word behind a number, and what follows it: `million km`."""
    match = _SCALED.match(rest)
    if match is None:
        return None
    after = rest[match.end() :]
    wrapped = rest.startswith("\\") and not match.group(2)
    return SCALES[match.group(1).casefold()], ("\\text{" + after if wrapped else after).strip()


def exact_decimals(text: str, parentheses: bool = False) -> str:
    r"""Write repeating decimals as fractions, and `1.234,5` or `1 234,5` as 1234.5.

    Args:
        text: A normalized answer.
        parentheses: Whether `0.1(6)` is a repeating decimal too, and no uncertainty.
    """
    if text[:1] in "-+0123456789" and (spaced := _SPACED.match(text)):
        text = re.sub(r"[^-+\d]", "", spaced[1]) + f".{spaced[2]}" + text[spaced.end() :]
    if "'" in text:
        text = _SWISS.sub(lambda match: match.group().replace("'", ""), text)
    if "." not in text:
        return text
    text = _BY_STOPS.sub(lambda match: match.group().replace(".", ""), text)
    text = _EUROPEAN.sub(lambda match: match.group().replace(".", "").replace(",", "."), text)
    text = _TWO_DOTS.sub(lambda m: _fraction(m[1], m[2], m[3] + m[4] + m[5]), text)
    text = _REPEATING.sub(lambda m: _fraction(m[1], m[2], m[3] or m[4] or ""), text)
    text = _IN_PARENTHESES.sub(lambda m: _fraction(m[1], "", m[2]), text)
    text = _DOTTED.sub(lambda m: _fraction(m[1], m[2], m[3]), text)
    return _AFTER_DIGITS.sub(lambda m: _fraction(m[1], m[2], m[3]), text) if parentheses else text


def cents_as_dollars(text: str, other: str) -> str:
    """Write `50 cents` as 0.50 where the other side is in dollars."""
    match = _CENTS.fullmatch(text.strip(" $"))
    return f"{int(match[1]) / 100:.2f}" if match and _DOLLARS.search(other) and not _CENTS.fullmatch(other) else text


def other_currency(first: str, second: str) -> bool:
    r"""Return whether two amounts name different currencies: `\$4`, `4 euros`."""
    named = [{name for name, sign in _CURRENCIES.items() if sign.search(text)} for text in (first, second)]
    return bool(named[0] and named[1] and not named[0] & named[1])


def _fraction(whole: str, fixed: str, period: str) -> str:
    if not period or len(whole + fixed + period) > MAX_DIGITS:
        return f"{whole}.{fixed}\\overline{{{period}}}"
    scale = 10 ** len(fixed)
    value = Fraction(int((whole + fixed) or "0"), scale) + Fraction(int(period), scale * (10 ** len(period) - 1))
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def based(text: str) -> tuple[str, int] | None:
    r"""Return the digits and the base of `52_{\text{eight}}` or `(1A)_{16}`; None for others."""
    match = _BASED.fullmatch(_THIN.sub("", _DIGITS_IN_TEXT.sub(r"\1", text.strip())))
    if match is None or len(text) > MAX_DIGITS:
        return None
    digits, name = match[1] or match[3] or match[6], match[2] or match[4] or ""
    named = Fraction(name) if name.isdigit() else Fraction(_BASE_NAMES.get(name, 0)) or spelled_number(name)
    base = _PREFIXES[match[5]] if match[5] else int(named) if named is not None and named.denominator == 1 else 0
    if not 2 <= base <= 36 or not any(char.isdigit() for char in digits):
        return None
    try:
        int(digits, base)
    except ValueError:
        return None
    return digits.lstrip("0").upper() or "0", base
