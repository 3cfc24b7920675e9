"""Drop problems that an evaluation set contains, by runs of words and by molecules.

A run of 13 words that a problem shares with an evaluation item is taken as a copy; an item with fewer words is looked for
as a whole, with a sentence that ends where it does: a problem that begins with it and goes on is another one. A molecule
that is written another way shares no words with its evaluation item, so molecules are compared by InChIKey: in the columns
that hold one, and as SELFIES or SMILES inside of any text. Rows about a molecule are compared by the molecule and by their
complete text. Compared are the question, the messages and the columns that the recipe's templates show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.checks.sentences import bounds
from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.corpus.paths import expand_path
from innovator_rl.data.corpus.words import (
    Hashes,
    count_words,
    hash_ngrams,
    hash_runs,
    hash_text,
    hash_words,
    locate_words,
    split_words,
    strings_in,
)
from innovator_rl.data.molecules import SELFIES_RUN, molecule_keys
from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import COMPRESSED, Record, file_records, source_files
from innovator_rl.data.recipe import Decontamination, EvaluationFile
from innovator_rl.data.rejections import Rejections
from innovator_rl.errors import UserError

MIN_WORDS = 8  # shorter items occur in honest problems; they count only as a complete question
MIN_ITEM_WORDS = 3  # items with fewer are not looked for
FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass
class EvaluationIndex:
    """What is looked for.

    Attributes:
        runs: The sorted hashes of word runs by the number of words.
        items: The hashes of complete items.
        molecules: InChIKeys.
        sets: Name -> items, molecules and the content hash of the files, for the manifest.
    """

    runs: dict[int, Hashes] = field(default_factory=dict)
    items: set[int] = field(default_factory=set)
    molecules: set[str] = field(default_factory=set)
    sets: dict[str, dict[str, object]] = field(default_factory=dict)


def evaluation_files(item: EvaluationFile) -> list[Path]:
    """Return the files of an evaluation set.

    Raises:
        UserError: It is missing; a build that was checked against less than it claims is worse than none.
    """
    path = Path(expand_path(item.path))
    if not path.exists():
        raise UserError(
            f"evaluation set {item.name!r} not found at {str(path)!r}: get the file, or take the set out of `decontaminate`"
        )
    return source_files(path, *(f"*{suffix}{packed}" for suffix in FORMATS for packed in COMPRESSED))


def load_index(settings: Decontamination) -> EvaluationIndex:
    """Read all evaluation sets.

    Raises:
        UserError: A set is missing, cannot be read, lacks a column or has nothing to look for.
    """
    located = [(item, evaluation_files(item)) for item in settings.against]  # all of them, before the first is read
    index = EvaluationIndex()
    collected: dict[int, list[Hashes]] = {}
    for item, paths in located:
        items, before, useful = 0, len(index.molecules), False
        empty = {*item.fields, *item.molecules}
        for path in paths:
            for record in file_records(path, Rejections()):
                items += 1
                empty -= {column for column in empty if any(map(str.strip, strings_in(_column(item, record, column))))}
                texts = _texts(item, record)
                for text in texts:
                    useful |= _add_text(text, settings.words, collected, index)
                keys = _molecules(item, record, texts) if settings.molecules else set()
                index.molecules |= keys
                useful |= bool(keys)
        if not items:
            raise UserError(f"evaluation set {item.name!r} has no items in {', '.join(map(str, paths))}")
        if empty:
            raise UserError(
                f"evaluation set {item.name!r}: the field {min(empty)!r} is empty in all {items} items: name another one"
            )
        if not useful:
            raise UserError(
                f"evaluation set {item.name!r} has nothing to look for, no text of {MIN_ITEM_WORDS} words and no molecule "
                f"in {items} items: name its `fields` or `molecules`"
            )
        index.sets[item.name] = {
            "items": items,
            "molecules": len(index.molecules) - before,
            "files": {path.name: hash_file(path) for path in paths},
        }
    index.runs = {length: np.unique(np.concatenate(parts)) for length, parts in sorted(collected.items())}
    return index


def drop_contaminated(
    problems: Sequence[Problem],
    settings: Decontamination,
    index: EvaluationIndex,
    rejected: Rejections,
    progress: RowProgress,
    shown: Collection[str] = (),
) -> list[Problem]:
    """Return the problems that no evaluation set contains.

    Args:
        problems: The problems.
        settings: What is compared.
        index: What is looked for.
        rejected: Counts what is dropped.
        progress: Where to report.
        shown: The columns that the recipe's templates show besides the question.
    """
    kept = []
    for problem in progress.over(problems, len(problems), "evaluation sets"):
        reason = _match(problem, settings, index, shown)
        if reason:
            rejected.add(reason, problem.place or problem.id)
        else:
            kept.append(problem)
    return kept


def _match(problem: Problem, settings: Decontamination, index: EvaluationIndex, shown: Collection[str]) -> str:
    texts = [problem.question, *(message["content"] for message in problem.messages)]
    columns = [text for name in sorted(shown) for text in _column_texts(problem.columns.get(name))]
    texts += [text for text in columns if count_words(text) >= MIN_WORDS]  # an option of an answer may be shorter
    if problem.smiles:
        # Descriptions of molecules share long runs of words by their template ("It is a conjugate base of ..."), and
        # questions of one property all of them. The molecule is the problem; a text counts as a whole.
        same = any(_is_item(text, index) for text in (*texts, problem.answer))
    else:
        same = any(_is_item(text, index) or _shares_words(text, index, settings.words) for text in texts)
    if same:
        return "evaluation text"
    if settings.molecules and index.molecules:
        keys = molecule_keys(problem.smiles, whole=True) if problem.smiles else set()
        for text in (*texts, *columns, problem.answer):
            keys |= molecule_keys(text)
        keys |= molecule_keys(problem.answer, whole=True) if _is_molecule(problem) else set()
        if keys & index.molecules:
            return "evaluation molecule"
    return ""


def _is_molecule(problem: Problem) -> bool:
    return problem.reward.startswith("caption2mol") or problem.domain == "caption2mol"


def _is_item(text: str, index: EvaluationIndex) -> bool:
    return hash_text(SELFIES_RUN.sub(" ", text)) in index.items


def _shares_words(text: str, index: EvaluationIndex, run: int) -> bool:
    """Return whether a text has a run of words of a long item, or a short item as a whole sentence or several."""
    text, spans = locate_words(SELFIES_RUN.sub(" ", text))
    words = hash_words([text[start:end] for start, end in spans])
    for length, known in index.runs.items():
        hashed = hash_runs(words, length)
        if not len(hashed):
            continue
        places = np.minimum(np.searchsorted(known, hashed), len(known) - 1)
        hits = np.flatnonzero(known[places] == hashed)
        if len(hits) and length >= run:
            return True
        if len(hits):
            begins, ends = bounds(text, spans)
            if any(begins[start] and ends[start + length - 1] for start in hits):
                return True
    return False


def _add_text(text: str, length: int, collected: dict[int, list[Hashes]], index: EvaluationIndex) -> bool:
    """Add a text to the index and return whether it has enough words to be looked for."""
    words = split_words(SELFIES_RUN.sub(" ", text))  # the words of two SELFIES overlap by nature
    if len(words) >= MIN_WORDS:
        length = min(length, len(words))
        collected.setdefault(length, []).append(hash_ngrams(words, length))
    if len(words) >= MIN_ITEM_WORDS:
        index.items.add(hash_text(SELFIES_RUN.sub(" ", text)))
    return len(words) >= MIN_ITEM_WORDS


def _molecules(item: EvaluationFile, record: Record, texts: Iterable[str]) -> set[str]:
    keys: set[str] = set()
    for column in item.molecules:
        keys |= molecule_keys(str(_column(item, record, column)), whole=True)
    for text in texts:
        keys |= molecule_keys(text)
    return keys


def _texts(item: EvaluationFile, record: Record) -> list[str]:
    columns = item.fields or [name for name in record.values if name not in item.molecules]
    return [text for column in columns for text in strings_in(_column(item, record, column))]


def _column_texts(value: object) -> list[str]:
    """Return every string in a column, and all of them as one text, because a template may join them."""
    found = list(strings_in(value))
    return [*found, "\n".join(found)] if len(found) > 1 else found


def _column(item: EvaluationFile, record: Record, column: str) -> object:
    if column not in record.values:
        known = ", ".join(map(str, record.values))
        raise UserError(f"evaluation set {item.name!r}: {record.place} has no field {column!r}; it has {known}")
    return record.values[column]
