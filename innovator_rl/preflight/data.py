"""Are the data there, readable, with the columns that a row needs, enough of them, and does somebody judge each row."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.datafiles import DataFile, read
from innovator_rl.preflight.diagnostic import Diagnostic

COLUMNS = frozenset({"data_source", "prompt", "reward_model", "extra_info"})
RECIPE = "dataset.yaml"  # what makes a folder in datasets/ a dataset
CHARACTERS_PER_TOKEN = 8  # more than any tokenizer averages over a prompt: a bound, not an estimate


def files(entries: Sequence[str], key: str) -> tuple[tuple[DataFile, ...], list[Diagnostic]]:
    """The entries that are file paths, looked at; a dataset's name is checked for existence only."""
    found, wrong = [], []
    for entry in entries:
        if is_path(entry):
            found.append(read(Path(entry).expanduser()))
        elif not _dataset_exists(entry):
            near = get_close_matches(entry, _dataset_names(), 3, 0.5)
            hint = (
                f"near: {', '.join(near)}"
                if near
                else "give a .parquet file, or build the dataset with `innovator data build`"
            )
            wrong.append(Diagnostic(key, entry, "neither a file nor a dataset in datasets/ or data/", hint))
    return tuple(found), wrong


def is_path(entry: str) -> bool:
    """Whether an entry of `data.train` is a file path and not a dataset's name."""
    return "/" in entry or Path(entry).suffix in (".parquet", ".json", ".jsonl", ".csv")


def _roots() -> list[Path]:
    """Where datasets live: under the current directory, and in the checkout this package runs from."""
    return [Path.cwd(), Path(__file__).resolve().parents[2]]


def _dataset_exists(name: str) -> bool:
    return any(
        (root / "datasets" / name / RECIPE).is_file() or (root / "data" / name / "train.parquet").is_file()
        for root in _roots()
    )


def _dataset_names() -> list[str]:
    return sorted({found.parent.name for root in _roots() for found in (root / "datasets").glob(f"*/{RECIPE}")})


def check(case: PreflightContext) -> Iterator[Diagnostic]:
    """Findings about the rows."""
    yield from _presence(case)
    for key, group in (("data.train", case.train), ("data.validation", case.validation)):
        for file in group:
            yield from _file(case, key, file)
    yield from _amount(case)
    yield from _mixture(case)


def _presence(case: PreflightContext) -> Iterator[Diagnostic]:
    data, schedule = case.config.data, case.config.schedule
    if not data.train and not case.train:
        yield Diagnostic("data.train", (), "there is nothing to train on", "list files or datasets")
    if not data.validation and not case.validation and (schedule.validate_every or schedule.validate_before):
        why = "schedule.validate_every and schedule.validate_before ask for validation, and there are no rows for it"
        yield Diagnostic(
            "data.validation",
            (),
            why,
            "list files or datasets, or set schedule.validate_every=0 schedule.validate_before=false",
        )
    both = sorted({entry for entry in data.train if is_path(entry)} & set(data.validation))
    if both:
        yield Diagnostic("data.validation", both[0], "the same file is trained on", "validate on other rows")


def _file(case: PreflightContext, key: str, file: DataFile) -> Iterator[Diagnostic]:
    name = str(file.path)
    if file.problem:
        yield Diagnostic(key, name, file.problem, "give a readable .parquet file")
        return
    if file.rows == 0:
        yield Diagnostic(key, name, "the file has no rows", "build it again")
        return
    missing = sorted(COLUMNS - file.columns)
    if missing:
        yield Diagnostic(key, name, f"lacks the columns {', '.join(missing)}", "build it with `innovator data build`")
        return
    if file.wrong:
        yield Diagnostic(key, name, f"rows without {'; '.join(file.wrong)}", "build it with `innovator data build`")
    limit = case.config.data.max_prompt_tokens
    if file.shortest_prompt is not None and file.rows <= 2_000 and file.shortest_prompt > limit * CHARACTERS_PER_TOKEN:
        why = (
            f"every prompt of {name} is longer (the shortest has {file.shortest_prompt} characters), so none would "
            "be left"
        )
        yield Diagnostic("data.max_prompt_tokens", limit, why, f"set about {file.shortest_prompt // 3} or more")


def _amount(case: PreflightContext) -> Iterator[Diagnostic]:
    if not case.train or any(file.problem for file in case.train) or len(case.train) < len(case.config.data.train):
        return
    rows, step = sum(file.rows for file in case.train), case.config.algorithm.prompts_per_step
    if 0 < rows < step:
        yield Diagnostic(
            "algorithm.prompts_per_step",
            step,
            f"data.train has {rows} rows, so a step would ask the same prompt twice",
            f"set at most {rows}, or add data",
        )


def _mixture(case: PreflightContext) -> Iterator[Diagnostic]:
    mixture = case.config.data.mixture
    sources = {source for file in case.train for source in file.sources}
    if not mixture or not sources or len(case.train) < len(case.config.data.train):
        return
    for name in mixture:
        if name not in sources:
            near = get_close_matches(name, sorted(sources), 3, 0.5) or sorted(sources)
            yield Diagnostic(
                f"data.mixture.{name}",
                mixture[name],
                "no row of data.train has this data_source",
                f"there are: {', '.join(near[:8])}",
            )
    left_out = sorted(sources - set(mixture))
    if left_out:
        yield Diagnostic(
            "data.mixture",
            dict(mixture),
            f"no weight for {', '.join(left_out[:8])}: these rows are never asked",
            "add a weight or remove the data",
            "warning",
        )
