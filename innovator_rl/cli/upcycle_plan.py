"""Implement `innovator upcycle plan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from innovator_rl.cli.upcycle_inputs import Config, Settings, load_config
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from upcycle.config.schema import UpcycleConfig
    from upcycle.planning.plan import StagePlan, UpcyclePlan

DEFAULT_RANKS = (64, 32, 16, 8, 4, 2, 1)
SPARE = 0.1
"""Share of a GPU's memory that the proposals leave free: for the estimate's error, NCCL's buffers and fragmentation."""


def plan_run(
    config: Config,
    settings: Settings = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, help="Ranks that train; by default 64, or fewer where a batch has fewer sequences."),
    ] = None,
    gpu_memory: Annotated[float, typer.Option(min=1, help="Memory of one GPU, in GB (10^9 bytes).")] = 80.0,
    gpus_per_node: Annotated[
        int, typer.Option("--gpus-per-node", "--per-node", min=1, help="Ranks that share the memory of a host.")
    ] = 8,
    mfu: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="Share of the peak that training reaches (0.21 by default).")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Price of a GPU-hour, for the cost.")] = None,
    dense: Annotated[bool, typer.Option("--dense", help="Also count the dense baseline, as `run --dense`.")] = False,
    meta: Annotated[
        bool, typer.Option("--meta", help="Also build the model on the meta device and let FSDP2 shard it.")
    ] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor of every file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Count parameters, files, bytes, operations, memory and hours before anything runs.

    Exit code 2, after the figures, if the run would refuse to start. Where the base model is not on this machine, neither
    its files nor the text are expected here, and what is missing is listed.
    """
    import json
    from dataclasses import replace

    from upcycle.checkpoint.base_model import base_model_config
    from upcycle.planning.costs import Speed
    from upcycle.planning.plan import plan

    loaded = load_config(config, settings)
    speed = Speed(peak_tflops=loaded.trainer.peak_tflops or Speed.peak_tflops)
    if mfu is not None:
        speed = replace(speed, mfu=mfu, source="--mfu")
    base_config, base_model = base_model_config(loaded), _local_base_model(loaded)
    gpus = gpus or default_ranks(loaded, base_config)
    counted = plan(loaded, base_config, gpus, gpus_per_node, speed, base_model=base_model, dense=dense)
    sharded = None
    if meta:
        from upcycle.planning.memory import layout_of
        from upcycle.planning.meta_device import local_parameters

        sharded = local_parameters(counted.spec, layout_of(loaded, counted.spec, gpus))
    if as_json:
        extra = {"meta": {"parameters": sharded[0], "parameters_on_rank_0": sharded[1]}} if sharded else {}
        typer.echo(json.dumps({**counted.as_dict(), **extra}))
    else:
        _show(counted, gpu_memory)
        _show_costs(counted, price)
        if sharded:
            typer.echo(f"meta device: {sharded[0]:,} parameters, {sharded[1]:,} on rank 0 of {gpus}")
        _show_notes(counted, loaded.base_model if base_model is None else "")
        _show_files(counted, tensors)
    if counted.refusals:
        raise UserError("\n".join(f"run refuses {line}" for line in counted.refusals))


def default_ranks(config: "UpcycleConfig", base_config: dict[str, Any]) -> int:
    """Return the ranks that `plan` assumes: 64, or the largest power of two below it that share the batches."""
    from upcycle.planning.preconditions import settings_problems

    return min(DEFAULT_RANKS, key=lambda ranks: len(settings_problems(config, base_config, ranks)))


def _local_base_model(config: "UpcycleConfig") -> Path | None:
    """Return the folder of the base model; None where it is not on this machine, so that the run cannot start here."""
    from upcycle.checkpoint.base_model import base_model_folder

    try:
        return base_model_folder(config)
    except UserError:
        return None


def _show(counted: "UpcyclePlan", gpu_memory: float) -> None:
    echo = typer.echo
    echo(f"parameters: {counted.total:,} in all, {counted.active:,} active, base model {counted.dense:,}")
    echo(
        f"weights: export ({counted.dtype}) {counted.export_bytes:,} bytes, training format (F32) "
        f"{counted.training_bytes:,}, one coarse expert (F32) {counted.expert_bytes:,}"
    )
    for stage in counted.stages:
        _show_stage(counted, stage, gpu_memory * 1e9)


def _show_stage(counted: "UpcyclePlan", stage: "StagePlan", gpu_bytes: float) -> None:
    echo, memory = typer.echo, stage.memory
    echo(
        f"{stage.command}: {stage.runs} x {stage.tokens:,} tokens in {stage.steps:,} steps, {stage.trained:,} of "
        f"{stage.parameters:,} parameters learn, {stage.flops.training:.4g} FLOPs per token, {stage.total_flops:.4g} in all"
    )
    parts = ", ".join(f"{name} {_size(value)}" for name, value in vars(memory).items() if value)
    fits = "fits" if memory.total <= gpu_bytes else "DOES NOT FIT"
    if (1 - SPARE) * gpu_bytes < memory.total <= gpu_bytes:
        fits = f"less than {SPARE:.0%} below"
    echo(f"  each of {counted.gpus} GPUs: {_size(memory.total)} ({parts}): {fits} {gpu_bytes / 1e9:g} GB")
    largest = stage.largest_micro_batch((1 - SPARE) * gpu_bytes)
    if largest:
        size = _size(stage.micro_batches[largest])
        echo(f"  largest micro batch with {SPARE:.0%} to spare: trainer.micro_batch_tokens={largest} ({size})")
    elif stage.micro_batches:
        echo(f"  no micro batch fits with {SPARE:.0%} to spare: use more GPUs, or trainer.cpu_offload=true")
    if stage.host_bytes:
        nodes = -(-counted.gpus // counted.gpus_per_node)
        each = "the node" if nodes == 1 else f"each of {nodes} nodes"
        echo(f"  host memory of {each}: {_size(stage.host_bytes)} of offloaded parameters, gradients and moments")


def _size(count: float) -> str:
    """Return bytes for people, in GB, or in MB where a GB is too coarse."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def _show_costs(counted: "UpcyclePlan", price: float | None) -> None:
    from upcycle.planning.costs import LOW_MFU, MFU, Speed

    echo, speed = typer.echo, counted.speed
    disk = ", ".join(f"{name} {_size(size)}" for name, size in counted.disk.items())
    echo(f"disk: {_size(sum(counted.disk.values()))} ({disk}), tokens: innovator data plan CONFIG")
    largest = max(counted.stages, key=lambda stage: stage.checkpoint_bytes)
    seconds = largest.step_seconds
    echo(
        f"checkpoints of {largest.command}: {_size(largest.checkpoint_bytes / counted.checkpoints_kept)} each, every "
        f"{_duration(seconds * counted.save_every)} ({counted.save_every} steps of {seconds:.3g} s)"
    )
    hours = sum(stage.hours for stage in counted.stages)
    parts = ", ".join(f"{stage.command} {stage.hours:,.1f}" for stage in counted.stages)
    cost = f", {hours * counted.gpus * price:,.0f} at {price:g} per GPU-hour" if price is not None else ""
    echo(
        f"time: {hours:,.1f} hours ({parts}), {hours * counted.gpus:,.0f} GPU-hours{cost}, at an MFU of "
        f"{speed.mfu:.1%} of {speed.peak_tflops:g} TFLOP/s ({speed.source})"
    )
    if speed.source == Speed.source:
        echo(
            f"  at {LOW_MFU:.1%}, the low end of that source: {hours * MFU / LOW_MFU:,.1f} hours; measure yours and give --mfu. "
            "Tokenizing, evaluation and writing checkpoints come on top"
        )


def _duration(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"


def _show_notes(counted: "UpcyclePlan", absent: str) -> None:
    if absent:
        typer.echo(
            f"not on this machine: base model {absent!r}; the figures follow from base_config, its files, tokenizer and text "
            "are not checked"
        )
    for line in counted.missing_text:
        typer.echo(f"not on this machine, and `run` refuses without it: {line}")
    for note in counted.notes:
        typer.echo(f"note: {note}")


def _show_files(counted: "UpcyclePlan", tensors: bool) -> None:
    echo = typer.echo
    echo(f"files: {len(counted.shards)}, tensors: {sum(len(shard.entries) for shard in counted.shards)}")
    for shard in counted.shards:
        names = list(shard.entries)
        echo(f"  {shard.file}  {shard.bytes:,} bytes  {len(names)} tensors  {names[0]} ... {names[-1]}")
        if tensors:
            for name, entry in shard.entries.items():
                echo(f"    {name}  {entry.dtype} {list(entry.shape)}  {entry.bytes:,}")
