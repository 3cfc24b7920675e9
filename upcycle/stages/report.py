"""A run's stages side by side, read from their run directories: held-out loss, what the router does, what general ability is left.

    table(config)      one row a stage, as Markdown
    plot(config, path) loss over training tokens, one panel a stage

Nothing is evaluated here: every stage measured itself before its first and after its last step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from innovator_rl.runs.metrics import read_metrics
from innovator_rl.runs.run_dir import resolve_runs_dir
from upcycle.config.schema import UpcycleConfig
from upcycle.data.packing import GENERAL

LOSS = "val/loss/"
PANELS_ABREAST = 4
ROUTER = {
    "routed right": "val/router/accuracy",
    "max violation": "val/router/max_violation",
    "dead": "val/router/dead_experts",
    "entropy": "val/router/entropy",
    "specialisation": "val/router/specialisation",
    "null on general": "val/router/null_general",
}


@dataclass(frozen=True)
class Row:
    """A stage's held-out figures under the names of metrics.jsonl, and the training tokens up to it."""

    stage: str
    tokens: int
    figures: dict[str, Any]


def rows(config: UpcycleConfig) -> list[Row]:
    """The stages that have been measured, in order. `ValueError` where there is none yet."""
    induced: dict[str, Any] = {}
    spent = 0
    for name in config.disciplines:
        _, last = _ends(config, f"induct-{name}")
        induced |= last
        spent += config.induct.tokens if last else 0
    before_routing, routed = _ends(config, "route")
    _, integrated = _ends(config, "integrate")
    donor, dense = _ends(config, "dense")
    started_tokens = spent + config.route.start_tokens
    routed_tokens = spent + config.route.budget
    found = [
        Row("donor", 0, donor),
        Row("induced, each on its own discipline", spent, induced),
        Row(f"split, router {'started' if config.route.start_tokens else 'untrained'}", started_tokens, before_routing),
        Row("routed", routed_tokens, routed),
        Row("integrated", routed_tokens + config.integrate.tokens, integrated),
        Row("dense, continued", config.dense.tokens, dense),
    ]
    found = [row for row in found if row.figures]
    if not found:
        raise ValueError(
            f"run {config.name!r} has no measured stage under {resolve_runs_dir(config.runs_dir)}: run a stage first"
        )
    return found


def table(config: UpcycleConfig) -> str:
    """The stages as a Markdown table: nats a token on held-out text; general kept is the donor's general loss over the stage's."""
    losses = [GENERAL, *config.disciplines, "science"]
    lines = ["| stage | tokens | " + " | ".join([*losses, "general kept", *ROUTER]) + " |"]
    lines.append("|---|" + "---:|" * (len(losses) + len(ROUTER) + 2))
    found = rows(config)
    donor = found[0].figures.get(LOSS + GENERAL)
    for row in found:
        cells = [_cell(row.figures.get(LOSS + name)) for name in losses]
        general = row.figures.get(LOSS + GENERAL)
        cells.append(f"{donor / general:.1%}" if donor and general else "")
        cells += [_cell(row.figures.get(key)) for key in ROUTER.values()]
        lines.append(f"| {row.stage} | {row.tokens:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(config: UpcycleConfig, path: Path) -> None:
    """Training loss of every stage over its own tokens, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    stages = [f"induct-{name}" for name in config.disciplines] + ["route", "integrate", "dense"]
    found = {stage: read_metrics(_run(config, stage)) for stage in stages}
    found = {stage: lines for stage, lines in found.items() if lines}
    down = -(-len(found) // PANELS_ABREAST)
    figure, panels = pyplot.subplots(down, PANELS_ABREAST, figsize=(3 * PANELS_ABREAST, 2.4 * down), squeeze=False)
    for panel in panels.flat[len(found) :]:
        panel.axis("off")
    for panel, (stage, lines) in zip(panels.flat, found.items(), strict=False):
        steps = [line for line in lines if "train/loss" in line]
        tokens = [sum(line["train/tokens"] for line in steps[: place + 1]) / 1e3 for place in range(len(steps))]
        panel.plot(tokens, [line["train/loss"] for line in steps], linewidth=1)
        panel.set_title(stage, fontsize=9)
        panel.set_xlabel("thousand tokens", fontsize=8)
        panel.tick_params(labelsize=7)
    for row in panels:
        row[0].set_ylabel("training loss", fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _run(config: UpcycleConfig, stage: str) -> Path:
    return resolve_runs_dir(config.runs_dir) / f"{config.name}.{stage}" / "metrics.jsonl"


def _ends(config: UpcycleConfig, stage: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The held-out figures before the first and after the last measured step; empty where there are none."""
    measured = [line for line in read_metrics(_run(config, stage)) if any(key.startswith(LOSS) for key in line)]
    if not measured:
        return {}, {}
    return measured[0], measured[-1] if len(measured) > 1 else {}


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
