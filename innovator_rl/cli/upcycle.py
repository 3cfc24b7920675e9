"""Upcycle a dense model to a mixture of experts, in the paper's four stages.

    innovator upcycle plan CONFIG              # what it costs
    innovator upcycle run CONFIG               # all stages, then export and verify
    innovator upcycle train-experts CONFIG     # stage 1, expert induction
    innovator upcycle split CONFIG             # stage 2, expert split
    innovator upcycle train-router CONFIG      # stage 3, science-aware routing
    innovator upcycle train-joint CONFIG       # stage 4, generalist-scientist integration
    innovator upcycle export CONFIG
    innovator upcycle verify CONFIG

Complete stages are skipped, and interrupted ones continue. `run` and `verify` exit with 3 if a check fails.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from innovator_rl.cli.application import make_app
from innovator_rl.cli.upcycle_checkpoint import dry_run_export, export_checkpoint, split_experts, verify_checkpoint
from innovator_rl.cli.upcycle_inputs import (
    FAILED_CHECK,
    Config,
    Ranks,
    Settings,
    load_config,
    print_checks,
    print_progress,
    warn_renamed,
)
from innovator_rl.cli.upcycle_plan import plan_run
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from upcycle.config.schema import UpcycleConfig
    from upcycle.config.stages import Stage
    from upcycle.stages.pipeline import StageRunner

app = make_app("Upcycle a dense model to a mixture of experts, in the paper's four stages.")
app.command("plan")(plan_run)


@app.command("run")
def run_all(
    config: Config,
    settings: Settings = None,
    ranks: Ranks = 1,
    nodes: Annotated[
        int,
        typer.Option(
            min=1, help="Machines. The same command runs on each, with MASTER_ADDR, MASTER_PORT and NODE_RANK set."
        ),
    ] = 1,
    dense: Annotated[bool, typer.Option("--dense", help="Also train the dense baseline on the same text.")] = False,
    stages_only: Annotated[
        bool, typer.Option("--stages-only", hidden=True, help="What each rank of `--ranks` runs.")
    ] = False,
) -> None:
    """Run all stages in order, then export and verify; complete stages are skipped."""
    from innovator_rl.config.nodes import node_rank
    from upcycle.checkpoint.base_model import base_model_config, base_model_folder
    from upcycle.checkpoint.verify import verify
    from upcycle.stages import launch, pipeline
    from upcycle.stages.common import prepare_text
    from upcycle.stages.folders import latest_mixture

    loaded = load_config(config, settings)
    base_model = base_model_folder(loaded)
    if stages_only:
        pipeline.train(loaded, base_model, typer.echo, dense)
        return
    node = node_rank(nodes, "--nodes")
    pipeline.check(loaded, base_model_config(loaded), ranks * nodes, dense, base_model)
    if ranks * nodes == 1:
        pipeline.train(loaded, base_model, typer.echo, dense)
    else:  # one launch for all stages, so that every rank imports its libraries once
        if node == 0:
            prepare_text(loaded, base_model)
        chosen = ["--dense"] if dense else []
        launch.on_ranks(ranks, ["upcycle", "run", str(config), *(settings or []), *chosen, "--stages-only"], nodes)
    if node:
        return  # the first machine exports
    target = pipeline.export(loaded, typer.echo, dense)
    checks = print_checks(verify(target, latest_mixture(loaded), progress=print_progress))
    typer.echo(target)
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED_CHECK)


@app.command("train-experts")
def train_experts(
    config: Config,
    settings: Settings = None,
    discipline: Annotated[str | None, typer.Option(help="One discipline; by default all, one after the other.")] = None,
    ranks: Ranks = 1,
    ray: Annotated[
        str | None, typer.Option(help="Submit every discipline as a job to the Ray cluster at this address.")
    ] = None,
) -> None:
    """Train one coarse expert per discipline next to the frozen base model (stage 1)."""
    from upcycle.stages.folders import artifacts

    loaded = load_config(config, settings)
    if discipline is not None and discipline not in loaded.disciplines:
        raise UserError(f"--discipline {discipline!r}: unknown; the configuration has {', '.join(loaded.disciplines)}")
    names = [discipline] if discipline is not None else list(loaded.disciplines)
    if ray is not None:
        _train_experts_as_jobs(config, settings, loaded, names, ranks, ray)
        return
    train = _runner(config, settings, ranks)
    for name in names:
        train("train_experts", name)
        typer.echo(artifacts(loaded) / "experts" / name)


app.command("split")(split_experts)


@app.command("train-router")
def train_router(config: Config, settings: Settings = None, ranks: Ranks = 1) -> None:
    """Train the router alone (stage 3)."""
    _train("train_router", config, settings, ranks)


@app.command("train-joint")
def train_joint(config: Config, settings: Settings = None, ranks: Ranks = 1) -> None:
    """Train the whole mixture on general and scientific text (stage 4)."""
    _train("train_joint", config, settings, ranks)


@app.command("train-dense")
def train_dense(config: Config, settings: Settings = None, ranks: Ranks = 1) -> None:
    """Train the base model itself on the same text, as a baseline."""
    _train("train_dense", config, settings, ranks)


app.command("export")(export_checkpoint)
app.command("verify")(verify_checkpoint)
app.command("dry-run")(dry_run_export)


@app.command("ablation")
def run_ablation(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="A file of variants (.yaml), such as configs/upcycle/ablations.yaml."),
    ],
    settings: Settings = None,
) -> None:
    """Train every variant of a file on the same token budget and print the table."""
    from innovator_rl.packaged_files import find_config
    from upcycle.stages import ablations

    typer.echo(ablations.run(find_config(str(config), "upcycle"), settings or [], print_progress))


@app.command("report")
def show_report(
    config: Config,
    settings: Settings = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw the training losses into this PNG file.")] = None,
) -> None:
    """Compare the stages: held-out loss, routing and the general ability that is left."""
    from upcycle.stages import report

    loaded = load_config(config, settings)
    typer.echo(report.table(loaded))
    if plot:
        report.plot(loaded, plot)


RENAMED_COMMANDS: dict[str, tuple[str, Callable[..., Any]]] = {
    "induct": ("train-experts", train_experts),
    "route": ("train-router", train_router),
    "integrate": ("train-joint", train_joint),
    "dense": ("train-dense", train_dense),
    "ablate": ("ablation", run_ablation),
    "rehearse": ("dry-run", dry_run_export),
}
"""Command of the previous release -> its name and function today; it works, warns and is not listed."""


def _warning(old: str, new: str, command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with a warning that it was renamed."""

    @wraps(command)
    def run(**parameters: Any) -> Any:
        warn_renamed(f"upcycle {old}", f"upcycle {new}")
        return command(**parameters)

    return run


