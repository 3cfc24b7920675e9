"""Recover symbols that fonts and old encodings lost: Greek letters and operators of symbol fonts, accents, degrees.

recover_symbols("D\uf061 = 25 oC, 3 x 10^5, r´esum´e")  # ('Dα = 25 °C, 3 × 10^5, résumé', 4)
"""

from __future__ import annotations

import re
import unicodedata

_ROWS = {
    0x22: "∀", 0x24: "∃", 0x27: "∋", 0x2A: "∗", 0x2D: "−", 0x40: "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥",
    0x61: "αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼", 0xA2: "′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…", 0xC0: "ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊⟨",
    0xE5: "∑", 0xF1: "⟩∫",
}  # fmt: skip
SYMBOL_FONT = {0xF000 + code: chr(code) for code in range(0x20, 0x7F)}
SYMBOL_FONT |= {0xF000 + first + i: symbol for first, row in _ROWS.items() for i, symbol in enumerate(row)}
"""Private-use code of the font Symbol, as word processors and PDF writers store it -> the character that it shows."""

_SYMBOL = re.compile("[\uf020-\uf0ff]")
_ACCENTS = {"´": "\u0301", "`": "\u0300", "¨": "\u0308", "ˆ": "\u0302", "˜": "\u0303", "¸": "\u0327", "ˇ": "\u030c"}
_ACCENT = re.compile(r"(?<=[^\W\d_])([´¨ˆ˜¸ˇ])(?:ı|([aeiouyncszgrAEIOUYNCSZ]))")
"""An accent that stands before its letter inside a word, as TeX's older fonts leave it."""

_DEGREE = re.compile(r"(\d\s?)(?:[oº˚∘]\s?(?=[CF]\b)|º)")
_POWER = re.compile(r"(\d)\s?[xX]\s?(?=10(?:\^|\*\*|[−–-]\d|[⁰¹²³⁴-⁹⁻]))")
_PLUS_MINUS = re.compile(r"(?<![^\d\s(])\+\s?/\s?[-−–](?=\s?\d)")


def recover_symbols(text: str) -> tuple[str, int]:
    """Return prose with its symbols recovered, and how many were; not for formulas or code."""
    text, fonts = _SYMBOL.subn(lambda m: SYMBOL_FONT.get(ord(m[0]), m[0]), text)
    text, accents = _ACCENT.subn(_accented, text)
    text, degrees = _DEGREE.subn(r"\1°", text)
    text, powers = _POWER.subn(r"\1 × ", text)
    text, signs = _PLUS_MINUS.subn("±", text)
    return text, fonts + accents + degrees + powers + signs


def _accented(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", (match[2] or "i") + _ACCENTS[match[1]])
