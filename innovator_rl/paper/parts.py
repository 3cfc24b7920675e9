"""Read the configuration of every part as its command will, before the first stage: the last one starts hours later.

    stages = with_data(stages)
    lines = missing_data(stages)

A mistake in any part ends the command, also a dry run. Data that are not here are a warning in a dry run, which may plan for
another machine, and end a real one; so does what upcycling refuses (`refusals`), which needs the base model's config.json.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path

from innovator_rl.config.load import load, load_as
from innovator_rl.config.sft import SftConfig
from innovator_rl.errors import UserError
from innovator_rl.evaluation.suite import load_suite
from innovator_rl.paper.stage import Stage
from innovator_rl.preflight.data import is_path


def with_data(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages with the data that their configurations name among what their results depend on.

    Raises:
        UserError: With one line per mistake in the configurations of parts and the settings laid over them.
    """
    found: list[Stage] = []
    problems: dict[str, None] = {}
    for stage in stages:
        try:
            names = _not_made(stage, stages)
        except UserError as error:
            problems |= dict.fromkeys(f"stage {stage.name!r}: {line}" for line in str(error).splitlines())
            continue
        found_here = {name: [file for file in _files(name) if file not in stage.inputs] for _, name in names}
        reads = {f"files of {name}": tuple(files) for name, files in found_here.items() if files}
        found.append(replace(stage, reads={**stage.reads, **reads}))
    if problems:
        raise UserError("\n".join(problems))
    return found


