"""Implement `innovator upcycle plan`."""

from typing import TYPE_CHECKING, Annotated

import typer

from innovator_rl.cli.upcycle_inputs import Config, Settings, base_model_config, load_config
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from upcycle.planning.plan import StagePlan, UpcyclePlan


def plan_run(
    config: Config,
    settings: Settings = None,
    gpus: Annotated[int, typer.Option(min=1, help="Ranks that train.")] = 64,
    gpu_memory: Annotated[float, typer.Option(min=1, help="Memory of one GPU, in GB (10^9 bytes).")] = 80.0,
    gpus_per_node: Annotated[int, typer.Option(min=1, help="Ranks that share the memory of a host.")] = 8,
    mfu: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="Share of the peak that training reaches (0.21 by default).")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Price of a GPU-hour, for the cost.")] = None,
    meta: Annotated[
        bool, typer.Option("--meta", help="Also build the model on the meta device and let FSDP2 shard it.")
    ] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor of every file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Count parameters, files, bytes, operations, memory and hours before anything runs.

    Exit code 2, after the figures, if the run would refuse to start on so many ranks.
    """
    import json
    from dataclasses import replace

    from upcycle.planning.costs import Speed
    from upcycle.planning.plan import plan

    loaded = load_config(config, settings)
    speed = Speed(peak_tflops=loaded.trainer.peak_tflops or Speed.peak_tflops)
    if mfu is not None:
        speed = replace(speed, mfu=mfu, source="--mfu")
    counted = plan(loaded, base_model_config(loaded), gpus, gpus_per_node, speed)
    sharded = None
    if meta:
        from upcycle.planning.memory import layout_of
        from upcycle.planning.meta_device import local_parameters

        sharded = local_parameters(counted.spec, layout_of(loaded, counted.spec, gpus))
    if as_json:
        extra = {"meta": {"parameters": sharded[0], "parameters_on_rank_0": sharded[1]}} if sharded else {}
        typer.echo(json.dumps({**counted.as_dict(), **extra}))
    else:
        _show(counted, gpu_memory, tensors)
        _show_costs(counted, price)
        if sharded:
            typer.echo(f"meta device: {sharded[0]:,} parameters, {sharded[1]:,} on rank 0 of {gpus}")
    if counted.refusals:
        raise UserError("\n".join(f"run refuses {line}" for line in counted.refusals))


def _show(counted: "UpcyclePlan", gpu_memory: float, tensors: bool) -> None:
    echo = typer.echo
    echo(f"parameters: {counted.total:,} in all, {counted.active:,} active, base model {counted.dense:,}")
    echo(
        f"weights: export ({counted.dtype}) {counted.export_bytes:,} bytes, training format (F32) "
        f"{counted.training_bytes:,}, one coarse expert (F32) {counted.expert_bytes:,}"
    )
    echo(f"files: {len(counted.shards)}, tensors: {sum(len(shard.entries) for shard in counted.shards)}")
    for shard in counted.shards:
        names = list(shard.entries)
        echo(f"  {shard.file}  {shard.bytes:,} bytes  {len(names)} tensors  {names[0]} ... {names[-1]}")
        if tensors:
            for name, entry in shard.entries.items():
                echo(f"    {name}  {entry.dtype} {list(entry.shape)}  {entry.bytes:,}")
    for stage in counted.stages:
        _show_stage(counted, stage, gpu_memory * 1e9)


def _show_stage(counted: "UpcyclePlan", stage: "StagePlan", gpu_bytes: float) -> None:
    echo, memory = typer.echo, stage.memory
    echo(
        f"{stage.command}: {stage.runs} x {stage.tokens:,} tokens, {stage.trained:,} of {stage.parameters:,} "
        f"parameters learn, {stage.flops.training:.4g} FLOPs per token, {stage.total_flops:.4g} in all"
    )
    parts = ", ".join(f"{name} {value / 1e9:.1f}" for name, value in vars(memory).items())
    fits = "fits" if memory.total <= gpu_bytes else "DOES NOT FIT"
    echo(f"  each of {counted.gpus} GPUs: {memory.total / 1e9:.1f} GB ({parts}): {fits} {gpu_bytes / 1e9:g} GB")
    largest = stage.largest_micro_batch(gpu_bytes)
    if largest:
        size = stage.micro_batches[largest] / 1e9
        echo(f"  largest micro batch that fits: trainer.micro_batch_tokens={largest} ({size:.1f} GB)")
    elif stage.micro_batches:
        echo("  no micro batch fits: use more GPUs, or trainer.cpu_offload=true")
    if stage.host_bytes:
        nodes = -(-counted.gpus // counted.gpus_per_node)
        each = "the node" if nodes == 1 else f"each of {nodes} nodes"
        echo(f"  host memory of {each}: {stage.host_bytes / 1e9:.1f} GB of offloaded parameters, gradients and moments")


def _show_costs(counted: "UpcyclePlan", price: float | None) -> None:
    echo = typer.echo
    disk = ", ".join(f"{name} {size / 1e9:,.1f}" for name, size in counted.disk.items())
    echo(f"disk: {sum(counted.disk.values()) / 1e9:,.1f} GB ({disk}), tokens: innovator data plan CONFIG")
    hours = sum(stage.hours for stage in counted.stages)
    parts = ", ".join(f"{stage.command} {stage.hours:,.1f}" for stage in counted.stages)
    cost = f", {hours * counted.gpus * price:,.0f} at {price:g} per GPU-hour" if price is not None else ""
    echo(
        f"time: {hours:,.1f} hours ({parts}), {hours * counted.gpus:,.0f} GPU-hours{cost}, at an MFU of "
        f"{counted.speed.mfu:.0%} of {counted.speed.peak_tflops:g} TFLOP/s ({counted.speed.source})"
    )
    for note in counted.notes:
        echo(f"note: {note}")
    for line in counted.missing_text:
        echo(f"run refuses until there is text: {line}")
