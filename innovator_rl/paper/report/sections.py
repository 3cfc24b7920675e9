"""Read the results of a path and describe each part in Markdown."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from innovator_rl.data.problem import DOMAINS
from innovator_rl.data.recipe import load_recipe
from innovator_rl.evaluation.statistics import mean_estimate
from innovator_rl.paper.config import SCALING_PICTURE, SCALING_TABLES, Evaluation, PaperConfig
from innovator_rl.paper.named import recipe_file
from innovator_rl.paper.plan import (
    arm_tasks,
    evaluated_models,
    evaluation_folder,
    probe_file,
    run_name,
    suite_name,
    upcycling_runs,
)
from innovator_rl.paper.report.claims import LEAST_GROUPS, question_kinds, suite_recipes, task_domains
from innovator_rl.paper.report.curves import CURVES_PICTURE, Panel
from innovator_rl.paper.report.markdown import link, number, percent, table
from innovator_rl.paper.report.methods import stage_title
from innovator_rl.paper.stage import Decision
from innovator_rl.rollouts.segments import SegmentCatalog
from innovator_rl.runs.files import duration, read_json
from innovator_rl.runs.run_dir import RunDir, page_link
from innovator_rl.runs.summary import VALIDATION_ACCURACY

TRAINED_TOKENS = ("train/tokens", "train/global_tokens", "perf/total_num_tokens")
"""Metrics of a step with its tokens: of upcycling, fine-tuning, reinforcement learning (prompts and responses)."""


def stages(decisions: Sequence[Decision], accelerators: int = 0) -> list[str]:
    """Describe what ran, in order, with times and logs, and by which revision of the code.

    Args:
        decisions: All stages, and whether each is complete.
        accelerators: Accelerators of the path; 0 where it runs on processor cores.
    """
    rows = []
    for one in decisions:
        took = "not run" if one.seconds is None else duration(one.seconds)
        rows.append(
            (
                one.stage.name if one.seconds is None else link(one.stage.name, f"logs/{one.stage.name}.log"),
                one.stage.title,
                f"{took}, out of date ({one.reason})" if not one.complete and one.seconds is not None else took,
                f"`innovator {' '.join(one.stage.command)}`",
            )
        )
    done = [one for one in decisions if one.complete]
    total = sum(one.seconds or 0.0 for one in done)
    cost = (
        f"{len(done)} of {len(decisions)} stages ran in {duration(total)}: at most {_device_hours(done, accelerators)}."
    )
    return ["## What ran", "", cost, "", *_revisions(done), *table(("stage", "what", "time", "command"), rows)]


def _device_hours(done: Sequence[Decision], accelerators: int) -> str:
    """Return the time of stages on all devices of the path, in words."""
    if accelerators:
        hours = sum((one.seconds or 0.0) * accelerators / 3600 for one in done)
        return f"{hours:,.2f} GPU-hours on {accelerators} accelerators"
    here = len(os.sched_getaffinity(0))
    cores = [(one.record.cores if one.record else 0) or here for one in done]
    hours = sum((one.seconds or 0.0) * count / 3600 for one, count in zip(done, cores, strict=True))
    named = " or ".join(map(str, sorted(set(cores)))) or str(here)
    return f"{hours:,.2f} core-hours on {named} cores"


def _revisions(done: Sequence[Decision]) -> list[str]:
    """Name the revisions of the code that made the results, where they are known."""
    found: dict[str, list[str]] = {}
    for one in done:
        found.setdefault(one.record.revision if one.record else "", []).append(one.stage.name)
    unknown = found.pop("", [])
    if not found:
        return []
    ran = [f"`{revision[:12]}{'+' * revision.endswith('+')}` ({', '.join(names)})" for revision, names in found.items()]
    ran += [f"not recorded ({', '.join(unknown)})"] if unknown else []
    also = " A revision with + had changed files." if any(revision.endswith("+") for revision in found) else ""
    if len(ran) == 1:
        return [f"Revision of the code: {ran[0].partition(' ')[0]}.{also}", ""]
    return [f"Revisions of the code, and what each ran: {'; '.join(ran)}.{also}", ""]


def out_of_date(decisions: Sequence[Decision]) -> list[str]:
    """Name the stages whose figures are not those of the configuration, and those that have not run."""
    stale = [one.stage.name for one in decisions if not one.complete and one.seconds is not None]
    missing = sum(not one.complete and one.seconds is None for one in decisions)
    lines = []
    if stale:
        lines.append(
            f"**Out of date: {', '.join(stale)}.** Figures of these stages, and of models that they made, are those of an earlier "
            "configuration; run the path again."
        )
    if missing:
        lines.append(
            f"**Not complete:** {missing} of {len(decisions)} stages have not run; the table at the end names them."
        )
    return [*lines, ""] if lines else []


def text(config: PaperConfig) -> list[str]:
    """Describe the corpus: documents, tokens per discipline, what was dropped."""
    if config.corpus is None:
        return []
    from innovator_rl.data.corpus.manifest import load_manifest
    from innovator_rl.paper.plan import corpus_name

    folder = config.runs_dir / config.name / "data" / corpus_name(config.corpus.config)
    if not (folder / "manifest.json").is_file():
        return ["## Text", "", "The corpus was not built.", ""]
    manifest = load_manifest(folder)
    steps = []
    for step in manifest.stages:
        dropped = ", ".join(
            f"{reason} {count.documents or count.passages:,}" for reason, count in step.tally.dropped.items()
        )
        steps.append((step.name, f"{step.tally.documents_in:,}", f"{step.tally.documents_out:,}", dropped or "none"))
    tokens = manifest.tokens.by_discipline() if manifest.tokens else {}
    return [
        "## Text",
        "",
        *table(("step", "documents in", "documents out", "dropped"), steps),
        *table(("discipline", "tokens"), [(name, f"{count:,}") for name, count in tokens.items()]),
    ]


def trained_tokens(config: PaperConfig) -> list[str]:
    """Count the tokens that each run trained on."""
    names = [path.name for path in upcycling_runs(config)]
    names += [run_name(config, f"sft-{model}") for model in (config.sft.models if config.sft else ())]
    arms = config.learning.arms if config.learning else ()
    names += [run_name(config, f"{arm.name}-{seed}") for arm in arms for seed in arm.seeds]
    rows: list[tuple[str, int, str]] = []
    for name in names:
        run = RunDir(config.runs_dir / name)
        steps = [row[key] for row in run.metrics() for key in TRAINED_TOKENS if isinstance(row.get(key), (int, float))]
        if steps:
            shown = link(stage_title(name).removeprefix(f"{config.name}-"), page_link(run))
            rows.append((shown, len(steps), f"{sum(steps):,.0f}"))
    if not rows:
        return []
    return [
        "## Tokens",
        "",
        "Tokens of each run's updates, padding left out.",
        "",
        *table(("run", "steps", "tokens"), rows),
    ]


def scaling(config: PaperConfig) -> list[str]:
    """Show when upcycling pays: losses over budgets (the paper's Fig. 3) and every way to split (its Table 4)."""
    if config.scaling is None:
        return []
    tables = (config.scaling / SCALING_TABLES).read_text().strip()
    tables = tables[max(0, tables.find("### ")) :]  # the page's own title and picture
    picture = [f"![Held-out loss over tokens and over operations]({SCALING_PICTURE})", ""]
    return [
        "## Upcycling against dense training, over budgets",
        "",
        "Measured by `benchmarks.upcycle_scaling` on a small base model of its own, trained on the same textbooks.",
        "",
        *(picture if (config.scaling / SCALING_PICTURE).is_file() else []),
        *tables.splitlines(),
        "",
    ]


def probes(config: PaperConfig) -> list[str]:
    """Show on which tasks each starting model passed the rule for training on them, and which arms train on them."""
    rows = []
    failing: dict[str, list[str]] = {}
    arms = config.learning.arms if config.learning else ()
    for model in dict.fromkeys(arm.model for arm in arms):
        document = read_json(probe_file(config, model)) or {}
        for row in document.get("rows", ()):
            task = Path(row["task"]).parent.name  # the folder that `data build` named after the task
            training = [arm.name for arm in arms if arm.model == model and task in arm_tasks(config, arm)]
            for name in training if not row["passes"] else ():
                failing.setdefault(name, []).append(task)
            rows.append(
                (
                    model,
                    task,
                    f"{row['prompts']} x {row['samples']}",
                    f"{percent(row['accuracy'])} ± {percent(row['error'])}",
                    percent(row["constant"]),
                    percent(row["usable"]),
                    percent(row["unreadable"]),
                    percent(row["cut"]),
                    "yes" if row["passes"] else f"no: {'; '.join(row['reasons'])}",
                    ", ".join(training) or "-",
                )
            )
    if not rows:
        return []
    rule = (
        "A task is worth training on if the starting model is right in 10 to 70 % of its samples, at least 10 points above "
        "the best constant answer, and at least half of the prompts have right and wrong samples (usable). Measured on "
        "validation prompts before an arm with that starting model trained; shares are in percent. Unreadable responses have no "
        "answer that the rewarder can read; cut ones reached the token limit."
    )
    notes = [f"- Arm {name} trains on tasks that do not pass: {', '.join(tasks)}." for name, tasks in failing.items()]
    unknown = [arm.name for arm in arms if not probe_file(config, arm.model).is_file()]
    notes += [f"- The starting model of arm {name} was not measured." for name in unknown]
    header = (
        "starts from", "task", "prompts x samples", "accuracy ± standard error", "best constant", "usable", "unreadable",
        "cut", "passes", "trained by",
    )  # fmt: skip
    return ["## Choice of tasks", "", rule, "", *notes, *([""] if notes else []), *table(header, rows)]


def domains(config: PaperConfig) -> list[str]:
    """Show for each of the paper's seven domains what reinforcement learning trains on, and what was only evaluated."""
    arms = config.learning.arms if config.learning else ()
    trained: dict[str, dict[str, None]] = {}
    for arm in arms:
        runs = (RunDir(config.runs_dir / run_name(config, f"{arm.name}-{seed}")) for seed in arm.seeds)
        label = arm.name if any(run.metrics() for run in runs) else f"{arm.name}, not run yet"
        for task in arm.tasks or config.tasks:
            domain = load_recipe(recipe_file(task)).domain
            trained.setdefault(domain, {})[f"{Path(task).stem} ({label})"] = None
    if not trained:
        return []
    names = {name.partition(" ")[0] for found in trained.values() for name in found}
    asked: dict[str, dict[str, None]] = {}
    for part in config.evaluations:
        recipes = suite_recipes(part.suite)
        for row, domain in task_domains(part.suite).items():
            if recipes[row] not in names and _was_asked(config, part, row):
                asked.setdefault(domain, {})[row] = None
    rows = [
        (domain, ", ".join(trained.get(domain, ())) or "-", ", ".join(asked.get(domain, ())) or "-")
        for domain in DOMAINS
    ]
    return [
        "## Domains",
        "",
        "The paper trains on seven domains. A domain without a task here is neither trained nor evaluated by this path.",
        "",
        *table(("domain", "trained by reinforcement learning", "evaluated, not trained"), rows),
    ]


def _was_asked(config: PaperConfig, part: Evaluation, task: str) -> bool:
    for model in evaluated_models(config, part):
        document = read_json(evaluation_folder(config, suite_name(part.suite), model) / "report.json") or {}
        if any(row["task"] == task and row["skipped"] is None for row in document.get("rows", ())):
            return True
    return False


def learning(config: PaperConfig, arms: Sequence[Panel]) -> list[str]:
    """Compare held-out accuracy before and after reinforcement learning, per arm and seed.

    Args:
        config: The path.
        arms: The arms that the picture shows.
    """
    if config.learning is None:
        return []
    rows = []
    for arm in config.learning.arms:
        for seed in arm.seeds:
            run = RunDir(config.runs_dir / run_name(config, f"{arm.name}-{seed}"))
            for source, values in sorted(_validations(run.metrics()).items()):
                (first_step, first), (last_step, last) = values[0], values[-1]
                asked = _asked(run, first_step).get(source)
                change = f"{100 * (last - first):+.1f}" if last_step > first_step else "-"
                name = link(f"{arm.name}, seed {seed}", page_link(run))
                rows.append(
                    (
                        name,
                        arm.model,
                        source,
                        asked or "-",
                        f"{percent(first)} (step {first_step})",
                        f"{percent(last)} (step {last_step})",
                        change,
                    )
                )
    note = (
        "Accuracy of greedy answers to n held-out questions of the run's own validation, in percent. They are few, and for "
        "watching a run; the evaluations ask the questions of the test split."
    )
    header = ("arm", "starts from", "task", "n", "before", "after", "points")
    picture = [
        "Answers to training questions, sampled at the temperature of training; the questions differ from step to step.",
        "",
        f"![Share of right samples of every arm by step]({CURVES_PICTURE})",
        "",
    ]
    return ["## Reinforcement learning", "", note, "", *table(header, rows), *(picture if arms else [])]


def evaluations(config: PaperConfig) -> list[str]:
    """Return one table per suite: tasks by models, averages, the paper's columns, and skipped tasks by name."""
    lines: list[str] = []
    for part in config.evaluations:
        suite = suite_name(part.suite)
        names = evaluated_models(config, part)
        documents = {name: read_json(evaluation_folder(config, suite, name) / "report.json") for name in names}
        found = {name: document for name, document in documents.items() if document}
        lines += [f"## Evaluation: {suite}", ""]
        if not found:
            lines += ["No model was evaluated.", ""]
            continue
        limit = f" At most {part.limit} rows per task." if part.limit else ""
        about = (
            "Scores with 95 % intervals, over groups of rows or over kinds, whichever is wider; n is the number of rows, with the "
            "groups of rows that count as one where there are any."
        )
        lines += [f"{about}{limit}", "", *_suite_table(found, question_kinds(part.suite))]
    return lines


def limits(config: PaperConfig) -> list[str]:
    """List how the path differs from the paper, as its configuration states."""
    if not config.deviations:
        return []
    return ["## Deviations from the paper, and limits", "", *(f"- {item}" for item in config.deviations), ""]


def _asked(run: RunDir, step: int) -> Counter[str]:
    """Count the questions of a validation by data source, from the rollout record."""
    questions: set[tuple[str, str]] = set()
    for segment in SegmentCatalog(run.path).segments("rollouts", [step], "validation"):
        columns = pq.read_table(segment.path, columns=["data_source", "prompt_id"]).to_pydict()
        questions |= set(zip(columns["data_source"], columns["prompt_id"], strict=True))
    return Counter(source for source, _ in questions)


def _validations(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for row in metrics:
        for key, value in row.items():
            match = VALIDATION_ACCURACY.match(key)
            if match and isinstance(value, (int, float)):
                found.setdefault(match["source"], []).append((int(row["step"]), float(value)))
    return found


def _suite_table(documents: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, Mapping[str, str]]) -> list[str]:
    tasks: dict[str, dict[str, Mapping[str, Any]]] = {}
    for model, document in documents.items():
        for row in document["rows"]:
            if row.get("main", True) or row["skipped"] is not None:
                tasks.setdefault(f"{row['task']} ({row['metric']})" if row["metric"] else row["task"], {})[model] = row
    columns = tuple(next(iter(documents.values())).get("columns") or ())
    rows: list[tuple[object, ...]] = []
    skipped: list[str] = []
    for task, by_model in tasks.items():
        without = {model: str(row["skipped"]) for model, row in by_model.items() if row["skipped"] is not None}
        if without:
            whose = "" if len(without) == len(by_model) else f" for {', '.join(without)}"
            skipped.append(f"- {task}: skipped{whose}, {'; '.join(sorted(set(without.values())))}")
        if len(without) == len(by_model):
            continue
        n = _rows_and_groups(documents, by_model)
        constant = next((row["constant"] for row in by_model.values() if row.get("constant") is not None), None)
        paper = _paper_values(next(iter(by_model.values())), columns)
        rows.append(
            (
                task,
                n,
                percent(constant),
                *(_score(by_model.get(model), documents[model], kinds) for model in documents),
                *paper,
            )
        )
    names = [link(model, page_link(RunDir(str(document["run"])))) for model, document in documents.items()]
    header = ("task", "n", "best constant", *names, *(f"{column} (paper)" for column in columns))
    lines = table(header, [*rows, *_average_rows(documents, len(columns))])
    return [*lines, *skipped, *([""] if skipped else [])]


def _paper_values(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """Return what the paper reports for a task, in percent."""
    found = row.get("paper") or {}
    return [f"{found[name]:.1f}" if name in found else "-" for name in columns]


def _average_rows(documents: Mapping[str, Mapping[str, Any]], columns: int) -> list[tuple[object, ...]]:
    """Return one row for each average of a suite, over the tasks that every model was measured on."""
    first = next(iter(documents.values()))
    measured = [
        {row["task"]: row["score"] for row in document["rows"] if row.get("main") and row["score"] is not None}
        for document in documents.values()
    ]
    rows: list[tuple[object, ...]] = []
    for name in dict.fromkeys((first.get("averages") or {}).values()):
        members = [task for task, average in first["averages"].items() if average == name]
        shared = [task for task in members if all(task in scores for scores in measured)]
        if shared:
            means = [percent(sum(scores[task] for task in shared) / len(shared)) for scores in measured]
            label = f"**Average: {name}**, {len(shared)} of {len(members)} tasks"
            rows.append((label, "", "", *means, *["-"] * columns))
    return rows


def _rows_and_groups(documents: Mapping[str, Mapping[str, Any]], by_model: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the number of rows of a task, and of its groups where rows share some."""
    model, row = max(by_model.items(), key=lambda found: int(found[1]["n"] or 0))
    values, groups = _grouped(documents[model], str(row["task"]))
    count = len(set(groups)) if all(groups) else 0
    return f"{int(row['n'] or 0)} ({count})" if 0 < count < len(values) else str(int(row["n"] or 0))


def _grouped(document: Mapping[str, Any], task: str) -> tuple[list[float], list[str]]:
    """Return the values of a task's rows and the group of each, empty where it stands alone."""
    found = document["tasks"].get(task) or {}
    values, groups = found.get("values") or {}, found.get("groups") or {}
    return list(values.values()), [groups.get(key, "") for key in values]


def _score(row: Mapping[str, Any] | None, document: Mapping[str, Any], kinds: Mapping[str, Mapping[str, str]]) -> str:
    if row is None or row["score"] is None:
        return "-"
    if not row.get("share", True):
        return number(row["score"])
    values, groups = _grouped(document, str(row["task"])) if row.get("main") else ([], [])
    of_task = kinds.get(str(row["task"]), {})
    by_kind = [of_task.get(key, "") for key in (document["tasks"].get(str(row["task"])) or {}).get("values") or {}]
    if values and len(set(by_kind)) >= LEAST_GROUPS:
        estimates = [mean_estimate(values, groups), mean_estimate(values, by_kind)]
        return percent(row["score"], max((one.interval for one in estimates), key=_width))
    if any(groups):  # of an evaluation that an earlier revision recorded, too
        return percent(row["score"], mean_estimate(values, groups).interval)
    return percent(row["score"], row["interval"])


def _width(interval: tuple[float, float] | None) -> float:
    return interval[1] - interval[0] if interval else 0.0
