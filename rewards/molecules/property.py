"""Grade molecular property questions answered True or False.

They ask for toxicity, reactivity, the blood-brain barrier or BACE1. A coin is right half the time, so only a response
that commits to one side earns any; `rewards.true_false` defines what a commitment is.

`innovator data build` keeps as many True as False rows. Where other data are used as they are, a constant answer earns
their base rate (0.94 in ClinTox); `info.base_rate`, the share of True among the rows, takes it off: whoever is right
earns 1 - the share of the side taken, whoever is wrong loses that share, and a constant earns 0 on average.
"""

from __future__ import annotations

import re
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.extraction import Found, all_boxed, final_part, find_answer
from rewards.molecules.extraction import denied_before
from rewards.true_false import alone, parse_true_false

MAX_ANSWER_CHARS = 2_000
_WITH_REASON = re.compile(r"\W*(true|false|yes|no)\W{1,4}(?:because|since|as|for)\b", re.IGNORECASE)
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


class PropertyChoice:
    """Reward the right truth value. The reference is True or False, 1 or 0, Yes or No.

    Value 1 and `correct`, or 0; with `info.base_rate` as above.
    Reasons: `correct`, `wrong`, `no_answer`, `malformed_answer` (neither side stated),
    `ambiguous_answer` (both sides, or undecided), `too_long`; `bad_reference` abstains.
    """

    version = "4"

    def __call__(self, response: str, answer: str, info: dict[str, Any] | None = None) -> Score:
        """Score one response."""
        gold = alone(answer)
        share = (info or {}).get("base_rate")
        if gold is None or not (share is None or (isinstance(share, int | float) and 0 < share < 1)):
            return abstain("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if len(found.text) > MAX_ANSWER_CHARS:
            if not (reasoned := _WITH_REASON.match(found.text)):
                return wrong("too_long", found.text[:100])
            found = Found(reasoned.group(1), found.kind)
        sides = {parse_true_false(text) for text in _statements(found, response)}
        side = sides.pop() if len(sides) == 1 else "both"
        if isinstance(side, str):
            reason = "malformed_answer" if side == "neither" else "ambiguous_answer"
            return wrong(reason, found.text[:200])
        if share is None:
            return right(str(side)) if side == gold else wrong(extracted=str(side))
        frequent = float(share) if side else 1 - float(share)
        if side == gold:
            return Score(1 - frequent, True, "correct", str(side))
        return Score(-frequent, False, "wrong", str(side))


def _statements(found: Found, response: str) -> list[str]:
    """Return the statements in the answer's place, every marked one or the one found.

    A bare truth value on another line than the last is one as well.
    """
    text = final_part(response)
    if found.kind == "boxed":
        return [*all_boxed(text)[-8:], found.text]
    if found.kind == "tag":
        return [*_TAG.findall(text[-2 * MAX_ANSWER_CHARS :]), found.text]
    if found.kind == "phrase" and denied_before(text, text.rfind(found.text)):
        return [f"{found.text}?"]
    if found.taken_back:
        return [f"{found.text}?"]  # a question, or an answer that is taken back, is no commitment
    alone_lines = [line for line in text[-2 * MAX_ANSWER_CHARS :].splitlines() if alone(line) is not None]
    if alone_lines and parse_true_false(found.text) == "neither":
        return alone_lines
    return [*alone_lines, found.text]
