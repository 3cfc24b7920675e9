"""Find what is wrong with a run before Ray starts.

A diagnostic has setting, value, reason and fix.

    diagnostics = check(config)
    stop = [diagnostic for diagnostic in diagnostics if diagnostic.severity == "error"]

A check reads files and this machine; it starts nothing, downloads nothing and builds nothing. Errors are what would
end, hang or silently spoil the run; warnings are what users regret later.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from innovator_rl.config.resolve import Platform, resolve
from innovator_rl.config.schema import RunConfig
from innovator_rl.integrations.verl import verl_overrides
from innovator_rl.platform.accelerator import detect_platform
from innovator_rl.preflight import (
    algorithm,
    data,
    datafiles,
    magnitudes,
    model,
    resources,
    reward,
    run_dir,
    software,
    tools,
)
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.preflight.machine import Machine
from innovator_rl.runs.run_dir import resolve_runs_dir

__all__ = ["Diagnostic", "Machine", "check", "errors"]

ORDER = {"error": 0, "warning": 1, "info": 2}


def check(
    config: RunConfig,
    *,
    machine: Machine | None = None,
    platform: Platform | None = None,
    train_files: Sequence[str | Path] | None = None,
    validation_files: Sequence[str | Path] | None = None,
    deep: bool = False,
) -> list[Diagnostic]:
    """Check a run; errors come first.

    Args:
        config: the run.
        machine: replaces this machine.
        platform: replaces the platform that the run would use here.
        train_files: the files of `data.train` where the caller resolved its entries; otherwise entries that are paths
            are read, and names are checked for existence.
        validation_files: the same for `data.validation`.
        deep: import verl to prove that its plugin works, and import the rewarders in use in a process of their own.
    """
    context, found = describe(
        config, machine=machine, platform=platform, train_files=train_files, validation_files=validation_files
    )
    found += chain(
        algorithm.check(context),
        magnitudes.check(context),
        model.check(context),
        data.check(context),
        reward.check(context, deep),
        tools.check(context, deep),
        resources.check(context),
        run_dir.check(context),
        software.check(context, deep),
        _verl_overrides(context),
    )
    return sorted(found, key=lambda diagnostic: ORDER[diagnostic.severity])


def describe(
    config: RunConfig,
    *,
    machine: Machine | None = None,
    platform: Platform | None = None,
    train_files: Sequence[str | Path] | None = None,
    validation_files: Sequence[str | Path] | None = None,
) -> tuple[PreflightContext, list[Diagnostic]]:
    """Return the context that the checks read, and what was found while describing it."""
    platform = platform or detect_platform(config)
    facts, folder, found = model.look(config.model.path)
    groups = []
    for key, entries, given in (
        ("data.train", config.data.train, train_files),
        ("data.validation", config.data.validation, validation_files),
    ):
        if given is not None:
            groups.append(tuple(datafiles.read(Path(path)) for path in given))
        else:
            files, wrong = data.files(entries, key)
            groups.append(files)
            found += wrong
    context = PreflightContext(
        config=config,
        machine=machine or Machine.here(),
        platform=platform,
        resolved=resolve(config, platform, bool(facts and facts.is_moe)),
        model=facts,
        model_folder=folder,
        train=groups[0],
        validation=groups[1],
        run_dir=resolve_runs_dir(config.logging.runs_dir) / config.name,
    )
    return context, found


def errors(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics that stop a run."""
    return [diagnostic for diagnostic in diagnostics if diagnostic.severity == "error"]


def _verl_overrides(context: PreflightContext) -> list[Diagnostic]:
    return [
        Diagnostic(setting=f"verl.{problem.key}", value=problem.value, why=problem.why, fix=problem.fix)
        for problem in verl_overrides.problems(context.config, context.runtime_context())
    ]
