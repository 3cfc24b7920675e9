"""Split, export and rehearsal as people call them: checked inputs in, a whole folder out, never a model in memory."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from upcycle.checkpoint.expert_split import Split, expert_shapes
from upcycle.checkpoint.hf_export import CONFIG, Export, companions, hf_config
from upcycle.checkpoint.readers import Donor, donor_fingerprint, native_source, open_experts, require_finite
from upcycle.checkpoint.sharded_writer import Progress, checksum, finish, roll, write
from upcycle.checkpoint.tensor_source import Generated, Source
from upcycle.checkpoint.vllm_limits import require_servable
from upcycle.config.schema import UpcycleConfig
from upcycle.model.architecture import FILE, Spec, native_shapes, read_json

ORIGIN = "upcycled_from.json"


def split(
    config: UpcycleConfig, donor_config: dict[str, Any], donor: Path, experts: Path, out: Path, progress: Progress
) -> Path:
    """Stage 2: donor and induced experts become the native folder `out` (complete already: nothing is done)."""
    spec = Spec.from_config(config, donor_config, "mixture")
    require_servable(spec)
    fingerprint = donor_fingerprint(donor)
    coarse = open_experts(experts, spec, fingerprint)
    dense = Donor(spec.of_kind("dense"), donor)
    source = Split(spec, dense, coarse, config.seed, config.mixture.router_std)
    stamps = [stamp(donor), *(stamp(experts / name) for name in spec.disciplines)]
    identity = digest(asdict(spec), fingerprint, stamps, config.seed, config.mixture.router_std)
    if _complete(out, FILE, identity):
        progress(f"{out}: already split")
        return out
    require_finite({"donor": dense, **{f"expert of {name}": expert for name, expert in coarse.items()}}, progress)
    write(source, out, config.export.shard_bytes, identity, progress)
    finish(out, companions(donor), {ORIGIN: {"inputs": identity}, FILE: asdict(spec)})
    return out


def export(native: Path, out: Path, dtype: str, shard_bytes: int, progress: Progress) -> Path:
    """A native folder becomes the Hugging Face checkpoint `out` (complete already: nothing is done)."""
    spec, source = native_source(native)
    require_servable(spec)
    identity = digest(asdict(spec), stamp(native), dtype)
    if _complete(out, CONFIG, identity):
        progress(f"{out}: already exported")
        return out
    require_finite({str(native): source}, progress)
    exported = Export(spec, source, dtype)
    write(exported, out, shard_bytes, identity, progress)
    finish(out, companions(native), {ORIGIN: {"inputs": identity}, CONFIG: hf_config(spec, exported.dtype)})
    return out


def _complete(out: Path, last: str, identity: str) -> bool:
    """Whether `out` is whole and made from these inputs; `ValueError` if it was made from others."""
    if not (out / last).is_file():
        return False
    made_from = read_json(out / ORIGIN, f"{out} was not written here; give another folder").get("inputs")
    if made_from != identity:
        raise ValueError(f"{out}: was made from other weights or settings; remove it to make it anew")
    return True


def stamp(folder: Path) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of a folder's weight files: which inputs a result was made from."""
    stats = [(path.name, path.stat()) for path in sorted(folder.glob("*.safetensors"))]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def rehearsal(config: UpcycleConfig, donor_config: dict[str, Any], layers: int | None = None) -> tuple[Export, str]:
    """Split and export in one stream, of a generated donor and generated experts in the donor's shape; and its identity."""
    spec = Spec.from_config(config, donor_config, "mixture")
    if layers is not None:
        spec = replace(spec, donor_config={**donor_config, "num_hidden_layers": layers})
    require_servable(spec)
    donor = Generated(dict(native_shapes(spec.of_kind("dense"))), seed=config.seed)
    shapes = expert_shapes(spec)
    coarse: dict[str, Source] = {
        name: Generated(shapes, seed=config.seed + 1 + i) for i, name in enumerate(spec.disciplines)
    }
    native = Split(spec, donor, coarse, config.seed, config.mixture.router_std)
    return Export(spec, native, config.export.dtype), digest("generated", asdict(spec), config.seed)


def rehearse_dry(exported: Export, shard_bytes: int, progress: Progress) -> dict[str, str]:
    """Every byte computed and summed, none written."""
    return checksum(exported, shard_bytes, progress)


def rehearse_rolling(
    exported: Export, identity: str, out: Path, shard_bytes: int, progress: Progress
) -> dict[str, str]:
    """Every shard written, read back, compared and deleted in `out`; at the end `out` is gone."""
    sums = roll(exported, out, shard_bytes, identity, progress)
    shutil.rmtree(out)
    return sums


def rehearse_kept(exported: Export, identity: str, out: Path, shard_bytes: int, progress: Progress) -> Path:
    """The checkpoint written and kept, loadable by anybody (its weights are noise)."""
    write(exported, out, shard_bytes, identity, progress)
    finish(out, [], {CONFIG: hf_config(exported.spec, exported.dtype)})
    return out


def digest(*facts: Any) -> str:
    """A short name of facts, for telling one set of inputs from another."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]
