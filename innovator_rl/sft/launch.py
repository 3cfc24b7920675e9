"""Launch a fine-tuning run: the run directory, the ranks, what they report, and the end.

    prepared = prepare_rows(config, train_files, validation_files)
    launch(prepared)

The same call resumes from the newest complete checkpoint, with the rows that were not yet trained on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from innovator_rl import models, platform
from innovator_rl.config.nodes import node_rank
from innovator_rl.config.resolve import Platform
from innovator_rl.config.sft import SftConfig
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.callbacks import StopRequested
from innovator_rl.integrations.verl.checkpoints import Checkpoint, newest_intact
from innovator_rl.integrations.verl.sft_settings import to_verl_sft
from innovator_rl.platform.accelerator import detect_platform
from innovator_rl.platform.private_folder import PrivateFolder
from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir
from innovator_rl.runs.tensorboard import TensorBoardWriter
from innovator_rl.sft.progress import SftProgress
from innovator_rl.sft.ranks import Ranks
from innovator_rl.sft.rows import Prepared, prepare

EXPORT = "model"
"""Folder of the run directory that holds the trained model as a Hugging Face checkpoint."""


@dataclass(frozen=True)
class PreparedSft:
    """A run whose rows are checked and measured."""

    config: SftConfig
    platform: Platform
    model_path: str
    train: Prepared
    validation: Prepared | None
    steps: int

    @property
    def directory(self) -> RunDir:
        """Return the directory that records the run."""
        return run_directory(self.config)

    def verl_config(self, resume_from: str = "") -> Any:
        """Return the verl configuration that the run becomes (an OmegaConf `DictConfig`)."""
        return to_verl_sft(
            self.config,
            self.platform,
            self.model_path,
            str(self.train.path),
            str(self.validation.path) if self.validation else None,
            self.steps,
            str(self.directory.checkpoints),
            resume_from,
        )


def run_directory(config: SftConfig) -> RunDir:
    """Return the directory that records the run."""
    return RunDir(resolve_runs_dir(config.logging.runs_dir) / config.name)


def total_steps(config: SftConfig, rows: int) -> int:
    """Return the updates of the whole run."""
    return config.schedule.steps or rows // config.optimizer.batch_rows * config.schedule.epochs


def prepare_rows(config: SftConfig, train: list[Path], validation: list[Path]) -> PreparedSft:
    """Check and measure the rows of a run; a built-in model that does not exist yet is built.

    Args:
        config: The run.
        train: Files with training rows.
        validation: Files with validation rows; none validates nothing.

    Raises:
        UserError: Rows are bad, a file is missing, or there are too few rows.
    """
    model_path = str(models.resolve(config.model.path))
    data, folder = config.data, run_directory(config).path / "data"
    parts = [
        prepare(files, model_path, folder, split, data.max_tokens, data.too_long, data.bad_rows) if files else None
        for split, files in (("train", train), ("validation", validation))
    ]
    if parts[0] is None:
        raise UserError("data.train is empty: name files with rows of `messages`")
    if parts[0].rows < config.optimizer.batch_rows:
        raise UserError(
            f"optimizer.batch_rows = {config.optimizer.batch_rows}: the data has {parts[0].rows} usable rows; lower it"
        )
    if parts[1] is not None and parts[1].rows < config.ranks:
        raise UserError(
            f"data.validation has {parts[1].rows} usable rows: must be at least one per rank, {config.ranks}"
        )
    return PreparedSft(
        config, detect_platform(config), model_path, parts[0], parts[1], total_steps(config, parts[0].rows)
    )


def write_plan(prepared: PreparedSft, verl_config: Any) -> None:
    """Write `config.yaml` and `verl.yaml` into the run directory."""
    import yaml
    from omegaconf import OmegaConf

    run = prepared.directory.create()
    run.config_yaml.write_text(yaml.safe_dump(prepared.config.model_dump(mode="json"), sort_keys=False))
    run.verl_yaml.write_text(OmegaConf.to_yaml(verl_config))


def launch(prepared: PreparedSft) -> Path:
    """Train until the last update, a stop or a failure, and return the folder of the trained model.

    Raises:
        UserError: Another process writes the run.
        StopRequested: A user ended it; a checkpoint of the last update is on disk.
        EngineError: A rank failed.
    """
    config, run = prepared.config, prepared.directory
    if node_rank(config.resources.nodes):
        return _follow_elsewhere(prepared)
    found, damaged = newest_intact(run.checkpoints) if config.schedule.resume == "auto" else (None, [])
    done = found.step if found else 0
    attempt = run.open_attempt(resume_step=done, total_steps=prepared.steps)
    progress = SftProgress(prepared.steps, sys.stderr, config.logging.progress)
    events = TensorBoardWriter(run.tensorboard, resume_step=done) if config.logging.tensorboard else None
    try:
        for broken, name in damaged:
            progress.note(f"ignored: {broken.path} is damaged ({name} differs from its checksum); delete it")
        if done >= prepared.steps and (run.path / EXPORT / "config.json").is_file():
            progress.note(f"all {done} steps are done; a larger schedule.steps or schedule.epochs trains on")
        else:
            write_plan(prepared, prepared.verl_config(str(found.path) if found else ""))
            for line in _introduction(prepared, found):
                progress.note(line)
            _train(prepared, run, attempt, progress, events)
        run.finish("finished")
    except (KeyboardInterrupt, StopRequested) as stop:
        run.finish("stopped", cause=str(stop) or "interrupted")
        raise
    except BaseException as error:
        run.finish("failed", cause=f"{type(error).__name__}: {error}")
        raise
    finally:
        progress.close()
        if events is not None:
            events.close()
    return run.path / EXPORT


def _introduction(prepared: PreparedSft, found: Checkpoint | None) -> Iterator[str]:
    train = prepared.train
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(train.dropped.items()))
    yield (
        f"{prepared.config.name}: {train.rows:,} rows, {train.tokens:,} tokens, longest {train.longest}"
        + (f"; left out: {left_out}" if left_out else "")
    )
    if found:
        yield f"resuming after step {found.step} from {found.path}"


def _environment(prepared: PreparedSft) -> dict[str, str]:
    config = prepared.config
    asked, local = config.resources.threads, config.resources.accelerators_per_node
    cores = len(os.sched_getaffinity(0))
    threads = max(1, cores // local) if asked == "auto" else asked
    os.environ["INNOVATOR_PLATFORM"] = prepared.platform
    return {**platform.environment(threads, 1), "INNOVATOR_PLATFORM": prepared.platform, "TQDM_DISABLE": "1"}


def _train(
    prepared: PreparedSft, run: RunDir, attempt: int, progress: SftProgress, events: TensorBoardWriter | None
) -> None:
    rendezvous = run.path / f".rendezvous-{attempt}"
    rendezvous.unlink(missing_ok=True)
    resources, folder = prepared.config.resources, PrivateFolder()  # verl leaves a lock file there per checkpoint
    environment = _environment(prepared) | folder.environment()
    ranks = Ranks(run.path, resources.accelerators_per_node, resources.nodes, environment, rendezvous)
    stopped_at: int | None = None
    try:
        with _stop_signals(ranks.stop, progress):
            for event in ranks.events():
                if event["event"] == "phase":
                    run.heartbeat(event["step"], event["phase"])
                elif event["event"] == "metrics":
                    run.write_metrics(event["step"], event["metrics"])
                    progress.step(event["step"], event["metrics"])
                    if events is not None:
                        events.write(event["step"], event["metrics"])
                elif event["event"] == "stopped":
                    stopped_at = event["step"]
    finally:
        ranks.end()
        folder.remove()
        rendezvous.unlink(missing_ok=True)
    if stopped_at is not None:
        raise StopRequested(f"stopped after step {stopped_at}, with a checkpoint; the same command resumes")


def _follow_elsewhere(prepared: PreparedSft) -> Path:
    """Run the ranks of a machine that is not the first; the first one records the run."""
    run, resources, folder = prepared.directory, prepared.config.resources, PrivateFolder()
    environment = _environment(prepared) | folder.environment()
    ranks = Ranks(run.path, resources.accelerators_per_node, resources.nodes, environment, run.path)
    try:
        for _ in ranks.events():
            pass
    finally:
        ranks.end()
        folder.remove()
    return run.path / EXPORT


@contextlib.contextmanager
def _stop_signals(stop: Callable[[], None], progress: SftProgress) -> Iterator[None]:
    """End after the update with a checkpoint at the first signal, at once at the second."""
    asked = False

    def handle(_number: int, _frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        progress.note("stopping after this update, with a checkpoint; once more stops at once")
        stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
