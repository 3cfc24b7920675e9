"""Implement `innovator upcycle plan`."""

from typing import TYPE_CHECKING, Annotated

import typer

from innovator_rl.cli.upcycle_inputs import Config, Settings, base_model_config, load_config

if TYPE_CHECKING:
    from upcycle.planning.plan import UpcyclePlan


def plan_run(
    config: Config,
    settings: Settings = None,
    gpus: Annotated[int, typer.Option(min=1, help="Ranks that train.")] = 64,
    gpu_memory: Annotated[float, typer.Option(min=1, help="Memory of one GPU, in GB (10^9 bytes).")] = 80.0,
    meta: Annotated[
        bool, typer.Option("--meta", help="Also build the model on the meta device and let FSDP2 shard it.")
    ] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor of every file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Count parameters, files, bytes, operations and memory before anything runs."""
    import json

    from upcycle.planning.plan import plan

    loaded = load_config(config, settings)
    counted = plan(loaded, base_model_config(loaded), gpus)
    sharded = None
    if meta:
        from upcycle.planning.meta_device import local_parameters

        sharded = local_parameters(counted.spec, gpus)
    if as_json:
        extra = {"meta": {"parameters": sharded[0], "parameters_on_rank_0": sharded[1]}} if sharded else {}
        typer.echo(json.dumps({**counted.as_dict(), **extra}))
        return
    _show(counted, gpu_memory, tensors)
    if sharded:
        typer.echo(f"meta device: {sharded[0]:,} parameters, {sharded[1]:,} on rank 0 of {gpus}")


def _show(counted: "UpcyclePlan", gpu_memory: float, tensors: bool) -> None:
    echo = typer.echo
    echo(f"parameters: {counted.total:,} in all, {counted.active:,} active, base model {counted.dense:,}")
    echo(
        f"weights ({counted.dtype}): export {counted.export_bytes:,} bytes, training format {counted.training_bytes:,}, "
        f"one coarse expert {counted.expert_bytes:,}"
    )
    echo(f"files: {len(counted.shards)}, tensors: {sum(len(shard.entries) for shard in counted.shards)}")
    for shard in counted.shards:
        names = list(shard.entries)
        echo(f"  {shard.file}  {shard.bytes:,} bytes  {len(names)} tensors  {names[0]} ... {names[-1]}")
        if tensors:
            for name, entry in shard.entries.items():
                echo(f"    {name}  {entry.dtype} {list(entry.shape)}  {entry.bytes:,}")
    for stage in counted.stages:
        memory = stage.memory
        echo(
            f"{stage.command}: {stage.runs} x {stage.tokens:,} tokens, {stage.trained:,} of {stage.parameters:,} "
            f"parameters learn, {stage.flops.training:.4g} FLOPs per token, {stage.total_flops:.4g} in all"
        )
        parts = ", ".join(f"{name} {value / 1e9:.1f}" for name, value in vars(memory).items())
        fits = "fits" if memory.total <= gpu_memory * 1e9 else "DOES NOT FIT"
        echo(f"  each of {counted.gpus} GPUs: {memory.total / 1e9:.1f} GB ({parts}): {fits} {gpu_memory:g} GB")
    for note in counted.notes:
        echo(f"note: {note}")
