"""Read the inputs of a run: base model, coarse experts, training format.

Inputs that do not fit are named before any work. This module does not import torch; tensors are read by rows.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from innovator_rl.errors import UserError
from upcycle.checkpoint.dtypes import STORAGE, Array, not_finite
from upcycle.checkpoint.sharded_writer import Progress
from upcycle.checkpoint.tensor_source import Entry, SafetensorsFolder, TensorSource, chunks, require
from upcycle.model.architecture import ModelSpec, read_json, tensor_shapes

EXPERT = "expert.json"


def read_base_config(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's config.json.

    Raises:
        UserError: If it is missing or not JSON.
    """
    return read_json(folder / "config.json", "give the folder of a Hugging Face checkpoint")


def base_model_fingerprint(folder: Path) -> str:
    """Return a hash that identifies a base model, over every byte of its configuration, tokenizer and weights.

    A coarse expert carries it, because it fits no other base model.
    """
    state = xxhash.xxh3_128()
    files = [folder / name for name in ("config.json", "tokenizer.json")]
    for path in [*files, *sorted(folder.glob("*.safetensors"))]:
        state.update(f"{path.name} {path.stat().st_size if path.is_file() else -1} ".encode())
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while block := file.read(2**22):
                    state.update(block)
    return f"xxh3-{state.hexdigest()}"


def quick_fingerprint(folder: Path) -> str:
    """Return the previous release's fingerprint, which reads only the first row of every tensor.

    Experts that it trained carry it, and it is part of the identity of the folders that `split` writes.
    """
    digest = hashlib.sha256()
    for name in ("config.json", "tokenizer.json"):
        path = folder / name
        digest.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
    source = SafetensorsFolder(folder)
    for name, entry in sorted(source.entries.items()):
        digest.update(f"{name} {entry.dtype} {entry.shape} ".encode() + source.rows(name, 0, 1).tobytes())
    source.close()
    return digest.hexdigest()[:32]


class BaseModelSource:
    """A dense base model under the names of the `dense` or `induced` kind.

    Of the `induced` kind, `expert.*` is a copy of the network; with the form `zero_down` its down projection is zero.
    """

    def __init__(self, spec: ModelSpec, folder: Path) -> None:
        self.spec, self._files = spec, SafetensorsFolder(folder)
        if spec.tied:
            self._files.entries.pop("lm_head.weight", None)
        require(self._files, dict(tensor_shapes(spec.of_kind("dense"))), str(folder))
        self.entries = {
            name: Entry(self._files.entries[_dense(name)].dtype, shape) for name, shape in tensor_shapes(spec)
        }

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        if self.spec.form == "zero_down" and name.endswith("mlp.expert.down_proj.weight"):
            entry = self.entries[name]
            return np.zeros((stop - start, entry.width), STORAGE[entry.dtype])
        return self._files.rows(_dense(name), start, stop)


def _dense(name: str) -> str:
    return name.replace(".mlp.shared_expert.", ".mlp.").replace(".mlp.expert.", ".mlp.")


def open_experts(folder: Path, spec: ModelSpec, base_model: str | tuple[str, ...]) -> dict[str, SafetensorsFolder]:
    """Open the coarse expert of every discipline, from `folder`/DISCIPLINE.

    Args:
        folder: Folder of the experts.
        spec: Shape of the mixture.
        base_model: Fingerprint of the base model on which they must have been trained; several if any of them will do.

    Raises:
        UserError: If an expert is missing, or was trained on another base model, with another tokenizer or form.
    """
    opened = {}
    for discipline in spec.disciplines:
        place = folder / discipline
        facts = read_json(
            place / EXPERT, f"train the expert first: innovator upcycle train-experts CONFIG --discipline {discipline}"
        )
        if "donor" in facts:  # the key of the previous release
            facts["base_model"] = facts.pop("donor")
        accepted = base_model if isinstance(base_model, tuple) else (base_model,)
        for key, wanted in (("discipline", (discipline,)), ("form", (spec.form,)), ("base_model", accepted)):
            if facts.get(key) not in wanted:
                raise UserError(
                    f"{place / EXPERT}: {key} = {facts.get(key)!r}, but this configuration expects {wanted[0]!r} (for "
                    "base_model: its configuration, tokenizer or weights differ); train the expert again"
                )
        opened[discipline] = SafetensorsFolder(place)
    return opened


def open_training_folder(folder: Path) -> tuple[ModelSpec, SafetensorsFolder]:
    """Open a folder in the training format and check its tensors against its spec.

    Raises:
        UserError: If the spec or a tensor is missing or does not fit.
    """
    spec = ModelSpec.load(folder)
    source = SafetensorsFolder(folder)
    require(source, dict(tensor_shapes(spec)), str(folder))
    return spec, source


def require_finite(sources: Mapping[str, TensorSource], progress: Progress) -> str:
    """Check that all weights are finite; everything is read once.

    Args:
        sources: Sources by the name that messages give them.
        progress: Receives one line per source.

    Returns:
        A hash of every tensor's name, type, shape and bytes.

    Raises:
        UserError: With the first tensor that has a NaN or an infinity.
    """
    state = xxhash.xxh3_128()
    for where, source in sources.items():
        for name, entry in source.entries.items():
            state.update(f"{name} {entry.dtype} {entry.shape} ".encode())
            wrong = 0
            for values in chunks(source, name):
                wrong += not_finite(values, entry.dtype)
                state.update(np.ascontiguousarray(values).view(np.uint8).data)
            if wrong:
                raise UserError(
                    f"{where}: {name} has {wrong} weights that are NaN or infinite; give a checkpoint with finite weights"
                )
        progress(f"{where}: all weights finite")
    return f"xxh3-{state.hexdigest()}"
