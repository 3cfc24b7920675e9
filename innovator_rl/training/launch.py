"""Launch a training run, and clean up Ray, the lock and temporary files.

The trainer runs in this process and not in a Ray actor of its own: Ctrl-C reaches it, its display is this terminal, and
a start saves the imports of one interpreter. Whatever verl, vLLM and Ray print goes to `logs/driver.log` in the run
directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from innovator_rl import models, platform
from innovator_rl.config.resolve import RuntimeContext, placement_cpus, resolve, threads
from innovator_rl.config.schema import RunConfig
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.callbacks import RunCallbacks, StopRequested
from innovator_rl.integrations.verl.checkpoints import Checkpoint, at, checkpoints, newest_intact
from innovator_rl.integrations.verl.compose import to_verl
from innovator_rl.platform.accelerator import detect_platform
from innovator_rl.platform.slots import Need
from innovator_rl.platform.socket_folder import use_socket_folder
from innovator_rl.rollouts.spans import SpanSink
from innovator_rl.runs.metrics import VALIDATION_PREFIX, read_metrics
from innovator_rl.runs.progress import Progress
from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir
from innovator_rl.runs.sinks import SINKS, open_sinks
from innovator_rl.secret_values import export_requested, mask_values
from innovator_rl.training.cluster import ray_cluster


@dataclass(frozen=True)
class Files:
    """The run's data as Parquet files in verl's schema."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def prepare_process(config: RunConfig) -> dict[str, str]:
    """Set the environment of this process and return that of the workers.

    Call it before anything imports verl, which reads the environment at import.
    """
    export_requested()
    os.environ["INNOVATOR_PLATFORM"] = detect_platform(config)
    computing = threads(config)
    environment = platform.environment(computing, config.resources.kv_cache_gb) | {"TQ_NUM_THREADS": str(computing)}
    environment |= use_socket_folder()
    os.environ.update(environment, TRANSFER_QUEUE_ENABLE="1", TQDM_DISABLE="1")  # the display is ours
    return environment


def run_directory(config: RunConfig) -> RunDir:
    """Return the directory that records the run."""
    return RunDir(resolve_runs_dir(config.logging.runs_dir) / config.name)


def plan(
    config: RunConfig,
    files: Files,
    run: RunDir,
    attempt: int = 1,
    resume_from: str = "",
    resume_contents: str = "all",
    validate_first: bool = False,
) -> tuple[RuntimeContext, Any]:
    """Resolve what a run is made of.

    A built-in model that does not exist yet is built.

    Args:
        config: the run.
        files: its data as Parquet files.
        run: its directory.
        attempt: number of this start of the run, from 1.
        resume_from: folder of the checkpoint to continue from; empty starts at step 0.
        resume_contents: all of it, or its weights alone.
        validate_first: whether to validate before the first step, whatever the configuration says.

    Returns:
        The resolved context and verl's configuration (an OmegaConf `DictConfig`).
    """
    model_path = str(models.resolve(config.model.path))
    model = models.inspect_model(model_path)
    context = RuntimeContext(
        model_path=model_path,
        is_moe=model.is_moe,
        train_files=files.train,
        validation_files=files.validation,
        checkpoint_dir=str(run.checkpoints),
        platform=detect_platform(config),
        threads=threads(config),
        head_dim=model.head_dim,
        run_dir=str(run.path),
        attempt=attempt,
        resume_from=resume_from,
        resume_contents=resume_contents,
        validate_first=validate_first,
    )
    return context, to_verl(config, context)


def write_plan(run: RunDir, config: RunConfig, verl_config: Any) -> None:
    """Write `config.yaml` and `verl.yaml`.

    They hold the run as resolved and the verl configuration it became, without the values of secrets.
    """
    import yaml
    from omegaconf import OmegaConf

    run.create()
    run.config_yaml.write_text(yaml.safe_dump(mask_values(config.model_dump(mode="json")), sort_keys=False))
    plain = mask_values(OmegaConf.to_container(verl_config, resolve=False))
    run.verl_yaml.write_text(OmegaConf.to_yaml(OmegaConf.create(plain)))


