"""Fine-tune a model on conversations, with verl's own trainer.

    innovator sft configs/sft/tiny.yaml
    innovator sft smollm2 optimizer.learning_rate=1e-4 name=faster
    innovator sft smollm2 --dry-run

The same command resumes from the last checkpoint. Ctrl-C ends the run after its update, with a checkpoint; a second
Ctrl-C ends it at once. Exit codes are those of `innovator train`.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.application import debugging
from innovator_rl.cli.parameters import Overrides
from innovator_rl.errors import InnovatorError, UserError
from innovator_rl.packaged_files import find_config


def sft(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file, or the name of one in configs/sft.",
            autocompletion=completion.configurations("sft"),
        ),
    ],
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, write config.yaml and verl.yaml, start nothing.")
    ] = False,
) -> None:
    """Fine-tune the model of a configuration."""
    from innovator_rl import api
    from innovator_rl.config.load import load_as
    from innovator_rl.config.sft import SftConfig
    from innovator_rl.integrations.verl.callbacks import StopRequested
    from innovator_rl.sft.launch import launch, write_plan

    prepared, warnings = api.prepare_sft(load_as(SftConfig, find_config(config, "sft"), list(overrides or [])))
    for finding in warnings:
        sys.stderr.write(f"innovator: {finding.line()}\n")
    run = prepared.directory
    if dry_run:
        write_plan(prepared, prepared.verl_config())
        summary = {
            "run": str(run.path),
            "model": prepared.model_path,
            "platform": prepared.platform,
            "rows": prepared.train.rows,
            "tokens": prepared.train.tokens,
            "steps": prepared.steps,
            "left_out": prepared.train.dropped,
            "files": [str(run.config_yaml), str(run.verl_yaml)],
        }
        typer.echo(json.dumps(summary, indent=1))
        return
    try:
        typer.echo(launch(prepared))
    except (StopRequested, KeyboardInterrupt) as stop:
        sys.stderr.write(f"innovator: {str(stop) or 'stopped at once'}\n")
        raise typer.Exit(130) from None
    except UserError:
        raise
    except Exception as error:
        sys.stderr.write(f"innovator: the run failed: {error}\ninnovator: details: {run.logs}\n")
        if debugging() or not isinstance(error, InnovatorError):
            raise
        raise typer.Exit(1) from None
