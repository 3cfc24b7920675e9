"""Build rows for supervised fine-tuning from a recipe.

    innovator data build configs/data/sft-worked.yaml

writes OUT/NAME/train.parquet, validation.parquet, dropped.jsonl (a line per question that gave no row), manifest.json and
README.md (the card). A second build of the same recipe does nothing. Rows are sorted by id, so a build that was killed and
started again ends with the same bytes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from innovator_rl.data.build import open_recipe, read_problems, unique
from innovator_rl.data.corpus.content import hash_code, hash_file, hash_json
from innovator_rl.data.corpus.publish import publish_json, publish_text
from innovator_rl.data.problem import DOMAINS, Problem, lone_surrogate
from innovator_rl.data.prompts import messages_of
from innovator_rl.data.readers.files import Record, file_records
from innovator_rl.data.readers.jsonl import read_info
from innovator_rl.data.rejections import BadRow, Rejections
from innovator_rl.data.rendering import rewarder_of
from innovator_rl.data.sft.recipe import Questions, Refine, SftRecipe
from innovator_rl.data.sft.refine import FAULT, Dropped, Question, RefineReport, read_prompt, refine_all
from innovator_rl.data.sft.row import SftRow, write_sft_rows
from innovator_rl.data.sft.worked import fine_tuning_sides, prompt_of, worked_rows
from innovator_rl.endpoints import Budget
from innovator_rl.errors import UserError
from innovator_rl.runs.files import duration
from innovator_rl.scoring import ScoringPool
from innovator_rl.scoring.api import answer_text

MANIFEST = "manifest.json"
CARD = "README.md"
DROPPED = "dropped.jsonl"
CACHE = ".replies.sqlite"
SPLITS = ("train", "validation")
EXAMPLES = 3
_MODULES = tuple(f"innovator_rl.data.sft.{name}" for name in ("recipe", "worked", "refine", "row", "build"))


_GENERATORS = tuple(
    f"innovator_rl.data.{name}" for name in ("tasks", "small_tasks", "molecule_tasks", "tool_tasks", "prompts")
)


class SftManifest(BaseModel):
    """What went in, what came out, and why rows were dropped."""

    model_config = ConfigDict(extra="forbid")
    kind: str = "sft"
    name: str
    title: str = ""
    license: str
    recipe: dict[str, Any]
    fingerprint: str
    questions: int = 0
    rows: dict[str, int] = {}
    dropped: dict[str, int] = {}
    models: dict[str, dict[str, float]] = {}
    files: dict[str, str] = {}
    seconds: float = 0.0


class Progress(RefineReport):
    """Shows questions done, the share kept, the rate and the time left."""

    def __init__(self, total: int, stream: TextIO | None) -> None:
        super().__init__()
        self._total, self._stream = total, stream
        self._started = self._shown = time.monotonic()

    def add(self, outcome: SftRow | Dropped, budget: Budget) -> None:
        """Take an outcome and show a line, every ten seconds where there is no terminal."""
        super().add(outcome, budget)
        now, done = time.monotonic(), len(self.rows) + len(self.dropped)
        every = 0.2 if self._stream is not None and self._stream.isatty() else 10.0
        if self._stream is None or (now - self._shown < every and done < self._total):
            return
        self._shown = now
        rate = done / max(now - self._started, 1e-9)
        line = (
            f"{done}/{self._total} questions, {len(self.rows)} kept, {budget.describe()}, {rate:.2f} questions/s, "
            f"{duration((self._total - done) / rate)} left"
        )
        self._stream.write(f"\r\x1b[K{line}" if self._stream.isatty() else line + "\n")
        if done == self._total and self._stream.isatty():
            self._stream.write("\n")
        self._stream.flush()


def build_sft(
    recipe: SftRecipe, folder: Path, out: Path, stream: TextIO | None = None, workers: int = 2
) -> SftManifest:
    """Build `out/NAME` and return its manifest.

    Args:
        recipe: What to build.
        folder: The folder of the recipe, where its prompts are.
        out: Folder of all built sets.
        stream: Receives the progress.
        workers: Reward workers.

    Raises:
        UserError: A prompt or data set is missing, the budget is used up, or faults cost more than the error budget.
    """
    started, target = time.monotonic(), out / recipe.name
    rejected = Rejections()
    questions = read_questions(recipe.refine.questions, recipe, rejected) if recipe.refine else []
    mark = _fingerprint(recipe, folder, questions)
    known = load_sft_manifest(target)
    if known is not None and known.fingerprint == mark and _intact(target, known):
        return known
    with ScoringPool(workers) as pool:
        if recipe.refine:
            report = Progress(len(questions), stream)
            asyncio.run(refine_all(recipe.refine, folder, questions, target / CACHE, pool, report))
            dropped = report.dropped
            _check_budget(recipe, questions, dropped)
            parts = _split(report.rows, recipe.validation)
        else:
            parts = worked_rows(recipe.worked, pool, rejected)
            dropped = [Dropped(row.place, row.reason, row.detail) for row in rejected.rows]
    if not parts["train"]:
        reasons = dict(Counter(item.reason for item in dropped))
        _write_dropped(target, dropped)
        raise UserError(f"recipe {recipe.name!r} gives no training row; dropped: {reasons} ({target / DROPPED})")
    manifest = SftManifest(
        name=recipe.name,
        title=recipe.title,
        license=recipe.license,
        recipe=recipe.model_dump(mode="json", exclude_defaults=True),
        fingerprint=mark,
        questions=len(questions) or sum(map(len, parts.values())) + len(dropped),
        dropped=dict(sorted(Counter(item.reason for item in dropped).items())),
        models=_models(parts),
    )
    for name in SPLITS:
        path = target / f"{name}.parquet"
        manifest.rows[name] = write_sft_rows(path, sorted(parts[name], key=lambda row: row.id))
        manifest.files[path.name] = hash_file(path)
    _write_dropped(target, dropped)
    manifest.files[DROPPED] = hash_file(target / DROPPED)
    publish_text(target / CARD, render_card(target, manifest))
    manifest.files[CARD] = hash_file(target / CARD)
    manifest.seconds = round(time.monotonic() - started, 3)
    publish_json(target / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def load_sft_manifest(folder: Path) -> SftManifest | None:
    """Return the manifest of a built set; None where there is none of this kind."""
    try:
        return SftManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None


def _intact(folder: Path, manifest: SftManifest) -> bool:
    return all((folder / name).is_file() and hash_file(folder / name) == mark for name, mark in manifest.files.items())


def _fingerprint(recipe: SftRecipe, folder: Path, questions: list[Question]) -> str:
    prompts = [read_prompt(folder, persona, ()) for persona in _personas(recipe.refine)]
    datasets = [open_recipe(entry.dataset)[0].model_dump(mode="json") for entry in recipe.worked]
    asked = [asdict(question) for question in questions]
    code = hash_code(_MODULES + (_GENERATORS if recipe.worked else ()))  # `asked` has what the generators gave
    return hash_json([recipe.model_dump(mode="json"), prompts, datasets, asked, code])


def _personas(refine: Refine | None) -> list[Any]:
    return [refine.writer, refine.editor, *refine.verifiers] if refine else []


def read_questions(section: Questions, recipe: SftRecipe, rejected: Rejections) -> list[Question]:
    """Return the questions of a recipe, sorted by id; of a data set, those that its split keeps for fine-tuning.

    Raises:
        UserError: A data set has too few problems to split, or a file cannot be used; the message has the file and the row.
    """
    if section.dataset:
        source, folder = open_recipe(section.dataset)
        problems = unique(read_problems(source, folder, rejected), source, rejected)
        problems = fine_tuning_sides(problems, source, rejected)["train"][: section.rows]
        found = [
            Question(
                f"{source.name}/{problem.id}",
                prompt_of(problem, source),
                rewarder_of(problem, source),
                source.name,
                problem.answer,
                dict(problem.info),
            )
            for problem in problems
        ]
    else:
        found = list(_own_questions(section, recipe.name))[: section.rows]
    return sorted(found, key=lambda question: question.id)


def _own_questions(section: Questions, name: str) -> Iterator[Question]:
    path = Path(section.path).expanduser()
    if section.domain not in DOMAINS:
        raise UserError(f"questions.domain {section.domain!r} must be one of {', '.join(DOMAINS)}")
    if not path.is_file():
        raise UserError(f"questions.path {str(path)!r} not found: expected a file of JSON lines")
    seen: set[str] = set()
    rejected = Rejections()  # no error budget: the first bad row is an error
    for record in file_records(path, rejected):
        with rejected.row(record.place):
            yield _own_question(record, section, name, seen)


def _own_question(record: Record, section: Questions, name: str, seen: set[str]) -> Question:
    question = record.need("question")
    if not isinstance(question, str) or not question.strip():
        raise BadRow(f"{record.place}: `question` must be text, got {question!r:.60}")
    if found := lone_surrogate(record.values):
        raise BadRow(f"{record.place} has the lone surrogate {found}, half of a character: correct or remove the row")
    identity = str(record.get("id", f"{record.number:08d}"))
    if identity in seen:
        raise BadRow(f"{record.place}: the id {identity!r} must be used once")
    seen.add(identity)
    problem = Problem(identity, question, answer_text(record.get("answer")))
    messages = messages_of(problem, domain=section.domain, style="full")
    reward = section.reward or DOMAINS[section.domain]
    return Question(identity, messages, reward, name, problem.answer, read_info(record, "info"))


def _check_budget(recipe: SftRecipe, questions: list[Question], dropped: list[Dropped]) -> None:
    faults = Counter(item.reason for item in dropped if item.reason.startswith(FAULT))
    share = faults.total() / len(questions) if questions else 0.0
    if share > recipe.error_budget:
        reasons = ", ".join(f"{reason} {count}" for reason, count in faults.most_common())
        example = next(item for item in dropped if item.reason.startswith(FAULT))
        raise UserError(
            f"{faults.total()} of {len(questions)} questions met a fault, error_budget allows a share of "
            f"{recipe.error_budget:g}: {reasons}; first: {example.id}: {example.detail}; build again to ask these again"
        )


def _split(rows: list[SftRow], validation: float) -> dict[str, list[SftRow]]:
    """Split by a hash of the question, so that no other row, seed or count moves one."""
    parts: dict[str, list[SftRow]] = {name: [] for name in SPLITS}
    for row in rows:
        place = int(sha256(row.messages[-2]["content"].encode("utf-8", "replace")).hexdigest()[:8], 16) / 16**8
        parts["validation" if place < validation else "train"].append(row)
    return parts


def _models(parts: dict[str, list[SftRow]]) -> dict[str, dict[str, float]]:
    totals: dict[str, Counter[str]] = {}
    for row in (row for rows in parts.values() for row in rows):
        for use in row.models:
            total = totals.setdefault(f"{use.role} {use.model}", Counter())
            total.update(rows=1, prompt_tokens=use.prompt_tokens, response_tokens=use.response_tokens)
            total["cost"] += use.cost  # type: ignore[assignment]  # a Counter adds any number
            total["agrees"] += int(bool(use.agrees))
    return {name: dict(total) for name, total in sorted(totals.items())}


def _write_dropped(target: Path, dropped: list[Dropped]) -> None:
    lines = [json.dumps(asdict(item), ensure_ascii=True) + "\n" for item in sorted(dropped, key=lambda item: item.id)]
    publish_text(target / DROPPED, "".join(lines))


def render_card(folder: Path, manifest: SftManifest) -> str:
    """Return the card as Markdown, with counts and example rows from the build."""
    kept = sum(manifest.rows.values())
    blocks = [
        f"# {manifest.title or manifest.name}",
        f"{kept:,} conversations of {manifest.questions:,} questions "
        f"({manifest.rows['train']:,} to train on, {manifest.rows['validation']:,} to validate on). "
        f"License: {manifest.license}.",
    ]
    if manifest.dropped:
        blocks += ["## Dropped", "\n".join(f"- {reason}: {count:,}" for reason, count in manifest.dropped.items())]
    if manifest.models:
        head = "| model | rows | prompt tokens | response tokens | agrees |\n|---|---|---|---|---|\n"
        lines = (
            f"| {name} | {use['rows']:,} | {use['prompt_tokens']:,} | {use['response_tokens']:,} | {use['agrees']:,} |"
            for name, use in manifest.models.items()
        )
        blocks += ["## Models", "Of the rows that were kept.", head + "\n".join(lines)]
    blocks.append("## Examples")
    for row in pq.read_table(folder / "train.parquet").slice(0, EXAMPLES).to_pylist():
        text = "\n\n".join(f"{message['role']}: {message['content']}" for message in row["messages"])
        quoted = "\n".join("    " + line for line in text.splitlines())
        blocks.append(f"`{row['id']}`\n\n{quoted}")
    return "\n\n".join(blocks) + "\n"
