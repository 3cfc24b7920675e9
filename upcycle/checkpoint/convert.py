"""Split and export whole folders as streams, never a model in memory."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from upcycle.checkpoint import sharded_writer
from upcycle.checkpoint.expert_split import SplitSource, expert_shapes
from upcycle.checkpoint.hf_export import CONFIG, DenseExportSource, ExportSource, hf_config, sidecar_files
from upcycle.checkpoint.readers import (
    BaseModelSource,
    base_model_fingerprint,
    open_experts,
    open_training_folder,
    quick_fingerprint,
    require_finite,
)
from upcycle.checkpoint.sharded_writer import Progress, finish
from upcycle.checkpoint.tensor_source import SyntheticSource, TensorSource
from upcycle.checkpoint.vllm_limits import require_servable
from upcycle.config.schema import UpcycleConfig
from upcycle.model.architecture import FILE, ModelSpec, read_json, tensor_shapes, write_json

ORIGIN = "upcycled_from.json"


def split(
    config: UpcycleConfig, base_config: dict[str, Any], base_model: Path, experts: Path, out: Path, progress: Progress
) -> Path:
    """Split the coarse experts (stage 2); a complete result is left as it is.

    Args:
        config: The run's configuration.
        base_config: The base model's config.json.
        base_model: Folder of the base model.
        experts: Folder of the coarse experts, one folder per discipline.
        out: Folder of the result, in the training format.
        progress: Receives one line per file.

    Returns:
        `out`.

    Raises:
        UserError: For inputs that are damaged or do not belong together.
    """
    spec = ModelSpec.from_config(config, base_config, "mixture")
    require_servable(spec)
    fingerprint = quick_fingerprint(base_model)
    coarse = open_experts(experts, spec, (base_model_fingerprint(base_model), fingerprint))
    dense = BaseModelSource(spec.of_kind("dense"), base_model)
    source = SplitSource(spec, dense, coarse, config.seed, config.mixture.router_std)
    inputs = [weights_fingerprint(folder) for folder in (base_model, *(experts / name for name in spec.disciplines))]
    identity = digest(spec.fingerprint_facts(), fingerprint, inputs, config.seed, config.mixture.router_std)
    facts = digest(spec.fingerprint_facts(), config.seed, config.mixture.router_std)

    def contents() -> str:
        read: dict[str, TensorSource] = {
            "base model": dense,
            **{f"expert of {name}": expert for name, expert in coarse.items()},
        }
        return digest(facts, require_finite(read, progress))

    if _complete(out, FILE, identity, contents):
        progress(f"{out}: already split")
        return out
    origin = {"inputs": identity, "contents": contents()}
    sharded_writer.write(source, out, config.export.shard_bytes, identity, progress)
    finish(out, sidecar_files(base_model), {ORIGIN: origin, FILE: asdict(spec)})
    return out


def export(training: Path, out: Path, dtype: str, shard_bytes: int, progress: Progress) -> Path:
    """Export a mixture or the dense baseline; a complete result is left as it is.

    Args:
        training: Folder in the training format.
        out: Folder of the Hugging Face checkpoint.
        dtype: Type of the exported weights, or `keep`.
        shard_bytes: Largest shard file, in bytes.
        progress: Receives one line per file.

    Returns:
        `out`.

    Raises:
        UserError: For a folder that is damaged or cannot be expressed as a Hugging Face checkpoint.
    """
    spec, source = open_training_folder(training)
    if spec.kind != "dense":
        require_servable(spec)
    identity = digest(spec.fingerprint_facts(), weights_fingerprint(training), dtype)

    def contents() -> str:
        return digest(spec.fingerprint_facts(), dtype, require_finite({str(training): source}, progress))

    if _complete(out, CONFIG, identity, contents):
        progress(f"{out}: already exported")
        return out
    origin = {"inputs": identity, "contents": contents()}
    exported = (DenseExportSource if spec.kind == "dense" else ExportSource)(spec, source, dtype)
    sharded_writer.write(exported, out, shard_bytes, identity, progress)
    finish(out, sidecar_files(training), {ORIGIN: origin, CONFIG: hf_config(spec, exported.dtype)})
    return out


def _complete(out: Path, last: str, identity: str, contents: Callable[[], str] | None = None) -> bool:
    """Return whether `out` is complete.

    A folder that was made from other inputs is a `UserError`. Inputs whose files have another time, because they were
    copied or touched, are read and compared by content.
    """
    if not (out / last).is_file():
        return False
    origin = read_json(out / ORIGIN, f"{out} was not written here; give another folder")
    if origin.get("inputs") == identity:
        return True
    if contents is None or not origin.get("contents") or origin["contents"] != contents():
        raise UserError(f"{out}: was made from other weights or settings; remove it to make it again")
    write_json(out / ORIGIN, {**origin, "inputs": identity})
    return True


def weights_fingerprint(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, bytes and modification time in ns of a folder's weight files.

    They identify the inputs from which a result was made.
    """
    stats = [(path.name, path.stat()) for path in sorted(folder.glob("*.safetensors"))]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def synthetic_export(
    config: UpcycleConfig, base_config: dict[str, Any], layers: int | None = None
) -> tuple[ExportSource, str]:
    """Build the export of a synthetic base model and synthetic experts, as one stream.

    Args:
        config: The run's configuration.
        base_config: Shape of the base model, as its config.json.
        layers: Only the first layers; by default all.

    Returns:
        The export and the identity of its inputs.

    Raises:
        UserError: For a shape that cannot be expressed as a Qwen2-MoE checkpoint.
    """
    spec = ModelSpec.from_config(config, base_config, "mixture")
    if layers is not None:
        spec = replace(spec, base_config={**base_config, "num_hidden_layers": layers})
    require_servable(spec)
    base_model = SyntheticSource(dict(tensor_shapes(spec.of_kind("dense"))), seed=config.seed)
    shapes = expert_shapes(spec)
    coarse: dict[str, TensorSource] = {
        name: SyntheticSource(shapes, seed=config.seed + 1 + i) for i, name in enumerate(spec.disciplines)
    }
    training = SplitSource(spec, base_model, coarse, config.seed, config.mixture.router_std)
    return ExportSource(spec, training, config.export.dtype), digest("generated", spec.fingerprint_facts(), config.seed)


