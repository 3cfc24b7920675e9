"""Identify a checkpoint before an engine loads it, and find a damaged file in seconds.

The fingerprint decides which stored responses belong to a checkpoint. It covers the configuration and tokenizer files whole,
and of each weight file the name, the size, the header and a sample of every tensor. Training moves almost every
weight, so two checkpoints differ in the samples, and a model of a hundred gigabytes has its fingerprint in seconds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.models import resolve

SAMPLE_BYTES = 4096
SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model")
HEADER_LIMIT = 100_000_000  # safetensors' own bound on the header


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that can be evaluated.

    Attributes:
        name: How the user called it.
        path: Its folder.
        fingerprint: 64 hexadecimal digits.
        context: The longest sequence in tokens.
        architecture: The class of the model.
    """

    name: str
    path: Path
    fingerprint: str
    context: int
    architecture: str


def open_checkpoint(model: str) -> Checkpoint:
    """Find a checkpoint and check its files.

    Args:
        model: A built-in model, a folder or a hub id.

    Raises:
        UserError: There is no such checkpoint, or a file of it is damaged.
    """
    place = resolve(model)
    folder = _download(place) if isinstance(place, str) else Path(place)
    config = _config(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        other = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "no weight file"
        raise UserError(f"model {model!r}: expected *.safetensors in {folder}, found {other}; convert the checkpoint")
    digest = hashlib.sha256()
    for path in sorted({path for pattern in SMALL_FILES for path in folder.glob(pattern)}):
        digest.update(f"{path.name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    present: set[str] = set()
    for path in weights:
        present |= _add_weights(path, digest)
    _check_index(folder, present)
    context, architecture = _declared(config, folder)
    return Checkpoint(
        name=model,
        path=folder,
        fingerprint=digest.hexdigest(),
        context=context,
        architecture=architecture,
    )


def _declared(config: dict[str, Any], folder: Path) -> tuple[int, str]:
    """Return the longest sequence and the architecture that a configuration states."""
    context = {**config, **(config.get("text_config") or {})}.get("max_position_embeddings") or 2048
    architectures = config.get("architectures") or ["unknown"]
    if not isinstance(context, int) or context < 1:
        raise UserError(
            f"{folder / 'config.json'}: max_position_embeddings must be a number above 0, got {context!r:.40}"
        )
    if not isinstance(architectures, list):
        raise UserError(f"{folder / 'config.json'}: architectures must be a list, got {architectures!r:.40}")
    return context, str(architectures[0])


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*SMALL_FILES, "*.safetensors"]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=patterns))
    except Exception as error:  # the client raises many kinds: no network, no such model, no permission
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"model {hub_id!r} is neither in the local hub cache nor to be fetched ({reason}); "
            "download the model and give its folder"
        ) from None


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / 'config.json'} cannot be read as JSON ({error}): fetch the checkpoint again"
        ) from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise UserError(f"{folder / 'config.json'}: expected an object with model_type; give a causal language model")
    return config


def _add_weights(path: Path, digest: Any) -> set[str]:
    """Add a safetensors file to the fingerprint and return the names of its tensors."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(HEADER_LIMIT, size):
                raise ValueError(f"its header of {length} bytes does not fit the file of {size} bytes")
            raw = file.read(length)
            header = {name: entry for name, entry in json.loads(raw).items() if name != "__metadata__"}
            expected = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
            if size != expected:
                raise ValueError(f"it must have {expected} bytes, found {size}")
            digest.update(f"{path.name} {size}\n".encode() + raw)
            for entry in header.values():
                start, end = entry["data_offsets"]
                file.seek(8 + length + (start + end) // 2)
                digest.update(file.read(min(SAMPLE_BYTES, (end - start + 1) // 2)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): fetch or export the checkpoint again") from None
    return set(header)


def _check_index(folder: Path, present: set[str]) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        wanted = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} is damaged ({error}): fetch the checkpoint again") from None
    missing = sorted({shard for name, shard in wanted.items() if name not in present})
    if missing:
        raise UserError(f"{folder}: {', '.join(missing)} not found or incomplete; fetch the checkpoint again")
