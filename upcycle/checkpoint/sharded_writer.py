"""Write a source as a checkpoint folder shard by shard, or only compute it.

Readers can rely on three things. A shard exists under its name only when it is complete (written next to it, synced,
renamed); the index follows the last shard; and config.json comes last of all, so a folder that looks like a checkpoint
is one. A journal of finished shards with their checksums lets an interrupted write continue, also after kill -9. It
belongs to one layout of files and to the inputs with which it began.

`write` keeps every shard. `round_trip` writes each shard, reads it back, compares it and deletes it, which tests a model
larger than the disk. `checksum` only computes what would be written.
"""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash

from innovator_rl.errors import StorageError, UserError
from upcycle.checkpoint.tensor_source import INDEX, SINGLE, Entry, SafetensorsFolder, TensorSource, chunks
from upcycle.model.architecture import write_json

JOURNAL = "assembly.jsonl"  # as in earlier releases, whose interrupted writes continue
PARTIAL = ".partial"
SPARE_BYTES = 500_000_000  # to be left free on the disk, at most as much as is written

Progress = Callable[[str], object]


@dataclass(frozen=True)
class Shard:
    """One file and its tensors, in order."""

    file: str
    entries: dict[str, Entry]

    @property
    def header(self) -> bytes:
        """The safetensors header with its length before it, padded to 8 bytes."""
        layout: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for name, entry in self.entries.items():
            layout[name] = {
                "dtype": entry.dtype,
                "shape": list(entry.shape),
                "data_offsets": [offset, offset + entry.bytes],
            }
            offset += entry.bytes
        text = json.dumps(layout, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text

    @property
    def bytes(self) -> int:
        """Size of the file in bytes."""
        return len(self.header) + sum(entry.bytes for entry in self.entries.values())


def plan_shards(entries: Mapping[str, Entry], shard_bytes: int) -> list[Shard]:
    """Assign tensors in order to files of at most `shard_bytes` of weights.

    A larger tensor gets its own file.
    """
    groups: list[dict[str, Entry]] = []
    filled = 0
    for name, entry in entries.items():
        if not groups or filled + entry.bytes > shard_bytes:
            groups.append({})
            filled = 0
        groups[-1][name] = entry
        filled += entry.bytes
    if len(groups) == 1:
        return [Shard(SINGLE, groups[0])]
    return [Shard(f"model-{i:05d}-of-{len(groups):05d}.safetensors", group) for i, group in enumerate(groups, 1)]


def checksum(source: TensorSource, shard_bytes: int, progress: Progress) -> dict[str, str]:
    """Compute the checksums of the files that `write` would make; write nothing.

    Args:
        source: Tensors in the order of the files.
        shard_bytes: Largest size of the weights in one file.
        progress: Called with a line of text after each file.

    Returns:
        File name -> checksum (xxh3, hexadecimal).
    """
    sums = {}
    for shard in plan_shards(source.entries, shard_bytes):
        sums[shard.file] = _stream(source, shard, None)
        progress(f"{shard.file}  {shard.bytes / 1e9:.2f} GB  xxh3 {sums[shard.file]}")
    return sums


def write(source: TensorSource, folder: Path, shard_bytes: int, identity: str, progress: Progress) -> None:
    """Write all shards, then the index; `finish` completes the folder.

    Args:
        source: The tensors.
        folder: The folder to write; an interrupted write of the same inputs continues.
        shard_bytes: Largest shard, in bytes of weights.
        identity: Identifies the inputs.
        progress: Receives one line per file.

    Raises:
        UserError: If the folder was begun with other inputs, already holds weights, or the disk is too small.
    """
    shards = plan_shards(source.entries, shard_bytes)
    journal = _Journal.open(folder, shards, identity, kept=True)
    _require_disk(folder, sum(shard.bytes for shard in shards if shard.file not in journal.done))
    for shard in shards:
        if shard.file in journal.done:
            progress(f"{shard.file}  already written")
            continue
        digest = _write_shard(source, folder, shard)
        journal.add(shard.file, digest)
        progress(f"{shard.file}  {shard.bytes / 1e9:.2f} GB  xxh3 {digest}")
    if len(shards) > 1:
        weight_map = {name: shard.file for shard in shards for name in shard.entries}
        total = sum(entry.bytes for entry in source.entries.values())
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def begun_from(folder: Path, identity: str) -> bool:
    """Return whether `folder` holds an interrupted `write` of the inputs that `identity` names."""
    journal = folder / JOURNAL
    lines = list(_whole_lines(journal)) if journal.is_file() else []
    return bool(lines) and lines[0].get("inputs") == identity


def finish(folder: Path, files: Iterable[Path], documents: Mapping[str, Any]) -> None:
    """Complete a folder: copy `files`, write `documents`, remove the journal.

    Args:
        folder: Folder of the finished shards.
        files: Files to copy into it, such as those of the tokenizer.
        documents: File name -> content written as JSON, in order; the last one marks the folder as complete.
    """
    for file in files:
        beside = folder / (file.name + PARTIAL)
        shutil.copyfile(file, beside)
        beside.replace(folder / file.name)
    for name, content in documents.items():
        write_json(folder / name, content)
    (folder / JOURNAL).unlink(missing_ok=True)


def round_trip(
    source: TensorSource, folder: Path, shard_bytes: int, identity: str, progress: Progress
) -> dict[str, str]:
    """Write every shard, read it back, compare every number and delete it.

    At most one shard is on the disk at a time. An interrupted call continues after the last finished shard.

    Args:
        source: Tensors in the order of the files.
        folder: Folder of the shards and the journal.
        shard_bytes: Largest size of the weights in one file.
        identity: Hash of the inputs; a folder that was begun from others is refused.
        progress: Called with a line of text after each file.

    Returns:
        File name -> checksum (xxh3, hexadecimal).

    Raises:
        StorageError: If a shard on disk differs from its source.
        UserError: As in `write`.
    """
    shards = plan_shards(source.entries, shard_bytes)
    journal = _Journal.open(folder, shards, identity, kept=False)
    _require_disk(folder, max(shard.bytes for shard in shards))
    for shard in shards:
        if shard.file in journal.done:
            continue
        (folder / shard.file).unlink(missing_ok=True)
        digest = _write_shard(source, folder, shard)
        compare_shard(source, folder, shard)
        (folder / shard.file).unlink()
        journal.add(shard.file, digest)
        progress(f"{shard.file}  {shard.bytes / 1e9:.2f} GB written, read back, equal, deleted  xxh3 {digest}")
    return journal.done


def compare_shard(source: TensorSource, folder: Path, shard: Shard) -> None:
    """Compare a shard on disk with its source.

    Raises:
        StorageError: With the first tensor that differs.
    """
    single = _OneFile(folder / shard.file)
    try:
        for name, entry in shard.entries.items():
            if single.entries.get(name) != entry:
                raise StorageError(
                    f"{folder / shard.file}: {name} is missing or has another shape; write the folder again"
                )
            for ours, theirs in zip(chunks(source, name), chunks(single, name), strict=True):
                if ours.tobytes() != theirs.tobytes():
                    raise StorageError(f"{folder / shard.file}: {name} differs from its source; write the folder again")
    finally:
        single.close()


class _OneFile(SafetensorsFolder):
    """One shard, without its index."""

    def __init__(self, file: Path) -> None:
        self._file = file
        super().__init__(file.parent)

    def _files(self) -> dict[Path, set[str] | None]:
        return {self._file: None}


def _write_shard(source: TensorSource, folder: Path, shard: Shard) -> str:
    partial = folder / (shard.file + PARTIAL)
    try:
        with partial.open("wb") as file:
            digest = _stream(source, shard, file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise StorageError(
                f"{folder / shard.file}: cannot be written ({error.strerror or error}); free some disk and give the same "
                "command again, it goes on from the finished files"
            ) from error
        raise
    partial.replace(folder / shard.file)
    _sync_folder(folder)
    return digest


def _stream(source: TensorSource, shard: Shard, file: BinaryIO | None) -> str:
    """Compute a shard's checksum and, if given, write its bytes to `file`."""
    state = xxhash.xxh3_64(shard.header)
    if file is not None:
        file.write(shard.header)
    for name, entry in shard.entries.items():
        written = 0
        for values in chunks(source, name):
            data = np.ascontiguousarray(values).view(np.uint8).data
            written += data.nbytes
            state.update(data)
            if file is not None:
                file.write(data)
        if written != entry.bytes:
            raise ValueError(f"{shard.file}: {name} has {written} bytes, expected {entry.bytes} ({entry.dtype})")
    return state.hexdigest()


def file_checksum(path: Path) -> str:
    """Return the checksum (xxh3) of a file."""
    state = xxhash.xxh3_64()
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 22):
            state.update(block)
    return state.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _require_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    wanted = needed + min(needed, SPARE_BYTES)
    if needed and free < wanted:
        raise UserError(
            f"{folder}: {free / 1e9:.3g} GB free, {wanted / 1e9:.3g} GB needed; free some space, or write to another disk "
            "(runs_dir=FOLDER; for export and dry-run also --out FOLDER)"
        )


class _Journal:
    """Finished shards with their checksums, one synced line each.

    The first line holds the layout and the inputs.
    """

    def __init__(self, path: Path, done: dict[str, str]) -> None:
        self._path, self.done = path, done

    @classmethod
    def open(cls, folder: Path, shards: list[Shard], identity: str, *, kept: bool) -> "_Journal":
        layout = hashlib.sha256(b"".join(shard.file.encode() + shard.header for shard in shards)).hexdigest()
        head = {"layout": layout, "inputs": identity, "kept": kept}
        folder.mkdir(parents=True, exist_ok=True)
        journal = cls(folder / JOURNAL, {})
        if not journal._path.exists():
            others = [p.name for p in folder.iterdir() if p.suffix == ".safetensors" or p.name == INDEX]
            if others:
                raise UserError(f"{folder}: already holds weights ({others[0]}); give an empty folder or remove it")
            journal._append(head)
            return journal
        lines = list(_whole_lines(journal._path))
        if not lines or lines[0] != head:
            raise UserError(
                f"{journal._path}: this folder was begun from other inputs or another configuration; remove {folder} "
                "or give another folder"
            )
        by_file = {shard.file: shard for shard in shards}
        for line in lines[1:]:
            file = folder / line["file"]
            if not kept or (
                file.is_file()
                and file.stat().st_size == by_file[line["file"]].bytes
                and file_checksum(file) == line["xxh3"]
            ):
                journal.done[line["file"]] = line["xxh3"]
        for leftover in folder.glob("*" + PARTIAL):
            leftover.unlink()
        return journal

    def add(self, file: str, digest: str) -> None:
        self.done[file] = digest
        self._append({"file": file, "xxh3": digest})

    def _append(self, line: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _whole_lines(path: Path) -> Iterator[Any]:
    """Yield the journal's lines up to one that a crash has cut off."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
