"""Use the project from Python: train, score, upcycle, and open recorded runs.

    import innovator_rl as ir

    run = ir.train("demo", schedule={"steps": 2}, name="first")
    scores = ir.score([{"response": "The answer is 4.", "answer": "4"}], reward="math")
    run = ir.open_run("runs/first")

The functions raise `UserError` for a mistake in what they were given, before anything is started. Heavy libraries are
imported when a function needs them; importing this module is cheap.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from innovator_rl.config import RunConfig, load
from innovator_rl.config.load import apply_overrides, read_yaml, validate
from innovator_rl.config.schema_introspection import known_keys
from innovator_rl.errors import EngineError, UserError
from innovator_rl.packaged_files import find_config
from innovator_rl.recorded_run import Run, open_run

if TYPE_CHECKING:
    from innovator_rl.config.sft import SftConfig
    from innovator_rl.preflight import Diagnostic
    from innovator_rl.runs.run_dir import RunDir
    from innovator_rl.scoring import Score, ScoreRequest
    from innovator_rl.sft.launch import PreparedSft
    from innovator_rl.training.launch import Files

__all__ = ["Run", "open_run", "prepare", "prepare_sft", "score", "train", "upcycle", "write_dry_run"]


@dataclass(frozen=True)
class PreparedRun:
    """A run whose checks passed and whose data files exist."""

    config: RunConfig
    files: Files
    directory: RunDir
    warnings: tuple[Diagnostic, ...]


def train(config: str | Path | RunConfig, **overrides: Any) -> Run:
    """Train a model in this process and return its run.

    Call it from the main thread, before anything imports verl or vLLM: the platform is chosen in the environment.
    The same call again resumes from the last checkpoint.

    Args:
        config: A YAML file, the name of a shipped configuration such as "demo", or a configuration.
        overrides: Settings to change, by section (`schedule={"steps": 5}`) or dotted key (`**{"schedule.steps": 5}`).

    Raises:
        UserError: The configuration, the data or the machine would not do.
        EngineError: Training cannot go on, for example because no group of responses has a learning signal.
    """
    from innovator_rl.training.launch import launch

    prepared = prepare(configure(config, **overrides))
    launch(prepared.config, prepared.files)
    return Run(prepared.directory.path)


def configure(config: str | Path | RunConfig, **overrides: Any) -> RunConfig:
    """Return a configuration given by file, shipped name or object, with changes.

    Args:
        config: As in `train`.
        overrides: As in `train`.

    Raises:
        UserError: One line for each mistake.
    """
    words = list(_words(overrides, known_keys()))
    if isinstance(config, RunConfig):
        return validate(apply_overrides(config.model_dump(mode="json"), words))
    return load(find_config(str(config), "train"), words)


def prepare(config: RunConfig) -> PreparedRun:
    """Check a run and write its data files; nothing is started.

    Args:
        config: The run. Its platform is set in the environment of this process.

    Raises:
        UserError: One line for each diagnostic that would spoil the run.
    """
    from innovator_rl.preflight import check

    _raise_errors(check(config))
    from innovator_rl.data.materialize import materialize
    from innovator_rl.training.launch import Files, prepare_process, run_directory

    prepare_process(config)
    directory = run_directory(config)

    both = set(config.data.train) & set(config.data.validation)

    def files(entries: Iterable[str], split: str) -> tuple[str, ...]:
        cache, seed = directory.path / "data", config.data.seed
        return tuple(str(materialize(e, cache, split=split, seed=seed, whole=e not in both)) for e in entries)

    built = Files(train=files(config.data.train, "train"), validation=files(config.data.validation, "validation"))
    found = check(config, train_files=built.train, validation_files=built.validation, deep=True)
    if config.schedule.validation_suites:
        from innovator_rl.evaluation.in_training import check_run_suites
        from innovator_rl.models import resolve

        found += check_run_suites(config, Path(resolve(config.model.path)), directory.path, built.train)
    _raise_errors(found)
    return PreparedRun(config, built, directory, tuple(found))


def prepare_sft(config: SftConfig) -> tuple[PreparedSft, list[Diagnostic]]:
    """Check a fine-tuning run, build what its recipes generate, and measure its rows; nothing is started.

    Args:
        config: The run.

    Returns:
        The prepared run and its warnings.

    Raises:
        UserError: One line for each diagnostic that would spoil the run, or for bad rows.
    """
    from innovator_rl.data.sft.entries import resolve_entry
    from innovator_rl.sft.launch import prepare_rows, run_directory
    from innovator_rl.sft.preflight import check_sft

    found = check_sft(config)
    _raise_errors(found)
    cache = run_directory(config).path / "data"
    train = [path for entry in config.data.train for path in resolve_entry(entry, "train", cache)]
    validation = [path for entry in config.data.validation for path in resolve_entry(entry, "validation", cache)]
    return prepare_rows(config, train, validation), found


def write_dry_run(prepared: PreparedRun) -> dict[str, Any]:
    """Write config.yaml and verl.yaml into the run directory.

    Returns a summary for people and scripts.
    """
    from innovator_rl.training.launch import plan, write_plan

    run = prepared.directory
    context, verl_config = plan(prepared.config, prepared.files, run)
    write_plan(run, prepared.config, verl_config)
    return {
        "run": str(run.path),
        "model": context.model_path,
        "platform": context.platform,
        "train": list(prepared.files.train),
        "validation": list(prepared.files.validation),
        "files": [str(run.config_yaml), str(run.verl_yaml)],
    }


def score(
    rows: Iterable[Mapping[str, Any]],
    reward: str | Callable[..., Any],
    *,
    workers: int = 2,
    timeout_seconds: float = 10.0,
    memory_mb: int = 2048,
    code_isolation: str = "standard",
) -> list[Score]:
    """Score responses with a rewarder, each in a process that can be killed.

    One score per row, in order.

    Args:
        rows: Mappings with `response`, and what the rewarder uses of `answer`, `prompt`, `info` and `data_source`.
            Rows with the same `group`, or without one with the same prompt, answer and info, are the responses of a
            prompt for a rewarder that compares them.
        reward: An installed name, `module:attribute`, `path.py:attribute`, a composite such as
            `style >> physics + 0.1 * rewards/mine.py:brevity`, or a function or class of an importable file.
        workers: Responses scored at the same time.
        timeout_seconds: Seconds that one call may take.
        memory_mb: MiB of address space of a worker process.
        code_isolation: Least isolation in which programs are run: standard, strict or none.

    Raises:
        UserError: The rewarder cannot be loaded, or a row lacks its response.
    """
    from innovator_rl.scoring import ScoringPool, registry
    from innovator_rl.scoring.grouping import score_rows

    name = reward if isinstance(reward, str) else _address(reward)
    registry.require_known(name)
    rows = list(rows)
    requests = [score_request(row, name) for row in rows]
    with ScoringPool(workers, timeout_seconds, memory_mb, code_isolation=code_isolation, warm=[name]) as pool:
        return list(score_rows(pool, requests, [row.get("group") for row in rows]))


def score_request(row: Mapping[str, Any], reward: str) -> ScoreRequest:
    """Return the request that a row of JSON stands for.

    Args:
        row: As in `score`. `info` may be an object or its JSON text, `prompt` a text or chat messages.
        reward: The rewarder's name.

    Raises:
        UserError: The row has no string `response`, or its `info` is no object.
    """
    from innovator_rl.scoring import ScoreRequest
    from innovator_rl.scoring.api import answer_text

    where = f"row {row.get('id', '?')}"
    if not isinstance(row.get("response"), str):
        raise UserError(f"{where}: `response` must be a string, got {type(row.get('response')).__name__}")
    info = row.get("info") or {}
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except ValueError as error:
            raise UserError(f"{where}: `info` must be an object or JSON text ({error})") from error
    if not isinstance(info, dict):
        raise UserError(f"{where}: `info` must be an object, got {type(info).__name__}")
    return ScoreRequest(
        rewarder=reward,
        response=row["response"],
        answer=answer_text(row.get("answer")),
        prompt=_text(row.get("prompt", "")),
        info=info,
        data_source=_text(row.get("data_source", "")),
    )


def upcycle(config: str | Path, **overrides: Any) -> Path:
    """Turn a dense checkpoint into a mixture of experts: all stages, export and proof.

    Stages that are complete are skipped, so the same call again goes on where the last one ended.

    Args:
        config: A YAML file, or the name of a shipped configuration such as "tiny".
        overrides: Settings to change, as in `train`.

    Returns:
        The folder of the exported Hugging Face checkpoint.

    Raises:
        UserError: The configuration or its text would not do.
        EngineError: The export differs from the trained model.
    """
    from upcycle.checkpoint.base_model import base_model_config, base_model_folder
    from upcycle.checkpoint.verify import verify
    from upcycle.config.aliases import renamed_keys
    from upcycle.config.schema import load as load_upcycle
    from upcycle.stages import pipeline
    from upcycle.stages.folders import latest_mixture

    file, words = find_config(str(config), "upcycle"), list(_words(overrides))
    settings = load_upcycle(file, words)
    for old, new in renamed_keys(read_yaml(file), words):
        _say(f"{old} is now {new}; the old name works for one more release")
    base_model = base_model_folder(settings)
    pipeline.check(settings, base_model_config(settings), base_model=base_model)
    target = pipeline.run(settings, base_model, _say)
    failed = [check for check in verify(target, latest_mixture(settings), progress=_say) if not check.ok]
    if failed:
        found = "; ".join(f"{check.name}: {check.figure} (bound {check.bound})" for check in failed)
        raise EngineError(f"{settings.name}: {target} fails its checks ({found}); remove that folder and call again")
    return target


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _raise_errors(found: Iterable[Diagnostic]) -> None:
    from innovator_rl.preflight import errors

    stopping = errors(list(found))
    if stopping:
        raise UserError("\n".join(d.line().removeprefix("error: ") for d in stopping))


def _words(overrides: Mapping[str, Any], sections: Container[str] | None = None, prefix: str = "") -> Iterator[str]:
    """Yield `key=value` words for a mapping.

    The settings of a section come one by one, any other mapping comes whole.

    Args:
        overrides: Values by key; a section's value is a mapping.
        sections: The keys of the sections; None takes every mapping for one.
        prefix: The key of the section that `overrides` belong to.
    """
    for name, value in overrides.items():
        key = f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping) and (sections is None or key in sections):
            yield from _words(value, sections, key)
        else:
            yield f"{key}={json.dumps(value, default=str)}"


def _address(reward: Callable[..., Any]) -> str:
    """Return `path.py:attribute` of a function or class that a worker can import."""
    try:
        file = inspect.getsourcefile(reward)
    except TypeError:  # written in C
        file = None
    name = getattr(reward, "__qualname__", "")
    if file is None or not Path(file).is_file() or "." in name or not name:
        raise UserError(f"reward = {reward!r}: must be a function or class at the top level of a file, or a name")
    return f"{file}:{name}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return "\n\n".join(_text(part.get("content", "")) for part in value)
    return "" if value is None else json.dumps(value)
