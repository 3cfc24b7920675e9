"""Train a model, in this process or as the entry point of a Ray job.

    innovator train configs/train/demo.yaml
    innovator train demo algorithm.learning_rate=2e-6 name=faster
    innovator train demo --dry-run

The same command resumes from the last checkpoint. Ctrl-C ends the run after its step, with a checkpoint; a second
Ctrl-C ends it at once. Exit codes: 0 done; 1 the run failed, and logs/driver.log has the traceback; 2 a mistake in the
configuration, before anything was started; 130 stopped.
"""

from __future__ import annotations

import json
import shlex
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from innovator_rl.cli.application import debugging
from innovator_rl.cli.parameters import Overrides, RunConfigFile
from innovator_rl.config import load
from innovator_rl.errors import InnovatorError, UserError
from innovator_rl.packaged_files import find_config

if TYPE_CHECKING:
    from innovator_rl import api


def train(
    config: RunConfigFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, write config.yaml and verl.yaml, start nothing.")
    ] = False,
) -> None:
    """Train the model of a configuration.

    `innovator train plan` counts what a run needs before it starts, and `innovator train simulate` shows where its time
    would go; each has its own --help.
    """
    from innovator_rl import api

    prepared = api.prepare(load(_file(config, list(overrides or [])), list(overrides or [])))
    for finding in prepared.warnings:
        sys.stderr.write(f"innovator: {finding.line()}\n")
    if dry_run:
        typer.echo(json.dumps(api.write_dry_run(prepared), indent=1))
        return
    _launch(prepared)


def _file(config: str, words: list[str]) -> Path:
    """Return the file of a configuration.

    Raises:
        UserError: It is not found; the message has the near command where a second word would be its configuration.
    """
    from innovator_rl.cli.main import SECOND_WORDS

    try:
        return find_config(config, "train")
    except UserError as error:
        near = get_close_matches(config, SECOND_WORDS["train"], 1)
        if not near or not words or "=" in words[0]:
            raise
        raise UserError(f"{error}; or did you mean `innovator train {near[0]} {shlex.join(words)}`?") from None


def _launch(prepared: api.PreparedRun) -> None:
    """Train, and report how it ended.

    A failure that the project names (no learning signal, a worker that died) is its message; any other exception is a
    defect and leaves with its traceback.
    """
    from innovator_rl.integrations.verl.callbacks import StopRequested
    from innovator_rl.runs.run_dir import page_link
    from innovator_rl.training.launch import launch

    run = prepared.directory
    typer.echo(f"responses: innovator dashboard {shlex.quote(str(run.path.parent))}, then {page_link(run)}", err=True)
    try:
        launch(prepared.config, prepared.files)
    except (StopRequested, KeyboardInterrupt) as stop:
        sys.stderr.write(f"innovator: {str(stop) or 'stopped at once'}\n")
        raise typer.Exit(130) from None
    except UserError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"innovator: the run failed: {cause}\ninnovator: details: {run.logs / 'driver.log'}\n")
        if debugging() or not isinstance(error, InnovatorError):
            raise
        raise typer.Exit(1) from None
