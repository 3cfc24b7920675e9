"""Diagnose this machine and a configuration; start nothing.

    innovator doctor                                        # this machine
    innovator doctor configs/train/demo.yaml schedule.steps=5
    innovator doctor configs/train/demo.yaml --json

Nothing is started, downloaded or built. The exit code is 2 when a diagnostic would stop the run, else 0.
"""

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.parameters import AsJson, Overrides
from innovator_rl.config import load
from innovator_rl.config.schema import RunConfig
from innovator_rl.packaged_files import config_names, find_config
from innovator_rl.preflight import Diagnostic, Machine, check, errors, rewarder_health, software
from innovator_rl.preflight import describe as describe_case
from innovator_rl.scoring import registry

COLORS = {"error": "red", "warning": "yellow", "info": "blue"}


def doctor(
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file, or the name of one in configs/train or configs/sft; without it, only the machine is checked.",
            autocompletion=completion.configurations("train"),
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="Skip the import of verl and the start of rewarders.")] = False,
) -> None:
    """Diagnose this machine and a configuration.

    Each diagnostic names a setting and a fix.
    """
    machine = Machine.here()
    words = list(overrides or [])
    if config is not None and "=" in config:
        words, config = [config, *words], None
    alone = config is None and not words
    sft = _sft_file(config)
    if sft is not None:
        _doctor_sft(sft, words, machine, as_json)
    run = load(find_config(config, "train") if config is not None else None, words)
    findings = examine(run, machine, alone, deep=not quick)
    stopped = bool(errors(findings))
    if as_json:
        typer.echo(json.dumps(report(machine, findings, None if alone else run), indent=1))
    else:
        _show(machine, findings, config)
    raise typer.Exit(2 if stopped else 0)


def _sft_file(config: str | None) -> Path | None:
    """Return the file of a configuration of supervised fine-tuning; None for any other."""
    from innovator_rl.sft.preflight import is_sft

    if config is None:
        return None
    known = config_names("train")
    path = find_config(config, "sft" if config not in known and config in config_names("sft") else "train")
    return path if path.is_file() and is_sft(path) else None


def _doctor_sft(path: Path, words: list[str], machine: Machine, as_json: bool) -> NoReturn:
    """Diagnose a configuration of supervised fine-tuning, and exit."""
    from innovator_rl.config.load import load_as
    from innovator_rl.config.sft import SftConfig
    from innovator_rl.sft.preflight import check_sft

    run = load_as(SftConfig, path, words)
    findings = check_sft(run, machine)
    if as_json:
        typer.echo(json.dumps({**report(machine, findings, None), "config": run.model_dump(mode="json")}, indent=1))
    else:
        _show(machine, findings, str(path))
    raise typer.Exit(2 if errors(findings) else 0)


def examine(run: RunConfig, machine: Machine, alone: bool, deep: bool) -> list[Diagnostic]:
    """Return the diagnostics of a run.

    Args:
        run: The configuration.
        machine: Cores, memory and packages of this machine.
        alone: Diagnose the machine's software only; `run` has the defaults.
        deep: Also import verl and start the rewarders.
    """
    if not alone:
        return check(run, machine=machine, deep=deep)
    case, _ = describe_case(run, machine=machine)
    found = list(software.check(case, deep))
    if deep:
        found += rewarder_health.check(registry.names(), run.reward.model_dump(), "warning")
    return found


def report(machine: Machine, findings: list[Diagnostic], run: RunConfig | None) -> dict[str, object]:
    """Return machine, diagnostics and resolved configuration as plain values for JSON."""
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
        console.print(f"{subject}: no diagnostics", style="green", highlight=False)
        return
    table = Table(show_lines=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("setting", overflow="fold", ratio=2)
    table.add_column("why, and what to do", overflow="fold", ratio=3)
    for finding in findings:
        value = "" if finding.value is None else f"\n= {finding.value!r:.60}"
        cells = [escape(f"{finding.setting}{value}"), escape(f"{finding.why}\n→ {finding.fix}")]
        table.add_row(f"[{COLORS[finding.severity]}]{finding.severity}[/]", *cells)
    console.print(table)
    stopping = len(errors(findings))
    effect = f"{stopping} would stop the run" if stopping else "none of them stops the run"
    console.print(f"{subject}: {len(findings)} diagnostics, {effect}", highlight=False)
