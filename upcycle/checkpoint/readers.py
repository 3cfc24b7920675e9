"""The folders an upcycling reads: a dense donor, the induced experts, a native mixture. Wrong ones are named before any work.

No torch here: sources are read by rows.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from upcycle.checkpoint.dtypes import STORAGE, Array, not_finite
from upcycle.checkpoint.sharded_writer import Progress
from upcycle.checkpoint.tensor_source import Entry, SafetensorsFolder, Source, chunks, require
from upcycle.model.architecture import Spec, native_shapes, read_json

EXPERT = "expert.json"


def donor_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json; `ValueError` if it is missing or not JSON."""
    return read_json(folder / "config.json", "give the folder of a Hugging Face checkpoint")


def donor_fingerprint(folder: Path) -> str:
    """What an induced expert belongs to: a digest of configuration, tokenizer, and every tensor's type, shape and first row."""
    digest = hashlib.sha256()
    for name in ("config.json", "tokenizer.json"):
        path = folder / name
        digest.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
    source = SafetensorsFolder(folder)
    for name, entry in sorted(source.entries.items()):
        digest.update(f"{name} {entry.dtype} {entry.shape} ".encode() + source.rows(name, 0, 1).tobytes())
    source.close()
    return digest.hexdigest()[:32]


class Donor:
    """A dense donor under the names of the `dense` or `induced` kind (`expert.*` copies the network; zero_down starts it silent)."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self.spec, self._files = spec, SafetensorsFolder(folder)
        if spec.tied:
            self._files.entries.pop("lm_head.weight", None)
        require(self._files, dict(native_shapes(spec.of_kind("dense"))), str(folder))
        self.entries = {
            name: Entry(self._files.entries[_dense(name)].dtype, shape) for name, shape in native_shapes(spec)
        }

    def rows(self, name: str, start: int, stop: int) -> Array:
        if self.spec.form == "zero_down" and name.endswith("mlp.expert.down_proj.weight"):
            entry = self.entries[name]
            return np.zeros((stop - start, entry.width), STORAGE[entry.dtype])
        return self._files.rows(_dense(name), start, stop)


def _dense(name: str) -> str:
    return name.replace(".mlp.shared_expert.", ".mlp.").replace(".mlp.expert.", ".mlp.")


def open_experts(folder: Path, spec: Spec, donor: str) -> dict[str, SafetensorsFolder]:
    """The induced expert of every discipline, from `folder`/DISCIPLINE.

    `donor` is the fingerprint of the donor they must have been induced on. `ValueError` for one that is missing, of
    another donor or tokenizer, or of another form.
    """
    opened = {}
    for discipline in spec.disciplines:
        place = folder / discipline
        facts = read_json(
            place / EXPERT, f"induce the expert first: innovator upcycle induct ... --discipline {discipline}"
        )
        for key, wanted in (("discipline", discipline), ("form", spec.form), ("donor", donor)):
            if facts.get(key) != wanted:
                raise ValueError(
                    f"{place / EXPERT}: {key} = {facts.get(key)!r}, this configuration means {wanted!r}: the expert was "
                    "induced otherwise (donor: configuration, tokenizer or weights differ); induce it again"
                )
        opened[discipline] = SafetensorsFolder(place)
    return opened


def native_source(folder: Path) -> tuple[Spec, SafetensorsFolder]:
    """A folder of native weights, checked against its spec."""
    spec = Spec.load(folder)
    source = SafetensorsFolder(folder)
    require(source, dict(native_shapes(spec)), str(folder))
    return spec, source


def require_finite(sources: Mapping[str, Source], progress: Progress) -> None:
    """`ValueError` naming the first tensor with a NaN or an infinity; reads everything once."""
    for where, source in sources.items():
        for name, entry in source.entries.items():
            wrong = sum(not_finite(values, entry.dtype) for values in chunks(source, name))
            if wrong:
                raise ValueError(f"{where}: {name} has {wrong} weights that are NaN or infinite; give sound weights")
        progress(f"{where}: all weights finite")