def dry_run(exported: ExportSource, shard_bytes: int, progress: Progress) -> dict[str, str]:
    """Compute every byte of an export without writing any.

    Returns:
        File name -> checksum (xxh3, hexadecimal).
    """
    return sharded_writer.checksum(exported, shard_bytes, progress)


def round_trip(
    exported: ExportSource, identity: str, out: Path, shard_bytes: int, progress: Progress
) -> dict[str, str]:
    """Write every shard to `out`, read it back, compare it and delete it.

    Args:
        exported: The checkpoint to write.
        identity: Hash of its inputs; a folder that was begun from others is refused.
        out: Folder of the shards; it is removed at the end.
        shard_bytes: Largest size of the weights in one file.
        progress: Called with a line of text after each file.

    Returns:
        File name -> checksum (xxh3, hexadecimal).

    Raises:
        StorageError: A shard on disk differs from its source.
    """
    sums = sharded_writer.round_trip(exported, out, shard_bytes, identity, progress)
    shutil.rmtree(out)
    return sums


def write_synthetic(exported: ExportSource, identity: str, out: Path, shard_bytes: int, progress: Progress) -> Path:
    """Write a synthetic checkpoint, whose weights are noise, and return its folder; a complete one is left as it is."""
    inputs = digest(identity, exported.dtype, shard_bytes)
    if _complete(out, CONFIG, inputs):
        progress(f"{out}: already written")
        return out
    sharded_writer.write(exported, out, shard_bytes, identity, progress)
    finish(out, [], {ORIGIN: {"inputs": inputs}, CONFIG: hf_config(exported.spec, exported.dtype)})
    return out


def digest(*facts: Any) -> str:
    """Return a short hash of facts, which tells one set of inputs from another."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]
