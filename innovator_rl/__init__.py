"""Innovator RL is a post-training service for science language models.

    import innovator_rl as ir

    run = ir.train("demo", schedule={"steps": 2})
    scores = ir.score([{"response": "4", "answer": "4"}], reward="math")
    run = ir.open_run("runs/demo")
    folder = ir.upcycle("tiny")

Importing the package imports nothing else; a name of the interface imports what it needs when it is first used. It makes
`rewards` and `upcycle` resolve to the packages installed next to it (see `_sibling_packages`).
docs/python-api.md describes the interface, ARCHITECTURE.md the packages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from innovator_rl import _sibling_packages

if TYPE_CHECKING:
    from innovator_rl.api import configure as configure
    from innovator_rl.api import score as score
    from innovator_rl.api import train as train
    from innovator_rl.api import upcycle as upcycle
    from innovator_rl.config import RunConfig as RunConfig
    from innovator_rl.errors import UserError as UserError
    from innovator_rl.recorded_run import Run as Run
    from innovator_rl.recorded_run import open_run as open_run
    from innovator_rl.scoring import Score as Score

__version__ = "0.1.0"

_sibling_packages.install()

_HOMES = {
    "Run": "innovator_rl.recorded_run",
    "RunConfig": "innovator_rl.config",
    "Score": "innovator_rl.scoring",
    "UserError": "innovator_rl.errors",
    "configure": "innovator_rl.api",
    "open_run": "innovator_rl.recorded_run",
    "score": "innovator_rl.api",
    "train": "innovator_rl.api",
    "upcycle": "innovator_rl.api",
}


def __getattr__(name: str) -> Any:
    """Import a name of the interface when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the names of the interface."""
    return sorted([*globals(), *_HOMES])
