"""`innovator upcycle`: a dense model becomes a mixture of experts: plan, the four stages, export and proof."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from upcycle.checkpoint.verify import Check
    from upcycle.config.schema import UpcycleConfig
    from upcycle.planning.plan import Plan

app = typer.Typer(no_args_is_help=True, help="Dense checkpoint to mixture of experts, in the paper's four stages.")

Config = Annotated[Path, typer.Argument(help="An upcycling configuration (.yaml).")]
Settings = Annotated[list[str] | None, typer.Argument(help="Changes: key=value ...")]
Ranks = Annotated[int, typer.Option(min=1, help="Processes on this machine, as torchrun starts them.")]
FAILED_CHECK = 3


@app.command("plan")
def plan_command(
    config: Config,
    settings: Settings = None,
    gpus: Annotated[int, typer.Option(min=1, help="Ranks that train.")] = 64,
    gpu_memory: Annotated[float, typer.Option(min=1, help="Memory of one GPU, in GB (10^9 bytes).")] = 80.0,
    meta: Annotated[
        bool, typer.Option("--meta", help="Also build the model on the meta device and let FSDP2 cut it.")
    ] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor of every file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Count parameters, files, bytes, operations and memory before anything runs."""
    from upcycle.planning.plan import plan

    wanted = _load(config, settings)
    counted = plan(wanted, _donor_config(wanted), gpus)
    cut = None
    if meta:
        from upcycle.planning.meta_device import local_numbers

        whole, local = local_numbers(counted.spec, gpus)
        cut = {"parameters": whole, "parameters_on_rank_0": local}
    if json:
        import json as writer

        typer.echo(writer.dumps({**counted.as_dict(), **({"meta": cut} if cut else {})}))
        return
    _show_plan(counted, gpu_memory, tensors)
    if cut:
        typer.echo(f"meta device: {whole:,} parameters, {local:,} on rank 0 of {gpus}")


@app.command("run")
def run_command(
    config: Config,
    settings: Settings = None,
    ranks: Ranks = 1,
    dense: Annotated[bool, typer.Option("--dense", help="Also train the dense baseline on the same text.")] = False,
) -> None:
    """All stages in order, then export and verify; what is complete is skipped."""
    from upcycle.checkpoint.verify import verify
    from upcycle.stages import pipeline

    wanted = _load(config, settings)
    target = pipeline.run(wanted, _donor(wanted), _trainer(config, settings, ranks), typer.echo, dense)
    checks = list(_shown(verify(target, _latest(wanted), progress=_progress)))
    typer.echo(target)
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED_CHECK)


@app.command("induct")
def induct_command(
    config: Config,
    settings: Settings = None,
    discipline: Annotated[str | None, typer.Option(help="One discipline; else all, one after the other.")] = None,
    ranks: Ranks = 1,
    ray: Annotated[
        str | None, typer.Option(help="Submit every discipline as a job to the Ray at this address.")
    ] = None,
) -> None:
    """Stage 1: train one coarse expert per discipline beside the frozen donor."""
    wanted = _load(config, settings)
    if discipline is not None and discipline not in wanted.disciplines:
        raise UserError(f"--discipline {discipline!r}: the configuration has {', '.join(wanted.disciplines)}")
    names = [discipline] if discipline is not None else list(wanted.disciplines)
    if ray is not None:
        _induct_as_jobs(config, settings, wanted, names, ranks, ray)
        return
    train = _trainer(config, settings, ranks)
    for name in names:
        train("induct", name)
        typer.echo(_folder(wanted) / "experts" / name)


@app.command("route")
def route_command(config: Config, settings: Settings = None, ranks: Ranks = 1) -> None:
    """Stage 3: train the router alone."""
    _train_stage("route", config, settings, ranks)


@app.command("integrate")
def integrate_command(config: Config, settings: Settings = None, ranks: Ranks = 1) -> None:
    """Stage 4: train everything on general and scientific text."""
    _train_stage("integrate", config, settings, ranks)


@app.command("dense")
def dense_command(config: Config, settings: Settings = None, ranks: Ranks = 1) -> None:
    """The baseline: go on training the donor itself on the same text."""
    _train_stage("dense", config, settings, ranks)


@app.command("report")
def report_command(
    config: Config,
    settings: Settings = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw the training losses into this PNG file.")] = None,
) -> None:
    """Every stage side by side: held-out loss, routing, what general ability is left."""
    from upcycle.stages import report

    wanted = _load(config, settings)
    typer.echo(report.table(wanted))
    if plot:
        report.plot(wanted, plot)


