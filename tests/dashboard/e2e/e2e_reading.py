"""A run whose responses are long or have several turns, recorded through the real recorder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir

LINE = "We compare both sides of the equation $a_{} x^2 + b = 0$ and keep the sign of the root in mind. "
LONG = "<think>\n" + "\n\n".join(
    f"**Step {i}: bound the term**\n\n{LINE.format(i) * 9}\n\nWait, the sign in step {i} is wrong." for i in range(65)
)
LONG += "\n</think>\n\n## Result\n\nThe final answer is $\\boxed{42}$."
CALL = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6*7"}}\n</tool_call><|im_end|>\n'
TEMPLATE = f"Let me compute.\n{CALL}<|im_start|>tool\n42<|im_end|>\n<|im_start|>assistant\nIt is 42.<|im_end|>"
TURNS: list[dict[str, Any]] = [
    {"role": "assistant", "content": "I compute the product with the calculator.", "tokens": 9},
    {"role": "assistant", "tool_calls": [{"function": {"name": "calculator", "arguments": {"expression": "6*7"}}}]},
    {"role": "tool", "name": "calculator", "content": "42", "tokens": 3, "seconds": 0.4},
    {"role": "assistant", "content": "$6 \\times 7 = 42$, so the answer is $\\boxed{42}$.", "tokens": 20},
]
SPOKEN = "I compute the product with the calculator. 6*7 is 42, so the answer is \\boxed{42}."


def write_reading_run(path: Path) -> None:
    """Record one group: a response of about 60,000 characters, and two with several turns."""
    run = RunDir(path)
    recorder = Recorder(path, writer="w", attempt=run.open_attempt(total_steps=1))
    texts: list[tuple[str, str, list[dict[str, Any]] | None]] = [
        (LONG, "42", None),
        (TEMPLATE, "42", None),
        (SPOKEN, "42", TURNS),
    ]
    for sample, (text, extracted, turns) in enumerate(texts):
        row = RolloutRow(
            step=1,
            prompt_uid="u",
            sample=sample,
            prompt_id="p",
            domain="math",
            rewarder="math",
            response_tokens=len(text) // 4,
            reward=1.0,
            correct=True,
            outcome="scored",
            reason="correct",
            extracted=extracted,
            prompt="What is six times seven?",
            answer="42",
            response=text,
            turns=turns,
        )
        recorder.rollout(row)
    recorder.close()
    run.finish("finished")
