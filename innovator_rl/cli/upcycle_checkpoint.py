"""Implement the commands of `innovator upcycle` that write and verify checkpoints."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli.upcycle_inputs import (
    FAILED_CHECK,
    Config,
    Settings,
    load_config,
    print_checks,
    print_progress,
    warn_renamed,
)
from innovator_rl.errors import UserError


def split_experts(config: Config, settings: Settings = None) -> None:
    """Split the coarse experts into finer ones (stage 2)."""
    from upcycle.checkpoint.base_model import base_model_config, base_model_folder
    from upcycle.checkpoint.convert import split
    from upcycle.stages.folders import artifacts

    loaded = load_config(config, settings)
    folder = artifacts(loaded)
    base_model = base_model_folder(loaded)
    split(loaded, base_model_config(loaded), base_model, folder / "experts", folder / "split", typer.echo)
    typer.echo(folder / "split")


def export_checkpoint(
    config: Config,
    settings: Settings = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder in the training format; by default the latest of the run.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default RUNS_DIR/NAME/export.")] = None,
) -> None:
    """Write the standard Qwen2-MoE checkpoint of a trained mixture."""
    from upcycle.checkpoint.convert import export
    from upcycle.stages.folders import artifacts, latest_mixture

    loaded = load_config(config, settings)
    target = out or artifacts(loaded) / "export"
    export(source or latest_mixture(loaded), target, loaded.export.dtype, loaded.export.shard_bytes, typer.echo)
    typer.echo(target)


def dry_run_export(
    config: Config,
    settings: Settings = None,
    round_trip: Annotated[
        Path | None,
        typer.Option("--round-trip", help="Write each file to this folder, read it back, compare it and delete it."),
    ] = None,
    rolling: Annotated[Path | None, typer.Option("--rolling", hidden=True)] = None,
    out: Annotated[Path | None, typer.Option(help="Write the checkpoint to this folder and keep it.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Only the first layers.")] = None,
) -> None:
    """Split and export a synthetic base model of the configured shape.

    Without a folder, every byte is computed and summed, but nothing is written.
    """
    import resource
    import time

    from upcycle.checkpoint import convert
    from upcycle.checkpoint.base_model import base_model_config
    from upcycle.training.memory import peak_resident

    if rolling:
        warn_renamed("--rolling", "--round-trip")
        round_trip = round_trip or rolling
    if round_trip and out:
        raise UserError("--round-trip deletes what it wrote and --out keeps it; give only one of them")
    loaded = load_config(config, settings)
    exported, identity = convert.synthetic_export(loaded, base_model_config(loaded), layers)
    started, shard_bytes = time.perf_counter(), loaded.export.shard_bytes
    if round_trip:
        convert.round_trip(exported, identity, round_trip, shard_bytes, typer.echo)
    elif out:
        convert.write_synthetic(exported, identity, out, shard_bytes, typer.echo)
    else:
        convert.dry_run(exported, shard_bytes, typer.echo)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    written = sum(entry.bytes for entry in exported.entries.values()) / 1e9
    processor = usage.ru_utime + usage.ru_stime
    typer.echo(
        f"{written:.1f} GB in {time.perf_counter() - started:.0f} s; processor time {processor:.0f} s "
        f"({written / processor:.2f} GB/s of one core); largest resident memory {peak_resident() / 2**20:.0f} MiB"
    )


def verify_checkpoint(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="The configuration whose export is verified.")
    ] = None,
    settings: Settings = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint folder; without a configuration only its form is checked.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="The folder in the training format that it must equal; by default the run's latest."
        ),
    ] = None,
    logits: Annotated[bool, typer.Option(help="Compare the whole model's logits where memory allows.")] = True,
    vllm: Annotated[bool, typer.Option("--vllm", help="Also compare with vLLM.")] = False,
    vllm_seconds: Annotated[float, typer.Option(min=1, help="Time limit of the vLLM check.")] = 900.0,
    out: Annotated[
        Path | None, typer.Option(help="Also write the checks to this file, as JSON, where all of them hold.")
    ] = None,
) -> None:
    """Verify that the export equals the trained model; exit code 3 if a check fails."""
    from innovator_rl.preflight.machine import Machine
    from innovator_rl.runs.files import write_atomic
    from upcycle.checkpoint.verify import verify
    from upcycle.model.architecture import read_json

    if config is not None:
        from upcycle.stages.folders import artifacts, latest_mixture

        loaded = load_config(config, settings)
        checkpoint = checkpoint or artifacts(loaded) / "export"
        source = source or latest_mixture(loaded)
    if checkpoint is None:
        raise UserError("nothing to verify: give a configuration, or --checkpoint FOLDER")
    checks = print_checks(verify(checkpoint, source, logits=logits, progress=print_progress))
    if vllm:
        from innovator_rl import platform
        from upcycle.checkpoint.verify_vllm import compare

        stored = read_json(checkpoint / "config.json", "give an exported checkpoint")["dtype"]
        served = "float32" if stored == "float32" else Machine.here().fastest_dtype
        print_progress(f"comparing with vLLM in {served}")
        environment = platform.environment(1, kv_cache_gb=1)
        if environment:  # a CPU: stock vLLM, without the plugin that keeps a second copy of the weights for later syncs
            environment["VLLM_PLUGINS"] = "none"
        checks += print_checks([compare(checkpoint, served, vllm_seconds, environment)])
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED_CHECK)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, json.dumps({"checkpoint": str(checkpoint), "checks": [asdict(check) for check in checks]}))
