"""Run by test_gpu_benchmarks.py: the GPU benchmarks' CPU mode on a machine with torch, transformers and pydantic alone.

bare_machine.py FOLDER    writes FOLDER/upcycle.json and FOLDER/rl.json
"""

import importlib
import importlib.abc
import json
import re
import sys
from importlib.metadata import MetadataPathFinder, PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

WANTED = ("torch", "transformers", "pydantic")


def allowed() -> set[str]:
    """Names of the distributions that come with the three."""
    found: set[str] = set()
    waiting = list(WANTED)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        try:
            needed = [line for line in requires(name) or [] if "extra ==" not in line]
        except PackageNotFoundError:
            continue
        waiting += [re.split(r"[ ;<>=!~\[(]", line)[0] for line in needed]
    return found


class Bare(importlib.abc.MetaPathFinder):
    """Hides every installed package that those three do not bring."""

    def __init__(self) -> None:
        self.finders = list(sys.meta_path)
        names, kept = packages_distributions(), allowed()
        self.hidden = {
            top
            for top, owners in names.items()
            if not any(re.sub(r"[-_.]+", "-", owner).lower() in kept for owner in owners)
        } - {"innovator_rl", "upcycle", "rewards", "_virtualenv", "benchmarks"}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Ask the interpreter's own finders, unless the module is hidden."""
        if name.partition(".")[0] in self.hidden:
            return None
        specs = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in specs if spec is not None), None)

    def find_distributions(self, *arguments: Any) -> Any:
        """Find the packages' metadata, which tell what they need."""
        return MetadataPathFinder.find_distributions(*arguments)


def main(folder: Path) -> None:
    """Hide the other packages, then measure."""
    bare = Bare()
    assert {"vllm", "ray", "verl", "pyarrow"} <= bare.hidden
    sys.meta_path[:] = [bare]
    rl = importlib.import_module("benchmarks.gpu_rl")
    upcycle = importlib.import_module("benchmarks.gpu_upcycle")
    (folder / "rl.json").write_text(json.dumps(rl.measure_all(rl.SMALL, 60)))
    (folder / "upcycle.json").write_text(json.dumps(upcycle.measure(upcycle.SMALL, 60)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