def keep_tokenizer(run: RunDir, model_path: str) -> None:
    """Copy tokenizer.json into the run directory.

    Readers of recorded token ids then need neither the model nor its library.
    """
    source = Path(model_path) / "tokenizer.json"
    with contextlib.suppress(OSError):
        shutil.copyfile(source, run.path / source.name)


def launch(config: RunConfig, files: Files) -> RunDir:
    """Train until the last step, a stop or a failure.

    Args:
        config: the run.
        files: its data as Parquet files.

    Returns:
        The run's directory.

    Raises:
        UserError: a mistake that stops the run before it starts (another process writes it, the cluster is too small).
        StopRequested: a user ended it; a checkpoint of the last complete step was written.
        Exception: the cause that ended the run; run.json and logs/driver.log have it too.
    """
    run = run_directory(config)
    found, damaged = (None, []) if config.schedule.resume == "never" else newest_intact(run.checkpoints)
    if found is None and damaged:
        raise UserError(all_damaged(run, damaged))
    contents, step = "all", found.step if found else 0
    owed = owes_validation(run, config, step)
    if found is None and config.schedule.resume not in ("auto", "never"):
        found, contents = at(Path(config.schedule.resume).expanduser()), config.schedule.resume_contents
        step = found.step if contents == "all" else 0
    attempt = run.open_attempt(resume_step=step, total_steps=config.schedule.steps)
    ending = contextlib.ExitStack()
    try:
        context, verl_config = plan(config, files, run, attempt, str(found.path) if found else "", contents, owed)
        write_plan(run, config, verl_config)
        keep_tokenizer(run, context.model_path)
        terminal = ending.enter_context(_terminal())
        progress = Progress(run.name, total_steps=config.schedule.steps, stream=terminal, live=config.logging.progress)
        logs = config.logging
        names = tuple(name for name in SINKS if getattr(logs, name))
        with _output_to(run.logs / "driver.log"):  # where services print
            sinks = open_sinks(names, run, logs.project, resume_step=step, tensorboard=logs.tensorboard)
            if logs.opentelemetry:
                sinks["opentelemetry"] = SpanSink(run)
        observer = RunCallbacks(run, attempt, config.rollout.samples_per_prompt, progress, sinks)
        ending.callback(observer.close)
        for line in what_resumes(run, found, damaged, step):
            progress.note(line)
        progress.resume(step)
        if step >= config.schedule.steps and not owed:
            progress.note(f"all {step} steps are done; a larger schedule.steps trains on")
        else:
            with _output_to(run.logs / "driver.log"):
                _train(config, context, verl_config, run, observer)
        run.finish("finished")
    except (KeyboardInterrupt, StopRequested) as stop:
        run.finish("stopped", cause=str(stop) or "interrupted")
        raise
    except BaseException as error:
        run.finish("failed", cause=f"{type(error).__name__}: {error}")
        with (run.logs / "driver.log").open("a") as log:
            log.write(traceback.format_exc())
        raise
    finally:
        ending.close()
    return run


def all_damaged(run: RunDir, damaged: Sequence[tuple[Checkpoint, str]]) -> str:
    """Say what to do where no checkpoint of a run can be trusted: training again from step 0 would write over them."""
    which = ", ".join(f"{name} of step {broken.step}" for broken, name in damaged)
    return (
        f"run {run.name!r}: checkpoints must be as they were saved, and none is (differs from its checksum: {which}); "
        f"delete {run.checkpoints} to train again from step 0, or choose another name"
    )


def owes_validation(run: RunDir, config: RunConfig, step: int) -> bool:
    """Return whether the run ended after the checkpoint of `step` and before the validation that was due at it.

    Args:
        run: the run's directory.
        config: the run.
        step: the step of its own checkpoint that it continues after; 0 where it has none.
    """
    every = config.schedule.validate_every
    if step == 0 or not every or (step % every and step != config.schedule.steps):
        return False
    rows = (row for row in run.metrics() if row["step"] == step)
    return not any(name.startswith(VALIDATION_PREFIX) for row in rows for name in row)


