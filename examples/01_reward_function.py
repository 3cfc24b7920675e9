"""Example 1: a reward function.

What: a function that scores a pH value with a tolerance, checked and used from Python.
Why:  a reward function takes what it needs by name and returns a `Score`; it runs in processes that can be killed.
Run:  python examples/01_reward_function.py
      innovator reward check examples/01_reward_function.py:ph_value --golden examples/01_reward_function.golden.jsonl

Expected output of the first command:

    scored   correct          1.0  The pH is 2.87.
    scored   wrong            0.0  The pH is 4.74.
    scored   no_answer        0.0  It is acidic.
"""

import re

import innovator_rl as ir
from innovator_rl.scoring import Score, abstain, right, wrong

TOLERANCE = 0.02  # pH units; the second decimal depends on rounded constants
ANSWER = re.compile(r"^The pH is (-?\d{1,2}(?:\.\d{1,4})?)\.?$", re.MULTILINE)


def ph_value(response: str, answer: str) -> Score:
    """Compare the pH in the line `The pH is ...` with the answer."""
    try:
        expected = float(answer)
    except ValueError:
        return abstain("bad_reference")  # the row cannot be scored, whatever the response is
    found = ANSWER.findall(response.rpartition("</think>")[2][-500:])
    if not found:
        return wrong("no_answer")
    if len(found) > 1:
        return wrong("ambiguous_answer")
    return right(found[0]) if abs(float(found[0]) - expected) <= TOLERANCE else wrong(extracted=found[0])


def main() -> None:
    """Score three responses to one question."""
    question = "What is the pH of 0.1 mol/L acetic acid (pKa 4.74)?"
    responses = ["The pH is 2.87.", "The pH is 4.74.", "It is acidic."]
    rows = [{"prompt": question, "response": response, "answer": "2.87"} for response in responses]
    for row, score in zip(rows, ir.score(rows, reward=ph_value), strict=True):
        print(f"{score.outcome:8} {score.reason:16} {score.value:.1f}  {row['response']}")


if __name__ == "__main__":  # worker processes import this file
    main()
