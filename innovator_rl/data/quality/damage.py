"""Damage a passage in the ways in which scans, extraction and copying do, to test and to train quality graders.

    damage(text, "misread words", seed=0)

`KINDS` names the kinds. Each works on English and on Chinese, and a passage without what a kind destroys (a formula, a second
sentence) comes back unchanged, so that a caller can see that there is no such copy of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from random import Random

from innovator_rl.data.documents.spans import outside

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z$*])|(?<=[。！？])\s*")
_CJK = re.compile("[\u3400-\u9fff]")
_LOOKALIKES = {
    "m": "rn", "rn": "m", "l": "1", "i": "l", "o": "0", "e": "c", "c": "e", "h": "b", "a": "o", "t": "f", "n": "u", "u": "n",
    "s": "5", "d": "cl", "g": "q", "f": "t", "r": "v", "w": "vv", "b": "h", "p": "o", "y": "v",
}  # fmt: skip
_WRONG_CHARACTERS = "口曰目囗亻氵丨丿乂匕冂廴卩厶尢巛彡彳攵灬疒癶糸艹虍言豸辶阝隹頁髟"
"""Parts of Chinese characters, which a scanner reads where a character is unclear."""
_FURNITURE_EN = (
    "Downloaded on 12 May 2015",
    "Chapter 4 | Page 117",
    "Share   Print   Cite",
    "© 2015 The Press. All rights reserved.",
)
_FURNITURE_ZH = ("第四章 第117页", "分享到：微博 空间", "版权所有 未经许可不得转载", "上一页 下一页")


def damage(text: str, kind: str, seed: int) -> str:
    """Return a damaged copy of a passage, the same one for the same seed.

    Args:
        text: Markdown with LaTeX, English or Chinese.
        kind: A key of `KINDS`.
        seed: Of the random choices.
    """
    return KINDS[kind](text, Random(f"{seed}|{kind}|{text[:40]}"))


def is_chinese(text: str) -> bool:
    """Return whether Chinese characters carry the passage."""
    han = len(_CJK.findall(text))
    return han > 0.3 * max(1, han + len(re.findall("[A-Za-z]+", text)))


def _misread(rate: float) -> Callable[[str, Random], str]:
    def apply(text: str, random: Random) -> str:
        pieces = []
        for piece, protected in outside(text):
            pieces.append(piece if protected else "".join(_misread_one(c, rate, random) for c in piece))
        return "".join(pieces)

    return apply


def _misread_one(character: str, rate: float, random: Random) -> str:
    if _CJK.match(character):
        return random.choice(_WRONG_CHARACTERS) if random.random() < rate else character
    if character in _LOOKALIKES and random.random() < rate:
        return _LOOKALIKES[character]
    return character


def _shuffled_words(text: str, random: Random) -> str:
    chinese = is_chinese(text)
    units = re.findall(r"[，。；：！？]|[^，。；：！？]{1,2}", text) if chinese else text.split()
    random.shuffle(units)
    return ("" if chinese else " ").join(units)


def _shuffled_sentences(text: str, random: Random) -> str:
    sentences = [s for s in _SENTENCE.split(text) if s.strip()]
    if len(sentences) < 4:
        return text
    order = list(range(len(sentences)))
    while any(b == a + 1 for a, b in pairwise(order)) and random.random() < 0.98:
        random.shuffle(order)
    return ("" if is_chinese(text) else " ").join(sentences[i].strip() for i in order)


def _repeated(text: str, random: Random) -> str:
    sentences = [s for s in _SENTENCE.split(text) if s.strip()]
    chosen = random.sample(sentences, min(2, len(sentences)))
    joint = "" if is_chinese(text) else " "
    times = max(2, len(text) // max(1, sum(map(len, chosen))) + 1)
    return joint.join(sentence.strip() for _ in range(times) for sentence in chosen)


def _without_formulas(text: str, random: Random) -> str:
    return "".join("" if protected and "$" in piece else piece for piece, protected in outside(text))


def _wrong_decoding(text: str, random: Random) -> str:
    if is_chinese(text):
        return text.encode().decode("gb18030" if random.random() < 0.5 else "latin-1", "replace")
    return text.replace("'", "’").replace("-", "–").replace('"', "”").encode().decode("cp1252", "replace")


def _page_debris(text: str, random: Random) -> str:
    """Break lines at random places and put page furniture between them."""
    furniture = _FURNITURE_ZH if is_chinese(text) else _FURNITURE_EN
    width = 26 if is_chinese(text) else 58
    lines = []
    for start in range(0, len(text), width):
        lines.append(text[start : start + width].replace("\n", " "))
        if random.random() < 0.5:
            lines.append("\n" + random.choice(furniture) + "\n")
    return "\n".join(lines)


KINDS: dict[str, Callable[[str, Random], str]] = {
    "misread words": _misread(0.04),
    "misread text": _misread(0.15),
    "shuffled words": _shuffled_words,
    "shuffled sentences": _shuffled_sentences,
    "repetition": _repeated,
    "formulas removed": _without_formulas,
    "wrong decoding": _wrong_decoding,
    "page debris": _page_debris,
}
