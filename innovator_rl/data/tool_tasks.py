"""Generate tasks whose prompts show a small model how to call a tool, so that it calls one often enough to learn from it.

Asked alone, a model of 135 M parameters never writes a tool call, and a reward that is never earned teaches nothing. These
prompts begin with solved questions as turns: the call, its result, the answer. SmolLM2-135M then writes a right first call
in about one response of three (`temperature` 1), and reinforcement learning has something to strengthen.
"""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from innovator_rl.data.problem import Problem
from innovator_rl.data.small_tasks import whole_number

SHOWN = ((23, 14), (57, 31))
"""The products that the prompt shows solved; no question asks them."""


def calculator_product(draw: random.Random, parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield products of two numbers above 11 after two that were computed by calling the tool `calculator`.

    Parameter: `largest`, the greatest number (default 99). A model this small does not know such products.
    """
    largest = whole_number("calculator-product", parameters, "largest", 99, 20)
    cases = [(a, b) for a in range(12, largest + 1) for b in range(12, largest + 1) if {a, b} not in map(set, SHOWN)]
    draw.shuffle(cases)
    shown = tuple(message for a, b in SHOWN for message in _solved(a, b))
    for a, b in cases:
        question = _question(a, b)
        yield Problem(
            f"{a}x{b}",
            question,
            str(a * b),
            group=f"{min(a, b)} {max(a, b)}",
            messages=(*shown, {"role": "user", "content": question}),
        )


def _question(a: int, b: int) -> str:
    return f"What is {a} x {b}? Answer with a number."


def _solved(a: int, b: int) -> tuple[dict[str, str], ...]:
    """Return a question, the call in the form `hermes`, its result and the answer."""
    call = json.dumps({"name": "calculator", "arguments": {"expression": f"{a} * {b}"}})
    return (
        {"role": "user", "content": _question(a, b)},
        {"role": "assistant", "content": f"<tool_call>\n{call}\n</tool_call>"},
        {"role": "tool", "content": str(a * b)},
        {"role": "assistant", "content": f"Answer: {a * b}"},
    )


TOOL_TASKS = {"calculator-product": calculator_product}
