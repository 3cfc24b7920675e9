"""Run one task of a build: do its work in a private folder, then publish the folder under the task's key.

A task's key is a hash of everything that decides its result: the content of its inputs, the source of its code, its
settings and the versions of the packages that it uses. A task whose folder exists is complete, whatever else was killed.
Published files may be the same files as those of a task, so a task counts as complete only while its files have the size
and the hash that its report states; otherwise its work is done again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.corpus.manifest import FileEntry, TaskReport
from innovator_rl.data.corpus.publish import publish_folder, publish_json

REPORT = "task.json"

Work = Callable[[Path, TaskReport], None]
"""Writes its files into a folder and its figures into the report. It must be picklable."""


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        key: Hash of what decides the result.
        label: What it does, for messages.
        size: Bytes of its input, for progress.
        store: Folder of all finished tasks.
    """

    key: str
    label: str
    size: int
    store: Path
    work: Work

    @property
    def folder(self) -> Path:
        """Where the finished task's files are."""
        return self.store / self.key


def finished(task: Task) -> TaskReport | None:
    """Return the report of a task that is complete and whose files are as it wrote them."""
    try:
        report = TaskReport.model_validate_json((task.folder / REPORT).read_bytes())
        whole = all(_is_whole(task.folder / name, entry) for name, entry in report.files.items())
    except (FileNotFoundError, ValidationError):
        return None
    return report if whole else None


def _is_whole(path: Path, entry: FileEntry) -> bool:
    return path.stat().st_size == entry.bytes and hash_file(path) == entry.sha256


def run_task(task: Task) -> TaskReport:
    """Do a task's work and publish it; return at once when it is complete."""
    done = finished(task)
    if done is not None:
        return done
    started = time.monotonic()
    temporary = task.store / f".{task.key}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    report = TaskReport(key=task.key)
    try:
        task.work(temporary, report)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for path in sorted(temporary.iterdir()):
        report.files[path.name] = FileEntry(bytes=path.stat().st_size, sha256=hash_file(path))
    report.tally.seconds = round(time.monotonic() - started, 3)
    publish_json(temporary / REPORT, report.model_dump(mode="json"))
    if finished(task) is None:  # what is there, if anything, was changed after it was written
        shutil.rmtree(task.folder, ignore_errors=True)
    publish_folder(temporary, task.folder)
    return report
