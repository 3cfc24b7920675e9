"""Open input files: local or remote, plain or compressed; a file that breaks off is an error, never a short file."""

from __future__ import annotations

import bz2
import glob
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import fsspec

from innovator_rl.data.corpus.content import hash_file, hash_json
from innovator_rl.data.corpus.optional import require
from innovator_rl.errors import UserError

COMPRESSIONS = (".gz", ".xz", ".zst", ".bz2")
PACKED_TARS = {".tgz": ".gz", ".txz": ".xz", ".tzst": ".zst", ".tbz2": ".bz2"}
LOCAL = "file://"
BROKEN: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError, zlib.error)
"""What reading a damaged file raises; the errors of zstandard become OSError below."""


@dataclass(frozen=True)
class InputFile:
    """One input file.

    Attributes:
        url: Path or fsspec URL.
        name: Name in documents and errors, relative to the source.
        size: Bytes as stored.
    """

    url: str
    name: str
    size: int


def find_files(source: str, path: str) -> list[InputFile]:
    """Return the files of a path, folder, glob or URL, sorted by name; links count as what they lead to.

    Raises:
        UserError: when there are none.
    """
    plain = path.removeprefix(LOCAL)
    found = _local_files(source, plain) if "://" not in plain else _remote_files(source, path)
    if not found:
        raise UserError(f"source {source!r}: {path!r} matches no file")
    base = PurePosixPath(min(found)).parent if len(found) == 1 else _common(iter(found))
    return [
        InputFile(found[name][0], str(PurePosixPath(name).relative_to(base)), found[name][1]) for name in sorted(found)
    ]


def _local_files(source: str, path: str) -> dict[str, tuple[str, int]]:
    """Return absolute path -> (URL, bytes) of the files of a local path, folder or glob."""
    local = Path(path)
    if local.is_dir():
        names = [os.path.join(folder, name) for folder, name in _walk(path)]
    elif local.exists():  # before the pattern: a name may hold its characters
        names = [path]
    elif any(c in path for c in "*?["):
        names = glob.glob(path, recursive=True, include_hidden=True)
    else:
        near = sorted(p.name for p in local.parent.glob("*"))[:8] if local.parent.is_dir() else []
        hint = f"; {str(local.parent)!r} contains {', '.join(near)}" if near else ""
        raise UserError(f"source {source!r}: {path!r} is not found{hint}")
    found = {}
    for name in map(os.path.abspath, names):
        file = Path(name)
        if file.is_symlink() and not file.exists():
            raise UserError(
                f"source {source!r}: the link {name!r} leads to a file that is not found: repair or remove it"
            )
        if not file.is_file():
            continue
        if name != name.encode("utf-8", "replace").decode():
            raise UserError(f"source {source!r}: the file name {name!r} must be UTF-8: rename it")
        found[name] = (LOCAL + name, file.stat().st_size)
    return found


def _walk(path: str) -> Iterator[tuple[str, str]]:
    """Yield (folder, name) of every file below a folder, once for each folder that a link leads to."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        seen.add(os.path.realpath(folder))
        folders[:] = sorted(f for f in folders if os.path.realpath(os.path.join(folder, f)) not in seen)
        yield from ((folder, name) for name in names)


def _remote_files(source: str, path: str) -> dict[str, tuple[str, int]]:
    """Return path -> (URL, bytes) of the files of an fsspec URL."""
    try:
        system, pattern = fsspec.url_to_fs(path)
        if any(c in pattern for c in "*?["):
            found = system.glob(pattern, detail=True)
        elif system.isdir(pattern):
            found = system.find(pattern, detail=True)
        else:
            found = {pattern: system.info(pattern)}
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"source {source!r}: {path!r} cannot be read ({error})") from None
    infos = cast(dict[str, dict[str, Any]], found)
    return {
        name: (system.unstrip_protocol(name), int(info["size"] or 0))
        for name, info in infos.items()
        if info["type"] == "file"
    }


def _common(names: Iterator[str]) -> PurePosixPath:
    parents = [PurePosixPath(name).parent for name in names]
    base = parents[0]
    while not all(parent.is_relative_to(base) for parent in parents):
        base = base.parent
    return base


def identify(file: InputFile, known: dict[str, list[Any]]) -> str:
    """Return a hash of the file's content; for a remote file, of what its storage reports about it.

    Args:
        file: What to identify.
        known: Cache from URL to [size, time of change, hash]; the entry of a local file is updated.
    """
    if file.url.startswith("hub://"):
        return hash_json(file.url)  # it names the commit
    if not file.url.startswith(LOCAL):
        system, path = fsspec.url_to_fs(file.url)
        return hash_json([file.url, str(system.ukey(path))])
    path = Path(file.url.removeprefix(LOCAL))
    state = path.stat()
    entry = known.get(file.url)
    if entry is None or entry[:2] != [state.st_size, state.st_mtime_ns]:
        known[file.url] = entry = [state.st_size, state.st_mtime_ns, hash_file(path)]
    return str(entry[2])


@contextmanager
def open_input(file: InputFile) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes as stored."""
    plain = file.url.removeprefix(LOCAL)
    # fsspec would take "::" in the name of a local file as a chain of URLs.
    with Path(plain).open("rb") if "://" not in plain else fsspec.open(file.url, "rb").open() as stream:
        yield cast(IO[bytes], stream)


@contextmanager
def decompressed(stream: IO[bytes], name: str) -> Iterator[tuple[IO[bytes], str]]:
    """Undo the compression that the suffix names; yields the stream and the name without that suffix."""
    suffix = PurePosixPath(name).suffix.lower()
    inner = name[: -len(suffix)] if suffix in COMPRESSIONS else name
    if suffix in PACKED_TARS:
        suffix, inner = PACKED_TARS[suffix], name[: -len(suffix)] + ".tar"
    with ExitStack() as stack:
        if suffix == ".gz":
            stream = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=stream)))
        elif suffix == ".xz":
            stream = cast(IO[bytes], stack.enter_context(lzma.LZMAFile(stream)))
        elif suffix == ".bz2":
            stream = cast(IO[bytes], stack.enter_context(bz2.BZ2File(stream)))
        elif suffix == ".zst":
            stream = cast(IO[bytes], stack.enter_context(io.BufferedReader(_ZstdStream(stream), 2**18)))
        yield stream, inner


class _ZstdStream(io.RawIOBase):
    """A decompressed Zstandard stream that raises EOFError where a frame is incomplete, which the library itself does not."""

    def __init__(self, stream: IO[bytes]) -> None:
        zstandard = require("zstandard", "zstandard", "reading a .zst file")
        self._stream = stream
        self._error: type[Exception] = zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._input = self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not self._input:
                self._input = self._stream.read(2**18)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("the compressed file ends inside a frame")
                return 0
            self._frame = self._frame or self._new()
            try:
                self._ready = self._frame.decompress(self._input)
            except self._error as error:
                raise OSError(f"not Zstandard data: {error}") from None
            self._input = b""
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count
