"""`innovator train`: one run, in this process or as the entry point of a Ray job.

    innovator train configs/train/demo.yaml
    innovator train configs/train/demo.yaml algorithm.learning_rate=2e-6 name=faster
    innovator train configs/train/demo.yaml --dry-run

The same command again trains on from the last checkpoint. Ctrl-C ends the run after its step with a checkpoint, twice at once.
Exit code 0: done; 1: it failed, with the cause; 2: a mistake in the configuration, before anything was started; 130: stopped.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from innovator_rl.config import load
from innovator_rl.config.schema import RunConfig
from innovator_rl.errors import UserError
from innovator_rl.preflight import check, errors
from innovator_rl.runs.run_dir import page_link

if TYPE_CHECKING:
    from innovator_rl.training.launch import Files


def train(
    config: Annotated[str, typer.Argument(help="A run's YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings to change, as key=value.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, write config.yaml and verl.yaml, start nothing.")
    ] = False,
) -> None:
    """Train a model as CONFIG says."""
    run_config = load(config, list(overrides or []))
    _stop_on_errors(run_config)
    from innovator_rl.integrations.verl.callbacks import StopRequested
    from innovator_rl.training.launch import launch, plan, prepare_process, run_directory, write_plan

    prepare_process(run_config)
    run = run_directory(run_config)
    files = _files(run_config, run.path / "data")
    _stop_on_errors(run_config, files.train, files.validation, deep=True)
    if dry_run:
        facts, verl_config = plan(run_config, files, run)
        write_plan(run, run_config, verl_config)
        summary = {
            "run": str(run.path),
            "model": facts.model_path,
            "platform": facts.platform,
            "train": list(files.train),
            "validation": list(files.validation),
            "files": [str(run.config_yaml), str(run.verl_yaml)],
        }
        typer.echo(json.dumps(summary, indent=1))
        return
    typer.echo(f"responses: innovator dashboard {shlex.quote(str(run.path.parent))}, then {page_link(run)}", err=True)
    try:
        launch(run_config, files)
    except (StopRequested, KeyboardInterrupt) as stop:
        sys.stderr.write(f"innovator: {stop or 'stopped at once'}\n")
        raise typer.Exit(130) from None
    except UserError:
        raise
    except Exception as error:
        sys.stderr.write(
            f"innovator: the run failed: {type(error).__name__}: {error}\ninnovator: all of it: {run.logs / 'driver.log'}\n"
        )
        raise typer.Exit(1) from None


def _files(run_config: RunConfig, cache: Path) -> Files:
    """The entries of data.train and data.validation as Parquet files."""
    from innovator_rl.data.build import materialize
    from innovator_rl.training.launch import Files

    seed = run_config.data.seed
    return Files(
        train=tuple(str(materialize(entry, cache, split="train", seed=seed)) for entry in run_config.data.train),
        validation=tuple(
            str(materialize(entry, cache, split="validation", seed=seed)) for entry in run_config.data.validation
        ),
    )


def _stop_on_errors(
    run_config: RunConfig,
    train: tuple[str, ...] | None = None,
    validation: tuple[str, ...] | None = None,
    deep: bool = False,
) -> None:
    """Raise `UserError` with a line for each finding that would spoil the run; say the warnings once, at the deep look."""
    findings = check(run_config, train_files=train, validation_files=validation, deep=deep)
    stopping = errors(findings)
    if stopping:
        raise UserError("\n".join(f"{f.setting} = {f.value!r}: {f.why}; {f.fix}" for f in stopping))
    if deep:
        for finding in findings:
            sys.stderr.write(f"innovator: {finding.line()}\n")