def what_resumes(
    run: RunDir, found: Checkpoint | None, damaged: Sequence[tuple[Checkpoint, str]], step: int
) -> list[str]:
    """List in sentences what this start resumes, repeats and ignores; `step` is the step it continues after."""
    lines = [
        f"ignored: the checkpoint of step {broken.step} is damaged ({name} differs from its checksum); delete {broken.path}"
        for broken, name in damaged
    ]
    newer = [c for c in checkpoints(run.checkpoints) if not c.complete and c.step > (found.step if found else 0)]
    if newer:
        lines.append(f"ignored: the checkpoint of step {newer[-1].step} is incomplete (its run ended while writing it)")
    done = max((row["step"] for row in read_metrics(run.metrics_jsonl)), default=0)  # abandoned steps included
    if found and found.step != step:
        lines.append(f"starting from the weights of {found.path}")
    elif found:
        lines.append(f"resuming after step {step} from {found.path}")
    if done > step:
        lines.append(f"steps {step + 1} to {done} of the earlier attempt are done again, from the same prompts")
    return lines


def _train(config: RunConfig, context: RuntimeContext, verl_config: Any, run: RunDir, observer: RunCallbacks) -> None:
    """Do everything between `ray.init` and `ray.shutdown`."""
    environment = prepare_process(config)
    observer.phase("starting: imports", 0)
    platform.require_loaded()
    from innovator_rl.integrations.verl import session  # imports verl, which reads the environment set above

    session.validate(verl_config)
    cpus = resolve(config, context.platform, context.is_moe).ray_cpus or placement_cpus(config)
    environment |= {"INNOVATOR_RUN_DIR": str(run.path), "INNOVATOR_ATTEMPT": str(context.attempt)}
    environment["INNOVATOR_TOKEN_SHARE"] = str(config.logging.token_share)
    observer.phase("starting: Ray", 0)
    # Ray installs its own signal handlers when it starts: ours come after.
    with (
        ray_cluster(
            config.resources.ray_address,
            Need(cpus, config.resources.accelerators_per_node, config.resources.nodes),
            session.worker_runtime_env(environment),
            run.logs,
            config.resources.wait_minutes * 60,
            lambda line: observer.phase(f"starting: {line}", 0),
        ),
        _stop_signals(observer.request_stop),
    ):
        _note_job(config, run)
        session.train(verl_config, observer, _validation_suites(config, context))


def _validation_suites(config: RunConfig, context: RuntimeContext) -> Any:
    """Return what evaluates the suites of the run; None where it has none."""
    if not config.schedule.validation_suites:
        return None
    from innovator_rl.evaluation.in_training import RunSuites

    return RunSuites.of(config, Path(context.model_path), Path(context.run_dir), context.attempt)


def _note_job(config: RunConfig, run: RunDir) -> None:
    """Record which of a shared cluster's jobs this run is; a private Ray has only one."""
    if config.resources.ray_address or os.environ.get("RAY_ADDRESS"):
        import ray

        run.note(ray_job_id=ray.get_runtime_context().get_job_id())


@contextlib.contextmanager
def _stop_signals(request_stop: Callable[[], bool]) -> Iterator[None]:
    """End after the current step with a checkpoint at the first signal.

    The second SIGINT or SIGTERM ends at once.
    """

    def handle(_number: int, _frame: Any) -> None:
        if not request_stop():
            raise KeyboardInterrupt

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _terminal() -> Iterator[TextIO]:
    """Keep the terminal for the display while the output goes to a file."""
    with os.fdopen(os.dup(2), "w", buffering=1) as stream:
        yield stream


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send whatever libraries print to a file.

    File descriptors are replaced, since loggers and C code keep the streams they first saw.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [(number, os.dup(number)) for number in (1, 2)]
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, _ in kept:
            os.dup2(log, number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(log)
