"""Say how each model of a path was trained, from the configurations that its runs recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from innovator_rl.config.load import read_yaml
from innovator_rl.paper.config import PaperConfig
from innovator_rl.paper.plan import run_name
from innovator_rl.paper.report.markdown import link, table
from innovator_rl.runs.run_dir import RunDir, page_link

STAGES = (
    ("induct-", "the experts of one discipline"),
    ("route", "the router"),
    ("integrate", "all parameters of the mixture"),
    ("dense", "all parameters of the base model"),
)
"""Ending of the run of an upcycling stage -> what it trains."""
COMMANDS = {"induct-": "train-experts ", "route": "train-router", "integrate": "train-joint", "dense": "train-dense"}
"""Ending of the run of an upcycling stage -> the command that trains it, as the report names it."""


def stage_title(run: str) -> str:
    """Return the name of an upcycling stage for readers: that of its command, with the discipline of an expert."""
    for ending, command in COMMANDS.items():
        head, found, rest = run.rpartition(f".{ending}")
        if found and (not rest or ending.endswith("-")):
            return f"{head}.{command}{rest}"
    return run


def methods(config: PaperConfig) -> list[str]:
    """Show the settings of upcycling, fine-tuning and reinforcement learning of the runs that started."""
    lines = [*_upcycling(config), *_fine_tuning(config), *_learning(config)]
    return ["## Methods", "", *lines] if lines else []


def _upcycling(config: PaperConfig) -> list[str]:
    name = run_name(config, "upcycle")
    rows = []
    for ending, trains in STAGES:
        for folder in sorted(config.runs_dir.glob(f"{name}.{ending}*")):
            if found := _recorded(folder).get("stage"):
                stage = link(stage_title(folder.name).removeprefix(f"{name}."), page_link(RunDir(folder)))
                rows.append(
                    (stage, trains, f"{found['tokens']:,}", f"{found['batch_tokens']:,}", f"{found['learning_rate']:g}")
                )
    return table(("upcycling", "trains", "tokens", "tokens per step", "learning rate"), rows)


def _fine_tuning(config: PaperConfig) -> list[str]:
    rows = []
    for model in config.sft.models if config.sft else ():
        folder = config.runs_dir / run_name(config, f"sft-{model}")
        if found := _recorded(folder):
            optimizer, schedule = found["optimizer"], found["schedule"]
            length = f"{schedule['steps']} steps" if schedule["steps"] else f"{schedule['epochs']} epochs"
            rows.append(
                (
                    link(f"sft-{model}", page_link(RunDir(folder))),
                    model,
                    length,
                    optimizer["batch_rows"],
                    f"{optimizer['learning_rate']:g}",
                    found["model"]["dtype"],
                )
            )
    return table(("fine-tuning", "starts from", "length", "rows per step", "learning rate", "number format"), rows)


def _learning(config: PaperConfig) -> list[str]:
    rows = []
    for arm in config.learning.arms if config.learning else ():
        folders = {seed: config.runs_dir / run_name(config, f"{arm.name}-{seed}") for seed in arm.seeds}
        recorded = {seed: found for seed, folder in folders.items() if (found := _recorded(folder))}
        if recorded:
            first, found = next(iter(recorded.items()))
            algorithm, rollout = found["algorithm"], found["rollout"]
            rows.append(
                (
                    link(arm.name, page_link(RunDir(folders[first]))),
                    arm.model,
                    ", ".join(str(seed) for seed in recorded),
                    found["schedule"]["steps"],
                    f"{algorithm['prompts_per_step']} x {rollout['samples_per_prompt']}",
                    rollout["max_response_tokens"],
                    f"{rollout['temperature']:g}",
                    f"{algorithm['learning_rate']:g}",
                    f"{1 - algorithm['clip_low']:g} to {1 + algorithm['clip_high']:g}",
                    found["model"]["dtype"],
                )
            )
    header = (
        "GRPO with DAPO's changes", "starts from", "seeds", "steps", "prompts x samples per step", "most tokens of a response",
        "temperature", "learning rate", "ratio clipped to", "number format",
    )  # fmt: skip
    return table(header, rows)


def _recorded(run: Path) -> Mapping[str, Any]:
    """Return the configuration that a run recorded; empty where it has not started."""
    path = run / "config.yaml"
    return read_yaml(path) if path.is_file() else {}
