"""Remove text of evaluation sets from a corpus by runs of words.

Every run of `n` words of an evaluation item is looked for in every document; an item shorter than that is looked for as a
whole. An evaluation set that the recipe names and that is not found stops the build, because a corpus that was checked
against less than it claims is worse than none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.paths import expand_path
from innovator_rl.data.corpus.readers.opening import BROKEN, decompressed
from innovator_rl.data.corpus.steps.base import MapStep, Result, Transform
from innovator_rl.data.corpus.steps.exact import paragraphs
from innovator_rl.data.corpus.words import Hashes, hash_ngrams, hash_runs, hash_words, split_words, strings_in
from innovator_rl.errors import UserError


class EvaluationSet(BaseModel):
    """A file of evaluation items: JSON lines or a JSON array, compressed or not."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    path: str
    fields: tuple[str, ...] = Field(
        min_length=1,
        description="Columns whose text must not be in the corpus; lists and objects count with every string in them.",
    )


class Decontaminate(MapStep):
    """Remove paragraphs (or whole documents) that share a run of `n` words with an evaluation item.

    Attributes:
        n: Words of a run.
        min_words: Items with fewer words are not looked for: they occur in honest text.
        remove: What a match removes.
    """

    step: Literal["decontaminate"] = "decontaminate"
    against: tuple[EvaluationSet, ...] = Field(min_length=1)
    n: int = Field(13, ge=4, le=64)
    min_words: int = Field(8, ge=4)
    remove: Literal["paragraph", "document"] = "paragraph"

    uses: ClassVar[tuple[str, ...]] = (
        "innovator_rl.data.corpus.words",
        "innovator_rl.data.corpus.readers.opening",
        "innovator_rl.data.corpus.steps.exact",
    )
    packages: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow", "xxhash")

    def identity(self) -> dict[str, Any]:
        """Return the settings without the paths of the sets."""
        return {**self.settings(), "against": [[item.name, list(item.fields)] for item in self.against]}

    def side_files(self) -> Sequence[Path]:
        """Return the evaluation files."""
        return [self._path(item) for item in self.against]

    def _path(self, item: EvaluationSet) -> Path:
        path = Path(expand_path(item.path))
        if not path.is_file():
            raise UserError(
                f"step 'decontaminate': evaluation set {item.name!r} is not found at {str(path)!r}: "
                "get the file or take the set out of the recipe"
            )
        return path

    def open(self) -> Transform:
        """Load the runs of all sets."""
        runs = self.load()

        def transform(document: Document) -> Result:
            found = self._matches(document, runs)
            if not found.any():
                return Result(document)
            kept = [p for p, hit in zip(paragraphs(document.text), found, strict=True) if not hit]
            if self.remove == "document" or not any(p.strip() for p in kept):
                return Result(None, "evaluation text")
            return Result(replace(document, text="\n\n".join(kept)), "evaluation text", int(found.sum()))

        return transform

    def load(self) -> dict[int, Hashes]:
        """Return the sorted hashes of all runs by their number of words.

        Raises:
            UserError: when a set cannot be read, lacks a field or has nothing to look for.
        """
        collected: dict[int, list[Hashes]] = {}
        for item in self.against:
            count = 0
            for text in _items(item, self._path(item)):
                words = split_words(text)
                if len(words) >= self.min_words:
                    length = min(self.n, len(words))
                    collected.setdefault(length, []).append(hash_ngrams(words, length))
                    count += 1
            if not count:
                raise UserError(
                    f"step 'decontaminate': evaluation set {item.name!r} has no item of {self.min_words} words or more "
                    f"in {', '.join(item.fields)}"
                )
        return {length: np.unique(np.concatenate(parts)) for length, parts in sorted(collected.items())}

    def _matches(self, document: Document, runs: dict[int, Hashes]) -> np.ndarray:
        """Return for each paragraph whether a run lies in it or reaches into it."""
        by_paragraph = [split_words(paragraph) for paragraph in paragraphs(document.text)]
        words = hash_words([word for part in by_paragraph for word in part])
        hit = np.zeros(len(words) + 1, np.int64)
        for length, known in runs.items():
            hashed = hash_runs(words, length)
            places = np.minimum(np.searchsorted(known, hashed), len(known) - 1)
            for start in np.flatnonzero(known[places] == hashed):
                hit[start] += 1
                hit[start + length] -= 1
        covered = np.cumsum(hit[:-1]) > 0
        ends = np.cumsum([0, *map(len, by_paragraph)])
        return np.array([covered[a:b].any() for a, b in pairwise(ends)], bool)


def _items(item: EvaluationSet, path: Path) -> Iterator[str]:
    where = f"step 'decontaminate': evaluation set {item.name!r}"
    try:
        with path.open("rb") as stored, decompressed(stored, path.name) as (stream, _):
            content = stream.read().decode("utf-8-sig")
    except BROKEN as error:
        raise UserError(f"{where}: {str(path)!r} cannot be read ({error})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: {str(path)!r} is not UTF-8 ({error})") from None
    try:
        # Only a line feed ends a row: a JSON string may hold other line separators as they are.
        array = content.lstrip()[:1] == "["
        rows = json.loads(content) if array else [json.loads(line) for line in content.split("\n") if line.strip()]
    except ValueError as error:
        raise UserError(f"{where}: {str(path)!r} is not JSON ({error})") from None
    found = dict.fromkeys(item.fields, 0)
    for number, row in enumerate(rows, start=1):
        for name in item.fields:
            if not isinstance(row, dict) or name not in row:
                known = ", ".join(row) if isinstance(row, dict) else type(row).__name__
                raise UserError(f"{where}: row {number} has no field {name!r}; it has {known}")
            texts = list(strings_in(row[name]))
            found[name] += len(texts)
            yield from texts
    for name, count in found.items():
        if not count:
            raise UserError(f"{where}: the field {name!r} has no text in any row; take it out of `fields`")
