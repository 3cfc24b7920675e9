"""`innovator doctor`: what this machine and this configuration can run.

    innovator doctor                                        the machine alone
    innovator doctor configs/train/demo.yaml schedule.steps=5
    innovator doctor configs/train/demo.yaml --json

Nothing is started, fetched or built. Exit code 0, or 2 when a finding would stop the run.
"""

import json
from typing import Annotated

import typer

from innovator_rl.config import load
from innovator_rl.config.schema import RunConfig
from innovator_rl.preflight import Diagnostic, Machine, check, errors, rewarder_health, software
from innovator_rl.preflight import describe as describe_case
from innovator_rl.scoring import registry

COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


def doctor(
    config: Annotated[str | None, typer.Argument(help="A run's YAML file; without one, the machine alone.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings to change, as key=value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out importing verl and asking the rewarders (seconds).")
    ] = False,
) -> None:
    """What this machine and this configuration can run; every finding names the setting and the fix."""
    machine = Machine.here()
    words = list(overrides or [])
    if config is not None and "=" in config:
        words, config = [config, *words], None
    alone = config is None and not words
    run = load(config, words)
    findings = examine(run, machine, alone, deep=not quick)
    stopped = bool(errors(findings))
    if as_json:
        typer.echo(json.dumps(report(machine, findings, None if alone else run), indent=1))
    else:
        _show(machine, findings, config)
    raise typer.Exit(2 if stopped else 0)


def examine(run: RunConfig, machine: Machine, alone: bool, deep: bool) -> list[Diagnostic]:
    """The findings about a run, or with `alone` those about the machine's software."""
    if not alone:
        return check(run, machine=machine, deep=deep)
    case, _ = describe_case(run, machine=machine)
    found = list(software.check(case, deep))
    if deep:
        found += rewarder_health.check(registry.names(), run.reward.model_dump(), "warning")
    return found


def report(machine: Machine, findings: list[Diagnostic], run: RunConfig | None) -> dict[str, object]:
    """The answer as plain values: machine, findings, verdict, and the resolved run."""
    return {
        "ok": not errors(findings),
        "machine": {
            "cores": machine.cores,
            "memory_bytes": machine.memory,
            "shared_memory_bytes": machine.shared_memory,
            "accelerators": len(machine.accelerator_memory),
            "accelerator_memory_bytes": list(machine.accelerator_memory),
            "native_bfloat16": machine.native_bfloat16,
            "packages": machine.packages,
        },
        "findings": [finding.as_dict() for finding in findings],
        "config": None if run is None else run.model_dump(mode="json"),
    }


def _show(machine: Machine, findings: list[Diagnostic], config: str | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(soft_wrap=False)
    size = 2**30
    console.print(
        f"{machine.cores} cores, {machine.memory / size:.0f} GiB memory, {machine.shared_memory / size:.0f} GiB "
        "/dev/shm, "
        f"{len(machine.accelerator_memory)} accelerators",
        highlight=False,
    )
    console.print(", ".join(f"{name} {version}" for name, version in machine.packages.items()), highlight=False)
    subject = config or "this machine"
    if not findings:
        console.print(f"{subject}: nothing found", style="green", highlight=False)
        return
    table = Table(show_lines=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("setting", overflow="fold", ratio=2)
    table.add_column("why, and what to do", overflow="fold", ratio=3)
    for finding in findings:
        value = "" if finding.value is None else f"\n= {finding.value!r:.60}"
        cells = [escape(f"{finding.setting}{value}"), escape(f"{finding.why}\n→ {finding.fix}")]
        table.add_row(f"[{COLOURS[finding.severity]}]{finding.severity}[/]", *cells)
    console.print(table)
    stopping = len(errors(findings))
    verdict = f"{stopping} would stop the run" if stopping else "none of these stops the run"
    console.print(f"{subject}: {len(findings)} findings, {verdict}", highlight=False)
