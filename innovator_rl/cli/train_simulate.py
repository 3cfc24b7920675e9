"""Simulate the steps of a training run on several numbers of GPUs: where they spend their time; start nothing.

    innovator train simulate innovator-53b --gpus 64,512
    innovator train simulate innovator-53b --gpus 64 --staleness 0,2 --from runs/demo

The costs are those of `innovator train plan`, which also decides what fits. Lengths and scores are drawn from a stated law
with a long tail, or from the rollouts of a recorded run. What is assumed is printed last; equal seeds give equal figures.
"""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli.parameters import AsJson, Overrides, RunConfigFile
from innovator_rl.cli.train_plan import shape_of
from innovator_rl.config import load
from innovator_rl.errors import UserError
from innovator_rl.packaged_files import find_config
from innovator_rl.planning import Hardware
from innovator_rl.planning.costs import CHECKPOINT_GB_S
from innovator_rl.planning.scaling import Scale, scale, with_staleness
from innovator_rl.planning.simulation import Disturbances
from innovator_rl.planning.timing import Assumptions
from innovator_rl.planning.workload import SCORE_SECONDS, SHARED, TAIL, Workload
from innovator_rl.recorded_run import find_run


def train_simulate(
    config: RunConfigFile,
    overrides: Overrides = None,
    gpus: Annotated[str, typer.Option("--gpus", help="Numbers of GPUs, with commas.")] = "8,64,512",
    per_node: Annotated[int, typer.Option("--gpus-per-node", "--per-node", help="GPUs of a node.")] = 8,
    gpu: Annotated[str, typer.Option("--gpu", help="Kind: a100-40, a100-80, h100-80, h200 or b200.")] = "h100-80",
    staleness: Annotated[
        str, typer.Option("--staleness", help="Values of rollout.max_staleness, with commas; 0 is synchronous.")
    ] = "0,1",
    steps: Annotated[int, typer.Option("--steps", min=3, help="Simulated steps, a third of them to warm up.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Seed of lengths, slow GPUs and failures.")] = 0,
    recorded: Annotated[
        str | None, typer.Option("--from", metavar="RUN", help="Draw lengths and scores from this run's rollouts.")
    ] = None,
    model_config: Annotated[
        Path | None, typer.Option("--model-config", help="A model's config.json, where `model.path` is not here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate where the GPUs of a run spend their time; start nothing."""
    path = find_config(config, "train")
    run = load(path, list(overrides or []))
    shape = shape_of(run, Path(path), model_config)
    source = None
    if recorded is not None:
        place = find_run(recorded, run.logging.runs_dir)
        source = partial(Workload.recorded, place, samples=run.rollout.samples_per_prompt)
    kinds = [Hardware.named(gpu, count, per_node) for count in _numbers("--gpus", gpus, 1)]
    cases = [(one, kind) for one in with_staleness(run, _numbers("--staleness", staleness, 0)) for kind in kinds]
    found, misfits = [], []
    for number, (one, kind) in enumerate(cases, 1):
        answers = one.algorithm.prompts_per_step * one.rollout.samples_per_prompt * steps
        typer.echo(f"simulating {number} of {len(cases)}: {kind.gpus} GPUs, {answers:,} answers", err=True)
        try:
            found.append(scale(one, kind, shape, source, steps=steps, seed=seed))
        except UserError as error:
            misfits.append(str(error))
    if not found:
        raise UserError(misfits[0])
    for misfit in dict.fromkeys(misfits):
        typer.echo(f"innovator: {misfit}", err=True)
    if as_json:
        typer.echo(json.dumps({"scales": [one.as_dict() for one in found], "assumed": assumed(recorded)}, indent=1))
        return
    typer.echo("\n".join([*lines(found), "assumed  " + ", ".join(f"{k} {v}" for k, v in assumed(recorded).items())]))


def _numbers(option: str, text: str, least: int) -> list[int]:
    """Read whole numbers with commas between them.

    Raises:
        UserError: Something else is there.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and int(word) >= least for word in words):
        raise UserError(
            f"{option} {text!r} must be whole numbers from {least} with commas, for example {max(8, least)}"
        )
    return [int(word) for word in words]


def assumed(recorded: str | None) -> dict[str, str]:
    """Return every assumption of a simulation by name."""
    lengths = {"lengths": f"recorded in {recorded}"} if recorded else {"tail": f"{TAIL:g}", "shared": f"{SHARED:g}"}
    scores = {} if recorded else {"score_seconds": f"{SCORE_SECONDS:g}"}
    stated = {**asdict(Assumptions()), **asdict(Disturbances())}
    return {**lengths, **scores, "checkpoint_gb_s": f"{CHECKPOINT_GB_S:g}", **{k: f"{v:g}" for k, v in stated.items()}}


def lines(found: list[Scale]) -> list[str]:
    """Return a table, one column per simulated scale."""
    names = {"log_probs": "log-probs", "sync": "weight sync", "idle": "replicas idle", "scores": "scores awaited"}
    head = [f"{one.gpus}, {'sync' if not one.max_staleness else f'stale {one.max_staleness}'}" for one in found]
    shown = ["share of a step" + " " * 5 + "".join(f"{text:>15}" for text in head)]
    for part in asdict(found[0].times):
        shares = [getattr(one.times, part) / one.times.total for one in found]
        if any(share >= 5e-4 for share in shares):
            shown.append(f"  {names.get(part, part):<18}" + "".join(f"{share:>15.1%}" for share in shares))
    rows = {
        "seconds of a step": [f"{one.times.total:,.0f}" for one in found],
        "slots in use": [f"{one.slots_in_use:.2f}" for one in found],
        "tokens/s per GPU": [f"{one.tokens_per_gpu_second:,.0f}" for one in found],
        "hours of the run": [f"{one.finish.seconds / 3600:,.0f}" for one in found],
        "failures": [f"{one.finish.failures:.1f}" for one in found],
        "lost to failures": [f"{one.finish.lost_share:.1%}" for one in found],
    }
    shown += [f"{name:<20}" + "".join(f"{cell:>15}" for cell in cells) for name, cells in rows.items()]
    return shown
