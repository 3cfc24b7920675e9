"""Carry files between a check and a program, whose sandboxes share none.

    message = files.out(data)           # at the asking side: what changed of the files that both know
    files.take(message)                 # at the other side

A check that writes a file and hands its path over, or reads what the program wrote, works as if both used one folder.
No file goes to the program unless an argument names it, or a folder above it: a check may keep what it expects in a
file of its own. A program can make new files; of those that are there it can change what an argument named, and what
it made itself. A message holds folders, contents of regular files, and names of what is gone; links and devices are
never carried, nor names that start with a dot, which a library could read as its settings.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import pathlib
import re
import stat
from collections.abc import Iterable, Iterator
from typing import Any

FOLDER = "/tmp"
MAX_FILES, MAX_BYTES, MAX_PATH = 512, 4 * 2**20, 1000
MAX_NAMES = 2000
_MENTIONS = re.compile(r"\b(?:open|os|Path|pathlib|tempfile|shutil|glob|sqlite3|zipfile|tarfile|shelve|dbm|gzip)\b")

State = tuple[int, int, int]
_NOTHING: State = (-1, 0, 0)  # or a link or a device
_FOLDER: State = (-2, 0, 0)


def mentions_files(source: str) -> bool:
    """Return whether the text of a check uses files at all; without them nothing is looked for."""
    return _MENTIONS.search(source) is not None


class SharedFiles:
    """The files that this side has in common with the other.

    Args:
        folder: Where they are, on both sides.
        guarded: Whether this is the check's side.

    Attributes:
        known: By path, the state in which the other side has it too.
        named: What arguments have named, at the check's side; a folder that is named alone, without its content, ends with /.
    """

    def __init__(self, folder: str = FOLDER, guarded: bool = False) -> None:
        self.folder, self.guarded = folder, guarded
        self.known: dict[str, State] = {}
        self.named: set[str] = set()
        self._place = folder

    def out(self, data: Any = None) -> dict[str, Any]:
        """Return the message of what the other side lacks.

        Args:
            data: At the check's side, the arguments of a call.
        """
        place = _place()
        if self.guarded:
            self.named |= set(self._names(data))
            if place.startswith(self.folder + "/"):
                self.named.add(place + "/")
        paths = self._below(self.named) if self.guarded else list(_walk(self.folder))
        entries: list[list[Any]] = [
            self._gone(path) for path in sorted(self.known, reverse=True) if _state(path) == _NOTHING
        ]
        left = MAX_BYTES
        for path in paths[:MAX_FILES]:
            entry = self._entry(path, left)
            if entry is not None:
                entries.append(entry)
                left -= len(entry[1] or "")
        message: dict[str, Any] = {"entries": entries} if entries else {}
        if self.guarded and place != self._place:
            message["place"] = self._place = place
        return message

    def take(self, message: Any) -> None:
        """Do here what a message says, as far as the other side may; raises `ValueError` or `TypeError` for none."""
        left = MAX_BYTES
        for entry in message.get("entries", ())[: 4 * MAX_FILES]:
            path, content, *time = entry
            if not isinstance(path, str) or not self._is_inside(path):
                continue
            with contextlib.suppress(OSError):
                if content is False:
                    self._remove(path)
                elif content is None:
                    self._make_folder(path)
                else:
                    data = base64.b64decode(content, validate=True)
                    left -= len(data)
                    if left >= 0:
                        self._write(path, data, time)
        place = message.get("place")
        if not self.guarded and isinstance(place, str):
            with contextlib.suppress(OSError):
                os.chdir(place)

    def _gone(self, path: str) -> list[Any]:
        del self.known[path]
        return [path, False]

    def _entry(self, path: str, left: int) -> list[Any] | None:
        """Return the entry of a file that the other side lacks in this state, and note that it has it."""
        state = _state(path)
        if state == _NOTHING or self.known.get(path) == state:
            return None
        if state == _FOLDER:
            self.known[path] = state
            return [path, None]
        if state[1] > left:
            return None
        try:
            with open(path, "rb") as file:
                content = base64.b64encode(file.read(left)).decode()
        except OSError:
            return None
        self.known[path] = state
        return [path, content, state[0]]

    def _names(self, data: Any) -> Iterator[str]:
        """Yield the paths that arguments name, of what is there, and the folders in which a named file may be made."""
        waiting = [data]
        for item in itertools.islice(waiting, MAX_NAMES):  # which grows
            kind = type(item)
            if issubclass(kind, dict):
                waiting += itertools.islice((part for pair in item.items() for part in pair), MAX_NAMES)
            elif issubclass(kind, (list, tuple, set, frozenset)):
                waiting += itertools.islice(item, MAX_NAMES)
            elif issubclass(kind, (str, pathlib.PurePath)):
                yield from self._named_by(str(item))
            elif hasattr(kind, "fileno") and isinstance(getattr(item, "name", None), str):  # an open file
                yield from self._named_by(item.name)

    def _named_by(self, text: str) -> Iterator[str]:
        if not text.strip("./") or len(text) > MAX_PATH or "\0" in text:
            return
        path = os.path.abspath(text)
        parent = os.path.dirname(path)
        if path.startswith(self.folder + "/"):
            yield path
            if not os.path.lexists(path) and parent != self.folder and os.path.isdir(parent):
                yield parent + "/"

    def _below(self, named: Iterable[str]) -> list[str]:
        """Return what is there of named paths, with the folders above and the content of folders."""
        found: dict[str, None] = {}
        for name in sorted(named):
            path = name.rstrip("/")
            parents = [path[:end] for end in range(len(self.folder) + 1, len(path)) if path[end] == "/"]
            if _state(path) != _NOTHING:
                found.update(dict.fromkeys([*parents, path]))
            if path == name and _state(path) == _FOLDER:
                found.update(dict.fromkeys(_walk(path)))
        return [path for path in found if self._is_inside(path)]

    def _is_named(self, path: str) -> bool:
        return any(path == name or path.startswith(name + "/") for name in self.named)

    def _is_inside(self, path: str) -> bool:
        """Return whether a path is one of a shared file: below the folder, through folders that are no links."""
        parts = path[len(self.folder) + 1 :].split("/")
        plain = path.startswith(self.folder + "/") and len(path) <= MAX_PATH and "\0" not in path
        if not plain or any(not part or part.startswith(".") for part in parts):
            return False
        above = [self.folder + "".join(f"/{part}" for part in parts[:count]) for count in range(1, len(parts))]
        return all(_state(folder) in (_FOLDER, _NOTHING) and not os.path.islink(folder) for folder in above)

    def _may_change(self, path: str) -> bool:
        """Return whether the other side may change what is there: anything at the program's side."""
        if not self.guarded or not os.path.lexists(path):
            return True
        state = _state(path)
        if state == _NOTHING:  # a link or a device
            return False
        return self._is_named(path) or self.known.get(path) == state

    def _remove(self, path: str) -> None:
        if self._may_change(path):
            self.known.pop(path, None)
            os.rmdir(path) if _state(path) == _FOLDER else os.unlink(path)

    def _make_folder(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)
        self.known[path] = _FOLDER

    def _write(self, path: str, content: bytes, time: list[Any]) -> None:
        if not self._may_change(path):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW  # the same file, which the check may have open
        with open(os.open(path, flags, 0o644), "wb") as file:
            file.write(content)
        if time and isinstance(time[0], int) and 0 <= time[0] < 2**62:
            os.utime(path, ns=(time[0], time[0]))
        self.known[path] = _state(path)


def _state(path: str) -> State:
    """Return time, size and number of a regular file, or one of `_FOLDER` and `_NOTHING`."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return _NOTHING
    if stat.S_ISDIR(found.st_mode):
        return _FOLDER
    return (found.st_mtime_ns, found.st_size, found.st_ino) if stat.S_ISREG(found.st_mode) else _NOTHING


def _walk(folder: str) -> Iterator[str]:
    """Yield folders and regular files below a folder, each after the folder that it is in, without hidden names."""
    waiting, count = [folder], 0
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            count += 1
            if count > MAX_FILES:
                return
            yield entry.path
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)


def _place() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been deleted
        return FOLDER