@app.command("ablate")
def ablate_command(
    config: Annotated[Path, typer.Argument(help="A file of variants (.yaml), such as configs/upcycle/ablations.yaml.")],
    settings: Settings = None,
) -> None:
    """Run every variant of a file on one token budget and print the table."""
    from upcycle.stages import ablations

    typer.echo(ablations.run(config, settings or [], _progress))


@app.command("split")
def split_command(config: Config, settings: Settings = None) -> None:
    """Stage 2: cut the induced experts into finer ones."""
    from upcycle.checkpoint.convert import split

    wanted = _load(config, settings)
    folder = _folder(wanted)
    donor = _donor(wanted)
    split(wanted, _donor_config(wanted), donor, folder / "experts", folder / "split", typer.echo)
    typer.echo(folder / "split")


@app.command("export")
def export_command(
    config: Config,
    settings: Settings = None,
    native: Annotated[
        Path | None, typer.Option("--from", help="A native folder; else the latest of integrate, route, split.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to; else RUNS_DIR/NAME/export.")] = None,
) -> None:
    """Write the standard Qwen2-MoE checkpoint of a trained mixture."""
    from upcycle.checkpoint.convert import export

    wanted = _load(config, settings)
    target = out or _folder(wanted) / "export"
    export(native or _latest(wanted), target, wanted.export.dtype, wanted.export.shard_bytes, typer.echo)
    typer.echo(target)


@app.command("rehearse")
def rehearse_command(
    config: Config,
    settings: Settings = None,
    rolling: Annotated[
        Path | None, typer.Option(help="Write each file here, read it back, compare it, delete it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the checkpoint here and keep it.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Only the first layers.")] = None,
) -> None:
    """Split and export a generated donor of the configured shape; without a folder, only sum what would be written."""
    import resource
    import time

    from upcycle.checkpoint import convert
    from upcycle.training.memory import peak_resident

    if rolling and out:
        raise UserError("--rolling deletes what it wrote and --out keeps it: give one of them")
    wanted = _load(config, settings)
    exported, identity = convert.rehearsal(wanted, _donor_config(wanted), layers)
    started, size = time.perf_counter(), wanted.export.shard_bytes
    if rolling:
        convert.rehearse_rolling(exported, identity, rolling, size, typer.echo)
    elif out:
        convert.rehearse_kept(exported, identity, out, size, typer.echo)
    else:
        convert.rehearse_dry(exported, size, typer.echo)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    written = sum(entry.bytes for entry in exported.entries.values()) / 1e9
    processor = usage.ru_utime + usage.ru_stime
    typer.echo(
        f"{written:.1f} GB in {time.perf_counter() - started:.0f} s; processor time {processor:.0f} s "
        f"({written / processor:.2f} GB/s of one core); largest resident memory {peak_resident() / 2**20:.0f} MiB"
    )


@app.command("verify")
def verify_command(
    config: Annotated[Path | None, typer.Argument(help="The configuration whose export is verified.")] = None,
    settings: Settings = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint folder; alone: only its form, as after RL.")
    ] = None,
    native: Annotated[
        Path | None, typer.Option("--from", help="The native folder it must equal; else the one it was exported from.")
    ] = None,
    logits: Annotated[bool, typer.Option(help="Compare the whole model's logits where memory allows.")] = True,
    vllm: Annotated[bool, typer.Option("--vllm", help="Also compare with vLLM.")] = False,
    vllm_seconds: Annotated[float, typer.Option(min=1, help="Time limit of the vLLM check.")] = 900.0,
) -> None:
    """Prove that the export is the native model; exit code 3 if a check fails."""
    from upcycle.checkpoint.verify import verify
    from upcycle.model.architecture import read_json

    if config is None and checkpoint is None:
        raise UserError("give a configuration, or --checkpoint FOLDER")
    if config is not None:
        wanted = _load(config, settings)
        checkpoint = checkpoint or _folder(wanted) / "export"
        native = native or _latest(wanted)
    assert checkpoint is not None
    checks = list(_shown(verify(checkpoint, native, logits=logits, progress=_progress)))
    if vllm:
        from innovator_rl import platform
        from upcycle.checkpoint.verify_vllm import compare

        stored = read_json(checkpoint / "config.json", "give an exported checkpoint")["dtype"]
        served = "float32" if stored == "float32" else "bfloat16"
        _progress(f"comparing with vLLM in {served}")
        environment = platform.environment(1, kv_cache_gb=1)
        if environment:  # a CPU: stock vLLM, without the plugin that keeps a second copy of the weights for later syncs
            environment["VLLM_PLUGINS"] = "none"
        checks += _shown([compare(checkpoint, served, vllm_seconds, environment)])
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED_CHECK)


