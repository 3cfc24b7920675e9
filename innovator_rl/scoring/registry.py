"""Find rewarders by name through the entry points `innovator_rl.rewards`.

An installed package offers a reward with

    [project.entry-points."innovator_rl.rewards"]
    solubility = "my_package.rewards:Solubility"

and nothing else: no registration call, no import here. The project's own rewarders are found the same way. Names are
listed from package metadata alone, so a listing neither imports nor breaks on a plugin. On the command line and in a
configuration, `my_package.rewards:Solubility` and `path/to/solubility.py:Solubility` are names too, and so is a
composite of several (see `composite.py`). A relative path is resolved against the working directory and then along
`sys.path`, where Ray puts a job's working directory. Each name may have parameters of the constructor, literals without
spaces: `solubility(tolerance=0.05,unit='g/L')`. A secret is a reference, `essay(api_key='${env:ESSAY_KEY}')`, which is
resolved where the rewarder runs. A prefix such as `trl:` runs a function of another library (see `adapters.py`).
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from innovator_rl import _sibling_packages, secret_values
from innovator_rl.errors import UserError
from innovator_rl.scoring import adapters
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
    """Return the sorted names of all installed rewarders; import no plugin."""
    return sorted(_installed())


def target(name: str) -> str:
    """Resolve a name to `module:attribute` or `/absolute/file.py:attribute`.

    Raises:
        UserError: The name or the file is unknown.
    """
    name, _ = split(adapters.split(name)[1])
    place, colon, attribute = name.rpartition(":")
    if not colon:
        installed = _installed()
        if name not in installed:
            _require_not_a_place(name)
            near = difflib.get_close_matches(name, installed, n=3, cutoff=0.5)
            there = f"installed: {', '.join(sorted(installed)) or 'none'}"
            raise UserError(f"unknown rewarder {name!r}: " + (f"did you mean {' or '.join(near)}?" if near else there))
        return installed[name].value
    if not place or not _ATTRIBUTE.fullmatch(attribute):
        raise UserError(f"rewarder {name!r}: write package.module:attribute or path/to/file.py:attribute")
    if place.endswith(".py"):
        return f"{_file(name, place)}:{attribute}"
    if hidden := _sibling_packages.hidden_file(place):
        raise UserError(
            f"rewarder {name!r}: {place.partition('.')[0]!r} is a package of Innovator RL, which hides {hidden}; "
            f"expected the file's path, {hidden}:{attribute}, or the name of an installed rewarder"
        )
    return name


def _require_not_a_place(name: str) -> None:
    """Raise `UserError` for a file, or the folder of a package that is not installed: what to write instead."""
    if name.endswith(".py"):
        defined = ", ".join(_definitions(_file(name, name))) or "no function or class"
        raise UserError(
            f"rewarder {name!r}: expected {name}:NAME with a function or class of the file; it has {defined}"
        )
    if offered := offered_by(Path(name)):
        module, _, attribute = offered[1].partition(":")
        parts = [Path(name, source, *module.split(".")) for source in ("", "src")]
        files = [file for part in parts for file in (part.with_suffix(".py"), part / "__init__.py") if file.is_file()]
        raise UserError(
            f"rewarder {name!r}: the package in this folder is not installed; run `pip install -e {name}` and write "
            f"{offered[0]}" + (f", or write {files[0]}:{attribute}" if files else "")
        )


def _definitions(file: Path) -> list[str]:
    """Return the names of a file's public functions and classes; none of a file that is not Python."""
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")]


def offered_by(folder: Path) -> tuple[str, str] | None:
    """Return name and `module:attribute` of the reward in a package's pyproject.toml.

    It is None where the package offers no reward.
    """
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    offered = project.get("project", {}).get("entry-points", {}).get(GROUP, {})
    return next(iter(offered.items()), None)


def summary(name: str) -> str:
    """Return the first line of the documentation of an installed rewarder's module; empty where there is none.

    The file is read and nothing is imported, not even the packages that it is in.
    """
    package, *parts = target(name).partition(":")[0].split(".")
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found else []
    origins = [found.origin] if found and found.origin and not parts else []
    files = [Path(file) for file in origins] + [Path(folder, *parts) for folder in folders if parts]
    for file in [*(file.with_suffix(".py") for file in files), *(file / "__init__.py" for file in files)]:
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return ""


def split(name: str) -> tuple[str, dict[str, Any]]:
    """Split a name into its base and its parameters.

    Raises:
        UserError: The parameters cannot be parsed.
    """
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
    raise UserError(f"rewarder {name!r}: file {place} not found in {os.getcwd()} or along sys.path")


def require_known(name: str) -> None:
    """Raise `UserError` unless every rewarder in a name can be found.

    A name can be found if it is installed, names a module or an existing file, or is a composite of such names.
    """
    for part in parse(name).names if is_composite(name) else (name,):
        target(part)


def load(name: str, settings: Mapping[str, Any] | None = None) -> Rewarder:
    """Import a rewarder and return it ready to be called.

    Errors of the plugin's own import pass through.

    A class is constructed with the name's parameters and with those of `settings` that its constructor names; a
    function is returned as it is.

    Args:
        name: A name as described above.
        settings: The pool's `code_isolation`, `timeout_seconds` and `memory_mb`.

    Raises:
        UserError: The name is unknown or its arguments cannot be used.
    """
    if is_composite(name):
        return CompositeCallable(name, parse(name), settings)
    adapter, _ = adapters.split(name)
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
    if adapter:
        found = adapters.ADAPTERS[adapter](found)
    if not callable(found):
        raise UserError(f"rewarder {name!r}: {attribute} in {place} is not callable")
    named_arguments(found)
    return found  # type: ignore[no-any-return]


