"""Find the dense model that upcycling starts from, on this machine; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.models import resolve
from upcycle.checkpoint.readers import read_base_config
from upcycle.config.schema import UpcycleConfig


def base_model_folder(config: UpcycleConfig) -> Path:
    """Return the base model's folder on this machine.

    Raises:
        UserError: If it is not on this machine.
    """
    place = resolve(config.base_model, "base_model")
    if isinstance(place, Path):
        return place
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(place, local_files_only=True))
    except Exception as error:
        raise UserError(
            f"base model {place!r}: not in the local hub cache ({type(error).__name__}); download it or set base_model "
            "to its folder"
        ) from None


def base_model_config(config: UpcycleConfig) -> dict[str, Any]:
    """Return the base model's config.json.

    On a machine without the base model it is `base_config`.

    Raises:
        UserError: If there is neither, or both and they disagree.
    """
    try:
        found = read_base_config(base_model_folder(config))
    except UserError:
        if not config.base_config:
            raise
        return config.base_config
    for key, value in config.base_config.items():
        if key in found and found[key] != value and key not in ("dtype", "torch_dtype"):
            raise UserError(
                f"base_config.{key} = {value!r}: the base model's config.json has {found[key]!r}; correct one of them"
            )
    return found
