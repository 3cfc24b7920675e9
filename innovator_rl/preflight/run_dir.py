"""Check that the run directory is writable, its own, and has steps left."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from innovator_rl.config.load import read_yaml
from innovator_rl.config.schema import RunConfig
from innovator_rl.config.schema_introspection import settings
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.checkpoints import at, latest_complete
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.runs.run_dir import RunDir

# A resumed run continues the same experiment: these may not change under it.
FROZEN = (
    "model.",
    "data.",
    "rollout.samples_per_prompt",
    "rollout.max_response_tokens",
    "rollout.temperature",
    "rollout.top_p",
    "algorithm.",
)
FREE = (
    "data.validation",
    "data.validation_rows",
    "algorithm.micro_batch_tokens",
    "algorithm.remove_padding",
    "algorithm.dynamic_sampling.stall_seconds",
)


def check(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check the run directory."""
    reason = blocked(context.run_dir)
    if reason:
        yield Diagnostic(
            setting="logging.runs_dir",
            value=context.config.logging.runs_dir,
            why=reason,
            fix="set a folder that this user may write",
        )
        return
    yield from _named_checkpoint(context)
    if not context.run_dir.is_dir():
        return
    run = RunDir(context.run_dir)
    state = run.state()
    if state.live and state.record.get("pid") != os.getpid():
        yield Diagnostic(
            setting="name",
            value=context.config.name,
            why=f"the run is being written by process {state.record.get('pid')}",
            fix="choose another name, or stop that run",
        )
    found = latest_complete(run.checkpoints)
    step = found.step if found else None
    if step is None and not run.metrics_jsonl.exists():
        return
    if context.config.schedule.resume == "never":
        yield Diagnostic(
            setting="name",
            value=context.config.name,
            why=f"{context.run_dir} holds an earlier run, and schedule.resume=never would write over it",
            fix="choose another name",
        )
        return
    yield from _changed(context, run)
    ranks = context.config.resources.nodes * context.config.resources.accelerators_per_node
    if found is not None and found.ranks not in (None, ranks):
        yield Diagnostic(
            setting="resources.accelerators_per_node",
            value=context.config.resources.accelerators_per_node,
            why=f"the checkpoint of step {found.step} was written by {found.ranks} ranks and this run has {ranks}",
            fix=f"use {found.ranks} ranks again, or choose another name",
        )
    if step is not None and step >= context.config.schedule.steps:
        why = f"the last checkpoint is of step {step}: nothing is left to train"
        steps = context.config.schedule.steps
        yield Diagnostic(
            setting="schedule.steps", value=steps, why=why, fix="raise it, or choose another name", severity="warning"
        )


def blocked(run_dir: Path) -> str:
    """Return why a run directory cannot be made or written; empty where it can."""
    place = run_dir
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is a file"
    try:  # the permission bits alone do not tell: root may not write into /proc, nor anyone to a read-only mount
        tempfile.TemporaryDirectory(prefix=".innovator-", dir=place).cleanup()
    except OSError as error:
        return f"{run_dir} cannot be written: {(error.strerror or str(error)).lower()} in {place}"
    return ""


def _named_checkpoint(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check the checkpoint of another run that `schedule.resume` names; one of the run's own is preferred to it."""
    named = context.config.schedule.resume
    if named in ("auto", "never") or latest_complete(RunDir(context.run_dir).checkpoints):
        return
    try:
        found = at(Path(named).expanduser())
    except UserError as error:
        yield Diagnostic(setting="schedule.resume", value=named, why=str(error), fix="name an intact checkpoint")
        return
    ranks = context.config.resources.nodes * context.config.resources.accelerators_per_node
    if found.ranks not in (None, ranks):
        why = f"{found.path} was written by {found.ranks} ranks and this run has {ranks}"
        yield Diagnostic(setting="schedule.resume", value=named, why=why, fix=f"use {found.ranks} ranks")


def _changed(context: PreflightContext, run: RunDir) -> Iterator[Diagnostic]:
    try:
        before = read_yaml(run.config_yaml) if run.config_yaml.exists() else {}
    except UserError:
        return
    for setting in settings():
        if not setting.key.startswith(FROZEN) or setting.key in FREE:
            continue
        old, new = (
            _at(before, setting.key, setting.default),
            _at(context.config.model_dump(), setting.key, setting.default),
        )
        if _plain(old) != _plain(new):
            why = f"the run in {context.run_dir} was started with {old!r:.80}"
            yield Diagnostic(
                setting=setting.key,
                value=new,
                why=why,
                fix="give the old value, or choose another name",
                section="resumed-run",
            )


def _at(document: dict[str, Any] | RunConfig, key: str, default: Any) -> Any:
    value: Any = document
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
