"""Score how a response is written, apart from whether it is right.

Its think/answer structure, repetition, language and length are named terms between 0 and 1; `correct` means that all
of them pass, so that `style >> physics` makes them a gate and `physics + 0.1 * style` a bonus.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass

from innovator_rl.scoring import Score

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "ARABIC",
    "HEBREW",
    "THAI",
    "DEVANAGARI",
)
WINDOW_CHARS = 20_000
PASS = 0.5


def structure(response: str) -> float:
    """Score the think/answer structure.

    Returns:
        1 for one `<think>...</think>` that opens the response and an answer behind it; 0.5 for an answer without any
        thinking; 0 for tags that repeat, cross or never close, and for nothing behind the thinking.
    """
    counts = [response.count(tag) for tag in _TAGS]
    if counts == [0, 0, 0, 0]:
        return 0.5 if response.strip() else 0.0
    if counts[:2] != [1, 1] or counts[2] != counts[3] or counts[2] > 1:
        return 0.0
    opening, closing = response.index("<think>"), response.index("</think>")
    if response[:opening].strip() or closing < opening or not response[closing + len("</think>") :].strip():
        return 0.0
    if counts[2] and not closing < response.index("<answer>") < response.index("</answer>"):
        return 0.0
    return 1.0


def repetition(response: str, size: int = 20) -> float:
    """Score the absence of repetition.

    Returns:
        1 where no run of `size` words returns, falling with the share of the last words that stand in a returning run,
        and with how far the text compresses beyond what prose does (a loop without spaces has no words to count).
    """
    text = response[-WINDOW_CHARS:]
    words = text.split()
    runs = Counter(tuple(words[k : k + size]) for k in range(len(words) - size + 1))
    repeated = sum(count for count in runs.values() if count > 1)
    share = repeated / max(1, sum(runs.values()))
    coded = text.encode("utf-8", "replace")
    ratio = len(zlib.compress(coded)) / max(1, len(coded))
    packed = min(1.0, ratio / 0.12) if len(coded) >= 1_000 else 1.0
    return max(0.0, min(1.0 - share, packed))


def language(response: str, prompt: str) -> float:
    """Return the share of letters written in a script that the prompt uses too.

    It is 1 for a response without letters. Greek always counts as formulas.
    """
    allowed = {_script(char) for char in prompt[-WINDOW_CHARS:] if char.isalpha()} | {"LATIN", "GREEK"}
    letters = [char for char in response[-WINDOW_CHARS:] if char.isalpha()]
    return sum(_script(char) in allowed for char in letters) / len(letters) if letters else 1.0


def _script(char: str) -> str:
    if char.isascii():
        return "LATIN"
    name = unicodedata.name(char, "")
    return next(
        (script for script in _SCRIPTS if name.startswith(script)), "MATHEMATICAL" if "MATH" in name else "OTHER"
    )


def length(response: str, longest: int, slack: int) -> float:
    """Return 1 up to `longest` characters, falling to 0 over the next `slack`."""
    return max(0.0, min(1.0, 1.0 - (len(response) - longest) / slack))


@dataclass(frozen=True)
class Style:
    """The terms that are switched on, each 0..1; the value is the least of them.

    Lengths are characters, not tokens: a reward function has no tokenizer.

    Attributes:
        use_structure: Whether the think/answer structure counts.
        use_repetition: Whether repetition counts.
        use_language: Whether the language counts, which should be the prompt's.
        use_length: Whether the length counts.
        longest: The most characters of a response that loses nothing.
        slack: The characters beyond that within which the term for the length falls to 0.
    """

    use_structure: bool = True
    use_repetition: bool = True
    use_language: bool = True
    use_length: bool = True
    longest: int = 60_000
    slack: int = 20_000

    def __call__(self, response: str, prompt: str = "") -> Score:
        """Score one response."""
        terms: dict[str, float] = {}
        if self.use_structure:
            terms["structure"] = structure(response)
        if self.use_repetition:
            terms["repetition"] = repetition(response)
        if self.use_language:
            terms["language"] = language(response, prompt)
        if self.use_length:
            terms["length"] = length(response, self.longest, self.slack)
        value = min(terms.values(), default=1.0)
        worst = min(terms, key=lambda name: terms[name], default="")
        passed = bool(response.strip()) and value >= PASS and not re.fullmatch(r"\W*", response)
        return Score(
            value if passed else 0.0, passed, "correct" if passed else f"bad_{worst}" if worst else "wrong", None, terms
        )
