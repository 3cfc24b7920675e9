"""Stream tensors from sources that list them and read them by rows.

A checkpoint folder, a synthetic base model, a split and an export are all such sources. They compose, and none of them
holds more than some rows and one coarse matrix in memory. A tensor of shape (a, ..., z) is read as a x ... rows of z
numbers.
"""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from innovator_rl.errors import StorageError, UserError
from upcycle.checkpoint.dtypes import STORAGE, Array, from_float32, itemsize
from upcycle.model.architecture import read_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
CHUNK_BYTES = 1 << 20  # fits a core's cache, where scaling is fastest
HEADER_LIMIT = 100_000_000


@dataclass(frozen=True)
class Entry:
    """Type (BF16, F16, F32) and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of the tensor read as a matrix."""
        return prod(self.shape[:-1])

    @property
    def width(self) -> int:
        """Numbers of one row."""
        return self.shape[-1]

    @property
    def numel(self) -> int:
        """Numbers of the tensor."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.numel * itemsize(self.dtype)

    @property
    def chunk_rows(self) -> int:
        """Rows of one chunk of about CHUNK_BYTES."""
        return max(1, CHUNK_BYTES // (self.width * itemsize(self.dtype)))


class TensorSource(Protocol):
    """Tensors that are listed and read by rows."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All tensors by name, in file order."""
        ...

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows `start` to `stop` of a tensor, (stop - start, width)."""
        ...


def chunks(source: TensorSource, name: str) -> Iterator[Array]:
    """Yield a whole tensor in order, some rows at a time."""
    entry = source.entries[name]
    for start in range(0, entry.rows, entry.chunk_rows):
        yield source.rows(name, start, min(start + entry.chunk_rows, entry.rows))


class SafetensorsFolder:
    """A checkpoint's weights on disk, read by position.

    Only the rows asked for are in memory.

    Opening checks every file's header against its length and against the index. A file that is missing, short, corrupt
    or listed wrongly raises a `UserError` that names it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self._place: dict[str, tuple[Path, int]] = {}
        self._open: dict[Path, int] = {}
        for file, listed in self._files().items():
            found = _read_header(file)
            for name, (entry, offset) in found.items():
                if name in self.entries:
                    raise UserError(
                        f"{file}: tensor {name} is also in {self._place[name][0].name}; fetch the folder again"
                    )
                self.entries[name], self._place[name] = entry, (file, offset)
            if listed is not None and listed - found.keys():
                raise UserError(
                    f"{file}: lacks {sorted(listed - found.keys())[0]}, which {INDEX} places there; fetch it again"
                )

    def _files(self) -> dict[Path, set[str] | None]:
        index = self.folder / INDEX
        if index.is_file():
            weight_map = read_json(index, "fetch the checkpoint again").get("weight_map")
            if not isinstance(weight_map, dict):
                raise UserError(f"{index}: has no weight_map; fetch the checkpoint again")
            files: dict[Path, set[str] | None] = {}
            for name, file in weight_map.items():
                files.setdefault(self.folder / Path(str(file)).name, set()).add(name)  # type: ignore[union-attr]
            return files
        if (self.folder / SINGLE).is_file():
            return {self.folder / SINGLE: None}
        raise UserError(
            f"{self.folder}: holds neither {INDEX} nor {SINGLE}; give the folder of a safetensors checkpoint"
        )

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width).

        Raises:
            StorageError: If the file has become shorter since it was opened.
        """
        entry = self.entries[name]
        file, offset = self._place[name]
        stride = entry.width * itemsize(entry.dtype)
        buffer = bytearray((stop - start) * stride)
        if self._read(file, offset + start * stride, buffer) != len(buffer):
            raise StorageError(f"{file}: ends inside tensor {name}; fetch the file again")
        return np.frombuffer(buffer, STORAGE[entry.dtype]).reshape(stop - start, entry.width)

    def _read(self, file: Path, offset: int, buffer: bytearray) -> int:
        if file not in self._open:
            self._open[file] = os.open(file, os.O_RDONLY)
        done, view = 0, memoryview(buffer)
        while done < len(buffer):
            got = os.preadv(self._open[file], [view[done:]], offset + done)
            if got == 0:
                break
            done += got
        return done

    def close(self) -> None:
        """Close all files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        self.close()


