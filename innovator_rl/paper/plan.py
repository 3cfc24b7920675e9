"""Turn the configuration of a path into stages, each one `innovator` command.

Everything a stage writes is below the run directory or in a run of its own named `NAME-STAGE`, so that two paths never
share a file, and the dashboard lists each part of a path next to it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.packaged_files import find_config
from innovator_rl.paper.config import Arm, Evaluation, Learning, PaperConfig, Part, Upcycle
from innovator_rl.paper.named import code_named, files_named, recipe_file
from innovator_rl.paper.parts import raw_text, reads_published_sets, recipe_data, with_data
from innovator_rl.paper.set_aside import own_name
from innovator_rl.paper.stage import Stage
from innovator_rl.preflight.machine import Machine


class Models:
    """Where each model of a path is, and which stage makes it."""

    def __init__(self, config: PaperConfig) -> None:
        self._places: dict[str, tuple[str, str]] = {"base": (config.base_model, "")}

    def add(self, name: str, place: Path, stage: str) -> None:
        """Note the folder of a model and the stage that leaves it."""
        self._places[name] = (str(place), stage)

    def place(self, name: str) -> str:
        """Return the folder or name of a model."""
        return self._places[name][0]

    def needs(self, *names: str) -> tuple[str, ...]:
        """Return the stages that make models; the base model needs none."""
        return tuple(stage for name in names if (stage := self._places[name][1]))


def stages_of(config: PaperConfig) -> list[Stage]:
    """Return the stages of a path, in the order in which they run.

    The first seed of every arm comes before any second seed, what needs no upcycled model before upcycling, every probe
    before any training on tasks, and the evaluations of an arm before the next arm trains, so a path that is stopped early
    has results.

    Raises:
        UserError: A configuration file is not found, one of them or the settings laid over it have mistakes, or a part is
            there twice.
    """
    models = Models(config)
    stages = with_data(
        [
            *_data(config),
            *_upcycling(config, models),
            *_fine_tuning(config, models),
            *_learning(config, models),
            *_evaluations(config, models),
        ]
    )
    names = [stage.name for stage in stages]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(
            f"{config.name}: two parts of the path are stage {twice[0]!r}; leave one task, model or suite out, or rename its file"
        )
    arms = config.learning.arms if config.learning else ()
    seeds = {f"train-{arm.name}-{seed}": place for arm in arms for place, seed in enumerate(arm.seeds)}
    turns: dict[str, tuple[int, bool]] = {}  # of each stage: place of its seed among its arm's, whether it upcycles
    for stage in stages:
        needs = [turns[name] for name in stage.needs]
        place = max([seeds.get(stage.name, 0), *(place for place, _ in needs)])
        turns[stage.name] = (place, stage.name in ("corpus", "upcycle") or any(upcycles for _, upcycles in needs))
    places = _places(config)
    return sorted(stages, key=lambda stage: (turns[stage.name], places.get(stage.name, 0)))


def _places(config: PaperConfig) -> dict[str, int]:
    """Return the place of an arm for each of its stages, and of the last arm of a suite for each of its evaluations."""
    found: dict[str, int] = {}
    arms: dict[str, int] = {}
    for place, arm in enumerate(config.learning.arms if config.learning else (), 1):
        arms |= {arm.name: place} | {f"{arm.name}-{seed}": place for seed in arm.seeds}
        found |= {f"{step}-{arm.name}-{seed}": place for step in ("train", "export") for seed in arm.seeds}
    for part in config.evaluations:
        last = max((arms.get(name, 0) for name in part.models), default=0)
        found |= {f"eval-{suite_name(part.suite)}-{model}": last for model in evaluated_models(config, part)}
    return found


def run_name(config: PaperConfig, part: str) -> str:
    """Return the name of the run of one part."""
    return f"{config.name}-{part}"


def evaluated_models(config: PaperConfig, part: Evaluation) -> list[str]:
    """Return the models of an evaluation, with each arm replaced by its seeds."""
    arms = {arm.name: arm for arm in (config.learning.arms if config.learning else ())}
    names: list[str] = []
    for name in part.models:
        names += [f"{name}-{seed}" for seed in arms[name].seeds] if name in arms else [name]
    return names


def _data(config: PaperConfig) -> Iterator[Stage]:
    out = config.runs_dir / config.name / "data"
    if config.corpus:
        path = _file(config.corpus.config, "data")
        yield Stage(
            "corpus",
            "clean, deduplicate and tokenize the text",
            ("data", "build", str(path), "--out", str(out)),
            out / corpus_name(path),
            inputs=(path,),
            reads=raw_text(path),
            hours=config.corpus.hours,
        )
    for task in config.tasks:
        recipe = recipe_file(task)
        name = _task_name(task)
        yield Stage(
            f"rows-{name}",
            "build training rows and check every gold answer",
            ("data", "build", task, "--out", str(out)),
            out / name,
            inputs=(recipe, *code_named([recipe])),
            reads=recipe_data((recipe,), decontamination=True),
        )


def published_sets(config: PaperConfig) -> str:
    """Return the folder of published sets that recipes and suites read; empty where none is named."""
    return str(config.data.resolve()) if config.data else os.environ.get("INNOVATOR_DATA", "")


def corpus_name(recipe: Path) -> str:
    """Return the name of a recipe, which is the folder that its build leaves.

    Raises:
        UserError: The recipe has a mistake, or names an environment variable that is not set.
    """
    from innovator_rl.data.corpus.recipe import load_corpus_recipe

    return load_corpus_recipe(recipe).name


def _upcycling(config: PaperConfig, models: Models) -> Iterator[Stage]:
    part = config.upcycle
    if part is None:
        return
    path, name = _file(part.config, "upcycle"), run_name(config, "upcycle")
    folder = config.runs_dir / name
    corpus = config.runs_dir / config.name / "data" / corpus_name(config.corpus.config) if config.corpus else None
    words = [f"name={name}", f"runs_dir={config.runs_dir}", f"base_model={config.base_model}"]
    words += _text_from(corpus, path) if corpus else []
    yield Stage(
        "upcycle",
        "train, split, route and integrate the experts" + (", and the dense baseline" if part.dense else ""),
        ("upcycle", "run", str(path), *_last_of_each((*words, *part.settings)), *_upcycling_options(part)),
        folder / "export",
        also=(folder / "export-dense",) if part.dense else (),
        needs=("corpus",) if corpus else (),
        inputs=(path, *files_named(path)),
        reads=_base_model(config),
        launcher=part.launcher,
        disk_bytes=_bytes(part),
        hours=part.hours,
        clean=(folder, *upcycling_runs(config)),
    )
    if part.verify:
        checks = checks_file(config)
        yield Stage(
            "verify-mixture",
            "compare the exported mixture with the trained one, and with stock vLLM",
            ("upcycle", "verify", str(path), *_last_of_each((*words, *part.settings)), "--vllm", "--out", str(checks)),
            checks,
            needs=("upcycle",),
            clean=(checks,),
        )
    models.add("mixture", folder / "export", "upcycle")
    models.add("dense", folder / "export-dense", "upcycle")


def _upcycling_options(part: Upcycle) -> list[str]:
    words = ["--dense"] if part.dense else []
    words += ["--ranks", str(part.ranks)] if part.ranks > 1 else []
    return words + (["--nodes", str(part.nodes)] if part.nodes > 1 else [])


def upcycling_runs(config: PaperConfig) -> list[Path]:
    """Return the folders of the runs in which the stages of upcycling train, one each, also where they are set aside."""
    name = run_name(config, "upcycle")
    found = {own_name(path) for path in config.runs_dir.glob(f"{name}.*")}
    return sorted(found - {config.runs_dir / name})


def checks_file(config: PaperConfig) -> Path:
    """Return the file with the checks of the exported mixture."""
    return config.runs_dir / config.name / "checks" / "mixture.json"


def _text_from(corpus: Path, upcycling: Path) -> list[str]:
    """Return the settings that read every discipline of an upcycling run, and its general text, from a built corpus."""
    from innovator_rl.config.load import read_yaml

    document = read_yaml(upcycling)
    disciplines = document.get("disciplines")
    if not isinstance(disciplines, dict) or not disciplines:
        raise UserError(f"{upcycling}: disciplines = {disciplines!r}: expected the disciplines to read from the corpus")
    keys = [f"disciplines.{name}" for name in disciplines] + (["general"] if document.get("general") else [])
    return [f"{key}=[{{corpus: {corpus}}}]" for key in keys]


def _fine_tuning(config: PaperConfig, models: Models) -> Iterator[Stage]:
    part = config.sft
    if part is None:
        return
    path = _file(part.config, "sft")
    for model in part.models:
        name = run_name(config, f"sft-{model}")
        folder = config.runs_dir / name
        words = (
            f"name={name}",
            f"logging.runs_dir={config.runs_dir}",
            f"model.path={models.place(model)}",
            *_model_dtype(config),
        )
        yield Stage(
            f"sft-{model}",
            f"fine-tune {model} on worked solutions",
            ("sft", str(path), *_last_of_each((*words, *part.settings))),
            folder / "model",
            needs=models.needs(model),
            inputs=(path, *files_named(path)),
            reads={**_starting(config, model), **recipe_data(files_named(path), decontamination=True)},
            launcher=part.launcher,
            disk_bytes=_bytes(part),
            hours=part.hours,
            clean=(folder,),
        )
        models.add(f"sft-{model}", folder / "model", f"sft-{model}")


def _learning(config: PaperConfig, models: Models) -> Iterator[Stage]:
    part = config.learning
    if part is None:
        return
    for arm in part.arms:
        if arm is _prober(part, arm.model):
            yield _probe(config, arm, models)
        for seed in arm.seeds:
            yield from _arm(config, part, arm, seed, models)


def _prober(part: Learning, model: str) -> Arm | None:
    """Return the arm whose `probe_rows` decide how a starting model is probed, the first of several."""
    return next((arm for arm in part.arms if arm.model == model and arm.probe_rows), None)


def arm_tasks(config: PaperConfig, arm: Arm) -> tuple[str, ...]:
    """Return the names of the tasks that an arm trains on, of those that the path builds."""
    return tuple(_task_name(task) for task in arm.tasks or config.tasks)


def probe_file(config: PaperConfig, model: str) -> Path:
    """Return the file with what a starting model does on every task of the path."""
    return config.runs_dir / config.name / "probes" / f"{model}.json"


def _probe(config: PaperConfig, arm: Arm, models: Models) -> Stage:
    files = [str(_rows_file(config, task, "validation")) for task in config.tasks]
    dtype = number_format(config)
    words = (
        *(("--dtype", dtype) if dtype else ()),
        "--rows",
        str(arm.probe_rows),
        "--max-tokens",
        str(arm.probe_tokens),
        "--out",
        str(probe_file(config, arm.model)),
    )
    return Stage(
        f"probe-{arm.model}",
        f"measure what {arm.model} can learn from",
        ("data", "probe", *files, "--model", models.place(arm.model), *words),
        probe_file(config, arm.model),
        inputs=code_named(map(recipe_file, config.tasks)),
        reads=_starting(config, arm.model),
        clean=(probe_file(config, arm.model),),
        needs=(*models.needs(arm.model), *_rows(config.tasks)),
    )


def _arm(config: PaperConfig, part: Learning, arm: Arm, seed: int, models: Models) -> Iterator[Stage]:
    path, label = _file(part.config, "train"), f"{arm.name}-{seed}"
    name = run_name(config, label)
    folder = config.runs_dir / name
    model = config.runs_dir / config.name / "models" / label
    words = (
        f"name={name}",
        f"logging.runs_dir={config.runs_dir}",
        f"model.path={models.place(arm.model)}",
        f"data.seed={seed}",
        *_model_dtype(config),
        *_built_rows(config, arm.tasks or config.tasks),
    )
    graders = code_named((path, *map(recipe_file, arm.tasks or config.tasks)), (*part.settings, *arm.settings))
    yield Stage(
        f"train-{label}",
        f"train {arm.model} with GRPO, seed {seed}",
        ("train", str(path), *_last_of_each((*words, *part.settings, *arm.settings))),
        folder / "metrics.jsonl",
        weights=folder / "checkpoints",
        needs=(*models.needs(arm.model), *_rows(arm.tasks or config.tasks)),
        inputs=tuple(dict.fromkeys((path, *files_named(path), *graders))),
        reads=_starting(config, arm.model),
        launcher=part.launcher,
        disk_bytes=_bytes(part),
        hours=arm.hours or part.hours,
        clean=(folder,),
        kind=f"train-{arm.name}",
    )
    yield Stage(
        f"export-{label}",
        f"write the trained model of {label}",
        ("runs", "export-model", name, str(model), "--replace", "--runs-dir", str(config.runs_dir)),
        model,
        needs=(f"train-{label}",),
        disk_bytes=int(part.export_gb * 1e9),
        clean=(model,),
        kind="export",
    )
    models.add(label, model, f"export-{label}")


def _evaluations(config: PaperConfig, models: Models) -> Iterator[Stage]:
    for part in config.evaluations:
        label = suite_name(part.suite)
        file = _file(Path(part.suite), "eval")
        named = files_named(file)
        sets = {"folder of published sets": published_sets(config)} if reads_published_sets(part.suite) else {}
        for model in evaluated_models(config, part):
            name = run_name(config, f"eval-{label}-{model}")
            out = evaluation_folder(config, label, model)
            words = ["--name", name, "--runs-dir", str(config.runs_dir), "--out", str(out)]
            words += ["--limit", str(part.limit)] if part.limit else []
            dtype = part.dtype or number_format(config)
            words += ["--dtype", dtype] if dtype else []
            words += ["--tensor-parallel", str(part.tensor_parallel)] if part.tensor_parallel > 1 else []
            yield Stage(
                f"eval-{label}-{model}",
                f"evaluate {model} on {label}",
                ("eval", part.suite, "--model", models.place(model), *words),
                out / "report.json",
                needs=models.needs(model),
                inputs=tuple(dict.fromkeys((file, *named, *code_named([file])))),
                reads={**_starting(config, model), **recipe_data(named)},
                facts=sets,
                hours=part.hours,
                clean=(config.runs_dir / name, out),  # a run directory is of one suite and one checkpoint
                kind=f"eval-{label}",
            )


def number_format(config: PaperConfig) -> str | None:
    """Return the number format of a path's parts; None where each part's own file decides."""
    if config.dtype != "fastest":
        return config.dtype
    return Machine.here().fastest_dtype


def _model_dtype(config: PaperConfig) -> list[str]:
    dtype = number_format(config)
    return [f"model.dtype={dtype}"] if dtype else []


def suite_name(suite: str) -> str:
    """Return the name of a suite, which its folder has; a suite may be given as a file."""
    return Path(suite).stem


def evaluation_folder(config: PaperConfig, suite: str, model: str) -> Path:
    """Return the folder with the report of one model on one suite."""
    return config.runs_dir / config.name / "evaluations" / suite / model


def _starting(config: PaperConfig, model: str) -> dict[str, tuple[Path, ...]]:
    """Return the base model's folder where a part starts from it; any other model is a stage's result."""
    return _base_model(config) if model == "base" else {}


def _base_model(config: PaperConfig) -> dict[str, tuple[Path, ...]]:
    """Return the base model's folder; nothing where it is a built-in model or not on a disk.

    A built-in model comes with the software, whose version every fingerprint has.
    """
    folder = Path(config.base_model).expanduser()
    return {"base model": (folder,)} if folder.is_dir() else {}


def _rows(tasks: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"rows-{_task_name(task)}" for task in tasks)


def _last_of_each(words: tuple[str, ...]) -> list[str]:
    """Return one `key=value` word per key, the last one: an arm's setting replaces that of all arms."""
    return list({word.partition("=")[0]: word for word in words}.values())


def _built_rows(config: PaperConfig, tasks: Sequence[str]) -> list[str]:
    """Return the settings that train and validate on the rows that the path built for tasks, if it built any."""
    if not tasks:
        return []
    return [
        f"data.{split}=[{', '.join(str(_rows_file(config, task, split)) for task in tasks)}]"
        for split in ("train", "validation")
    ]


def _rows_file(config: PaperConfig, task: str, split: str) -> Path:
    return config.runs_dir / config.name / "data" / _task_name(task) / f"{split}.parquet"


def _task_name(task: str) -> str:
    return Path(task).stem if task.endswith((".yaml", ".yml")) else task


def _file(path: Path, kind: str) -> Path:
    return find_config(str(path), kind)


def _bytes(part: Part) -> int:
    return int(part.disk_gb * 1e9)
