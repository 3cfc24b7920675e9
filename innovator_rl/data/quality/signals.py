"""Measure what damage, disorder and emptiness leave behind in a passage, as rates of which larger is worse.

    signals = measure(text)
    levels = grade(signals, load_rubric().signals)

The rates serve twice: with the bounds of the rubric they are the annotator where no language model is at hand, and they are
features of the classifier. Vocabulary comes from the package wordfreq, never from the training passages: a share of known
words counted against these is perfect on them and low on everything else. Formulas, tables and code are set aside
before words are counted, so that they cost nothing.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from innovator_rl.data.corpus.optional import require
from innovator_rl.data.documents.irrelevant import line_reason
from innovator_rl.data.documents.latex import defects, tokens
from innovator_rl.data.documents.spans import protected_spans
from innovator_rl.data.documents.vocabulary import is_word
from innovator_rl.data.quality.grading import DIMENSIONS, Levels

LONGEST = 20_000
"""Characters that are measured; a longer text is measured by its beginning."""

FORMULA = "\ue000"
"""Stands for a formula in the text that is measured."""

Bounds = Mapping[str, Mapping[str, tuple[float, float]]]
"""Dimension -> signal -> the values from which the level is 1 and 0."""

_HAN = re.compile("[\u3400-\u9fff]")
_HAN_RUN = re.compile("[\u3400-\u9fff]+")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:['’][a-z]+)?|(?<!\d)\d{1,20}[A-Za-z]{2,}[A-Za-z0-9]*")
_SENTENCE = re.compile(r"[^.!?。！？]*(?:[.!?]+(?=\s|\Z|[”\"'）)])|[。！？]+|\Z)", re.S)
_LOST = re.compile(r"[\ufffd\ufffe\x80-\x9f]|Ã[\x80-\xbf ]|â€|Â[°±·\s]|ï¼|锟|鐨|銆|鍙|\(cid:\d+\)")
_HOLE = re.compile(
    r"[A-Za-z,;\u3400-\u9fff][^\S\n]+[,，。、；](?!\d)|[a-z][^\S\n]+\.(?=\s|\Z)|[A-Za-z\u3400-\u9fff,]  +(?=[a-z\u3400-\u9fff])"
)
_FUNCTION = frozenset(
    [
        "the",
        "of",
        "and",
        "to",
        "in",
        "a",
        "is",
        "that",
        "for",
        "it",
        "as",
        "with",
        "are",
        "by",
        "on",
        "be",
        "this",
        "from",
        "at",
        "an",
        "or",
        "which",
        "was",
        "can",
        "if",
        "when",
        "its",
        "has",
        "have",
        "than",
        "into",
    ]
)
_NEVER_AFTER = frozenset(["the", "a", "an", "of", "to", "in", "for", "with", "by", "from", "at", "into"])
_NEVER_FOLLOWS = frozenset(
    [
        "of",
        "and",
        "to",
        "is",
        "for",
        "as",
        "are",
        "by",
        "be",
        "on",
        "or",
        "was",
        "can",
        "if",
        "when",
        "has",
        "have",
        "than",
        "into",
        "with",
        "from",
        "at",
    ]
)
_ALLOWED = frozenset(
    [
        ("to", "be"),
        ("to", "have"),
        ("for", "to"),
        ("in", "to"),
        ("in", "for"),
        ("from", "on"),
        ("in", "from"),
        ("by", "to"),
    ]
)
_OPENERS = re.compile(
    r"(?:He|She|They|His|Her|Their|But|And|So|Therefore|However|Thus|Hence|The reason is|This is why|It follows)\b"
    r"|(?:但是|但|然而|因此|所以|于是|而且|不过|他|她|他们|它)"
)
_LEGAL = re.compile(
    r"\b(?:licen[sc](?:e|es|or|ed)|warrant(?:y|ies)|hereby|herein|copyright|liab(?:le|ility)|terms|agree|agreement|pursuant"
    r"|applicable laws?|royalty-free|infring\w+|disclaim\w*|notwithstanding|redistribut\w+|permission)\b"
    r"|(?:协议|条款|本网站|版权|责任|法律法规|许可|授权|恕不|用户)",
    re.I,
)  # fmt: skip
_SELLING = re.compile(
    r"!{2,}|！{2,}|\b(?:click|order now|buy now|% off|free shipping|best price|guaranteed|add to cart|call (?:us|the best)|newsletter"
    r"|sign up|log ?in|subscribe|search box|home page|moderator|posted by|posts|page not found|donat(?:e|ing))\b"
    r"|(?:点击|抢购|下单|包邮|热线|优惠|首页|登录|注册|客服|发表于|楼主|管理员|公众号|扫描二维码|哪家好)",
    re.I,
)  # fmt: skip
_FILLER = re.compile(r"lorem ipsum|dolor sit amet|consectetur|此处填写|占位|xxx+|TODO|TBD", re.I)
_CHANGE = re.compile(
    r"\s*(?:[-*•]\s*)?(?:fix(?:e[ds])?|add(?:ed|s)?|bump|remove[ds]?|revert|merge|update[ds]?)\b"
    r"|\s*(?:[-*•]\s*)?(?:修正|修复|新增|移除|更新|撤销|合并)\b"
    r"|\s*#*\s*(?:v|版本 ?)?\d+\.\d+\.\d+\s*$|\s*\d{4}-\d\d-\d\d[ T]\d\d:\d\d",
    re.I,
)
_CODE_LINE = re.compile(
    r"\s*(?:import |from \w+ import|def |class |return\b|if .*:$|for .*:$|with .*:$|\w+ = |\w+\(.*\)$|[}\])]+;?$|\.\. |:\w+:)"
)
_FURNITURE = re.compile(
    r"\|\s*Page \d+|^第\d+章|第\s*\d+\s*页$|^(?:Share|Print)\s|^(?:Next|Previous) (?:article|page|chapter)\b"
    r"|^(?:分享到|上一[页篇]|下一[页篇])"
)
_QUESTION = re.compile(r"^\s*\d+[.、].*\bA[.、 ].*\bB[.、 ]")

NAMES = (
    "lost characters", "odd words", "rare characters", "holes", "broken formulas", "inner foreign lines", "outer foreign lines",
    "cut words", "disorder", "broken pairs", "repeated sentences", "repeated runs", "loose lines", "open end", "open start",
    "no sentences", "legal", "selling", "filler", "changes", "code", "questions", "stuffing", "few words", "compression", "links",
)  # fmt: skip
"""The signals in the order of a feature vector."""


def measure(text: str) -> dict[str, float]:
    """Return the signals of a passage, in the order of `NAMES`; an empty one has the worst `few words`.

    Raises:
        UserError: when the package wordfreq is not installed.
    """
    text = text[:LONGEST].strip()
    formulas, prose = _set_aside(text)
    sentences = [s.strip() for s in _SENTENCE.findall(prose) if len(s.strip()) > 1]
    words = _WORD.findall(prose)
    han = _HAN.findall(prose)
    units = len(words) + len(han) / 1.6
    chinese = len(han) > 0.3 * max(1, len(han) + len(words))
    lines = [line.strip() for line in prose.split("\n") if line.strip()]
    per_sentence = max(1.0, len(sentences), units / 30)
    found = {
        "lost characters": len(_LOST.findall(text)) / per_sentence,
        "odd words": sum(_is_odd(word) for word in words) / per_sentence,
        "rare characters": sum(c not in _usual_characters() for c in han) / per_sentence,
        "holes": len(_HOLE.findall(prose)) / per_sentence,
        "broken formulas": sum(bool(defects(tokens(latex))) for latex in formulas) / max(1, len(formulas)),
        **_foreign_lines(lines),
        "cut words": _cut_words(prose, chinese) / per_sentence,
        "disorder": _chinese_disorder(prose) if chinese else _disorder(prose, sentences),
        "broken pairs": _broken_pairs(prose) if chinese else 0.0,
        **_repetition(sentences, words if not chinese else han),
        **_form(lines, sentences, prose, chinese),
        **_purpose(text, prose, lines, words, units, chinese),
    }
    return {name: round(found[name], 4) for name in NAMES}


def grade(signals: Mapping[str, float], bounds: Bounds) -> Levels:
    """Return the levels of a passage: in each dimension the lowest that a signal leaves."""
    return Levels(
        **{
            name: min((2 - (signals[s] >= first) - (signals[s] >= second) for s, (first, second) in bounds[name].items()), default=2)
            for name in DIMENSIONS
        }
    )  # fmt: skip


def _set_aside(text: str) -> tuple[list[str], str]:
    """Return the formulas, and the text with a mark for each formula and without tables and code."""
    formulas, pieces, place = [], [], 0
    for span in protected_spans(text):
        pieces.append(text[place : span.start])
        if span.kind in ("inline", "display"):
            formulas.append(text[span.inner_start : span.inner_end])
            pieces.append(FORMULA)
        place = span.end
    return formulas, "".join([*pieces, text[place:]])


@cache
def _usual_characters() -> frozenset[str]:
    """Return the Chinese characters that make up all but a ten-thousandth of Chinese text."""
    counts: Counter[str] = Counter()
    for word, share in _chinese_words().items():
        for character in word:
            counts[character] += share  # type: ignore[assignment]
    total, reached, usual = sum(counts.values()), 0.0, set()
    for character, share in counts.most_common():
        usual.add(character)
        reached += share
        if reached > 0.9997 * total:
            break
    return frozenset(usual)


@cache
def _chinese_words() -> dict[str, float]:
    return dict(require("wordfreq", "wordfreq", "grading text").get_frequency_dict("zh", wordlist="large"))


@cache
def _pairs() -> frozenset[str]:
    """Return the pairs of characters that stand next to each other inside Chinese words."""
    return frozenset(word[i : i + 2] for word in _chinese_words() for i in range(len(word) - 1))


def _is_odd(word: str) -> bool:
    """Return whether a word is none. Names, abbreviations and units are no damage; a digit or capital inside a word is."""
    if re.search(r"[a-z]\d[a-z]|^\d+[a-z]{3,}|^[A-Za-z]?[a-z]+\d$", word):
        return len(word) > 2
    lower = re.sub(r"['’]\w*$", "", word).lower()
    return word[1:].islower() and len(lower) > 2 and not is_word(lower) and (word[0].islower() or len(lower) > 3)


def _foreign_lines(lines: list[str]) -> dict[str, float]:
    marks = [_is_foreign(line) for line in lines]
    own = [number for number, mark in enumerate(marks) if not mark and len(lines[number]) > 15]
    first, last = (own[0], own[-1]) if own else (len(lines), -1)
    inner = sum(mark for number, mark in enumerate(marks) if first < number < last)
    return {
        "inner foreign lines": inner / max(1, len(lines)),
        "outer foreign lines": (sum(marks) - inner) / max(1, len(lines)),
    }


def _is_foreign(line: str) -> bool:
    return bool(line_reason(line)) or bool(_FURNITURE.search(line))


def _cut_words(prose: str, chinese: bool) -> int:
    """Return how many words the end of a line cuts, without a hyphen or with one."""
    if chinese:
        return len(re.findall(r"[\u3400-\u9fff] [\u3400-\u9fff]", prose)) // 2
    cut = 0
    for before, after in re.findall(r"(?<![A-Za-z])([A-Za-z]+)\n+([a-z]+)", prose):
        cut += (
            not (is_word(before) and is_word(after))
            or (len(before) == 1 and before not in "aAI")
            or (len(after) == 1 and after != "a")
        )
    return cut + len(re.findall(r"[a-z]-\n[a-z]", prose)) // 3


def _disorder(prose: str, sentences: list[str]) -> float:
    """Return the share of neighboring words that English does not put next to each other, and of odd beginnings."""
    lower = [
        word.lower() for word in re.findall(rf"{_WORD.pattern}|[{FORMULA}.,;:!?]", re.sub(r"-\n(?=[a-z])", "", prose))
    ]
    wrong = sum(a in _NEVER_AFTER and b in _NEVER_FOLLOWS and (a, b) not in _ALLOWED for a, b in pairwise(lower))
    starts = sum(bool(re.match(r"[a-z]", sentence)) for sentence in sentences[1:])
    return (wrong + starts) / max(5, len(sentences) + len(lower) / 15)


def _chinese_disorder(prose: str) -> float:
    """Return marks that follow each other or begin a line, per mark."""
    flat = re.sub(r"\s+", " ", prose)
    wrong = len(
        re.findall(r"[，。；：？！、][，。；：？！、]|(?:^|[^”）\w\s\ue000])[，。；：](?=[\u3400-\u9fff])", flat)
    )
    odd = len(re.findall(r"(?:的|在|和|与|把|被|从|对)[，。；]", flat)) + (flat[:1] in "，。；：")
    return (wrong / 2 + odd) / max(3, len(re.findall("[，。；：？！]", flat)))


def _broken_pairs(prose: str) -> float:
    """Return the share of neighboring Chinese characters that no word contains."""
    pairs = [run[i : i + 2] for run in _HAN_RUN.findall(prose) for i in range(len(run) - 1)]
    return sum(pair not in _pairs() for pair in pairs) / max(1, len(pairs))


def _repetition(sentences: list[str], units: list[str]) -> dict[str, float]:
    counts = Counter(re.sub(r"\W+", "", sentence) for sentence in sentences if len(sentence) > 8)
    runs = Counter(zip(units, units[1:], units[2:], units[3:], strict=False))
    return {
        "repeated sentences": 1 - len(counts) / max(1, sum(counts.values())),
        "repeated runs": 1 - len(runs) / max(1, sum(runs.values())),
    }


def _form(lines: list[str], sentences: list[str], prose: str, chinese: bool) -> dict[str, float]:
    whole = re.sub(r"\s+", " ", " ".join(line for line in lines if not _is_foreign(line))).strip()
    enough = 12 if chinese else 30
    characters = sum(map(len, lines))
    loose = sum(len(line) for line in lines if len(line) < enough or not re.search("[a-z\u3400-\u9fff]{2}", line) or line[0] == "["
                or len(re.findall(r"[\d.,%|=<>]", line)) > 0.35 * len(line))  # fmt: skip
    ended = sum(bool(re.search(r"[.!?。！？：:][”\"'）)]*\Z", s)) and len(s) > enough / 2 for s in sentences)
    length = len(_WORD.findall(prose)) / 18 + len(_HAN.findall(prose)) / 30
    return {
        "loose lines": loose / max(1, characters),
        "open end": float(bool(re.search(r"[a-z\u3400-\u9fff]\Z", whole))),
        "open start": float(bool(re.match(r"[a-z]", whole) or _OPENERS.match(whole))),
        "no sentences": max(0.0, 1 - ended / max(1.0, length)),
    }


def _purpose(
    text: str, prose: str, lines: list[str], words: list[str], units: float, chinese: bool
) -> dict[str, float]:
    hundred = max(0.4, units / 100)
    content = [w.lower() for w in words if len(w) > 3 and w.lower() not in _FUNCTION]
    if chinese:
        content = [run[i : i + 2] for run in _HAN_RUN.findall(prose) for i in range(len(run) - 1)]
    common = Counter(content).most_common(2)
    share = sum(count for _, count in common) / max(20, len(content))
    packed = len(zlib.compress(text.encode("utf-8", "replace"))) / max(1, len(text.encode("utf-8", "replace")))
    return {
        "legal": len(_LEGAL.findall(prose)) / hundred,
        "selling": len(_SELLING.findall(prose)) / hundred,
        "filler": len(_FILLER.findall(prose)) / hundred,
        "changes": sum(len(line) < 120 and bool(_CHANGE.match(line)) for line in lines) / max(1, len(lines)),
        "code": sum(bool(_CODE_LINE.match(line)) for line in lines) / max(1, len(lines)),
        "questions": sum(bool(_QUESTION.match(line)) for line in lines) / max(1, len(lines)),
        "stuffing": share,
        "few words": 1 - min(1.0, math.log1p(units) / math.log1p(60)),
        "compression": max(0.0, 0.62 - packed) if len(text) > 300 else 0.0,
        "links": len(re.findall(r"https?://|www\.|\]\(", prose)) / max(1, len(lines)),
    }
