"""Check a training file for faulty rows, duplicates, leaks and long prompts."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from innovator_rl.data.rows import check_columns, faults, read_rows
from innovator_rl.errors import UserError


@dataclass(frozen=True)
class CheckReport:
    """Represent what a check found in one file.

    Attributes:
        path: The file.
        rows: The number of rows.
        problems: Sentences; none for a file that is safe to train on.
        notes: What a run's configuration has to supply.
        sources: The number of rows by data source.
        rewarders: The number of rows by rewarder.
        token_lengths: `median`, `p99` and `max` of the prompt lengths in tokens.
    """

    path: Path
    rows: int
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    rewarders: dict[str, int] = field(default_factory=dict)
    token_lengths: dict[str, int] = field(default_factory=dict)


def check_file(
    path: Path, tokenizer: Any = None, max_prompt_tokens: int | None = None, against: Path | None = None
) -> CheckReport:
    """Check a training file.

    Args:
        path: The file.
        tokenizer: A tokenizer for prompt lengths, chat template included.
        max_prompt_tokens: The length beyond which a prompt is a problem.
        against: Another file that must share no prompt.

    Raises:
        UserError: The file is not a training file.
    """
    if (path / "train.parquet").is_file():  # the folder of a built set, whatever its name
        return replace(check_file(path / "train.parquet", tokenizer, max_prompt_tokens, against), path=path)
    if path.suffix != ".parquet":
        return _check_own_file(path, tokenizer, max_prompt_tokens, against)
    rows = check_columns(path)
    problems = faults(path)
    if problems or not rows:
        return CheckReport(path, rows, problems or ["the file has no rows"])
    sources: Counter[str] = Counter()
    rewarders: Counter[str] = Counter()
    unrouted: Counter[str] = Counter()
    answers: dict[str, str] = {}
    lengths: list[int] = []
    for number, row in enumerate(read_rows(path)):
        sources[row.data_source] += 1
        if row.reward:
            rewarders[row.reward] += 1
        else:
            unrouted[row.data_source] += 1
        text = " ".join(row.prompt_text.split())
        if text in answers:
            kind = "the same answer" if answers[text] == row.answer else "another answer"
            problems.append(f"row {number} repeats an earlier prompt with {kind}")
        answers.setdefault(text, row.answer)
        if tokenizer is not None:
            lengths.append(_token_length(tokenizer, list(row.prompt)))
    if max_prompt_tokens and (longer := sum(length > max_prompt_tokens for length in lengths)):
        problems.append(f"{longer} of {rows} prompts are longer than {max_prompt_tokens} tokens and would be left out")
    if against is not None:
        shared = sum(" ".join(row.prompt_text.split()) in answers for row in read_rows(against))
        problems += [f"{shared} prompts are also in {against}"] if shared else []
    problems += _unknown_rewarders(rewarders)
    notes = [
        f"{count} rows of data source {source!r} name no rewarder: train with reward.routes.{source}=NAME"
        for source, count in unrouted.items()
    ]
    return CheckReport(path, rows, problems, notes, dict(sources), dict(rewarders), _quantiles(lengths))


def _check_own_file(path: Path, tokenizer: Any, max_prompt_tokens: int | None, against: Path | None) -> CheckReport:
    """Check rows of one's own as they would be trained on: converted first, then checked as a training file."""
    from innovator_rl.data.materialize import OWN_SUFFIXES, is_own_file, materialize
    from innovator_rl.data.recipe import dataset_names

    if path.exists() and not is_own_file(str(path)) and str(path) not in dataset_names():
        kinds = ", ".join((".parquet", *OWN_SUFFIXES))
        raise UserError(
            f"{str(path)!r} is a {'folder' if path.is_dir() else 'file'}; expected a file that ends in {kinds}, or the folder "
            "of a built set or corpus"
        )
    with tempfile.TemporaryDirectory() as work:
        converted = materialize(path, Path(work), "train")
        return replace(check_file(converted, tokenizer, max_prompt_tokens, against), path=path)


def _token_length(tokenizer: Any, messages: list[dict[str, str]]) -> int:
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _quantiles(lengths: list[int]) -> dict[str, int]:
    if not lengths:
        return {}
    ordered = sorted(lengths)
    return {"median": ordered[len(ordered) // 2], "p99": ordered[int(0.99 * (len(ordered) - 1))], "max": ordered[-1]}


def _unknown_rewarders(rewarders: Counter[str]) -> list[str]:
    from innovator_rl.scoring import registry

    found = []
    for name, count in rewarders.items():
        try:
            registry.require_known(name)
        except UserError as error:
            found.append(f"the rewarder of {count} rows: {error} (installed: {', '.join(registry.names())})")
    return found
