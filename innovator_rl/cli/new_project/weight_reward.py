"""Reward a response whose last number is the number of the reference.

Change `same_number` and the cases in golden.jsonl, and check them together:

    innovator reward check weight_reward.py:same_number --golden golden.jsonl --watch
"""

import re

from innovator_rl.scoring import Score, abstain, right, wrong

MAX_TAIL = 500  # characters; the answer stands at the end, and nothing before it is read
DENIED = re.compile(r"\b(?:not|never|isn't|wrong)\b", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d{1,15}(?:\.\d{1,15})?(?![\w.]*\d)")


def same_number(response: str, answer: str) -> Score:
    """Compare the last number of the response with the answer."""
    try:
        expected = float(answer)
    except ValueError:
        return abstain("bad_reference")
    final = response.rpartition("</think>")[2][-MAX_TAIL:]
    found = NUMBER.findall(final)
    if not found:
        return wrong("no_answer")
    if len(set(found)) > 1 or DENIED.search(final):
        return wrong("ambiguous_answer")
    return right(found[-1]) if float(found[-1]) == expected else wrong(extracted=found[-1])
