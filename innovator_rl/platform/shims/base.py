"""Define a shim, one named correction of a defect of an installed package.

A shim names what it works around, the version in which that was seen, whether the installed version still needs it, and
how to apply it. The tests of a shim fail as soon as the installed version needs it no more (then delete the file) or
does not fit it any more.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from innovator_rl.errors import EngineError


class ShimMisfit(EngineError):
    """The installed version no longer has the form that a shim was written for."""


@dataclass(frozen=True)
class Shim:
    """One correction. `platforms` lists where it applies: "cpu", "cuda" or both."""

    name: str
    works_around: str
    seen_in: str
    platforms: tuple[str, ...]
    needed: Callable[[], bool]
    apply: Callable[[], None]


def require_parameters(shim: str, function: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Raise unless a function has the parameters that its replacement was written for.

    Args:
        shim: The name of the shim.
        function: The function to be replaced.
        names: Its first parameters.

    Raises:
        ShimMisfit: The parameters differ.
    """
    found = tuple(name for name in inspect.signature(function).parameters if name != "self")
    if found[: len(names)] != names:
        where = f"{function.__module__}.{function.__qualname__}"
        raise ShimMisfit(
            f"shim {shim}: {where} takes {found}, expected {names}; adapt the shim to the installed version"
        )
