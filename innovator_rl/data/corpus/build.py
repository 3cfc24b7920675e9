"""Build a corpus from its recipe.

    innovator data build configs/data/corpus-textbooks.yaml --out data --workers 2

The corpus is `OUT/NAME/`: `manifest.json`, `README.md` (the card), `errors.jsonl`, `documents/*.parquet` and `tokens/`.
`OUT/NAME/.store/` keeps every finished task under its key; removing it costs a rebuild and nothing else. Published files
carry the hash of their content in their name, and the manifest names those that belong to the build.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from innovator_rl.data.corpus import tokens as tokenizing
from innovator_rl.data.corpus.card import write_card
from innovator_rl.data.corpus.content import hash_code, hash_file, hash_json, package_versions
from innovator_rl.data.corpus.executor import Executor, LocalExecutor
from innovator_rl.data.corpus.manifest import (
    CorpusManifest,
    FileEntry,
    InputEntry,
    RowError,
    SourceEntry,
    StageEntry,
    TaskReport,
)
from innovator_rl.data.corpus.paths import expand_path
from innovator_rl.data.corpus.progress import Progress
from innovator_rl.data.corpus.publish import publish_file, publish_json, publish_text
from innovator_rl.data.corpus.readers import MODULES, PACKAGES, check_reader
from innovator_rl.data.corpus.readers.hub import SCHEME, find_hub
from innovator_rl.data.corpus.readers.opening import InputFile, find_files, identify
from innovator_rl.data.corpus.recipe import CorpusRecipe, Source
from innovator_rl.data.corpus.steps import GlobalStep, MapStep, Step
from innovator_rl.data.corpus.steps.base import decision_name
from innovator_rl.data.corpus.tasks import REPORT, Task, Work, finished
from innovator_rl.data.corpus.work import PART, ApplyDecision, ApplyMap, Decide, ReadFiles, Scan
from innovator_rl.errors import UserError

STORE = ".store"
ERRORS = "errors.jsonl"
REJECTED = "errors-over-budget.jsonl"
_CODE = ("innovator_rl.data.corpus.work", "innovator_rl.data.corpus.document")


@dataclass(frozen=True)
class Part:
    """A part on its way through the stages."""

    source: Source
    path: Path
    sha256: str
    size: int


@dataclass
class Build:
    """State of one build."""

    recipe: CorpusRecipe
    folder: Path
    executor: Executor
    progress: Progress
    manifest: CorpusManifest
    errors: list[RowError] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    @property
    def store(self) -> Path:
        """Where finished tasks are kept."""
        return self.folder / STORE


def build_corpus(
    recipe: CorpusRecipe,
    out: Path,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> CorpusManifest:
    """Build the corpus in `out/NAME` and return its manifest.

    Args:
        recipe: What to build.
        out: Folder of all corpora.
        executor: Where tasks run; in this process by default.
        progress: Receives the progress; nothing is shown by default.

    Returns:
        The manifest, as it is on disk.

    Raises:
        UserError: for a missing source or evaluation set, when another build of this corpus runs, when the share of
            unreadable rows is above the recipe's error budget, when a source gives or a step leaves no document, and
            when the disk is full.
    """
    started = time.monotonic()
    folder = (out / recipe.name).absolute()
    settings = recipe.model_dump(mode="json", exclude_defaults=True)
    manifest = CorpusManifest(
        name=recipe.name,
        title=recipe.title,
        license=recipe.license,
        recipe=settings,
        recipe_sha256=hash_json(recipe.model_dump(mode="json")),
    )
    for source in recipe.sources:
        check_reader(source)
    files = [_find(source) for source in recipe.sources]
    # A missing evaluation set or tokenizer stops the build before it begins.
    side_files = [[hash_file(path) for path in step.side_files()] for step in recipe.steps]
    tokenizer = tokenizing.resolve_tokenizer(recipe.outputs.tokens) if recipe.outputs.tokens else None
    with _locked(folder):
        run = Build(recipe, folder, executor or LocalExecutor(), progress or Progress(), manifest)
        run.store.mkdir(parents=True, exist_ok=True)
        try:
            parts = _read(run, files)
            _check_budget(run)
            for step, side in zip(recipe.steps, side_files, strict=True):
                parts = _apply(run, step, parts, side)
                _check_kept(run)
            _publish(run, parts, tokenizer)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) and os.strerror(errno.ENOSPC) not in str(error):
                raise
            raise UserError(
                f"{str(folder)!r}: no space is left on the disk: free some and run the same command again, finished "
                "tasks are kept"
            ) from None
        finally:
            run.executor.close()
        manifest.seconds = round(time.monotonic() - started, 3)
        write_card(folder, manifest)
        manifest.save(folder)
        _remove_unnamed(run)
    return manifest


def _find(source: Source) -> list[InputFile]:
    path = expand_path(source.path)
    return find_hub(source.name, path) if path.startswith(SCHEME) else find_files(source.name, path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out: {str(folder)!r} cannot be made ({error.strerror}): expected a folder") from None
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another build of {str(folder)!r} is running: wait for it or stop it") from None
        # Only this process writes here, so what an interrupted build left is nobody's.
        for leftover in (folder / STORE).glob(".*.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _read(run: Build, inputs: Sequence[list[InputFile]]) -> list[Part]:
    known_path = run.store / "inputs.json"
    known = json.loads(known_path.read_text()) if known_path.is_file() else {}
    entry = StageEntry(name="read", code=hash_code((*MODULES, *_CODE)), versions=package_versions(PACKAGES))
    tasks, sources = [], []
    for source, files in zip(run.recipe.sources, inputs, strict=True):
        hashes = {file.url: identify(file, known) for file in files}
        for file in files:
            run.manifest.inputs.append(
                InputEntry(source=source.name, file=file.name, bytes=file.size, sha256=hashes[file.url])
            )
        # Where the files are does not decide what is in them.
        settings = source.model_dump(mode="json", exclude={"path"})
        for group in _grouped(files, run.recipe.task_bytes):
            identity = [[file.name, hashes[file.url]] for file in group]
            tasks.append(_task(run, entry, [settings, identity], ReadFiles(source, group), _size(group)))
            sources.append(source)
    publish_json(known_path, known)
    reports = _run(run, entry, tasks)
    for report in reports:
        run.manifest.errors += report.error_count
        run.errors.extend(report.errors)
        for error_reason, count in report.tally.dropped.items():
            if error_reason != "empty":
                reasons = run.manifest.error_reasons
                reasons[error_reason] = reasons.get(error_reason, 0) + count.documents
    parts = _parts(sources, tasks, reports)
    for source in run.recipe.sources:
        read = sum(r.tally.documents_out for s, r in zip(sources, reports, strict=True) if s is source)
        run.manifest.sources.append(
            SourceEntry(
                name=source.name,
                discipline=source.discipline,
                language=source.language,
                license=source.license,
                documents_read=read,
            )
        )
    return parts


def _size(files: Sequence[InputFile]) -> int:
    return sum(file.size for file in files)


def _grouped(files: Sequence[InputFile], limit: int) -> Iterator[tuple[InputFile, ...]]:
    """Yield runs of files whose size is within the limit; a larger file is on its own."""
    group: list[InputFile] = []
    for file in files:
        if group and _size(group) + file.size > limit:
            yield tuple(group)
            group = []
        group.append(file)
    if group:
        yield tuple(group)


def _error_lines(run: Build) -> str:
    return "".join(error.model_dump_json() + "\n" for error in run.errors)


def _check_budget(run: Build) -> None:
    manifest = run.manifest
    rows = manifest.stages[0].tally.documents_in
    share = manifest.errors / rows if rows else 0.0
    if share > run.recipe.error_budget:
        # The errors of the build that is published stay as they are.
        publish_text(run.folder / REJECTED, _error_lines(run))
        shown = "; ".join(f"{e.file} row {e.row}: {e.reason} ({e.detail})" for e in run.errors[:3])
        raise UserError(
            f"{manifest.errors} of {rows} input rows cannot be read, error_budget allows a share of "
            f"{run.recipe.error_budget:g}: {shown}; all are in {run.folder / REJECTED}"
        )
    for source in manifest.sources:
        if not source.documents_read:
            raise UserError(
                f"source {source.name!r} of recipe {run.recipe.name!r} gives no documents: check its path, reader, members "
                "and fields, or take it out"
            )


def _check_kept(run: Build) -> None:
    """Stop before an empty corpus replaces the last one."""
    stage = run.manifest.stages[-1]
    if not stage.tally.documents_out:
        reasons = ", ".join(f"{reason}: {count.documents}" for reason, count in stage.tally.dropped.items())
        raise UserError(
            f"recipe {run.recipe.name!r}: the step {stage.name!r} drops all {stage.tally.documents_in} documents ({reasons}): "
            "check its settings; the last corpus stays as it is"
        )


def _apply(run: Build, step: Step, parts: list[Part], side: list[str]) -> list[Part]:
    entry = StageEntry(
        name=step.step,
        settings=step.settings(),
        code=hash_code((*step.modules(), *_CODE)),
        versions=package_versions(step.packages),
    )
    sources = [part.source for part in parts]
    if isinstance(step, MapStep):
        identity = [step.identity(), side]
        tasks = [_task(run, entry, [*identity, p.sha256], ApplyMap(step, p.path), p.size) for p in parts]
        return _parts(sources, tasks, _run(run, entry, tasks))
    assert isinstance(step, GlobalStep)
    scans = [_task(run, entry, ["scan", step.identity(), p.sha256], Scan(step, p.path), p.size) for p in parts]
    scanned = _run(run, entry, scans, "scan")
    content = [{name: file.sha256 for name, file in report.files.items()} for report in scanned]
    folders = tuple(task.folder for task in scans)
    decide = _task(run, entry, ["decide", step.identity(), content], Decide(step, folders), 0)
    (decision,) = _run(run, entry, [decide], "decide")
    entry.facts = decision.facts
    tasks = []
    for number, part in enumerate(parts):
        name = decision_name(number)
        identity = ["apply", step.identity(), part.sha256, decision.files[name].sha256]
        tasks.append(_task(run, entry, identity, ApplyDecision(step, part.path, decide.folder / name), part.size))
    return _parts(sources, tasks, _run(run, entry, tasks, "apply"))


def _task(run: Build, entry: StageEntry, identity: object, work: Work, size: int) -> Task:
    key = hash_json([entry.name, entry.code, entry.versions, identity])[:32]
    run.used.add(key)
    return Task(key, entry.name, size, run.store, work)


def _run(run: Build, entry: StageEntry, tasks: list[Task], phase: str = "") -> list[TaskReport]:
    """Run those tasks that are not complete, and add the stage's entry to the manifest."""
    reports: dict[int, TaskReport] = {}
    for index, task in enumerate(tasks):
        done = finished(task)
        if done is not None:
            reports[index] = done
    # The largest first, so that no worker is left with a large one at the end.
    missing = sorted((i for i in range(len(tasks)) if i not in reports), key=lambda i: -tasks[i].size)
    run.progress.start(
        f"{entry.name} {phase}".rstrip(), len(tasks), sum(tasks[i].size for i in missing), len(tasks) - len(missing)
    )
    for place, report in run.executor.run([tasks[i] for i in missing]):
        reports[missing[place]] = report
        run.progress.advance(tasks[missing[place]].size)
    ordered = [reports[index] for index in range(len(tasks))]
    for report in ordered:
        entry.tally.add(report.tally)
    entry.tally.seconds = round(entry.tally.seconds, 3)
    entry.tasks += len(tasks)
    entry.run += len(missing)
    if entry not in run.manifest.stages:
        run.manifest.stages.append(entry)
    tally = entry.tally
    run.progress.finish(f"{tally.documents_out} of {tally.documents_in} documents" if tally.documents_in else "done")
    return ordered


