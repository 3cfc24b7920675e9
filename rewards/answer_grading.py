"""Grade one found answer against one reference.

Physics, mathematics and the numeric answers of the `stem` domain share this. An answer that is not accepted gets the
reason why.
"""

from __future__ import annotations

import re
from functools import lru_cache

from innovator_rl.scoring import Score, right, wrong
from rewards.degenerate_answers import degenerate_reason
from rewards.equivalence.compare import is_equivalent
from rewards.equivalence.containers import items
from rewards.equivalence.equations import is_label
from rewards.equivalence.evaluation import own_budget
from rewards.equivalence.intervals import has_relation
from rewards.equivalence.normalize import bare_of_parentheses, split_top, tidy
from rewards.equivalence.numbers import spelled_number
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.equivalence.quantities import quantity
from rewards.equivalence.sets import real_set
from rewards.extraction import Found, candidates, hedged, unmarked
from rewards.true_false import takes_back

MAX_ANSWER_CHARS, MAX_PROMPT_CHARS, MAX_FORMS = 2_000, 20_000, 4
_EMPTY_TEXT = re.compile(r"\\text\{[\s,]*\}")
_OR_IN_TEXT = re.compile(r"\\text\{([^{}]*?)(?<![A-Za-z])or(?![A-Za-z])([^{}]*)\}")
_OR = re.compile(r"\\(?:text|mathrm)\s*\{\s*(?:,\s*)?or\s*\}|(?<![A-Za-z\\])or(?![A-Za-z])|\\lor(?![a-z])")
_SHOWN = 200
_COMMA_NUMBER = re.compile(r"-?\d+,(?!\d{3}$)\d+")
_DECIMAL_COMMAS = re.compile(
    r"(?<![\d.,(\[{])\d+,(?!\d{3}(?!\d))\d+\s*(?:\\[,; ]|~)?\s*(?:\\(?:text|mathrm)\s*\{\s*)?"
    r"(?:[kcmdμµ]?[mgJNWVL]|k?Pa|Hz|s|min|h|°|€|\\?%|\^\s*\{?\\circ)(?![A-Za-z])|(?<![\d.,(\[{])\d+,0\d+(?![\d,])"
)
_ASIDE = re.compile(r"[(\[]\s*(?:\\(?:text|mathrm)\s*\{\s*)?or\b\s*\}?\s*([^()\[\]]*)[)\]]")
_OPTION = re.compile(r"\$?\(([a-hA-H])\)\.?\$?")
_TEX_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")
_NOT_ANOTHER = re.compile(r"(?<=[\w$}]),?\s+(?:[—–(]\s*)?(?:and\s+)?not\s+\$?[-+]?\d[\d.,/]*\$?\W*$")
_PERCENT = re.compile(r"([^%]*?)\s*(?:\\?%|(?:\\(?:text|mathrm)\s*\{\s*)?\bper\s?cent\b)[^%]*")
_PERCENT_ASKED = re.compile(r"\b(?:in|what|as\s+an?)\s+(?:\w+\s+)?percent(?:age)?\b|百分", re.IGNORECASE)
_ALIAS = re.compile(r"(.+?)\s*(?:\\text\s*\{\s*)?\(\s*([a-z][a-z -]{1,60})\)\s*\}?", re.DOTALL)
_LABELS = re.compile(r"(?<![A-Za-z\\])\(?([a-hA-H])\)(?![A-Za-z])|^\W*([a-hA-H])\W*$")


_RECKONED = re.compile(r"^\s*[-+\d]|[-+*]\s*\d+\s*$")


def several(answer: str) -> bool:
    """Return whether a reference has several values.

    So that "2 or -2" is a list and no hedge.
    """
    text = tidy(answer)
    return "\\pm" in text or len(items(text).parts) > 1 or "\\cup" in text or "\\neq" in text


def _is_region(text: str) -> bool:
    """Return whether an answer is one set of numbers, where "or" joins its pieces: `x < 0 or x > 1`."""
    text = tidy(text)
    return has_relation(text) and real_set(text) is not None


def _option(label: str, text: str) -> Score:
    """Grade an answer against the label of an option, `(b)`."""
    plain = re.sub(r"\\(?:text|mathrm|textbf|mathbf)|[{}$*]", "", text)
    places = list(_LABELS.finditer(plain))
    labels = {place.group(place.lastindex or 1) for place in places}
    if len(labels) != 1 or _RECKONED.search(plain) or takes_back(plain[: places[0].start()], plain[places[0].end() :]):
        return wrong("ambiguous_answer" if len(labels) > 1 else "malformed_answer", text[:_SHOWN])
    return right(label) if labels.pop().casefold() == label.casefold() else wrong(extracted=text[:_SHOWN])


