"""Score a number that a regression asks for: solubility, lipophilicity, a molar mass.

    within `info.tolerance` of the reference      1, `correct`
    else                                          NEAR x (1 - error / error of always answering `info.center`)

`info.center` is the mean (or median) of the property in the data. Whoever always answers it earns 0, and any other
constant earns less than nothing on average, as what is below 0 is kept down to `-NEAR`.
"""

from __future__ import annotations

import math
import re
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.extraction import find_answer, hedged

NEAR = 0.4
MAX_CHARS = 400
_NUMBER = re.compile(
    r"(?<![\w.])[-+−–]?\d+(?:\.\d+)?(?:\s*(?:[x×*]|\\times|\\cdot)\s*10\s*\^?\s*\{?[-+−]?\d+\}?|[eE][-+]?\d+)?(?![\w.]*\d)"
)


class PropertyRegression:
    """Reward a number near the reference, above what the best constant reaches.

    Terms: `error`, `skill` (1 less the error relative to that of the center). Reasons: `correct`, `partial`, `wrong`,
    `no_answer`, `malformed_answer` (no number), `ambiguous_answer` (several); `bad_reference` abstains.
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
        text = found.text[:MAX_CHARS]
        said = {one for one in map(number_of, _NUMBER.findall(text)) if one is not None}
        if len(said) != 1 or hedged(text):
            return wrong("ambiguous_answer" if said else "malformed_answer", text[:100])
        return score_number(said.pop(), gold, tolerance, center)


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
