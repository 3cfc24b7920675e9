"""Resolve `rewards` and `upcycle` to the packages next to `innovator_rl`.

Both are top-level packages with common names, and Python looks for top-level names along `sys.path`, where the working
directory often stands first: `python -m` puts it there, the reward workers and Ray's workers inherit it. A project
with a folder `rewards/` of its own would therefore lose every built-in reward function. The import of `innovator_rl`
installs a finder that is asked before `sys.path` and answers for exactly these two names, in a checkout and in
site-packages alike. Submodules need no finder, because Python looks for them in the package's own folder.

A file of the user's own folder is still loaded by its path (`rewards/mine.py:score`). Given as a module
(`rewards.mine:score`) it is not reachable; `hidden_file` finds it, so that the message can name the path to write.

A process that starts with a module of these packages imports `innovator_rl` too late. It starts through this module:

    python -m innovator_rl._sibling_packages rewards.code.service --port 8080
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

NAMES = ("rewards", "upcycle")
_PARENT = Path(__file__).resolve().parent.parent


class SiblingFinder:
    """Find the packages of `NAMES` next to `innovator_rl`, and nothing else."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a sibling package.

        None leaves a name to the finders of `sys.meta_path` behind this one.
        """
        return PathFinder.find_spec(name, [str(_PARENT)], target) if name in NAMES else None


def install() -> None:
    """Put the finder in front of `sys.meta_path`, once per process."""
    if SiblingFinder not in sys.meta_path:
        sys.meta_path.insert(0, SiblingFinder)


def hidden_file(module: str) -> Path | None:
    """Return the user's file that the module name would mean without the finder.

    Args:
        module: A dotted name such as `rewards.mine`.

    Returns:
        The file along `sys.path` and the working directory, or None where there is none besides the sibling package.
    """
    first, *rest = module.split(".")
    if first not in NAMES:
        return None
    for folder in ("", *sys.path):
        base = Path(folder or ".").absolute() / first
        if not base.is_dir() or base.resolve() == _PARENT / first:
            continue
        for file in (base.joinpath(*rest).with_suffix(".py"), base.joinpath(*rest, "__init__.py")):
            if file.is_file():
                return file
    return None


def foreign_package(module: str) -> Path | None:
    """Return the folder of another package that holds the module's top-level name.

    Only modules that this process has imported count.

    This happens where a program imports its own `rewards` before `innovator_rl`.
    """
    loaded = sys.modules.get(name := module.partition(".")[0])
    places = [Path(place).resolve() for place in getattr(loaded, "__path__", [])]
    if name not in NAMES or loaded is None or _PARENT / name in places or not (_PARENT / name).is_dir():
        return None
    return places[0] if places else Path(str(getattr(loaded, "__file__", name)))


if __name__ == "__main__":  # the import of `innovator_rl` before this line installed the finder
    if len(sys.argv) < 2:
        sys.exit("usage: python -m innovator_rl._sibling_packages MODULE [ARGUMENTS ...]")
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