def require_usable(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Raise `UserError` where a name cannot be loaded for a reason that its writer can correct.

    Only names with parameters are loaded here; what a plugin's own import raises is left to its worker.
    """
    require_known(name)
    if "(" not in name:
        return
    try:
        loaded = load(name, settings)
    except UserError as error:
        raise UserError(secret_values.mask(str(error))) from None
    except Exception:
        return
    close = getattr(loaded, "close", None)
    if callable(close):
        close()


def _construct(name: str, kind: type, given: Mapping[str, Any], offered: Mapping[str, Any]) -> Any:
    wanted = inspect.signature(kind).parameters
    keywords = any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted.values())
    for key, value in given.items():
        if key not in wanted and not keywords:
            raise UserError(f"rewarder {name!r}: unknown parameter {key!r}; known: {', '.join(wanted) or 'none'}")
        if not _fits(value, wanted[key].annotation if key in wanted else Any):
            annotation = wanted[key].annotation
            expected = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
            raise UserError(f"rewarder {name!r}: {key}={value!r} must be {expected}")
    given = secret_values.resolve(given)
    missing = [
        parameter.name
        for parameter in wanted.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in offered
        and parameter.name not in given
    ]
    if missing:
        raise UserError(f"rewarder {name!r}: its constructor requires {', '.join(missing)}; give them defaults")
    return kind(**{**{key: value for key, value in offered.items() if key in wanted}, **given})


_TYPES: dict[Any, tuple[type, ...]] = {float: (int, float), int: (int,), str: (str,), bool: (bool,)}


def _fits(value: Any, annotation: Any) -> bool:
    """Return whether a literal has the plain type of its annotation.

    Other annotations accept anything.
    """
    kinds = _TYPES.get({"float": float, "int": int, "str": str, "bool": bool}.get(annotation, annotation))
    return kinds is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)))


def _module(place: str) -> ModuleType:
    """Import a module by its dotted name or its file.

    A file can import its neighbors, after everything else.
    """
    if not place.endswith(".py"):
        if other := _sibling_packages.foreign_package(place):
            raise UserError(
                f"module {place!r} not found: {other} was imported under the name {place.partition('.')[0]!r} before "
                "innovator_rl; import innovator_rl first, or rename that folder"
            )
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
    """Return a loaded rewarder's source file; None for a builtin or a composite."""
    if isinstance(rewarder, CompositeCallable):
        return None
    rewarder = rewarder.source if isinstance(rewarder, adapters.AdaptedReward) else rewarder
    written = rewarder if inspect.isroutine(rewarder) else type(rewarder)
    try:
        return Path(inspect.getsourcefile(inspect.unwrap(written)) or "").absolute()
    except (TypeError, OSError):
        return None


def version(rewarder: Rewarder) -> str:
    """Return a loaded rewarder's version.

    It combines the rewarder's own attribute `version`, if any, with a hash of its package's source: two runs with the
    same version were scored by the same code.
    """
    if isinstance(rewarder, CompositeCallable):
        text = ";".join([repr(rewarder.composite), *(part.version for part in rewarder.parts.values())])
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


class CompositeCallable:
    """A composite reward with its rewarders loaded.

    One call in one process with one deadline scores with all of them.
    """

    def __init__(self, name: str, composite: CompositeReward, settings: Mapping[str, Any] | None) -> None:
        self.composite = composite
        self.parts: dict[str, RewardCallable] = {}
        for part in composite.names:
            rewarder = load(part, settings)
            self.parts[part] = RewardCallable(rewarder, version(rewarder))
            if self.parts[part].group:
                raise UserError(f"composite reward {name!r}: {part} scores groups and cannot be part of a composite")

    @property
    def call_seconds(self) -> float:
        """The least deadline that the rewarders ask for together."""
        return sum(float(getattr(part.rewarder, "call_seconds", 0.0)) for part in self.parts.values())

    @property
    def is_async(self) -> bool:
        """Whether a part waits, so that many responses should be scored at the same time."""
        return any(part.in_flight for part in self.parts.values())

    @property
    def in_flight(self) -> int:
        """The fewest calls that a part which waits allows at the same time."""
        return min((part.in_flight for part in self.parts.values() if part.in_flight), default=0)

    def __call__(self, prompt: str, response: str, answer: str, info: dict[str, Any], data_source: str) -> Score:
        """Return the score of the composite for one response."""
        request = ScoreRequest("", response, answer, prompt, info, data_source)
        return self.composite.evaluate(lambda name: self.parts[name](request)[0])

    def ready(self) -> str:
        """Return what the first part that is not ready reports."""
        return next((problem for part in self.parts.values() if (problem := part.ready())), "")

    async def ascore(self, prompt: str, response: str, answer: str, info: dict[str, Any], data_source: str) -> Score:
        """Return the score of the composite on the running event loop."""
        request = ScoreRequest("", response, answer, prompt, info, data_source)
        known: dict[str, Score] = {}
        while True:  # evaluating is cheap: it is repeated until it asks for no part that is not known
            try:
                return self.composite.evaluate(known.__getitem__)
            except KeyError as missing:
                name = missing.args[0]
                part = self.parts[name]
                known[name] = (await part.acall(request) if part.in_flight else part(request))[0]

    def __repr__(self) -> str:
        return f"CompositeCallable({self.composite})"
