"""Molecular property questions answered True or False: toxicity, reactivity, blood-brain barrier, BACE1.

Half the marks are there for a coin, so a response that states both or neither gets none.
"""

from __future__ import annotations

from innovator_rl.scoring import Score, wrong
from rewards.choice import judge_truth
from rewards.extraction import find_answer

_GOLD = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False, "no": False}
MAX_ANSWER_CHARS = 2_000


class PropertyChoice:
    """Rewards the right truth value. The reference is True or False, 1 or 0, Yes or No."""

    def __call__(self, response: str, answer: str) -> Score:
        gold = _GOLD.get(answer.strip().lower())
        if gold is None:
            return wrong("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if len(found.text) > MAX_ANSWER_CHARS:
            return wrong("too_long", found.text[:100])
        return judge_truth(found, gold)
