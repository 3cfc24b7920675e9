"""Define what the tasks of a build do; everything here is picklable and runs in a worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from innovator_rl.data.corpus.document import Document, PartWriter, read_part
from innovator_rl.data.corpus.manifest import RowError, TaskReport
from innovator_rl.data.corpus.readers import read_files
from innovator_rl.data.corpus.readers.opening import InputFile
from innovator_rl.data.corpus.recipe import Source
from innovator_rl.data.corpus.steps.base import GlobalStep, MapStep, Result

PART = "part.parquet"


@dataclass(frozen=True)
class ReadFiles:
    """Read input files of one source into a part."""

    source: Source
    files: tuple[InputFile, ...]

    def __call__(self, folder: Path, report: TaskReport) -> None:
        """Read the files into `part.parquet`."""
        tally = report.tally
        tally.bytes_in = sum(file.size for file in self.files)
        with PartWriter(folder / PART) as part:
            for item in read_files(self.files, self.source):
                tally.documents_in += 1
                if isinstance(item, RowError):
                    report.fail(item)
                    tally.drop(item.reason, 1, 0, 0)
                elif not item.text.strip():
                    tally.drop("empty", 1, 0, item.size)
                else:
                    part.write(item)
        tally.documents_out, tally.bytes_out = part.documents, part.bytes


@dataclass(frozen=True)
class ApplyMap:
    """Apply a step to each document of a part."""

    step: MapStep
    part: Path

    def __call__(self, folder: Path, report: TaskReport) -> None:
        """Write the documents that remain."""
        _write_results(self.step.apply(read_part(self.part)), folder, report)


@dataclass(frozen=True)
class Scan:
    """Write what a step needs to know about a part."""

    step: GlobalStep
    part: Path

    def __call__(self, folder: Path, report: TaskReport) -> None:
        """Write the step's scan."""
        self.step.scan(read_part(self.part), folder)


@dataclass(frozen=True)
class Decide:
    """Decide over all scans of a step."""

    step: GlobalStep
    scans: tuple[Path, ...]

    def __call__(self, folder: Path, report: TaskReport) -> None:
        """Write a decision per part."""
        report.facts = self.step.decide(self.scans, folder)


@dataclass(frozen=True)
class ApplyDecision:
    """Apply a step's decision to a part."""

    step: GlobalStep
    part: Path
    decision: Path

    def __call__(self, folder: Path, report: TaskReport) -> None:
        """Write the documents that remain."""
        _write_results(self.step.apply(read_part(self.part), self.decision), folder, report)


def _write_results(results: Iterable[tuple[Document, Result]], folder: Path, report: TaskReport) -> None:
    tally = report.tally
    with PartWriter(folder / PART) as part:
        for before, result in results:
            size, after = before.size, result.document
            tally.documents_in += 1
            tally.bytes_in += size
            for document in (*(() if after is None else (after,)), *result.more):
                part.write(document)
            tally.change(result.changes)
            if result.reason:
                removed = size - (after.size if after is not None else 0)
                tally.drop(result.reason, int(after is None), result.passages, removed)
    tally.documents_out, tally.bytes_out = part.documents, part.bytes
