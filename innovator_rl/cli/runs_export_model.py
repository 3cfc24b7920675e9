"""Write the trained model of a run as a Hugging Face folder, and prove that vLLM serves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from innovator_rl.cli.parameters import RunName, RunsDir
from innovator_rl.errors import StorageError, UserError

Precision = Literal["keep", "bfloat16", "float16", "float32"]


def export_model(
    name: RunName,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    step: Annotated[
        int | None, typer.Option("--step", help="The checkpoint; the newest complete one if absent.")
    ] = None,
    dtype: Annotated[Precision, typer.Option("--dtype", help="Precision of the weights; keep: as trained.")] = "keep",
    proof: Annotated[bool, typer.Option("--proof/--no-proof", help="Load the result once in vLLM.")] = True,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a folder that exists.")] = False,
    runs_dir: RunsDir = "runs",
) -> None:
    """Write the trained model of a run as a Hugging Face folder."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from innovator_rl.integrations.verl.checkpoint_export import export_checkpoint, find_checkpoint
    from innovator_rl.recorded_run import find_run
    from innovator_rl.runs.run_dir import RunDir

    run = RunDir(find_run(name, runs_dir))
    if out.exists() and not replace:
        raise UserError(f"{out}: exists; give another folder, or --replace")
    checkpoint = find_checkpoint(run.checkpoints, step)
    try:
        written = export_checkpoint(checkpoint, out, dtype)
    except StorageError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    typer.echo(f"{out}: step {checkpoint.step} of {run.name}, weights in {written}")
    if proof:
        from innovator_rl.evaluation.proof import prove_servable

        typer.echo(f"{out}: loaded in vLLM, which generated {prove_servable(out, written)} tokens", err=True)
    typer.echo(f"vllm serve {out} --dtype {written}")
