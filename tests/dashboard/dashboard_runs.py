"""Small recorded runs for the dashboard's tests, and where its client finds the synthetic ones."""

import random
from pathlib import Path

from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow

ADDRESS = "http://127.0.0.1:8000"
SCIENCE = "/api/runs/demo-science"


def record(
    run: Path,
    step: int,
    groups: int = 4,
    samples: int = 4,
    attempt: int = 1,
    text: str = "an answer",
    **columns: object,
) -> None:
    """Record one step with the project's own recorder; every second response is correct."""
    recorder = Recorder(run, writer=f"w{random.randrange(10**6)}", attempt=attempt)
    for group in range(groups):
        for sample in range(samples):
            row = {
                "domain": "physics" if group % 2 else "chemistry",
                "prompt_id": f"p{group}",
                "reward": float(sample % 2),
                "correct": bool(sample % 2),
                "reason": "correct" if sample % 2 else "wrong",
                "outcome": "scored",
                "prompt": f"question {group}",
                "response": f"{text} {group} {sample}",
                "response_tokens": 10 + sample,
                "token_ids": [1, 2, 3],
                "rollout_logprobs": [-1.0, -2.0, -3.0],
                **columns,
            }
            recorder.rollout(RolloutRow(step=step, prompt_uid=f"g{group}", sample=sample, **row))  # type: ignore[arg-type]
            recorder.update(
                UpdateRow(
                    step=step,
                    prompt_uid=f"g{group}",
                    sample=sample,
                    kept=True,
                    advantage=1.0 - 2 * (sample % 2),
                    old_logprobs=[-1.5, -2.0, -3.0],
                    rollout_logprobs=[-1.0, -2.0, -3.0],
                    entropy=[0.5, 0.5, 0.2],
                    ratio=[1.0, 1.4, 0.7],
                    clip_side=[0, 1, -1],
                )
            )
    recorder.close()
