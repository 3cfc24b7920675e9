"""Find tools by name through the entry points `innovator_rl.tools`.

An installed package offers a tool with

    [project.entry-points."innovator_rl.tools"]
    solubility = "my_package.tools:solubility"

`my_package.tools:solubility` and `path/to/tools.py:solubility` are names too. A relative path is resolved against the
working directory and then along `sys.path`, where Ray puts a job's working directory. Names are listed from package
metadata alone; only `load` imports a tool.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from innovator_rl.errors import UserError

GROUP = "innovator_rl.tools"
Tool = Callable[..., Any]


def names() -> list[str]:
    """Return the sorted names of all installed tools; import none."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def target(name: str) -> str:
    """Resolve a name to `module:attribute` or `/absolute/file.py:attribute`.

    Raises:
        UserError: The name or the file is unknown.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        installed = {point.name: point.value for point in entry_points(group=GROUP)}
        if name not in installed:
            near = get_close_matches(name, installed, n=3, cutoff=0.5)
            there = f"installed: {', '.join(sorted(installed)) or 'none'}"
            raise UserError(f"unknown tool {name!r}; " + (f"did you mean {' or '.join(near)}?" if near else there))
        return installed[name]
    if not place or not all(part.isidentifier() for part in attribute.split(".")):
        raise UserError(f"tool {name!r}; write package.module:attribute or path/to/file.py:attribute")
    if not place.endswith(".py"):
        return name
    for folder in ("", *sys.path):
        if (path := Path(folder, place)).is_file():
            return f"{path.absolute()}:{attribute}"
    raise UserError(f"tool {name!r}; file {place} not found in {Path.cwd()} or along sys.path")


def load(name: str, settings: Mapping[str, Any] | None = None) -> Tool:
    """Import a tool and return it ready to be called.

    Args:
        name: A name as described above.
        settings: `code_isolation`, `timeout_seconds` and `memory_mb`; a class gets those that its constructor names.

    Raises:
        UserError: The name is unknown, or what it names cannot be called.
    """
    place, _, attribute = target(name).rpartition(":")
    found: Any = _module(place)
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, dir(found), n=3, cutoff=0.5)
            raise UserError(f"tool {name!r}; {place} has no {part!r}" + (f", near: {', '.join(near)}" if near else ""))
        found = getattr(found, part)
    if inspect.isclass(found):
        wanted = inspect.signature(found).parameters
        found = found(**{key: value for key, value in (settings or {}).items() if key in wanted})
    if not callable(found):
        raise UserError(f"tool {name!r}; {attribute} in {place} must be a function or a class with __call__")
    return found  # type: ignore[no-any-return]


def describe(name: str, tool: Tool) -> dict[str, Any]:
    """Return a tool's description in OpenAI's form, from its type hints and docstring.

    Args:
        name: The name in the configuration; the model sees the part after the last colon.
        tool: The loaded tool.

    Raises:
        UserError: A type hint or a part of the docstring is missing.
    """
    from transformers.utils.chat_template_utils import get_json_schema

    function = tool if inspect.isroutine(tool) else tool.__call__  # type: ignore[operator]
    try:
        schema: dict[str, Any] = get_json_schema(function)
    except Exception as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"tool {name!r}; a type hint and a line under `Args:` expected for every parameter: {why}"
        ) from error
    schema["function"]["name"] = name.rpartition(":")[2].rpartition(".")[2]
    return schema


def _module(place: str) -> ModuleType:
    """Import a module by its dotted name or its file."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    alias = f"{Path(place).stem}_{hashlib.sha256(place.encode()).hexdigest()[:8]}"
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[alias] = module
    return sys.modules[alias]