def raw_text(recipe: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files that a corpus is built from and the sets that its steps read, as far as they are on a disk here."""
    from innovator_rl.data.corpus.paths import expand_path
    from innovator_rl.data.corpus.recipe import load_corpus_recipe

    loaded = load_corpus_recipe(recipe)
    raw: list[Path] = []
    sets: list[Path] = []
    for source in loaded.sources:
        with contextlib.suppress(UserError):  # the variable in it is not set: `missing_data`
            raw += [Path(name) for name in sorted(glob(expand_path(source.path)))]
    for step in loaded.steps:
        with contextlib.suppress(UserError):  # not found: `missing_data`
            sets += step.side_files()
    return {"raw text": tuple(raw)} | ({"sets that its steps read": tuple(sets)} if sets else {})


def recipe_data(files: Sequence[Path], decontamination: bool = False) -> dict[str, tuple[Path, ...]]:
    """Return the data that recipes read: their source, or the sample next to them, and what they are checked against.

    Args:
        files: Files of which some are recipes.
        decontamination: Whether the evaluation sets that rows are checked against count too.
    """
    from innovator_rl.data.checks.contamination import evaluation_files
    from innovator_rl.data.recipe import SAMPLE, load_recipe

    found: dict[Path, None] = {}
    for path in files:
        try:
            recipe = load_recipe(path)
        except UserError:  # no recipe, or one with a mistake, which its command names
            continue
        if not recipe.task and not recipe.hub:
            found[recipe.source.expanduser() if recipe.source else path.parent / SAMPLE] = None
        for item in recipe.decontaminate.against if recipe.decontaminate and decontamination else ():
            with contextlib.suppress(UserError):  # not found: the build stops at once
                found |= dict.fromkeys(evaluation_files(item))
    places = tuple(place for place in found if place.exists())
    return {"data of its recipes": places} if places else {}


def reads_published_sets(suite: str) -> bool:
    """Return whether a suite asks anything from the folder of published sets."""
    return any(not row.unavailable and (row.sources or not row.recipe) for row in load_suite(suite)[0].rows)


def missing_data(stages: Sequence[Stage], asked: Sequence[Stage] | None = None) -> list[str]:
    """Return one line for each name of data that a stage reads, no other makes, and is not on this machine.

    A corpus reads its text and the sets of its steps.

    Args:
        stages: All stages of the path.
        asked: Those that may run; all where it is None.
    """
    lines = []
    for stage in stages if asked is None else asked:
        keys: dict[str, list[str]] = {}
        for key, name in _not_made(stage, stages):
            if "://" not in name and not _files(name):
                keys.setdefault(name, []).append(key)
        for name, found in keys.items():
            more = f" and {len(found) - 2} more" if len(found) > 2 else ""
            lines.append(f"stage {stage.name!r}: {name!r} is not found ({', '.join(found[:2])}{more})")
        if stage.name == "corpus":
            lines += [f"stage 'corpus': {line}" for line in _missing_text(stage.inputs[0])]
    return lines


def require_writable(runs_dir: Path) -> None:
    """Refuse a folder of runs that nothing can be written to.

    Raises:
        UserError: It, or the nearest folder above it that is there, is a file or cannot be written.
    """
    place = next(path for path in (runs_dir, *runs_dir.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        why = "cannot be written" if place.is_dir() else "is a file"
        raise UserError(f"runs_dir = {str(runs_dir)!r}: {str(place)!r} {why}; expected a folder that can be written")


def missing_base_model(base_model: str) -> list[str]:
    """Return a line if the base model is named by a path that is not there; names of models are looked up later."""
    is_place = base_model.startswith(("/", ".", "~"))
    if not is_place or Path(base_model).expanduser().is_dir():
        return []
    return [
        f"base_model = {base_model!r}: no such folder; expected a checkpoint's folder, a hub id or a built-in model"
    ]


def refusals(stages: Sequence[Stage]) -> list[str]:
    """Return what upcycling would refuse about its settings, one line each."""
    from upcycle.checkpoint.base_model import base_model_config
    from upcycle.config.schema import load as load_upcycling
    from upcycle.planning.preconditions import settings_problems, trained_stages

    lines = []
    for stage in stages:
        if stage.command[:2] == ("upcycle", "run"):
            words = stage.command[3:]
            config = load_upcycling(stage.command[2], [word for word in words if "=" in word])
            try:
                trained = trained_stages("--dense" in words)
                found = settings_problems(config, base_model_config(config), processes(stage), trained)
            except UserError as error:
                found = str(error).splitlines()
            lines += [f"stage {stage.name!r}: {line}" for line in found]
    return lines


def processes(stage: Stage) -> int:
    """Return the processes that upcycling trains with; 0 for other stages, whose own configuration decides."""
    words = stage.command
    if words[:2] != ("upcycle", "run"):
        return 0
    counts = [int(words[words.index(name) + 1]) if name in words else 1 for name in ("--ranks", "--nodes")]
    return counts[0] * counts[1]


def _missing_text(recipe: Path) -> list[str]:
    """Return one line for each source and each set of a corpus that is not on this machine."""
    from innovator_rl.data.corpus.paths import expand_path
    from innovator_rl.data.corpus.recipe import load_corpus_recipe

    lines = []
    loaded = load_corpus_recipe(recipe)
    for source in loaded.sources:
        try:
            path = expand_path(source.path)
        except UserError as error:
            lines.append(f"source {source.name!r}: {error}")
            continue
        if "://" not in path and not glob(path):
            lines.append(
                f"source {source.name!r}: {path!r} is not found; correct the path, or set `data` of the path to the "
                "folder of published sets"
            )
    for step in loaded.steps:
        try:
            step.side_files()
        except UserError as error:
            lines.append(str(error))
    return lines


def _files(name: str) -> list[Path]:
    return [Path(found) for found in sorted(glob(name))]


def _not_made(stage: Stage, stages: Sequence[Stage]) -> list[tuple[str, str]]:
    """Return key and name of the data that a stage reads besides the results of others."""
    made = [one.result for one in stages]
    return [
        (key, name)
        for key, name in dict.fromkeys(_data_names(stage))
        if not any(Path(name).is_relative_to(result) for result in made)
    ]


def _data_names(stage: Stage) -> Iterator[tuple[str, str]]:
    """Yield key and name of the data that a stage's configuration names.

    Raises:
        UserError: The configuration has a mistake.
    """
    kind, *words = stage.command
    if kind in ("train", "sft"):
        config = load(words[0], words[1:]) if kind == "train" else load_as(SftConfig, words[0], words[1:])
        for key, names in (("data.train", config.data.train), ("data.validation", config.data.validation)):
            yield from ((key, name) for name in names if is_path(name))
    elif kind == "eval":
        load_suite(words[0])
    elif stage.command[:2] == ("upcycle", "run"):
        from upcycle.config.schema import load as load_upcycling
        from upcycle.planning.preconditions import sources

        config_of_upcycling = load_upcycling(words[1], [word for word in words[2:] if "=" in word])
        for name, group in sources(config_of_upcycling).items():
            key = name if name == "general" else f"disciplines.{name}"
            yield from ((key, place) for source in group for place in (source.corpus, *source.paths) if place)
