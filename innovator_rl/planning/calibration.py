"""Check the simulation against a recorded run: fit its costs on some steps, predict others, and compare.

    found = check(Path("runs/demo"))
    found.ratio("step")        # simulated / recorded mean seconds of the steps that were not fitted

The first step of each start warms up and counts nowhere. Of the others, the first half gives the costs (seconds per token of decoding as
`a + b x answers`, of the update and of log-probabilities, and the fixed ones), lengths, scores and the share of groups
that teach. The second half is predicted from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from innovator_rl.config import load
from innovator_rl.errors import UserError
from innovator_rl.planning.costs import Costs
from innovator_rl.planning.simulation import Settings, Simulation, StepTimes
from innovator_rl.planning.simulation import mean as mean_times
from innovator_rl.planning.workload import Workload
from innovator_rl.rollouts.store import Store
from innovator_rl.runs.run_dir import RunDir

PARTS = {
    "generate": ("gen",),
    "log_probs": ("old_log_prob", "ref"),
    "update": ("update_actor",),
    "sync": ("update_weights",),
    "step": ("step",),
}
"""Part -> the names of its times in metrics.jsonl, below `timing_s/`."""
REPEATS = 20
"""Simulated steps per predicted one: the mean of few steps depends on the draw."""


@dataclass(frozen=True)
class Comparison:
    """Mean seconds per part, of the predicted steps.

    Attributes:
        fitted: Steps that gave the costs.
        predicted: Steps that are compared.
        recorded: Part -> mean recorded seconds.
        simulated: Part -> mean simulated seconds.
        spread: Part -> standard deviation of the recorded seconds.
    """

    fitted: tuple[int, ...]
    predicted: tuple[int, ...]
    recorded: dict[str, float]
    simulated: dict[str, float]
    spread: dict[str, float]

    def ratio(self, part: str) -> float:
        """Return simulated over recorded seconds of a part."""
        return self.simulated[part] / self.recorded[part] if self.recorded[part] else float("nan")

    def lines(self) -> list[str]:
        """Return a table."""
        shown = [f"{'part':<10}{'recorded':>10}{'spread':>8}{'simulated':>11}{'ratio':>7}"]
        for part, seconds in self.recorded.items():
            shown.append(
                f"{part:<10}{seconds:>10.2f}{self.spread[part]:>8.2f}{self.simulated[part]:>11.2f}{self.ratio(part):>7.2f}"
            )
        return shown


def check(run: Path, seed: int = 0) -> Comparison:
    """Fit the costs of a run to half of its steps, and compare a simulation with the other half.

    Args:
        run: A run directory with at least five steps and their rollouts.
        seed: Seed of the simulation.

    Raises:
        UserError: Too few steps are recorded.
    """
    store = Store(run)
    metrics = {row["step"]: row for row in RunDir(run).metrics() if f"timing_s/{PARTS['step'][0]}" in row}
    known = sorted(set(metrics) & set(store.steps()))
    steps = [step for before, step in pairwise(known) if metrics[before].get("attempt") == metrics[step].get("attempt")]
    if len(steps) < 4:
        raise UserError(f"{run}: {len(steps)} warm steps have times and rollouts; expected at least 4")
    fitted, predicted = steps[: len(steps) // 2], steps[len(steps) // 2 :]
    config = load(run / "config.yaml", [])
    settings = Settings.of(config)
    rows = [row for row in store.rollouts(fitted) if row["kind"] == "train"]
    costs = fit(rows, [metrics[step] for step in fitted], config.rollout.max_num_seqs)
    costs = replace(costs, round_seconds=_round_seconds(costs, settings, run, fitted, metrics, seed))
    times = Simulation(costs, settings, Workload.recorded(run, seed, fitted), seed=seed).run(REPEATS * len(predicted))
    return Comparison(
        fitted=tuple(fitted),
        predicted=tuple(predicted),
        recorded={part: mean(_seconds(metrics[step], part) for step in predicted) for part in PARTS},
        simulated=_by_part(mean_times(times), costs.rest),
        spread={part: float(np.std([_seconds(metrics[step], part) for step in predicted])) for part in PARTS},
    )


def fit(rows: Sequence[dict[str, Any]], metrics: Sequence[dict[str, Any]], slots: int) -> Costs:
    """Return the costs of one replica and one rank from recorded responses and times.

    Args:
        rows: Recorded responses.
        metrics: The metrics of the same steps.
        slots: `rollout.max_num_seqs`.
    """
    alone, shared = decode_seconds(rows)
    tokens = {
        row["step"]: sum(
            r["prompt_tokens"] + r["response_tokens"] for r in rows if r["step"] == row["step"] and r["kept"]
        )
        for row in metrics
    }
    update = _per_token([(tokens[row["step"]], _seconds(row, "update")) for row in metrics])
    log_probs = _per_token([(tokens[row["step"]], _seconds(row, "log_probs")) for row in metrics])
    parts = mean(sum(_seconds(row, part) for part in PARTS if part != "step") for row in metrics)
    saved = mean(float(row.get("timing_s/save_checkpoint", 0.0)) for row in metrics)
    return Costs(
        replicas=1,
        slots=slots,
        ranks=1,
        decode=lambda answers, cached: alone + shared * answers,
        prefill=lambda tokens: 0.0,
        update=lambda tokens: update * tokens,
        network=lambda tokens: 0.0,
        log_probs=lambda tokens: log_probs * tokens,
        sync=mean(_seconds(row, "sync") for row in metrics),
        rest=max(0.0, mean(_seconds(row, "step") for row in metrics) - parts - saved),
    )


def decode_seconds(rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Return a and b: one token of each of n answers takes `a + b n` seconds.

    The answers that were generated at the same time follow from when each row was written and how long it took.
    """
    timed = [row for row in rows if row["generate_seconds"] and row["response_tokens"] and row["written_at"]]
    if not timed:
        raise UserError("no recorded response has its time of generation; expected rollouts of this or a later version")
    ends = np.array(
        [
            row["written_at"].timestamp() - (row["reward_seconds"] or 0.0) - (row["queued_seconds"] or 0.0)
            for row in timed
        ]
    )
    took = np.array([row["generate_seconds"] for row in timed])
    begins = ends - took
    both = np.minimum(ends[:, None], ends[None, :]) - np.maximum(begins[:, None], begins[None, :])
    together = np.clip(both, 0.0, None).sum(axis=1) / took
    tokens = np.array([float(row["response_tokens"]) for row in timed])
    columns = np.stack([tokens, tokens * together], axis=1)
    alone, shared = (float(value) for value in np.linalg.lstsq(columns, took, rcond=None)[0])
    if alone >= 0 and shared >= 0:
        return alone, shared
    # Neither may be negative: the best fit then has one of them alone.
    single = [float(column @ took / (column @ column)) for column in columns.T]
    errors = [float(np.square(took - value * column).sum()) for value, column in zip(single, columns.T, strict=True)]
    return (single[0], 0.0) if errors[0] <= errors[1] else (0.0, single[1])