def _train_stage(stage: str, config: Path, settings: list[str] | None, ranks: int) -> None:
    wanted = _load(config, settings)
    _trainer(config, settings, ranks)(stage, "")
    typer.echo(_folder(wanted) / stage)


def _trainer(config: Path, settings: list[str] | None, ranks: int) -> "Callable[[str, str], object]":
    """What trains (stage, discipline): this process, or torchrun with the same command on several ranks."""
    if ranks == 1:
        from upcycle.stages import pipeline

        return pipeline.here(_load(config, settings))
    from upcycle.stages import launch

    def train(stage: str, discipline: str) -> None:
        chosen = ["--discipline", discipline] if discipline else []
        launch.on_ranks(ranks, ["upcycle", stage, str(config), *(settings or []), *chosen])

    return train


def _induct_as_jobs(
    config: Path, settings: list[str] | None, wanted: "UpcycleConfig", names: list[str], ranks: int, address: str
) -> None:
    from innovator_rl.jobs.submit import client
    from innovator_rl.runs.run_dir import resolve_runs_dir
    from upcycle.stages import launch

    connection = client(address)
    ids = launch.as_jobs(connection, config, settings or [], names, ranks, resolve_runs_dir(wanted.runs_dir))
    ended = launch.wait_for_jobs(connection, ids, typer.echo)
    if set(ended.values()) != {"SUCCEEDED"}:
        raise typer.Exit(1)


def _shown(checks: "Iterable[Check]") -> "list[Check]":
    done = []
    for check in checks:
        typer.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.figure}  [bound: {check.bound}]")
        done.append(check)
    return done


def _progress(line: str) -> None:
    typer.echo(f"        {line} ...", err=True)


def _load(path: Path, settings: list[str] | None) -> "UpcycleConfig":
    from upcycle.config.schema import load

    return load(path, settings or [])


def _donor(config: "UpcycleConfig") -> Path:
    """The donor's folder on this machine."""
    from innovator_rl.models import resolve

    place = resolve(config.donor)
    if isinstance(place, Path):
        return place
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(place, local_files_only=True))
    except Exception as error:
        raise UserError(
            f"donor {place!r}: not in the local hub cache ({type(error).__name__}); download it and give its folder"
        ) from None


def _donor_config(config: "UpcycleConfig") -> dict[str, Any]:
    """The donor's config.json, or the configuration's copy of it where the donor is not at hand; they must agree."""
    from upcycle.checkpoint.readers import donor_config

    try:
        found = donor_config(_donor(config))
    except UserError:
        if not config.donor_config:
            raise
        return config.donor_config
    for key, value in config.donor_config.items():
        if key in found and found[key] != value and key not in ("dtype", "torch_dtype"):
            raise UserError(
                f"donor_config.{key} = {value!r}: the donor's config.json says {found[key]!r}; correct one of them"
            )
    return found


def _folder(config: "UpcycleConfig") -> Path:
    from innovator_rl.runs.run_dir import resolve_runs_dir

    return resolve_runs_dir(config.runs_dir) / config.name


def _latest(config: "UpcycleConfig") -> Path:
    folder = _folder(config)
    for stage in ("integrate", "route", "split"):
        if (folder / stage / "upcycle.json").is_file():
            return folder / stage
    raise UserError(f"{folder}: has no integrate, route or split folder yet; run the stages first")


def _show_plan(counted: "Plan", gpu_memory: float, tensors: bool) -> None:
    echo = typer.echo
    echo(f"parameters: {counted.total:,} in all, {counted.active:,} active, donor {counted.dense:,}")
    echo(
        f"weights ({counted.dtype}): export {counted.export_bytes:,} bytes, native {counted.native_bytes:,}, "
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
            f"{stage.stage}: {stage.runs} x {stage.tokens:,} tokens, {stage.trained:,} of {stage.parameters:,} parameters "
            f"learn, {stage.flops.training:.4g} FLOPs a token, {stage.total_flops:.4g} in all"
        )
        parts = ", ".join(f"{name} {value / 1e9:.1f}" for name, value in vars(memory).items())
        fits = "fits" if memory.total <= gpu_memory * 1e9 else "DOES NOT FIT"
        echo(f"  each of {counted.gpus} GPUs: {memory.total / 1e9:.1f} GB ({parts}): {fits} {gpu_memory:g} GB")
    for note in counted.notes:
        echo(f"note: {note}")
