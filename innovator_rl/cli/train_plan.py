"""Plan a training run: memory of each GPU, time, and bytes; start nothing.

    innovator train plan innovator-53b --gpus 64
    innovator train plan innovator-53b --gpus 16 --gpu h200 --json
    innovator train plan configs/train/demo.yaml --gpus 1 --model-config path/to/config.json

The model's config.json is that of `model.path`, or a file next to the configuration: `innovator-53b.yaml` has
`innovator-53b.config.json`. The exit code is 2 when the run cannot fit; the plan then names settings that do.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli.parameters import AsJson, Overrides, RunConfigFile
from innovator_rl.config import RunConfig, load
from innovator_rl.errors import UserError
from innovator_rl.packaged_files import find_config
from innovator_rl.planning import Hardware, Plan, Shape
from innovator_rl.planning import plan as plan_run
from innovator_rl.planning.hardware import GIB


def train_plan(
    config: RunConfigFile,
    overrides: Overrides = None,
    gpus: Annotated[int | None, typer.Option("--gpus", help="GPUs in all; those of `resources` if absent.")] = None,
    per_node: Annotated[int, typer.Option("--gpus-per-node", "--per-node", help="GPUs of a node.")] = 8,
    gpu: Annotated[str, typer.Option("--gpu", help="Kind: a100-40, a100-80, h100-80, h200 or b200.")] = "h100-80",
    model_config: Annotated[
        Path | None, typer.Option("--model-config", help="A model's config.json, where `model.path` is not here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute memory per GPU, step time and bytes of a run; start nothing."""
    path = find_config(config, "train")
    run = load(path, list(overrides or []))
    resources = run.resources
    count = gpus or resources.nodes * resources.accelerators_per_node
    hardware = Hardware.named(gpu, count, per_node if gpus else resources.accelerators_per_node)
    found = plan_run(run, hardware, shape_of(run, Path(path), model_config))
    typer.echo(json.dumps(found.as_dict(), indent=1) if as_json else "\n".join(lines(found)))
    raise typer.Exit(2 if found.problems else 0)


def shape_of(run: RunConfig, path: Path, given: Path | None) -> Shape:
    """Return the shape of the run's model.

    Raises:
        UserError: No config.json is here.
    """
    if given is not None:
        return Shape.of_file(given)
    sibling = path.with_name(f"{path.stem}.config.json")
    folder = Path(run.model.path).expanduser()
    if (folder / "config.json").is_file():
        return Shape.of_file(folder)
    if sibling.is_file():
        return Shape.of_file(sibling)
    from innovator_rl.preflight.model import BUILT_IN_SHAPES

    if run.model.path in BUILT_IN_SHAPES:
        return Shape.read(BUILT_IN_SHAPES[run.model.path], run.model.path)
    raise UserError(
        f"model.path = {run.model.path!r}: no config.json found there, nor {sibling}; give one with --model-config FILE"
    )


def lines(found: Plan) -> list[str]:
    """Return a plan in sentences and a table."""
    shape, hardware, setup = found.shape, found.hardware, found.setup
    shown = [
        f"model      {shape.total / 1e9:.1f} billion parameters, {shape.active / 1e9:.1f} active, {shape.layers} layers",
        f"hardware   {hardware.gpus} x {hardware.name} on {hardware.nodes} nodes, {hardware.memory / GIB:.0f} GiB each",
        f"layout     trained model cut over {setup.shard} GPUs; {hardware.gpus // max(1, setup.tensor_parallel)} rollout "
        f"replicas of {setup.tensor_parallel}",
        "",
        "memory of one GPU (GiB)",
    ]
    phases = found.phases()
    shown.append(f"  {'':<16}" + "".join(f"{name:>10}" for name in phases))
    for part in asdict(found.update):
        sizes = [getattr(phase, part) for phase in phases.values()]
        if any(sizes):
            shown.append(f"  {part.replace('_', ' '):<16}" + "".join(f"{size / GIB:>10.1f}" for size in sizes))
    shown.append(f"  {'total':<16}" + "".join(f"{phase.total / GIB:>10.1f}" for phase in phases.values()))
    seconds = found.seconds
    hours = found.steps * seconds.total / 3600
    shown += [
        "",
        f"offloaded  {found.host / GIB:.0f} GiB of each node's main memory",
        f"rollout    {found.sequences_per_replica} sequences of {setup.longest} tokens fit a replica's cache",
        f"step       {seconds.total:.0f} s: generate {seconds.generate:.0f}, log-probs {seconds.log_probs:.0f}, update "
        f"{seconds.update:.0f}, waiting for the network {seconds.communication:.0f}, weight sync {seconds.sync:.0f}",
        f"run        {hours:.0f} h for {found.steps} steps, {hours * hardware.gpus:.0f} GPU hours",
        f"network    {found.communication_per_step / GIB:.0f} GiB per GPU and step",
        f"disk       checkpoints {found.checkpoint_disk / GIB:.0f} GiB, recorded responses at most "
        f"{found.recorder_per_step / GIB:.2f} GiB per step",
        "assumed    " + ", ".join(f"{key} {value:g}" for key, value in asdict(found.assumptions).items()),
    ]
    if found.problems:
        shown += ["", *(f"cannot fit: {problem}" for problem in found.problems)]
        shown.append("fits with:  " + (" ".join(found.proposal) or "no settings on up to 16 times as many GPUs"))
    return shown
