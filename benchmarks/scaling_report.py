"""Report what `benchmarks.upcycle_scaling` measured: a verdict for each claim, tables with intervals, and a plot.

Two models are compared on the same held-out sequences, so the interval of a difference is that of the paired differences
(95 %). Where there are several seeds, the spread of their differences (Student's t) is added to it. A claim holds if the
whole interval is on its side, fails if the whole interval is on the other side, and is undecided otherwise.

    text = report(study)
    draw(study, Path("upcycle-scaling.png"))
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.scaling_jobs import DISCIPLINES, GENERAL, Study

SCIENCE_AIM, GENERAL_AIM = 0.1, 0.01  # nats: better than dense by, worse than the base model by at most
NAMES = {"mixture": "mixture", "dense": "dense, continued", "wide": "dense, twice the width"}
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # 95 %, by number of seeds
Row = dict[str, Any]


class Difference(NamedTuple):
    """A difference and half the width of its interval."""

    value: float
    half: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} ± {self.half:.3f}"

    def verdict(self, above: float) -> str:
        """Say whether the difference is above a limit."""
        low, high = self.value - self.half, self.value + self.half
        return "holds" if low > above else "fails" if high <= above else "undecided"


def report(study: Study) -> str:
    """Return the results that exist so far, as Markdown."""
    parts = [_verdicts(study), _claim(study), _curves(study), _rates(study), _table(study), _text(study)]
    return "\n\n".join(part for part in parts if part)


def row(study: Study, job: str, tokens: int) -> Row | None:
    """Return the figures of a job at a budget, or None."""
    found = study.result(job)
    return next((one for one in found["rows"] if one["tokens"] == tokens), None) if found else None


def difference(pairs: Sequence[tuple[Row, Row]], text: str) -> Difference:
    """Return how much lower the second model's loss is than the first's, over seeds.

    Args:
        pairs: Figures of the two models, one pair per seed.
        text: `general`, or `science` for the mean of the disciplines.
    """
    names = DISCIPLINES if text == "science" else (text,)
    values, variances = [], []
    for one, other in pairs:
        means, variance = [], 0.0
        for name in names:
            gaps = [a - b for a, b in zip(one["sequences"][name], other["sequences"][name], strict=True)]
            means.append(statistics.fmean(gaps))
            variance += statistics.variance(gaps) / len(gaps) if len(gaps) > 1 else 0.0
        values.append(statistics.fmean(means))
        variances.append(variance / len(names) ** 2)
    sampling = 1.96 * math.sqrt(statistics.fmean(variances))  # all seeds read the same sequences
    seeds = len(values)
    spread = STUDENT.get(seeds, 2.6) * statistics.stdev(values) / math.sqrt(seeds) if seeds > 1 else 0.0
    return Difference(statistics.fmean(values), math.hypot(sampling, spread))


def task_difference(pairs: Sequence[tuple[Row, Row]], text: str) -> Difference:
    """Return how much larger the second model's share of solved tasks is, over seeds; the tasks count as independent."""
    gaps = [other[f"tasks/{text}"] - one[f"tasks/{text}"] for one, other in pairs]
    variance = statistics.fmean(sum(_task_half(side, text) ** 2 for side in pair) for pair in pairs)
    return Difference(statistics.fmean(gaps), math.sqrt(variance))


def _task_half(figures: Row, text: str) -> float:
    share = figures[f"tasks/{text}"]
    return 1.96 * math.sqrt(share * (1 - share) / max(1, figures[f"items/{text}"]))


def _pairs(study: Study, one: str, other: str, tokens: int | None = None) -> list[tuple[Row, Row]]:
    """Return the figures of two kinds of model at a budget, for every seed that has both."""
    found = []
    for seed in range(study.size.seeds):
        sides = [
            row(study, "base", 0) if kind == "base" else row(study, f"{kind}-{seed}", tokens or study.size.main)
            for kind in (one, other)
        ]
        if sides[0] and sides[1]:
            found.append((sides[0], sides[1]))
    return found