for _old_name, (_name, _command) in RENAMED_COMMANDS.items():
    app.command(_old_name, hidden=True)(_warning(_old_name, _name, _command))


def _train(stage: "Stage", config: Path, settings: list[str] | None, ranks: int) -> None:
    from upcycle.stages.folders import stage_folder

    loaded = load_config(config, settings)
    _runner(config, settings, ranks)(stage, "")
    typer.echo(stage_folder(loaded, stage))


def _runner(config: Path, settings: list[str] | None, ranks: int) -> "StageRunner":
    """Return what trains a stage.

    That is this process, or the same command under torchrun on several ranks.
    """
    from upcycle.stages import pipeline

    loaded = load_config(config, settings)
    if ranks == 1:
        return pipeline.in_process(loaded)
    from upcycle.checkpoint.base_model import base_model_config, base_model_folder
    from upcycle.stages import launch
    from upcycle.stages.common import prepare_text, require_input

    base_model = base_model_folder(loaded)

    def train(stage: "Stage", discipline: str) -> None:
        chosen = ["--discipline", discipline] if discipline else []
        command = stage.replace("_", "-")
        require_input(loaded, stage)
        pipeline.check(loaded, base_model_config(loaded), ranks, base_model=base_model, stages=(stage,))
        prepare_text(loaded, base_model)
        launch.on_ranks(ranks, ["upcycle", command, str(config), *(settings or []), *chosen])

    return train


def _train_experts_as_jobs(
    config: Path, settings: list[str] | None, loaded: "UpcycleConfig", names: list[str], ranks: int, address: str
) -> None:
    from innovator_rl.jobs.connection import client
    from innovator_rl.runs.run_dir import resolve_runs_dir
    from upcycle.stages import launch

    connection = client(address)
    ids = launch.as_jobs(connection, config, settings or [], names, ranks, resolve_runs_dir(loaded.runs_dir))
    ended = launch.wait_for_jobs(connection, ids, typer.echo)
    if set(ended.values()) != {"SUCCEEDED"}:
        raise typer.Exit(1)