def compare(answer: str, found: Found, config: EquivalenceConfig, prompt: str = "") -> Score:
    """Grade a found answer against a reference.

    `prompt` is what an answer may not merely repeat.
    """
    if found.taken_back:
        return wrong("ambiguous_answer", found.text[:_SHOWN])
    found = Found(bare_of_parentheses(found.text), found.kind)
    if _COMMA_NUMBER.fullmatch(answer.strip()) and _DECIMAL_COMMAS.search(prompt[-MAX_PROMPT_CHARS:]):
        answer = answer.replace(",", ".")
    if len(found.text) > MAX_ANSWER_CHARS:
        return wrong("too_long", found.text[:100])
    if (alias := _ALIAS.fullmatch(found.text)) and (number := spelled_number(alias[2].strip())) is not None:
        if not is_equivalent(answer, str(number), config):
            return wrong(extracted=found.text[:_SHOWN])
        found = Found(alias[1], found.kind)
    if found.kind != "boxed":
        found = Found(_NOT_ANOTHER.sub("", found.text), found.kind)
    if label := _OPTION.fullmatch(_TEX_TEXT.sub(r"\1", answer.strip())):
        return _option(label.group(1), found.text)
    if not _PERCENT_ASKED.search(prompt[-MAX_PROMPT_CHARS:]) and any(
        _percent_of_itself(answer, part, config) for part in alternatives(found.text)
    ):
        return wrong("wrong", found.text[:_SHOWN])
    if (hedged(tidy(found.text)) or _takes_another(answer, found.text, config)) and not (
        hedged(answer) or several(answer) or _is_region(found.text) or _lists_solutions(answer, found.text, config)
    ):
        if not _agrees_throughout(answer, found, config):
            return wrong("ambiguous_answer", found.text[:_SHOWN])
        found = Found(alternatives(found.text)[0], found.kind)
    reason = "wrong"
    for text in candidates(found):
        if is_equivalent(answer, text, config):
            shortcut = degenerate_reason(text, answer, prompt)
            if shortcut is None:
                return right(text[:_SHOWN])
            reason = shortcut
    return wrong(reason, found.text[:_SHOWN])


def _percent_of_itself(answer: str, text: str, config: EquivalenceConfig) -> bool:
    """Return whether an answer is the reference, a number below 1, with a percent sign behind it: 0.25% for 1/4."""
    percent = _PERCENT.fullmatch(unmarked(text))
    share = quantity(tidy(answer)) if percent else None
    below_one = share is not None and share.unit is None and 0 < abs(share.value) < 1
    return bool(percent and below_one and is_equivalent(answer, percent[1], config))


def alternatives(text: str) -> list[str]:
    r"""Return what an answer joins by "or", also inside a text: `5\text{ m or }500\text{ cm}`."""
    text = _OR_IN_TEXT.sub(r"\\text{\1} or \\text{\2}", text)
    return [_EMPTY_TEXT.sub("", part).strip(" ,") for part in _OR.split(text)]


def _agrees_throughout(answer: str, found: Found, config: EquivalenceConfig) -> bool:
    r"""Return whether an answer offers one value in several forms: `\frac{3}{4}` or 0.75."""
    parts = alternatives(found.text)
    names = {
        sides[0] for sides in (split_top(tidy(part), "=") for part in parts) if len(sides) > 1 and is_label(sides[0])
    }
    if len(names) > 1:
        return False
    if not 1 < len(parts) <= MAX_FORMS or not all(parts) or any(map(hedged, parts)):
        return False
    return all(
        any(is_equivalent(answer, text, config) for text in candidates(Found(part, found.kind))) for part in parts
    )


def _lists_solutions(answer: str, text: str, config: EquivalenceConfig) -> bool:
    """Return whether the reference is an equation to be solved, and an answer such as `x = 2 or x = 3` solves it."""
    sides = split_top(tidy(answer), "=")
    if len(sides) != 2 or not all(sides) or is_label(sides[0]) or any(map(hedged, alternatives(text))):
        return False
    return is_equivalent(answer, text, config)


@lru_cache(maxsize=4096)
def usable(answer: str, config: EquivalenceConfig) -> bool:
    """Return whether a reference can be met: its brackets close, and it is right against itself.

    Args:
        answer: The reference.
        config: The config of the comparison.
    """
    if "\\" in answer and not _closed(answer):
        return False
    with own_budget():  # the result is cached, so it must not depend on what else was compared
        return compare(answer, Found(answer, "boxed"), config).correct


def _closed(text: str) -> bool:
    """Return whether braces close in order, and as many other brackets close as open (`[0, 1)` is an interval)."""
    depth = others = 0
    for char in re.sub(r"\\[{}]", "", text):
        depth += (char == "{") - (char == "}")
        others += (char in "([") - (char in ")]")
        if depth < 0:
            return False
    return depth == 0 and others == 0


def _takes_another(answer: str, text: str, config: EquivalenceConfig) -> bool:
    """Return whether an aside behind an answer offers another.

    `84 (or 85)`, but not `2 m (or 200 cm)`.
    """
    return any(not is_equivalent(answer, aside, config) for aside in _ASIDE.findall(text))