def _verdicts(study: Study) -> str:
    """Return the claims with their differences and verdicts, the paper's own first."""
    lines = []

    def add(claim: str, pairs: list[tuple[Row, Row]], text: str, limit: float, tasks: bool = False) -> None:
        if pairs:
            found = (task_difference if tasks else difference)(pairs, text)
            lines.append(f"| {claim} | {found} | {len(pairs)} | {found.verdict(limit)} |")

    kept, lost = _pairs(study, "mixture", "base"), _pairs(study, "base", "dense")
    keeps = [(base, mixture) for mixture, base in kept]
    add(
        f"The mixture keeps general ability (loss at most {GENERAL_AIM} above the base model's)",
        keeps,
        GENERAL,
        -GENERAL_AIM,
    )
    add(
        f"Dense training loses it (loss more than {GENERAL_AIM} above)", [(b, a) for a, b in lost], GENERAL, GENERAL_AIM
    )
    add("The mixture keeps general tasks (at most 5 points fewer)", keeps, GENERAL, -0.05, tasks=True)
    add("Dense training loses general tasks", [(b, a) for a, b in lost], GENERAL, 0.0, tasks=True)
    both = _pairs(study, "dense", "mixture")
    add("General text: the mixture is better than dense training", both, GENERAL, 0.0)
    add("Science: the mixture is better than dense training", both, "science", 0.0)
    add(f"Science: better by {SCIENCE_AIM} nat", both, "science", SCIENCE_AIM)
    add("Science: better than dense training of twice the width", _pairs(study, "wide", "mixture"), "science", 0.0)
    budgets = study.size.budgets
    first, last = (_pairs(study, "dense", "mixture", budget)[:1] for budget in (budgets[0], budgets[-1]))
    if first and last:
        small, large = difference(first, "science"), difference(last, "science")
        growth = Difference(large.value - small.value, math.hypot(small.half, large.half))
        lines.append(f"| Science: the advantage grows with the budget | {growth} | 1 | {growth.verdict(0.0)} |")
    lines += _equal_operations(study) + _split_claims(study)
    head = ["### Verdicts", "", "| claim | difference, 95 % | seeds | |", "|---|---:|---:|---|"]
    return "\n".join([*head, *lines]) if lines else ""


def _equal_operations(study: Study) -> list[str]:
    """Compare the mixture with the dense curve at the same operations."""
    mixture = row(study, "mixture-0", study.size.main)
    curve = sorted((study.result("dense-0") or {"rows": []})["rows"], key=lambda one: one["flops"])
    if not mixture or len(curve) < 2:
        return []
    for low, high in itertools.pairwise(curve):
        if low["flops"] <= mixture["flops"] <= high["flops"]:
            weight = math.log(mixture["flops"] / low["flops"]) / math.log(high["flops"] / low["flops"])
            between = {
                name: [
                    a + weight * (b - a) for a, b in zip(low["sequences"][name], high["sequences"][name], strict=True)
                ]
                for name in DISCIPLINES
            }
            found = difference([({"sequences": between}, mixture)], "science")
            return [
                f"| Science: better than dense training of as many operations | {found} | 1 | {found.verdict(0.0)} |"
            ]
    return []


def _split_claims(study: Study) -> list[str]:
    """Compare the paper's split with coarser ones and trained experts with copies, on equal tokens."""
    tables = [found["rows"] for seed in range(study.size.seeds) if (found := study.result(f"table-{seed}"))]
    lines = []
    for claim, other in (
        ("Table 4: the finest split is better than coarse experts of equal total", "equal-total-1"),
        ("Table 4: the finest split is better than the coarsest as printed", "printed-2"),
        ("Trained experts are better than copies of the base model's network", "base-model-copy"),
        ("Trained experts are better than drop-upcycling", "drop-upcycling"),
    ):
        pairs = [(rows[other], rows["innovator"]) for rows in tables if other in rows]
        if pairs:
            found = difference(pairs, "science")
            lines.append(f"| {claim} ({study.size.table:,} tokens) | {found} | {len(pairs)} | {found.verdict(0.0)} |")
    return lines