def _per_token(pairs: Sequence[tuple[float, float]]) -> float:
    tokens = sum(count for count, _ in pairs)
    return sum(seconds for _, seconds in pairs) / tokens if tokens else 0.0


def _seconds(metrics: dict[str, Any], part: str) -> float:
    return sum(float(metrics.get(f"timing_s/{name}") or 0.0) for name in PARTS[part])


def _round_seconds(
    costs: Costs, settings: Settings, run: Path, steps: Sequence[int], metrics: dict[int, dict[str, Any]], seed: int
) -> float:
    """Return what a round takes beyond decoding: the mean of what the fitted steps took longer, per simulated round."""
    timed = replace(costs, rest=0.0, round_seconds=1.0)
    times = Simulation(timed, settings, Workload.recorded(run, seed + 1, steps), seed=seed).run(REPEATS * len(steps))
    rounds = mean(step.rest for step in times)
    decoding = mean(step.generate + step.idle + step.scores for step in times)
    return max(0.0, mean(_seconds(metrics[step], "generate") for step in steps) - decoding) / max(1.0, rounds)


def _by_part(times: StepTimes, rest: float) -> dict[str, float]:
    """Return simulated seconds under the names of `PARTS`; `rest` is what of the step belongs to none."""
    return {
        "generate": times.generate + times.idle + times.scores + times.rest - rest,
        "log_probs": times.log_probs,
        "update": times.update + times.imbalance,
        "sync": times.sync,
        "step": times.total,
    }
