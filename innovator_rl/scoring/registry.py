"""Rewarders by name: the entry points of the group `innovator_rl.rewards`.

An installed package offers a reward with

    [project.entry-points."innovator_rl.rewards"]
    solubility = "my_package.rewards:Solubility"

and nothing else: no registration call, no import here. The project's own are found the same way. Names are listed
from package metadata alone, so a listing neither imports nor breaks on a plugin. While a reward is being written, and
in a configuration, `my_package.rewards:Solubility` and `path/to/solubility.py:Solubility` are names too, and so is a
formula of several (see `composition.py`). A relative path is looked for in the working directory and then along
`sys.path`, where Ray puts a job's working directory. Each may carry parameters of its constructor, literals without
blanks: `solubility(tolerance=0.05,unit='g/L')`.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Rewarder, Score, ScoreRequest
from innovator_rl.scoring.composite import CompositeReward, is_composite, parse
from innovator_rl.scoring.invoke import RewardCallable, named_arguments

GROUP = "innovator_rl.rewards"
MAX_SOURCE_FILES = 500
_ATTRIBUTE = re.compile(r"[A-Za-z_][\w.]*")


def _installed() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        known = found.setdefault(point.name, point)
        if known.value != point.value:
            raise UserError(
                f"two installed packages offer a rewarder named {point.name!r}: {known.value} and {point.value}; "
                "uninstall or rename one of them"
            )
    return found


def names() -> list[str]:
    """The names of all installed rewarders, sorted. Imports no plugin."""
    return sorted(_installed())


def target(name: str) -> str:
    """Where a name leads, as `module:attribute` or `/absolute/file.py:attribute`. Raises `UserError` for an unknown
    name or file.
    """
    name, _ = split(name)
    place, colon, attribute = name.rpartition(":")
    if not colon:
        installed = _installed()
        if name not in installed:
            near = difflib.get_close_matches(name, installed, n=3, cutoff=0.5)
            there = f"installed: {', '.join(sorted(installed)) or 'none'}"
            raise UserError(f"unknown rewarder {name!r}: " + (f"did you mean {' or '.join(near)}?" if near else there))
        return installed[name].value
    if not place or not _ATTRIBUTE.fullmatch(attribute):
        raise UserError(f"rewarder {name!r}: write package.module:attribute or path/to/file.py:attribute")
    return f"{_file(name, place)}:{attribute}" if place.endswith(".py") else name


def split(name: str) -> tuple[str, dict[str, Any]]:
    """A name without its parameters, and the parameters. Raises `UserError` where they cannot be read."""
    base, bracket, rest = name.partition("(")
    if not bracket:
        return name, {}
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        assert isinstance(call, ast.Call)
        assert not call.args
        return base, {str(item.arg): ast.literal_eval(item.value) for item in call.keywords if item.arg}
    except (SyntaxError, ValueError, AssertionError):
        raise UserError(f"rewarder {name!r}: write parameters as name(key=1.5,other='text')") from None


def _file(name: str, place: str) -> Path:
    for folder in ("", *sys.path):
        path = Path(folder, place)
        if path.is_file():
            return path.absolute()
    raise UserError(f"rewarder {name!r}: there is no file {place}, seen from {os.getcwd()} and along sys.path")


def check(name: str) -> None:
    """Raise `UserError` unless `name` is installed, names a module or an existing file, or is a formula of such."""
    for part in parse(name).names if is_composite(name) else (name,):
        target(part)


def load(name: str, settings: Mapping[str, Any] | None = None) -> Rewarder:
    """Import a rewarder and make it ready to be called.

    A class is constructed with the name's parameters and those of `settings` that its constructor names (the pool
    offers `code_isolation`, `timeout_seconds` and `memory_mb`); a function is returned as it is. Raises
    `UserError` for an unknown name or unusable arguments, and whatever the plugin's own import raises.
    """
    if is_composite(name):
        return Composite(name, parse(name), settings)
    place, _, attribute = target(name).rpartition(":")
    module = _module(place)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=3, cutoff=0.5)
            raise UserError(
                f"rewarder {name!r}: {place} has no {attribute!r}" + (f"; it has {', '.join(near)}" if near else "")
            )
        found = getattr(found, part)
    _, parameters = split(name)
    if inspect.isclass(found):
        found = _construct(name, found, parameters, settings or {})
    elif parameters:
        raise UserError(f"rewarder {name!r}: {attribute} is a function and takes no parameters; make it a class")
    if not callable(found):
        raise UserError(f"rewarder {name!r}: {attribute} in {place} is not callable")
    named_arguments(found)
    return found  # type: ignore[no-any-return]


def _construct(name: str, kind: type, given: Mapping[str, Any], offered: Mapping[str, Any]) -> Any:
    wanted = inspect.signature(kind).parameters
    keywords = any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted.values())
    for key, value in given.items():
        if key not in wanted and not keywords:
            raise UserError(f"rewarder {name!r}: no parameter {key!r}; there are {', '.join(wanted) or 'none'}")
        if not _fits(value, wanted[key].annotation if key in wanted else Any):
            raise UserError(f"rewarder {name!r}: {key}={value!r} is no {wanted[key].annotation}")
    missing = [
        parameter.name
        for parameter in wanted.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in offered
        and parameter.name not in given
    ]
    if missing:
        raise UserError(f"rewarder {name!r}: its constructor needs {', '.join(missing)}; give them defaults")
    return kind(**{**{key: value for key, value in offered.items() if key in wanted}, **given})


_TYPES: dict[Any, tuple[type, ...]] = {float: (int, float), int: (int,), str: (str,), bool: (bool,)}


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a literal has the plain type that a parameter is annotated with; other annotations accept anything."""
    kinds = _TYPES.get({"float": float, "int": int, "str": str, "bool": bool}.get(annotation, annotation))
    return kinds is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)))


