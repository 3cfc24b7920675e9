"""What is wrong with a run before Ray starts: every silent trap as a finding with its setting, its reason and its
remedy.

    findings = check(config)
    stop = [finding for finding in findings if finding.severity == "error"]

A check reads files and this machine; it starts nothing, downloads nothing and builds nothing. Errors are what would
end, hang or silently spoil the run; warnings are what people regret later.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from innovator_rl.config.resolve import Platform, resolve
from innovator_rl.config.schema import RunConfig
from innovator_rl.integrations.verl import verl_overrides
from innovator_rl.platform.accelerator import detect_platform
from innovator_rl.preflight import algorithm, data, datafiles, model, resources, reward, run_dir, software
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
    """Every finding about `config`, errors first.

    `train_files` and `validation_files` are the files that the entries of `data.train` and `data.validation` stand
    for, where the caller resolved them; otherwise entries that are paths are looked at and names are checked for
    existence. `machine` and `platform` replace this machine. `deep` imports verl to prove that its plugin works, and the rewarders in
    use, in a process apart.
    """
    case, found = describe(
        config, machine=machine, platform=platform, train_files=train_files, validation_files=validation_files
    )
    found += chain(
        algorithm.check(case),
        model.check(case),
        data.check(case),
        reward.check(case, deep),
        resources.check(case),
        run_dir.check(case),
        software.check(case, deep),
        _passthrough(case),
    )
    return sorted(found, key=lambda finding: ORDER[finding.severity])


def describe(
    config: RunConfig,
    *,
    machine: Machine | None = None,
    platform: Platform | None = None,
    train_files: Sequence[str | Path] | None = None,
    validation_files: Sequence[str | Path] | None = None,
) -> tuple[PreflightContext, list[Diagnostic]]:
    """The case that the checks look at, and what was found while describing it."""
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
    case = PreflightContext(
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
    return case, found


def errors(findings: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Those that stop a run."""
    return [finding for finding in findings if finding.severity == "error"]


def _passthrough(case: PreflightContext) -> list[Diagnostic]:
    return [
        Diagnostic(f"verl.{problem.key}", problem.value, problem.why, problem.fix)
        for problem in verl_overrides.problems(case.config, case.facts())
    ]
