"""Compare held-out losses: what upcycling and dense training changed on general text and on the disciplines.

All stages measure the same held-out sequences, so a difference is taken sequence by sequence, and its interval resamples
sequences within each text. It covers the choice of sequences, not another seed of the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from innovator_rl.evaluation.statistics import RESAMPLES, SEED
from innovator_rl.paper.config import PaperConfig
from innovator_rl.paper.plan import checks_file, run_name
from innovator_rl.paper.report.markdown import number, table
from innovator_rl.runs.files import read_json
from innovator_rl.runs.metrics import read_metrics
from innovator_rl.runs.run_dir import RunDir

LOSS = "val/loss/"
GENERAL, SCIENCE = "general", "science"  # science: the mean over disciplines
BASE, MIXTURE, DENSE = "base", "mixture", "dense"
STAGE_RUNS = (("mixture, router trained only", "route"), (MIXTURE, "integrate"), (DENSE, "dense"))
"""Row of the table of losses -> ending of the run that measured it."""

Losses = Mapping[str, Mapping[str, Sequence[float]]]
"""Text -> index of a held-out sequence -> nats and tokens."""


@dataclass(frozen=True)
class Measured:
    """One model's losses.

    Attributes:
        label: Its row of the table.
        figures: `val/loss/NAME` in nats per token.
        losses: The loss of every sequence; empty for a run that did not record it.
    """

    label: str
    figures: Mapping[str, Any]
    losses: Losses


def upcycling(config: PaperConfig) -> list[str]:
    """Compare held-out losses of the base model, the stages and the dense baseline."""
    if config.upcycle is None:
        return []
    measured = _measured(config)
    if not measured:
        return ["## Upcycling", "", *_checks(config), "No held-out loss has been measured yet.", ""]
    domains = sorted({key.removeprefix(LOSS) for one in measured for key in one.figures if key.startswith(LOSS)})
    rows = [(one.label, *(number(one.figures.get(LOSS + domain)) for domain in domains)) for one in measured]
    note = (
        "Loss on held-out text, in nats per token; lower is better. `base` is measured before the first step of `dense`, which is "
        "the base model trained on as many tokens of the same text, those of the router's start included. "
        "A model whose training has not ended is not shown."
    )
    return ["## Upcycling", "", *_checks(config), note, "", *table(("model", *domains), rows), *_changes(measured)]


def _checks(config: PaperConfig) -> list[str]:
    """Show how far the exported mixture is from the trained one."""
    found = (read_json(checks_file(config)) or {}).get("checks", ())
    rows = [(check["name"], check["figure"], check["bound"]) for check in found]
    return table(("check of the exported mixture, all hold", "figure", "bound"), rows)


def relative(before: Losses, after: Losses, names: Sequence[str]) -> tuple[float, tuple[float, float] | None]:
    """Return the relative change of a loss, a mean over kinds of text, and its 95 % interval.

    Args:
        before: The losses of the model that the change is measured from.
        after: The losses of the other model on the same sequences.
        names: The names of the text that counts, each with the same weight.

    Returns:
        The change, 0.01 for one percent more; the interval is None where a text has fewer than two sequences.
    """
    random = np.random.default_rng(SEED)
    whole, drawn = np.zeros(2), np.zeros((RESAMPLES, 2))
    few = False
    for text in names:
        ids = sorted(before[text].keys() & after[text].keys(), key=int)
        values = np.array([(*before[text][one], *after[text][one]) for one in ids])  # nats, tokens, nats, tokens
        picks = random.integers(0, len(ids), (RESAMPLES, len(ids)))
        for sums, total in ((values.sum(axis=0), whole), (values[picks].sum(axis=1), drawn)):
            total += np.stack([sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]], axis=-1)
        few = few or len(ids) < 2
    changes = drawn[:, 1] / drawn[:, 0] - 1
    low, high = np.percentile(changes, [2.5, 97.5])
    return float(whole[1] / whole[0] - 1), None if few else (float(low), float(high))


def _measured(config: PaperConfig) -> list[Measured]:
    """Return the base model and the stages that were measured, in order."""
    found: list[Measured] = []
    for label, ending in STAGE_RUNS:
        run = config.runs_dir / f"{run_name(config, 'upcycle')}.{ending}"
        rows = [row for row in read_metrics(run / "metrics.jsonl") if any(key.startswith(LOSS) for key in row)]
        if rows and label == DENSE:
            found.insert(0, Measured(BASE, rows[0], _losses(run, rows[0])))
        if rows and RunDir(run).state().status == "finished":
            found.append(Measured(label, rows[-1], _losses(run, rows[-1])))
    return found


def _losses(run: Path, row: Mapping[str, Any]) -> Losses:
    return read_json(RunDir(run).held_out / f"step-{row['step']}.json") or {}


def _changes(measured: Sequence[Measured]) -> list[str]:
    """Say how far general text and the disciplines moved from the base model, and how the mixture and the dense model differ."""
    by_label = {one.label: one for one in measured}
    lines = []
    for label, than in ((MIXTURE, BASE), (DENSE, BASE), (MIXTURE, DENSE)):
        before, after = by_label.get(than), by_label.get(label)
        if before and after and before.figures.keys() & after.figures.keys() >= {LOSS + GENERAL, LOSS + SCIENCE}:
            parts = [_change(domain, before, after) for domain in (GENERAL, SCIENCE)]
            lines.append(f"- {label}, against {than}: {', '.join(parts)}.")
    if not lines:
        return []
    counts = [len(found) for one in measured[:1] for found in one.losses.values()]
    few = f"{min(counts)}" + (f" to {max(counts)}" if max(counts) > min(counts) else "") if counts else ""
    about = f"Intervals (95 %) resample the {few} sequences of each text. " if few else ""
    return [f"{about}Changes of the loss; higher is worse.", "", *lines, ""]


def _change(domain: str, before: Measured, after: Measured) -> str:
    names = [name for name in before.losses if (name == GENERAL) == (domain == GENERAL)]
    if names and before.losses.keys() == after.losses.keys():
        value, interval = relative(before.losses, after.losses, names)
    else:
        value, interval = after.figures[LOSS + domain] / before.figures[LOSS + domain] - 1, None
    shown = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
    return f"{domain} text {100 * value:+.1f} %{shown}"