def _module(place: str) -> ModuleType:
    """A module by its dotted name or its file; a file's neighbours can be imported by it, after everything else."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place)
    alias = f"{path.stem}_{hashlib.sha256(place.encode()).hexdigest()[:8]}"
    if alias in sys.modules:
        return sys.modules[alias]
    spec = importlib.util.spec_from_file_location(alias, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alias]
        raise
    return module


def source(rewarder: Rewarder) -> Path | None:
    """The file in which a loaded rewarder is written; None where there is none (a builtin, a formula)."""
    if isinstance(rewarder, Composite):
        return None
    written = rewarder if inspect.isroutine(rewarder) else type(rewarder)
    try:
        return Path(inspect.getsourcefile(inspect.unwrap(written)) or "").absolute()
    except (TypeError, OSError):
        return None


def version(rewarder: Rewarder) -> str:
    """A loaded rewarder's version: its own attribute `version`, if any, and a digest of its package's source, so that
    two runs with the same version were judged by the same code.
    """
    if isinstance(rewarder, Composite):
        text = ";".join([repr(rewarder.formula), *(caller.version for caller in rewarder.callers.values())])
        return hashlib.sha256(text.encode()).hexdigest()[:12]
    digest = hashlib.sha256()
    file = source(rewarder)
    if file is not None and file.is_file():
        packaged = (file.parent / "__init__.py").is_file()
        files = sorted(file.parent.rglob("*.py"))[:MAX_SOURCE_FILES] if packaged else [file]
        for path in files:
            digest.update(path.read_bytes())
    own = str(getattr(rewarder, "version", "") or "")
    return f"{own}+{digest.hexdigest()[:12]}" if own else digest.hexdigest()[:12]


class Composite:
    """A formula with its rewarders loaded: one call, one process, one deadline for all of them."""

    def __init__(self, name: str, formula: CompositeReward, settings: Mapping[str, Any] | None) -> None:
        self.formula = formula
        self.callers: dict[str, RewardCallable] = {}
        for part in formula.names:
            rewarder = load(part, settings)
            self.callers[part] = RewardCallable(rewarder, version(rewarder))
            if self.callers[part].group:
                raise UserError(f"reward formula {name!r}: {part} judges groups and cannot be part of a formula")

    def __call__(self, prompt: str, response: str, answer: str, info: dict[str, Any], data_source: str) -> Score:
        request = ScoreRequest("", response, answer, prompt, info, data_source)
        return self.formula.evaluate(lambda name: self.callers[name](request)[0])

    def __repr__(self) -> str:
        return f"Composite({self.formula})"
