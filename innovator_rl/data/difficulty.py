"""Measure how often a model answers each prompt correctly, and keep the prompts of a range.

A prompt that a model always or never answers gives a group without a learning signal; a build that measures the pass rate
once spares every run those groups. Each measured prompt is appended to `difficulty.jsonl` in the folder of the built set
as soon as its answers are scored, under a hash of everything that the figure depends on: an interrupted build goes on
where it stopped, and a changed prompt, model or rewarder is measured again. A local model is known by the content of its
files and a rewarder by its source. The weights behind the name of an endpoint or of the hub are not known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.corpus.content import hash_file, hash_json
from innovator_rl.data.generators import Answer, Generator, Sampling, make_generator
from innovator_rl.data.problem import Problem
from innovator_rl.data.recipe import Difficulty, Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.data.rendering import to_rows
from innovator_rl.data.rows import Row
from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Score, ScoreRequest
from innovator_rl.scoring.pool import ScoringPool

CACHE = "difficulty.jsonl"
UNREADABLE = ("no_answer", "malformed_answer", "ambiguous_answer", "echo", "unevaluated", "too_long", "no_code")


@dataclass(frozen=True)
class Measured:
    """What the responses to one prompt were worth.

    Attributes:
        samples: Responses that were scored.
        correct: Responses that were correct.
        unreadable: Responses without a readable answer.
        cut: Responses that were cut at the token limit.
        value: The mean reward.
        failed: Why there are no responses; empty where there are.
    """

    samples: int = 0
    correct: int = 0
    unreadable: int = 0
    cut: int = 0
    value: float = 0.0
    failed: str = ""

    @property
    def rate(self) -> float:
        """Return the share of correct responses."""
        return self.correct / self.samples if self.samples else 0.0


def measure(rows: Sequence[Row], generator: Generator, sampling: Sampling, pool: ScoringPool) -> Iterator[Measured]:
    """Yield the measurement of each row in order.

    Args:
        rows: The prompts with their answers and rewarders.
        generator: What answers.
        sampling: How.
        pool: What scores.
    """
    for row, found in zip(rows, generator.answers([row.prompt for row in rows], sampling), strict=True):
        if isinstance(found, str):
            yield Measured(failed=found)
        else:
            scores = list(pool.map(_request(row, answer) for answer in found))
            yield _measured(found, scores)


def keep_by_difficulty(
    problems: list[Problem],
    recipe: Recipe,
    folder: Path,
    rejected: Rejections,
    workers: int,
    progress: RowProgress,
    generator: Generator | None = None,
) -> list[Problem]:
    """Return the problems with their pass rate in `info`, without those outside of the recipe's range.

    Args:
        problems: The problems.
        recipe: The recipe with `difficulty`.
        folder: The folder of the built set, with what was measured before.
        rejected: Counts what is dropped.
        workers: Reward workers.
        progress: Where to report.
        generator: What answers; by default the recipe's model.

    Raises:
        UserError: No prompt could be measured.
    """
    settings = recipe.difficulty
    assert settings is not None
    rows = list(to_rows(problems, recipe, "train"))
    rewarders = {row.reward for row in rows}
    with ScoringPool(workers, warm=rewarders) as pool:
        versions = {name: str(pool.describe(name).get("version", "")) for name in sorted(rewarders)}
        keys = _keys(rows, settings, versions)
        known = _load(folder / CACHE)
        missing = [index for index, key in enumerate(keys) if key not in known]
        if missing:
            _measure_missing(
                [rows[i] for i in missing],
                [keys[i] for i in missing],
                settings,
                folder,
                known,
                pool,
                progress,
                generator,
            )
    low, high = settings.keep
    kept = []
    for problem, key in zip(problems, keys, strict=True):
        found, place = known[key], problem.place or problem.id
        if found.failed:
            rejected.add(f"difficulty not measured ({found.failed})", place)
        elif found.rate < low or found.rate > high:
            side = "too hard" if found.rate < low else "too easy"
            rejected.add(f"{side} for {settings.model}", place, f"{found.correct} of {found.samples} correct")
        else:
            noted = {"model": settings.model, "samples": found.samples, "correct": found.correct}
            kept.append(replace(problem, info={**problem.info, "pass_rate": noted}))
    if problems and all(known[key].failed for key in keys):
        raise UserError(f"difficulty: no prompt could be measured with {settings.model!r}: {known[keys[0]].failed}")
    return kept


def _measure_missing(
    rows: list[Row],
    keys: list[str],
    settings: Difficulty,
    folder: Path,
    known: dict[str, Measured],
    pool: ScoringPool,
    progress: RowProgress,
    generator: Generator | None,
) -> None:
    """Measure rows, and append each to the cache at once; what failed is not kept, so that the next build tries again."""
    sampling = Sampling(settings.samples, settings.temperature, settings.max_tokens, settings.seed)
    chosen = generator or make_generator(settings.model, settings.endpoint)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / CACHE).open("a") as cache:
            found = measure(rows, chosen, sampling, pool)
            for key, measured in zip(keys, progress.over(found, len(rows), "difficulty"), strict=True):
                known[key] = measured
                if not measured.failed:
                    cache.write(json.dumps({"key": key, **asdict(measured)}) + "\n")
                    cache.flush()
    finally:
        chosen.close()


def _load(path: Path) -> dict[str, Measured]:
    """Read what was measured; a last line that an interruption cut off is measured again."""
    found: dict[str, Measured] = {}
    if not path.is_file():
        return found
    text = path.read_text(encoding="utf-8", errors="replace")
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    for line in text.splitlines():
        try:
            record = json.loads(line)
            key = record.pop("key")
            found[key] = Measured(**record)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def _keys(rows: Sequence[Row], settings: Difficulty, versions: Mapping[str, str]) -> list[str]:
    sampling = settings.model_dump(mode="json", exclude={"keep", "endpoint"})
    weights = "" if settings.endpoint else _hash_folder(Path(settings.model).expanduser())
    found = []
    for row in rows:
        parts = [list(row.prompt), row.answer, row.reward, versions[row.reward], dict(row.info), sampling, weights]
        found.append(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest())
    return found


def _hash_folder(folder: Path) -> str:
    """Return the hash of the names and contents of a model's files; empty for a name that is no folder."""
    if not folder.is_dir():
        return ""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hash_json({str(path.relative_to(folder)): hash_file(path) for path in files})


def _request(row: Row, answer: Answer) -> ScoreRequest:
    return ScoreRequest(
        rewarder=row.reward,
        response=answer.text,
        answer=row.answer,
        prompt=row.prompt_text,
        info=dict(row.info),
        data_source=row.data_source,
    )


def _measured(answers: Sequence[Answer], scores: Sequence[Score]) -> Measured:
    scored = [score for score in scores if score.scored]
    return Measured(
        samples=len(scored),
        correct=sum(score.correct for score in scored),
        unreadable=sum(score.reason in UNREADABLE for score in scored),
        cut=sum(answer.cut for answer in answers),
        value=sum(score.value for score in scored) / len(scored) if scored else 0.0,
        failed="" if scored else f"not scored: {scores[0].reason}",
    )
