"""Score a number that a regression asks for: solubility, lipophilicity, a molar mass.

    within `info.tolerance` of the reference      1, `correct`
    else                                          NEAR x (1 - error / error of always answering `info.center`)

`info.center` is the mean (or median) of the property in the data. Whoever always answers it earns 0, and any other
constant earns less than nothing on average, as what is below 0 is kept down to `-NEAR`.

A number that is denied, doubted, or only a limit (`not -2.5`, `-2.5?`, `less than -2.5`) is no answer. The conditions and
the uncertainty behind a number, `(at 25 °C)` or `± 0.1`, are passed over, unless the uncertainty is far above the tolerance.
"""

from __future__ import annotations

import math
import re
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.extraction import final_part, find_answer, hedged
from rewards.molecules.extraction import denied_before
from rewards.true_false import takes_back

NEAR = 0.4
MAX_CHARS = 400
MAX_UNCERTAINTY = 3.0
"""The greatest uncertainty that an answer may state, in tolerances."""
_NUMBER = re.compile(
    r"(?<![\w.])[-+−–]?\d+(?:\.\d+)?(?:\s*(?:[x×*]|\\times|\\cdot)\s*10\s*\^?\s*\{?[-+−]?\d+\}?|[eE][-+]?\d+)?(?![\w.]*\d)"
)
_SPELLED = (
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|boldsymbol)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"[$*`]|\\[,;!~ ]"), " "),
    (re.compile(r"\\pm(?![a-z])|\+\s*/\s*[-−–]|\+[-−–]"), "±"),
    (re.compile(r"\\approx(?![a-z])"), "≈"),
    (re.compile(r"\\(?:leq?|leqslant|lt|ll)(?![a-z])"), "<"),
    (re.compile(r"\\(?:geq?|geqslant|gt|gg)(?![a-z])"), ">"),
    (re.compile(r"\b(?:minus|negative)\s+(?=\d)", re.IGNORECASE), "-"),
    (
        re.compile(
            r"(^|[:=≈~(]|\b(?:is|be|of|about|approximately|roughly|around|equals))\s*[-−–]\s+(?=\d)", re.IGNORECASE
        ),
        r"\1 -",
    ),
    (re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])"), lambda found: found[1].replace(",", "")),
    (re.compile(r"(?<![\d.,])(\d+),(\d{1,2}|\d{4,})(?![\d.,])"), r"\1.\2"),
    (re.compile(r"(?<=\d)\(\d{1,2}\)"), ""),
    (
        re.compile(
            r"\(\s*(?:at|T|pH|temperature|under|measured|estimated|predicted|calculated|in)\b[^()]{0,80}\)",
            re.IGNORECASE,
        ),
        "",
    ),
    (
        re.compile(
            r"\bat\s+(?:(?:pH|T|a\s+temperature\s+of)\s*=?\s*)?\d+(?:\.\d+)?\s*(?:\^?\s*\{?\s*\\circ\s*\}?|°|º)?\s*(?:C|K|bar|atm)?(?![\w.]*\d)",
            re.IGNORECASE,
        ),
        "",
    ),
)
"""Other spellings, and the conditions of a measurement, with what stands for them."""
_UNCERTAIN = re.compile(r"(?<=[\d}])\s*±\s*(\d+(?:\.\d+)?)")
_LIMIT_BEFORE = re.compile(
    r"(?:\b(?:than|below|above|under|over|beyond|up\s+to|down\s+to|at\s+(?:least|most)|exceed(?:s|ing)?|minus|negative|twice|double|half|"
    r"times|opposite|of\s+the\s+order|unlikely|guess|doubt\w*)\b(?:\s+(?:of|about|approximately|to\s+be))?|[<>≤≥≪≫≠|^/]|\\neq?|!=|不是|并非|[-−–]\s*\(|[-−–])\s*$",
    re.IGNORECASE,
)
_LIMIT_BEHIND = re.compile(
    r"[^.;]{0,60}(?:\?|\bor\s+(?:lower|less|more|higher|above|below|so|not)\b|\b(?:too|not\s+sure|unsure|uncertain|wrong|incorrect|wait|guess|"
    r"unlikely|squared|cubed)\b)|\s*[|^/]",
    re.IGNORECASE,
)


class PropertyRegression:
    """Reward a number near the reference, above what the best constant reaches.

    Terms: `error`, `skill` (1 less the error relative to that of the center). Reasons: `correct`, `partial`, `wrong`,
    `no_answer`, `malformed_answer` (no number, or a limit), `ambiguous_answer` (several); `bad_reference` abstains.
    """

    version = "1"

    def __call__(self, response: str, answer: str, info: dict[str, Any] | None = None) -> Score:
        """Score one response."""
        info = info or {}
        gold = number_of(answer)
        try:
            tolerance, center = float(info["tolerance"]), float(info["center"])
        except (KeyError, TypeError, ValueError):
            return abstain("bad_reference")
        if gold is None or not tolerance > 0 or not math.isfinite(center):
            return abstain("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        said = stated_numbers(found.text[:MAX_CHARS], MAX_UNCERTAINTY * tolerance)
        text = final_part(response)
        if found.kind == "phrase" and denied_before(text, text.rfind(found.text)):
            said = set()
        if len(said) != 1 or hedged(found.text[:MAX_CHARS]) or found.taken_back:
            return wrong("ambiguous_answer" if said else "malformed_answer", found.text[:100])
        return score_number(said.pop(), gold, tolerance, center)


def stated_numbers(text: str, most: float) -> set[float]:
    """Return the numbers that an answer commits to, without conditions and uncertainties.

    Args:
        text: The answer.
        most: The greatest uncertainty that is passed over.
    """
    for pattern, plain in _SPELLED:
        text = pattern.sub(plain, text)
    text = _UNCERTAIN.sub(lambda found: "" if float(found[1]) <= most else found[0], text)
    found = [(number_of(one.group()), one) for one in _NUMBER.finditer(text)]
    said = {value for value, one in found if value is not None}
    kept = {value for value, one in found if value is not None and _committed(text[: one.start()], text[one.end() :])}
    return said if len(said) > 1 else kept


def _committed(before: str, after: str) -> bool:
    """Return whether a number between two strings is stated, and not denied, doubted or a limit."""
    clause = re.split(r"[,;:]\s", re.sub(r"[:=]\s*$", " ", before))[-1]
    return not (takes_back(clause, after) or _LIMIT_BEFORE.search(clause) or _LIMIT_BEHIND.match(after))


def score_number(said: float, gold: float, tolerance: float, center: float) -> Score:
    """Score a number against the reference."""
    error = abs(said - gold)
    if error <= tolerance * (1 + 1e-9):
        return right(f"{said:g}", error=error, skill=1.0)
    skill = 1 - error / max(abs(gold - center), tolerance)
    value = NEAR * max(-1.0, skill)
    return Score(value, False, "partial" if value > 0 else "wrong", f"{said:g}", {"error": error, "skill": skill})


def number_of(text: str) -> float | None:
    """Return the number that a text writes, None where it is none or not finite."""
    plain = re.sub(r"\s*(?:[x×*]|\\times|\\cdot)\s*10\s*\^?\s*\{?([-+−]?\d+)\}?", r"e\1", text.strip())
    try:
        value = float(plain.replace("−", "-").replace("–", "-"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
