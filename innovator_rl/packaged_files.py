"""Find the datasets and configurations of the project, installed or not.

A name is looked up as an explicit path, then below the working directory (a submitted job's copy of it too), then
among the files that the package brings: `innovator_rl/_share/` in a wheel, the repository's top level in a checkout.
The folder `datasets/` holds no Python, because an importable `datasets` would hide the library of Hugging Face.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from innovator_rl.errors import UserError

SUFFIXES = (".yaml", ".yml")


def packaged_root() -> Path:
    """Return the folder that holds the shipped `datasets/` and `configs/`."""
    package = Path(__file__).resolve().parent
    share = package / "_share"
    return share if share.is_dir() else package.parent


def roots() -> list[Path]:
    """Return the folders that may hold `datasets/` and `configs/`, in order."""
    return list(dict.fromkeys([Path.cwd(), packaged_root()]))


def config_names(kind: str) -> list[str]:
    """Return the names of the configurations of a kind, sorted.

    Args:
        kind: A folder of `configs/`, for example "train".
    """
    found = (path for root in roots() for path in (root / "configs" / kind).glob("*.yaml"))
    return sorted({path.stem for path in found})


def find_config(name: str, kind: str = "train") -> Path:
    """Return the file that a configuration's name or path stands for.

    Args:
        name: A path, a path below the shipped files (`configs/train/demo.yaml`), or a bare name (`demo`).
        kind: The folder of `configs/` in which bare names lie.

    Raises:
        UserError: A bare name that no configuration has. A path that does not exist is returned as it is, because
            whoever opens it names the files next to it.
    """
    path = Path(name).expanduser()
    if path.exists() and not path.is_dir():
        return path
    for root in roots():
        for candidate in (root / path, root / "configs" / kind / f"{name}.yaml"):
            if candidate.is_file():
                return candidate
    if path.suffix in SUFFIXES or path.name != name:
        return path
    names = config_names(kind)
    near = get_close_matches(name, names, 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected a YAML file or {', '.join(names)}"
    raise UserError(f"configuration {name!r} not found: {hint}")