def _parts(sources: Sequence[Source], tasks: Sequence[Task], reports: Sequence[TaskReport]) -> list[Part]:
    return [
        Part(source, task.folder / PART, report.files[PART].sha256, report.tally.bytes_out)
        for source, task, report in zip(sources, tasks, reports, strict=True)
    ]


def _publish(run: Build, parts: list[Part], tokenizer: tokenizing.ResolvedTokenizer | None) -> None:
    """Put the documents, and the tokens where the recipe wants some, under names that contain their hash."""
    manifest = run.manifest
    totals = {entry.name: entry for entry in manifest.sources}
    for number, part in enumerate(parts):
        report = TaskReport.model_validate_json((part.path.parent / REPORT).read_bytes())
        totals[part.source.name].documents += report.tally.documents_out
        totals[part.source.name].bytes += report.tally.bytes_out
        name = f"documents/{number:05d}-{part.source.name}-{part.sha256[:12]}.parquet"
        publish_file(part.path, run.folder / name)
        manifest.documents.append(name)
        manifest.files[name] = FileEntry(bytes=part.path.stat().st_size, sha256=part.sha256)
    errors = run.folder / ERRORS
    publish_text(errors, _error_lines(run))
    manifest.files[ERRORS] = FileEntry(bytes=errors.stat().st_size, sha256=hash_file(errors))
    wanted = run.recipe.outputs.tokens
    if wanted is None or tokenizer is None:
        return
    entry = StageEntry(
        name="tokens",
        settings=wanted.model_dump(mode="json"),
        code=hash_code(tokenizing.MODULES),
        versions=package_versions(tokenizing.PACKAGES),
    )
    identity = [hash_file(tokenizer.file), tokenizer.end_token, wanted.shard_bytes]
    tasks = [
        _task(run, entry, [*identity, p.sha256], tokenizing.Tokenize(tokenizer, wanted.shard_bytes, p.path), p.size)
        for p in parts
    ]
    reports = _run(run, entry, tasks)
    manifest.tokens = tokenizing.publish_tokens(run.folder, manifest, wanted, tokenizer, tasks, reports)


def _remove_unnamed(run: Build) -> None:
    """Remove published files and finished tasks of earlier builds."""
    for name in ("documents", "tokens"):
        for path in sorted((run.folder / name).glob("*")):
            if str(path.relative_to(run.folder)) not in run.manifest.files:
                path.unlink()
    for folder in run.store.iterdir():
        if folder.is_dir() and folder.name not in run.used:
            shutil.rmtree(folder)