def _read_header(file: Path) -> dict[str, tuple[Entry, int]]:
    """Read the tensors of a safetensors file and their absolute offsets.

    The length of the file is checked.
    """
    try:
        length = file.stat().st_size
        with file.open("rb") as handle:
            (header_size,) = struct.unpack("<Q", handle.read(8))
            if header_size > min(length - 8, HEADER_LIMIT):
                raise ValueError(f"its header of {header_size} bytes exceeds the file of {length}")
            header = json.loads(handle.read(header_size))
        found, end = _header_entries(header, 8 + header_size)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file, though {INDEX} lists it; fetch it again") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UserError(f"{file}: is not a whole safetensors file ({error}); fetch it again") from None
    if end != length:
        raise UserError(
            f"{file}: has {length} bytes, but its header describes {end}: cut off or overwritten; fetch it again"
        )
    return found


def _header_entries(header: dict[str, Any], base: int) -> tuple[dict[str, tuple[Entry, int]], int]:
    found: dict[str, tuple[Entry, int]] = {}
    end = 0
    items = [(name, item) for name, item in header.items() if name != "__metadata__"]
    for name, item in sorted(items, key=lambda pair: pair[1]["data_offsets"][0]):
        start, stop = item["data_offsets"]
        if item["dtype"] not in STORAGE:
            raise ValueError(f"tensor {name} is {item['dtype']}; weights must be one of {', '.join(STORAGE)}")
        entry = Entry(item["dtype"], tuple(item["shape"]) or (1,))
        if start != end or stop - start != entry.bytes:
            raise ValueError(f"tensor {name} does not fill bytes {start} to {stop}")
        found[name], end = (entry, base + start), stop
    return found, base + end


class SyntheticSource:
    """Synthetic weights that need no disk, for dry runs at full size.

    Every tensor reads one pool of normally distributed numbers from another place, so rows cost a copy, two reads are
    equal, and two tensors differ.
    """

    STD = 0.02

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], dtype: str = "BF16", seed: int = 0, pool: int = 1_048_573
    ) -> None:
        """Draw the pool.

        Args:
            shapes: Shape of each tensor.
            dtype: BF16, F16 or F32.
            seed: Seed of the numbers.
            pool: How many numbers are drawn; a prime, so that rows do not repeat.
        """
        self.entries = {name: Entry(dtype, shape) for name, shape in shapes.items()}
        values = np.random.default_rng(seed).standard_normal(pool, np.float32) * np.float32(self.STD)
        once = from_float32(values, dtype)
        self._pool = np.concatenate([once, once])
        self._seed, self._size = seed, pool

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        import xxhash

        width = self.entries[name].width
        at = (xxhash.xxh32_intdigest(name.encode(), self._seed) + start * width) % self._size
        count = (stop - start) * width
        result = np.empty(count, self._pool.dtype)
        done = 0
        while done < count:
            step = min(self._size, count - done)
            result[done : done + step] = self._pool[at : at + step]
            done, at = done + step, (at + step) % self._size
        return result.reshape(stop - start, width)


def require(source: TensorSource, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Check that a source has all tensors in their shapes.

    Args:
        source: The source.
        shapes: Shape of each tensor that it must have.
        where: What the messages name as the source.

    Raises:
        UserError: With the first tensor that is missing or has another shape.
    """
    for name, shape in shapes.items():
        entry = source.entries.get(name)
        if entry is None:
            raise UserError(f"{where}: lacks the tensor {name}; fetch or write the folder again")
        if entry.shape != shape:
            raise UserError(
                f"{where}: {name} has shape {list(entry.shape)}, config.json means {list(shape)}; give matching files"
            )
