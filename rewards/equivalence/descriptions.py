r"""Compare the words behind a number or its unit: what is counted, where it points, what it is made of.

A description that only one side has is let through, since a question names what it asks for. Two descriptions agree
if one has the words of the other, in their order, and if both point the same way. Words that change the number itself
(`pairs`, `tenths`, digits) must stand on both sides.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.equivalence.notation import listed
from rewards.equivalence.numbers import DENOMINATORS, NUMBER_WORDS

_NO_COUNTED = set(
    listed(
        "not no never is isn't are was be wrong incorrect false untrue right correct only almost nearly about roughly "
        "squared square cubed cube root power percent percentage half halves third thirds quarter quarters fifth double "
        "triple twice times minus plus less more least most fewer than below above under over or and but if when unless "
        "except divided multiplied multiple factorial hundred hundreds thousand thousands million millions billion "
        "billions trillion trillions dozen dozens score gross negative positive maybe perhaps instead approximately "
        "base mod modulo choose something too ish"
    )
)
_NO_REMARK = _NO_COUNTED - set(listed("below above under over positive right"))
_UNNAMED_UNITS = re.compile(r"(?:square|sq\.?|cubic|cu\.?)\s+units?")
_WORDED = re.compile(r"\s*(?:[^\W\d_][\w .,'’-]*)?\s*")
_RIGHT = re.compile(r"(?<!the )\bright\b")
_ZERO = re.compile(r"\b(?:zero|freezing|nothing)\b")
_MULTIPLIES = re.compile(
    r"\b(?:\d[\d.]*|k|kilo|mega|giga|tera|milli|micro|nano|pico|lakhs?|crores?|tens|pairs?|couples?|trios?|fold|"
    + "|".join(f"{name}s" for name in DENOMINATORS)
    + "|"
    + "|".join(word for word in NUMBER_WORDS if word != "one")
    + r")\b|\b(?:"
    + "|".join(DENOMINATORS)
    + r")$|(?<=\w)fold\b"
)
_AXES = {
    "compass": {"north": "n", "south": "s", "east": "e", "west": "w"},
    "height": dict.fromkeys(listed("up above over upward"), "+")
    | dict.fromkeys(listed("down below under downward"), "-"),
    "side": {"left": "-", "right": "+"},
    "inside": dict.fromkeys(listed("into inward inside"), "-") | dict.fromkeys(listed("out outward outside"), "+"),
    "face": dict.fromkeys(listed("front ahead forward"), "+") | dict.fromkeys(listed("behind back backward"), "-"),
    "turn": {"clockwise": "-", "counterclockwise": "+"},
    "time": dict.fromkeys(listed("later after hence"), "+") | dict.fromkeys(listed("ago before earlier"), "-"),
    "image": {"real": "+", "virtual": "-"},
    "posture": dict.fromkeys(listed("upright erect"), "+") | {"inverted": "-"},
    "distance": dict.fromkeys(listed("away"), "+") | {"toward": "-"},
    "flow": dict.fromkeys(listed("absorbed gained received"), "+")
    | dict.fromkeys(listed("released emitted lost given evolved"), "-"),
    "force": dict.fromkeys(listed("attractive tension tensile"), "+")
    | dict.fromkeys(listed("repulsive compression compressive"), "-"),
    "stream": {"upstream": "-", "downstream": "+"},
    "change": dict.fromkeys(listed("increase gain rise"), "+") | dict.fromkeys(listed("decrease loss drop"), "-"),
    "sign": {"positive": "+", "negative": "-"},
}
_POINTING = {word: (axis, value) for axis, words in _AXES.items() for word, value in words.items()}
"""Words that point one of two (or four) ways: the axis, and the way."""

_PHRASES = (
    (re.compile(r"\bsq\.?\s+(?=units?\b)"), "square "),
    (re.compile(r"\bcu\.?\s+(?=units?\b)"), "cubic "),
    (re.compile(r"\b(?:counter|anti)[\s-]+(?=clockwise)|\banti(?=clockwise)"), "counter"),
    (re.compile(r"\bc\.?c\.?w\b"), "counterclockwise"),
    (re.compile(r"\bc\.?w\b"), "clockwise"),
    (re.compile(r"\bfrom\s+now\b"), "later"),
    (re.compile(r"(?<=[a-z])wards\b"), "ward"),
    (re.compile(r"\ba\b(?=\s*(?:$|[,.]|(?:to|and|from)\b))"), "point_a"),
    (re.compile(r"\b(north|south|east|west|left|right)(?:ward|er(?:ly|n))\b"), r"\1"),
    (re.compile(r"\b(north|south)(?=east|west)"), r"\1 "),
)
_COMPASS_LETTERS = {"n": "north", "s": "south", "e": "east", "w": "west"}
_SHORT_COMPASS = re.compile(r"^(?:due\s+)?[nsew](?:\s+of\s+[nsew])?$")
_FILLERS = set(
    listed("a an the of to in on at by with is are was were from per each every due it its directed pointing")
)
_IRREGULAR = {"men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot", "mice": "mouse"}


def is_statement(label: str) -> bool:
    """Return whether the words behind a number say more than what is counted: `42 is wrong`, `42 squared`."""
    if _UNNAMED_UNITS.fullmatch(label):
        return False
    return any(word in _NO_COUNTED for word in re.findall(r"[a-z']+", label)) or not _WORDED.fullmatch(label)


def is_remark(words: str) -> bool:
    """Return whether the words behind a unit describe a quantity, and neither deny nor change it.

    Args:
        words: Words in lower case.
    """
    changed = any(word in _NO_REMARK for word in re.findall(r"[a-z']+", words)) or _RIGHT.search(words)
    return not changed and not _ZERO.search(words) and _WORDED.fullmatch(words) is not None


@lru_cache(maxsize=1024)
def same_description(first: str, second: str) -> bool:
    """Return whether two descriptions may stand behind one number.

    Args:
        first: Words in lower case, empty where there are none.
        second: The other ones.
    """
    if first == second:
        return True
    if _MULTIPLIES.findall(first) != _MULTIPLIES.findall(second):
        return False
    words = _content(first), _content(second)
    if not words[0] or not words[1]:
        return True
    ways = directions(first), directions(second)
    if any(ways[0][axis] != ways[1][axis] for axis in ways[0].keys() & ways[1].keys()):
        return False
    short, long = sorted(words, key=len)
    rest = iter(long)
    return all(word in rest for word in short)


@lru_cache(maxsize=1024)
def directions(text: str) -> dict[str, str]:
    """Return the ways that a text points, by axis: `south of west` is `{"compass": "sw"}`."""
    found: dict[str, str] = {}
    for word in _spelled(text):
        axis, way = _POINTING.get(word, ("", ""))
        if axis:
            found[axis] = found.get(axis, "") + way
    return found


def _spelled(text: str) -> list[str]:
    text = text.casefold().replace("’", "'")
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    words = re.findall(r"[a-z_']+|\d+(?:\.\d+)?|[\u4e00-\u9fff]+", text)
    short = _SHORT_COMPASS.fullmatch(text.strip(" .,"))
    return [_COMPASS_LETTERS.get(word, word) if short else word for word in words]


def _content(text: str) -> list[str]:
    """Return the words that tell, without endings; of words that point one way, the way."""
    words = [word for word in _spelled(text) if word not in _FILLERS]
    return ["".join(_POINTING[word]) if word in _POINTING else _stem(word) for word in words]


def _stem(word: str) -> str:
    word = _IRREGULAR.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        return word.removesuffix("ies") + "y"
    for ending in ("es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            return word.removesuffix("s").rstrip("se")
    return word.rstrip("se")
