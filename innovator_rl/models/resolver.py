"""Resolve a model path to a built-in model, a local folder or a hub id.

Built-in models are built on first use and cached in `$INNOVATOR_HOME/models` (default `~/.cache/innovator_rl/models`).
Several processes of one run ask for the same model at once, so a build holds a file lock, writes into a temporary
folder next to the target and is renamed into place: a reader sees a whole checkpoint or none. A marker has the version
of the builder; a folder of another version is built again.
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
class ModelBuilder:
    """The builder of a built-in model.

    Increase `version` whenever `build` would write different files.
    """

    version: int
    build: Callable[[Path], None]


BUILT_IN_MODELS: dict[str, ModelBuilder] = {
    "smollm2-135m": ModelBuilder(1, smollm2.build),
    "tiny-qwen2": ModelBuilder(1, tiny.build_dense),
    "tiny-qwen2-moe": ModelBuilder(1, tiny.build_moe),
}


def default_cache_dir() -> Path:
    """Return `$INNOVATOR_HOME/models`, or `~/.cache/innovator_rl/models` by default.

    Raises:
        UserError: This user has no home directory and INNOVATOR_HOME is not set.
    """
    home = os.environ.get("INNOVATOR_HOME")
    if home:
        return Path(home).expanduser() / "models"
    try:
        return Path.home() / ".cache" / "innovator_rl" / "models"
    except RuntimeError:
        raise UserError("no home directory found for this user; set INNOVATOR_HOME to a writable folder") from None


def make(name: str, cache_dir: Path | None = None) -> Path:
    """Return the folder of a built-in model, which is built on first use.

    The folder is a Hugging Face checkpoint: config, float32 safetensors, tokenizer with chat template, generation
    config. The function may be called from many processes at once.

    Raises:
        UserError: The name is not that of a built-in model.
    """
    if name not in BUILT_IN_MODELS:
        raise UserError(f"unknown built-in model {name!r}; {_near(name, BUILT_IN_MODELS)}")
    builder = BUILT_IN_MODELS[name]
    root = (cache_dir or default_cache_dir()).absolute()
    target = root / name
    if _is_current(target, builder):
        return target
    _require_writable(root, name)
    with _locked(root / f".{name}.lock"):
        if not _is_current(target, builder):  # another process may have built it while this one waited
            _build(name, builder, target)
    return target


def resolve(path: str | Path, key: str = "model.path") -> Path | str:
    """Resolve a configuration's model path.

    Args:
        path: The path, hub id or name.
        key: The configuration's key, for messages.

    Returns:
        The folder of a built-in or local model, or the hub id (`org/name`) as it is.

    Raises:
        UserError: The folder has no `config.json`, or there is no such model.
    """
    text = str(path)
    if text in BUILT_IN_MODELS:
        return make(text)
    folder = Path(text).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"{key} {text!r} has no config.json: give the folder of a Hugging Face checkpoint{_nested_hint(folder)}"
            )
        return folder
    if folder.is_file():
        raise UserError(f"{key} {text!r} is a file: give the folder that contains its config.json")
    # `runs/x/checkpoint` has the shape of a hub id; a first part that exists here says a local folder was meant.
    if HUB_ID.fullmatch(text) and Path(text).parts[0] not in {p.name for p in Path.cwd().iterdir() if p.is_dir()}:
        return text
    if "$" in text:
        raise UserError(f"{key} {text!r}: environment variables are not expanded here; expected the folder written out")
    if text.startswith("~"):
        raise UserError(f"{key} {text!r}: the folder {folder} was not found; expected the folder of a checkpoint")
    raise UserError(
        f"{key} {text!r} must be a folder, a hub id (org/name) or a built-in model; {_near(text, BUILT_IN_MODELS)}"
    )


def _require_writable(root: Path, name: str) -> None:
    """Make the cache's folder, or say which variable names another."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        writable = os.access(root, os.W_OK | os.X_OK)
        reason = "permission denied"
    except OSError as error:
        writable, reason = False, (error.strerror or str(error)).lower()
    if not writable:
        raise UserError(
            f"the built-in model {name!r} cannot be cached in {root} ({reason}); "
            "set INNOVATOR_HOME to a folder that this user may write"
        )


def _near(name: str, known: dict[str, ModelBuilder]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}Built-in models: {', '.join(sorted(known))}"


def _nested_hint(folder: Path) -> str:
    inner = next((p.parent for p in sorted(folder.glob("*/config.json"))), None)
    return f", perhaps {str(inner)!r}" if inner else ""


def _is_current(target: Path, builder: ModelBuilder) -> bool:
    try:
        return json.loads((target / MARKER).read_text())["version"] == builder.version
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _build(name: str, builder: ModelBuilder, target: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
    try:
        builder.build(work)
        (work / MARKER).write_text(json.dumps({"name": name, "version": builder.version}) + "\n")
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
    """Hold an advisory lock on `path`.

    The system frees it when the holder dies, so no stale lock can remain.
    """
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
