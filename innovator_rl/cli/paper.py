"""Run the whole path of the paper with one command, from raw textbooks to the tables.

    innovator paper run configs/paper/quick.yaml            # a random model, in minutes
    innovator paper run configs/paper/small.yaml --dry-run  # what would run, and why
    innovator paper report configs/paper/small.yaml         # the report of what has run so far
    innovator paper pack configs/paper/small.yaml small.tar.xz  # its results without weights, for another machine

Complete stages are skipped, and a stage whose inputs changed runs again with what depends on it. A stage that fails is
named with its log, and the same command continues there.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.application import make_app
from innovator_rl.cli.parameters import AsJson, Overrides

if TYPE_CHECKING:
    from innovator_rl.paper.config import PaperConfig
    from innovator_rl.paper.runner import Runner

app = make_app("Run the whole path of the paper with one command, from raw textbooks to the tables.")

PaperFile = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="A YAML file, or the name of one in configs/paper.",
        autocompletion=completion.configurations("paper"),
    ),
]


@app.command("run")
def run_path(
    config: PaperFile,
    settings: Overrides = None,
    repeat: Annotated[
        list[str] | None,
        typer.Option("--repeat", metavar="STAGE", help="Run this complete stage again; may be given several times."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="STAGE",
            help="Run only this stage, whose inputs must be complete; may be given several times.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run every stage that is not complete, and write the report."""
    from innovator_rl.errors import UserError
    from innovator_rl.paper.parts import missing_base_model, missing_data, refusals, require_writable
    from innovator_rl.paper.report.write import write_report
    from innovator_rl.paper.runner import StageFailed

    loaded, runner = _open(config, settings, repeat or (), only or ())
    require_writable(loaded.runs_dir)
    if dry_run:
        _print_plan(loaded, runner, as_json)
        return
    start = [one.stage for one in runner.decide() if one.runs and runner.asks(one.stage)]
    problems = missing_base_model(loaded.base_model) if start else []
    problems = [*problems, *missing_data(runner.stages, start)] or refusals(start)
    if problems:
        raise UserError("\n".join(problems))
    try:
        runner.execute()
    except StageFailed as error:
        write_report(loaded, runner.run, runner.decide())
        typer.echo(f"innovator: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(write_report(loaded, runner.run, runner.decide()))


@app.command("report")
def show_report(
    config: PaperFile,
    settings: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Write a copy for others there instead: without links to this machine's dashboard and logs.",
        ),
    ] = None,
) -> None:
    """Write the report of the stages that are complete."""
    from innovator_rl.paper.report.write import write_report

    loaded, runner = _open(config, settings)
    if out is None:
        runner.run.create()
    typer.echo(write_report(loaded, runner.run, runner.decide(), out))


@app.command("pack")
def pack_path(
    config: PaperFile,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, such as small.tar.xz.")],
    settings: Overrides = None,
) -> None:
    """Keep the results of the complete stages in one small file, without weights."""
    from innovator_rl.paper.pack import pack

    _, runner = _open(config, settings)
    found = pack(runner.decisions, out)
    left = f"; not complete: {', '.join(found.others)}" if found.others else ""
    typer.echo(f"{out}: {len(found.stages)} stages, {out.stat().st_size / 1e6:,.2f} MB{left}")


@app.command("unpack")
def unpack_path(
    config: PaperFile,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `innovator paper pack` wrote.")],
    settings: Overrides = None,
) -> None:
    """Take over the stages of a pack; `run` makes weights again only for a stage that reads them."""
    from innovator_rl.paper.pack import unpack

    loaded, runner = _open(config, settings)
    found = unpack(runner.decisions, source)
    left = f"; not taken, begun here or not part of this path: {', '.join(found.others)}" if found.others else ""
    typer.echo(f"{loaded.runs_dir / loaded.name}: {len(found.stages)} stages taken over{left}")


def _open(
    config: str, settings: list[str] | None, repeat: Collection[str] = (), only: Collection[str] = ()
) -> tuple["PaperConfig", "Runner"]:
    from innovator_rl.packaged_files import find_config
    from innovator_rl.paper.config import load_paper
    from innovator_rl.paper.plan import stages_of
    from innovator_rl.paper.runner import Runner
    from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir

    loaded = load_paper(Path(find_config(config, "paper")), settings or [])
    loaded = loaded.model_copy(update={"runs_dir": resolve_runs_dir(loaded.runs_dir)})
    if loaded.data:
        os.environ["INNOVATOR_DATA"] = str(loaded.data.resolve())  # recipes and suites read it, here and in every stage
    run = RunDir(loaded.runs_dir / loaded.name)
    seconds = loaded.limit_hours * 3600, loaded.save_minutes * 60
    return loaded, Runner(run, stages_of(loaded), _say, *seconds, repeat, only)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _print_plan(loaded: "PaperConfig", runner: "Runner", as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from innovator_rl.paper.costs import cost_of, describe, total, warnings
    from innovator_rl.paper.parts import missing_base_model, missing_data
    from innovator_rl.paper.set_aside import bytes_in

    found = [
        (one, cost_of(one.stage, loaded.accelerators, runner.expected(one.stage)))
        for one in runner.decide()
        if runner.asks(one.stage)
    ]
    waiting = [(one.stage, cost) for one, cost in found if one.runs]
    sums = total([(stage.name, cost) for stage, cost in waiting], loaded.price)
    problems = warnings(waiting, loaded.accelerators, loaded.limit_hours)
    problems += missing_base_model(loaded.base_model) if waiting else []
    problems += missing_data(runner.stages, [stage for stage, _ in waiting])
    problems += runner.short_of_space({stage.name: cost.disk_bytes for stage, cost in waiting if cost})
    if as_json:
        stages = [
            {
                "stage": decision.stage.name,
                "runs": decision.runs,
                "reason": decision.reason,
                "seconds": decision.seconds,
                "disk_bytes": decision.stage.disk_bytes,
                "replaces": {str(path): bytes_in(path) for path in decision.replaces},
                "cost": asdict(cost) if cost else None,
                "command": list(decision.stage.words()),
            }
            for decision, cost in found
        ]
        price = loaded.price.model_dump() if loaded.price else None
        typer.echo(json.dumps({"stages": stages, "price": price, "total": sums, "warnings": problems}))
        return
    for decision, cost in found:
        stage = decision.stage
        disk = f", needs {stage.disk_bytes / 1e9:,.1f} GB of disk" if stage.disk_bytes else ""
        typer.echo(f"{'run ' if decision.runs else 'skip'}  {stage.name}: {stage.title} ({decision.reason}{disk})")
        typer.echo(f"        cost: {describe(cost, loaded.price)}")
        typer.echo(f"        {' '.join(stage.words())}")
        for path in decision.replaces:
            typer.echo(f"        replaces {path} ({bytes_in(path) / 1e9:,.3f} GB)")
    for line in sums:
        typer.echo(line)
    for line in problems:
        typer.echo(f"warning: {line}")
