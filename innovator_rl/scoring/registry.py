"""Rewarders by name: the entry points of the group `innovator_rl.rewards`.

An installed package offers a reward with

    [project.entry-points."innovator_rl.rewards"]
    solubility = "my_package.rewards:Solubility"

and nothing else: no registration call, no import here. The project's own seven are found the same way. Names are
listed from package metadata alone, so a listing neither imports nor breaks on a plugin.
`my_package.rewards:Solubility` itself is accepted as a name while a reward is being written.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Rewarder, named_arguments

GROUP = "innovator_rl.rewards"


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
    """Where a name leads, as `module:attribute`. Raises `UserError` for an unknown name."""
    if ":" in name:
        return name
    installed = _installed()
    if name not in installed:
        near = difflib.get_close_matches(name, installed, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"installed: {', '.join(sorted(installed)) or 'none'}"
        raise UserError(f"unknown rewarder {name!r}: {hint}")
    return installed[name].value


def check(name: str) -> None:
    """Raise `UserError` unless `name` is installed or has the form `module:attribute`."""
    target(name)


def load(name: str, settings: Mapping[str, Any] | None = None) -> Rewarder:
    """Import a rewarder and make it ready to be called.

    A class is constructed with those of `settings` that its constructor names (the pool offers `code_isolation`,
    `timeout_seconds` and `memory_mb`); a function is returned as it is. Raises `UserError` for an unknown name or
    unusable arguments, and whatever the plugin's own import raises.
    """
    module_name, _, attribute = target(name).partition(":")
    module = importlib.import_module(module_name)
    try:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise UserError(f"rewarder {name!r}: {module_name} has no {attribute!r}") from error
    if inspect.isclass(found):
        offered = dict(settings or {})
        wanted = inspect.signature(found).parameters
        found = found(**{key: value for key, value in offered.items() if key in wanted})
    if not callable(found):
        raise UserError(f"rewarder {name!r}: {attribute} in {module_name} is not callable")
    named_arguments(found)
    return found  # type: ignore[no-any-return]
