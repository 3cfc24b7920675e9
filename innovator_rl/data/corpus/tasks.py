"""Run one task of a build: do its work in a private folder, then publish the folder under the task's key.

A task's key is a hash of everything that decides its result: the content of its inputs, the source of its code, its
settings and the versions of the packages that it uses. A task whose folder exists is complete, whatever else was killed.
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
from innovator_rl.errors import StorageError

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
    """Return the report of a task that is complete.

    Raises:
        StorageError: when its report is damaged.
    """
    path = task.folder / REPORT
    if not path.is_file():
        return None
    try:
        return TaskReport.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StorageError(f"{path} is damaged ({error.errors()[0]['msg']}): remove {task.folder}") from None


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
    publish_folder(temporary, task.folder)
    return report