def _claim(study: Study) -> str:
    """Return what is left of general ability at the main budget."""
    base = row(study, "base", 0)
    if base is None:
        return ""
    lines = [
        f"### General ability after {study.size.main:,} tokens",
        "",
        "| model | seed | general loss | above the base model's | general tasks | science loss | science tasks |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    entries = [("base model", "", base)]
    for kind in NAMES:
        found = [(seed, row(study, f"{kind}-{seed}", study.size.main)) for seed in range(study.size.seeds)]
        entries += [(NAMES[kind], str(seed), one) for seed, one in found if one]
    for name, seed, one in entries:
        above = "" if one is base else str(difference([(one, base)], GENERAL))
        lines.append(
            f"| {name} | {seed} | {one['val/loss/general']:.3f} | {above} | {_tasks(one, GENERAL)} "
            f"| {one['val/loss/science']:.3f} | {_tasks(one, 'science')} |"
        )
    return "\n".join(lines)


def _tasks(figures: Row, text: str) -> str:
    return f"{figures[f'tasks/{text}']:.0%} ± {100 * _task_half(figures, text):.0f}"


def _curves(study: Study) -> str:
    lines = [
        "### Losses over tokens and operations",
        "",
        "| model | million tokens | 10^12 operations | general | science | science, better than dense by |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind, name in NAMES.items():
        for one in (study.result(f"{kind}-0") or {"rows": []})["rows"]:
            dense = row(study, "dense-0", one["tokens"])
            gain = str(difference([(dense, one)], "science")) if dense and kind != "dense" else ""
            lines.append(
                f"| {name} | {one['tokens'] / 1e6:.2f} | {one['flops'] / 1e12:.2f} | {one['val/loss/general']:.3f} "
                f"| {one['val/loss/science']:.3f} | {gain} |"
            )
    return "\n".join(lines) if len(lines) > 4 else ""


def _rates(study: Study) -> str:
    lines = [
        f"### Rates, tried on {study.size.tune:,} tokens",
        "",
        "| side | rate | general | science | |",
        "|---|---:|---:|---:|---|",
    ]
    for side in ("mixture", "dense"):
        found = {rate: study.result(f"tune-{side}-{rate:g}") for rate in study.size.rates}
        best = study.best_rate(side) if all(found.values()) else None
        edge = best in (min(study.size.rates), max(study.size.rates))
        for rate, one in found.items():
            if one:
                note = ("chosen, at the edge of those tried" if edge else "chosen") if rate == best else ""
                losses = f"{one['val/loss/general']:.3f} | {one['val/loss/science']:.3f}"
                lines.append(f"| {side} | {rate:g} | {losses} | {note} |")
    return "\n".join(lines) if len(lines) > 4 else ""


def _table(study: Study) -> str:
    """Return every way to split, as the mean over its seeds."""
    tables = [found["rows"] for seed in range(study.size.seeds) if (found := study.result(f"table-{seed}"))]
    if not tables:
        return ""
    lines = [
        f"### Ways to split (the paper's Table 4) and copies, {study.size.table:,} tokens",
        "",
        "| way | width of an expert | experts | active | seeds | general | science | science, better than dense by | routed right |",
        "|---|" + "---:|" * 8,
    ]
    for name in tables[0]:
        rows = [(one["dense"], one[name]) for one in tables if name in one]
        general, science = (
            statistics.fmean(one[f"val/loss/{text}"] for _, one in rows) for text in (GENERAL, "science")
        )
        shape = " | ".join(str(part) for part in rows[0][1].get("shape") or ["", "", ""])
        gain = "" if name == "dense" else str(difference(rows, "science"))
        right = [one["val/router/accuracy"] for _, one in rows if "val/router/accuracy" in one]
        routed = f"{statistics.fmean(right):.0%}" if right else ""
        lines.append(f"| {name} | {shape} | {len(rows)} | {general:.3f} | {science:.3f} | {gain} | {routed} |")
    return "\n".join(lines)


def _text(study: Study) -> str:
    text = study.result("text")
    if not text:
        return ""
    counts = ", ".join(f"{name} {count:,}" for name, count in text["tokens"].items())
    return f"Tokens of the corpus: {counts}. The largest budget reads each of them several times."


def draw(study: Study, target: Path) -> None:
    """Draw the losses over tokens and over operations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharey="row")
    for line, name in zip(axes, ("science", GENERAL), strict=True):
        for axis, key, unit in zip(line, ("tokens", "flops"), (1e6, 1e12), strict=True):
            for kind, color in (("dense", "tab:orange"), ("wide", "tab:red"), ("mixture", "tab:blue")):
                found = [study.result(f"{kind}-{seed}") or {"rows": []} for seed in range(study.size.seeds)]
                for number, one in enumerate(found):
                    points = [(at[key] / unit, at[f"val/loss/{name}"]) for at in one["rows"]]
                    if points:
                        style, label = ("-", NAMES[kind]) if number == 0 else ("", None)
                        axis.plot(
                            *zip(*points, strict=True), marker="o", ls=style, ms=4, color=color, label=label, alpha=0.8
                        )
            base = row(study, "base", 0)
            if base:
                axis.axhline(base[f"val/loss/{name}"], color="0.6", ls=":", label="base model")
            axis.set_title(f"{name}, held out")
            axis.set_xlabel("million tokens, all stages" if key == "tokens" else "10^12 operations, all stages")
            axis.grid(alpha=0.3)
        line[0].set_ylabel("loss (nats per token)")
    axes[0][1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=150)
    plt.close(figure)
