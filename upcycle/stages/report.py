"""Compare a run's stages: held-out loss, routing, general ability.

`table` has one row per stage and `plot` one panel per stage. Nothing is evaluated here: every stage measured itself
before its first and after its last step, and the report reads those metrics from the run directories.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from innovator_rl.errors import UserError
from innovator_rl.runs.metrics import read_metrics
from innovator_rl.runs.run_dir import resolve_runs_dir
from upcycle.config.aliases import current_stage
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import Stage
from upcycle.data.packing import GENERAL
from upcycle.stages.folders import stage_run

LOSS = "val/loss/"
RENAMED_METRICS = {"val/router/specialisation": "val/router/specialization"}  # codespell:ignore specialisation
"""Metrics of runs that earlier releases recorded, and their names today."""
PANELS_ABREAST = 4
LATER: tuple[Stage, ...] = ("train_router", "train_joint", "train_dense")
ROUTER = {
    "routed right": "val/router/accuracy",
    "max violation": "val/router/max_violation",
    "dead": "val/router/dead_experts",
    "entropy": "val/router/entropy",
    "specialization": "val/router/specialization",
    "null on general": "val/router/null_general",
}


@dataclass(frozen=True)
class MeasuredStage:
    """A stage's held-out metrics and the training tokens up to its end.

    The metrics have their names in metrics.jsonl.
    """

    stage: str
    tokens: int
    metrics: dict[str, Any]


def measured_stages(config: UpcycleConfig) -> list[MeasuredStage]:
    """Return the stages that have been measured, in order.

    Raises:
        UserError: If no stage has been measured yet.
    """
    induced: dict[str, Any] = {}
    spent = 0
    for name in config.disciplines:
        run = stage_run(config, "train_experts", name)
        _, last = _ends(run)
        induced |= last
        spent += _tokens(run)
    router, joint, baseline = (stage_run(config, stage) for stage in LATER)
    before_routing, routed = _ends(router)
    _, integrated = _ends(joint)
    base_model, dense = _ends(baseline)
    initialization = _init_tokens(router)
    routed_tokens = spent + initialization + _tokens(router)
    found = [
        MeasuredStage("base model", 0, base_model),
        MeasuredStage("induced, each on its own discipline", spent, induced),
        MeasuredStage(
            f"split, router {'initialized' if initialization else 'untrained'}", spent + initialization, before_routing
        ),
        MeasuredStage("routed", routed_tokens, routed),
        MeasuredStage("integrated", routed_tokens + _tokens(joint), integrated),
        MeasuredStage("dense, continued", _tokens(baseline), dense),
    ]
    found = [row for row in found if row.metrics]
    if not found:
        raise UserError(
            f"run {config.name!r} has no measured stage under {resolve_runs_dir(config.runs_dir)}: run a stage first"
        )
    return found


def table(config: UpcycleConfig) -> str:
    """Return a Markdown table of the stages.

    Losses are in nats per token of held-out text. "general kept" is the base model's loss on general text over the
    stage's.
    """
    losses = [GENERAL, *config.disciplines, "science"]
    lines = ["| stage | tokens | " + " | ".join([*losses, "general kept", *ROUTER]) + " |"]
    lines.append("|---|" + "---:|" * (len(losses) + len(ROUTER) + 2))
    found = measured_stages(config)
    base_model = found[0].metrics.get(LOSS + GENERAL)
    for row in found:
        cells = [_cell(row.metrics.get(LOSS + name)) for name in losses]
        general = row.metrics.get(LOSS + GENERAL)
        cells.append(f"{base_model / general:.1%}" if base_model and general else "")
        cells += [_cell(row.metrics.get(key)) for key in ROUTER.values()]
        lines.append(f"| {row.stage} | {row.tokens:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(config: UpcycleConfig, path: Path) -> None:
    """Draw the training loss of every stage over its own tokens into a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = [stage_run(config, "train_experts", name) for name in config.disciplines]
    runs += [stage_run(config, stage) for stage in LATER]
    every = {run.name.removeprefix(f"{config.name}."): read_metrics(run / "metrics.jsonl") for run in runs}
    found = {stage: lines for stage, lines in every.items() if lines}
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


def _ends(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the held-out metrics before the first and after the last step.

    Empty where there are none.
    """
    lines = [_current_names(line) for line in read_metrics(run / "metrics.jsonl")]
    measured = [line for line in lines if any(key.startswith(LOSS) for key in line)]
    if not measured:
        return {}, {}
    return measured[0], measured[-1] if len(measured) > 1 else {}


def _tokens(run: Path) -> int:
    """Return the training tokens that a run recorded; a step that was repeated after a resume counts once."""
    by_step = {
        line["step"]: line["train/tokens"] for line in read_metrics(run / "metrics.jsonl") if "train/tokens" in line
    }
    return int(sum(by_step.values()))


def _init_tokens(run: Path) -> int:
    """Return the tokens of the router's initialization, from the settings that its run recorded."""
    file = run / "config.yaml"
    recorded = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    return int(current_stage((recorded or {}).get("stage", {})).get("init_tokens", 0))


def _current_names(metrics: dict[str, Any]) -> dict[str, Any]:
    return {RENAMED_METRICS.get(name, name): value for name, value in metrics.items()}


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
