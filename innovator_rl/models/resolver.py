"""Where a model path leads: a model made on this machine, a local folder, or a hub id.

Made models are cached in `$INNOVATOR_HOME/models` (default `~/.cache/innovator_rl/models`). Several processes of one
run ask for the same model at once, so a build holds a file lock, writes into a temporary folder beside the target and
is renamed into place: a reader sees a whole checkpoint or none. A marker with the recipe's version makes a folder left
by an older recipe stale, and stale folders are made again.
"""

import difflib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.models import smollm2, tiny

MARKER = "innovator_recipe.json"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Recipe:
    """How one made model comes about. Raise `version` whenever `build` would write different files."""

    version: int
    build: Callable[[Path], None]


BUILT_IN_MODELS: dict[str, Recipe] = {
    "smollm2-135m": Recipe(1, smollm2.build),
    "tiny-qwen2": Recipe(1, tiny.build_dense),
    "tiny-qwen2-moe": Recipe(1, tiny.build_moe),
}


def default_cache_dir() -> Path:
    """`$INNOVATOR_HOME/models`, or `~/.cache/innovator_rl/models` where the variable is not set."""
    home = os.environ.get("INNOVATOR_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "innovator_rl") / "models"


def make(name: str, cache_dir: Path | None = None) -> Path:
    """The folder of the made model `name`, built on first use; safe to call from many processes at once.

    The folder is a Hugging Face checkpoint: config, float32 safetensors, tokenizer with chat template, generation
    config. Raises `UserError` for a name that no recipe has.
    """
    if name not in BUILT_IN_MODELS:
        raise UserError(f"model {name!r} is not one this project makes; {_near(name, BUILT_IN_MODELS)}")
    recipe = BUILT_IN_MODELS[name]
    root = (cache_dir or default_cache_dir()).absolute()
    target = root / name
    if _is_current(target, recipe):
        return target
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f".{name}.lock"):
        if not _is_current(target, recipe):  # another process may have built it while this one waited
            _build(name, recipe, target)
    return target


def resolve(path: str | Path) -> Path | str:
    """Turn a configuration's model path into a folder (made or local), or hand a hub id (`org/name`) through.

    Raises `UserError` for a folder without `config.json` and for a name that leads nowhere.
    """
    text = str(path)
    if text in BUILT_IN_MODELS:
        return make(text)
    folder = Path(text).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"model.path {text!r} holds no config.json: give the folder of a Hugging Face checkpoint"
                f"{_nested_hint(folder)}"
            )
        return folder
    if folder.is_file():
        raise UserError(f"model.path {text!r} is a file: give the folder that holds its config.json")
    # `runs/x/checkpoint` has the shape of a hub id; a first part that exists here says a local folder was meant.
    if HUB_ID.fullmatch(text) and Path(text).parts[0] not in {p.name for p in Path.cwd().iterdir() if p.is_dir()}:
        return text
    raise UserError(f"model.path {text!r} is no folder and no hub id (org/name); {_near(text, BUILT_IN_MODELS)}")


def _near(name: str, known: dict[str, Recipe]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}Made without a hub: {', '.join(sorted(known))}"


def _nested_hint(folder: Path) -> str:
    inner = next((p.parent for p in sorted(folder.glob("*/config.json"))), None)
    return f", perhaps {str(inner)!r}" if inner else ""


def _is_current(target: Path, recipe: Recipe) -> bool:
    try:
        return json.loads((target / MARKER).read_text())["version"] == recipe.version
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _build(name: str, recipe: Recipe, target: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
    try:
        recipe.build(work)
        (work / MARKER).write_text(json.dumps({"name": name, "version": recipe.version}) + "\n")
        for file in work.iterdir():
            file.chmod(0o644)
        work.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on `path`; the system frees it when the holder dies, so no stale lock can remain."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
