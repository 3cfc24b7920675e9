"""Check that the data is present, readable, complete in columns and enough."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from innovator_rl.packaged_files import roots
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.datafiles import DataFile, is_own, read
from innovator_rl.preflight.diagnostic import Diagnostic

COLUMNS = frozenset({"data_source", "prompt", "reward_model", "extra_info"})
RECIPE = "dataset.yaml"  # what makes a folder in datasets/ a dataset
CHARACTERS_PER_TOKEN = 8  # more than any tokenizer averages over a prompt: a bound, not an estimate
TEMPLATE = 64  # tokens that chat templates add to a prompt, generously: shorter ones need no tokenizer
FEW, MOST = 0.05, 0.5  # shares of prompts left out: below, nothing is said; above, the run is stopped


def files(entries: Sequence[str], key: str) -> tuple[tuple[DataFile, ...], list[Diagnostic]]:
    """Read the entries that are file paths.

    Check the names of datasets for existence only.
    """
    found, wrong = [], []
    for entry in entries:
        if is_path(entry):
            place = Path(entry).expanduser()
            built = place / f"{key.removeprefix('data.')}.parquet"
            found.append(read(built if built.is_file() else place))
        elif not _dataset_exists(entry):
            near = get_close_matches(entry, _dataset_names(), 3, 0.5)
            hint = (
                f"near: {', '.join(near)}"
                if near
                else "give a .parquet file, or build the dataset with `innovator data build`"
            )
            wrong.append(
                Diagnostic(setting=key, value=entry, why="neither a file nor a dataset in datasets/ or data/", fix=hint)
            )
    return tuple(found), wrong


def is_path(entry: str) -> bool:
    """Whether an entry of `data.train` is a file path and not a dataset's name."""
    return "/" in entry or Path(entry).suffix == ".parquet" or is_own(entry)


def _dataset_exists(name: str) -> bool:
    return any(
        (root / "datasets" / name / RECIPE).is_file() or (root / "data" / name / "train.parquet").is_file()
        for root in roots()
    )


def _dataset_names() -> list[str]:
    return sorted({found.parent.name for root in roots() for found in (root / "datasets").glob(f"*/{RECIPE}")})


def check(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check the rows."""
    yield from _presence(context)
    for key, group in (("data.train", context.train), ("data.validation", context.validation)):
        for file in group:
            yield from _file(context, key, file)
    yield from _amount(context)
    yield from _mixture(context)
    yield from _metrics(context)


def _presence(context: PreflightContext) -> Iterator[Diagnostic]:
    data, schedule = context.config.data, context.config.schedule
    if not data.train and not context.train:
        yield Diagnostic(
            setting="data.train", value=(), why="there is nothing to train on", fix="list files or datasets"
        )
    if not data.validation and not context.validation and (schedule.validate_every or schedule.validate_before):
        why = "schedule.validate_every and schedule.validate_before ask for validation, and there are no rows for it"
        yield Diagnostic(
            setting="data.validation",
            value=(),
            why=why,
            fix="list files or datasets, or set schedule.validate_every=0 schedule.validate_before=false",
        )
    for key, entries in (("data.train", data.train), ("data.validation", data.validation)):
        twice = sorted({entry for entry in entries if entries.count(entry) > 1})
        if twice:
            why, fix = "listed more than once: its rows count double", "list it once; data.mixture weights sources"
            yield Diagnostic(setting=key, value=twice[0], why=why, fix=fix)
    # A file of one's own that is named twice is split by content, as the name of a dataset is.
    # A folder of a built set has a file for each.
    files_named = {entry for entry in data.train if is_path(entry) and not is_own(entry) and not Path(entry).is_dir()}
    both = sorted(files_named & set(data.validation))
    if both:
        yield Diagnostic(
            setting="data.validation", value=both[0], why="the same file is trained on", fix="validate on other rows"
        )


def _file(context: PreflightContext, key: str, file: DataFile) -> Iterator[Diagnostic]:
    name = str(file.path)
    if file.problem:
        yield Diagnostic(setting=key, value=name, why=file.problem, fix="give a readable .parquet file")
        return
    if file.own:
        return
    if file.rows == 0:
        yield Diagnostic(setting=key, value=name, why="the file has no rows", fix="build it again")
        return
    missing = sorted(COLUMNS - file.columns)
    if missing:
        yield Diagnostic(
            setting=key,
            value=name,
            why=f"lacks the columns {', '.join(missing)}",
            fix="build it with `innovator data build`",
        )
        return
    if file.wrong:
        yield Diagnostic(
            setting=key,
            value=name,
            why=f"rows without {'; '.join(file.wrong)}",
            fix="build it with `innovator data build`",
        )
    limit = context.config.data.max_prompt_tokens
    if file.shortest_prompt is not None and file.rows <= 2_000 and file.shortest_prompt > limit * CHARACTERS_PER_TOKEN:
        why = (
            f"every prompt of {name} is longer (the shortest has {file.shortest_prompt} characters), so none would "
            "be left"
        )
        yield Diagnostic(
            setting="data.max_prompt_tokens", value=limit, why=why, fix=f"set about {file.shortest_prompt // 3} or more"
        )
    elif context.model_folder is not None:
        yield from _left_out(limit, file, context.model_folder)


def _left_out(limit: int, file: DataFile, model: Path) -> Iterator[Diagnostic]:
    """Count the tokens of some prompts as verl does before it leaves long ones out without a message."""
    bytes_each = (sum(len(str(part["content"]).encode()) for part in prompt) for prompt in file.prompts)
    if max(bytes_each, default=0) + TEMPLATE <= limit or (tokenizer := tokenizer_of(model)) is None:
        return
    sizes = sorted(
        len(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False))
        for prompt in file.prompts
    )
    longer = sum(size > limit for size in sizes)
    if longer <= FEW * len(sizes):
        return
    yield Diagnostic(
        setting="data.max_prompt_tokens",
        value=limit,
        why=f"{longer} of {len(sizes)} prompts looked at in {file.path} are longer and would be left out",
        fix=f"set {sizes[-1]}, the longest of these, or leave the data out",
        severity="error" if longer > MOST * len(sizes) else "warning",
    )


@cache
def tokenizer_of(model: Path) -> Any:
    """Return a model's tokenizer; None where it has none, or none with a chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(model), local_files_only=True)  # type: ignore[no-untyped-call]
    except (OSError, ValueError):
        return None  # the check of the model names what is missing
    return tokenizer if tokenizer.chat_template else None


def _amount(context: PreflightContext) -> Iterator[Diagnostic]:
    if (
        not context.train
        or any(file.problem for file in context.train)
        or len(context.train) < len(context.config.data.train)
    ):
        return
    rows, step = sum(file.rows for file in context.train), context.config.algorithm.prompts_per_step
    if 0 < rows < step:
        yield Diagnostic(
            setting="algorithm.prompts_per_step",
            value=step,
            why=f"data.train has {rows} rows, so a step would draw the same prompt twice",
            fix=f"set at most {rows}, or add data",
        )


def _mixture(context: PreflightContext) -> Iterator[Diagnostic]:
    mixture = context.config.data.mixture
    left = [entry for entry in context.config.data.train if not is_path(entry) and entry not in mixture]
    unread = [file for file in context.train if file.sources and not set(file.sources) & set(mixture)]
    if mixture and (unread or (left and not context.train)):
        names = [str(file.path) for file in unread] or left
        yield Diagnostic(
            setting="data.mixture",
            value=dict(mixture),
            why=f"no weight for {', '.join(names[:8])}: none of these rows is ever drawn",
            fix="add a weight or remove the data",
        )
    sources = {source for file in context.train for source in file.sources}
    unknown = len(context.train) < len(context.config.data.train) or any(file.own for file in context.train)
    if not mixture or not sources or unknown:
        return
    for name in mixture:
        if name not in sources:
            near = get_close_matches(name, sorted(sources), 3, 0.5) or sorted(sources)
            yield Diagnostic(
                setting=f"data.mixture.{name}",
                value=mixture[name],
                why="no row of data.train has this data_source",
                fix=f"there are: {', '.join(near[:8])}",
            )
    left_out = sorted(sources - set(mixture))
    if left_out:
        yield Diagnostic(
            setting="data.mixture",
            value=dict(mixture),
            why=f"no weight for {', '.join(left_out[:8])}: these rows are never drawn",
            fix="add a weight or remove the data",
            severity="warning",
        )


def _metrics(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check that each source with a metric of its own is trained on."""
    metrics = context.config.algorithm.dynamic_sampling.metric_by_source
    sources = {source for file in context.train for source in file.sources}
    unknown = len(context.train) < len(context.config.data.train) or any(file.own for file in context.train)
    if not sources or unknown:
        return
    for name, metric in metrics.items():
        if name not in sources:
            near = get_close_matches(name, sorted(sources), 3, 0.5) or sorted(sources)
            yield Diagnostic(
                setting="algorithm.dynamic_sampling.metric_by_source",
                value={name: metric},
                why="no row of data.train has this data_source, so the metric is never used",
                fix=f"there are: {', '.join(near[:8])}",
            )
