"""Compare each trained model with the one that it started from, row by row, and say what holds.

The seeds of an arm answered the same questions as the model that they started from. The difference of a question is the mean
over seeds; the interval is over groups of questions, because those about one function or one pair of numbers rise and fall
together. Questions about one law, formula or conversion do so too, so the interval is over these kinds where that is wider.
What it does not cover is the spread between seeds, so each seed's own difference stands next to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from innovator_rl.evaluation.compare import PairedComparison, paired
from innovator_rl.paper.config import PaperConfig
from innovator_rl.paper.plan import evaluation_folder, suite_name
from innovator_rl.paper.report.markdown import link, percent, table
from innovator_rl.runs.files import read_json
from innovator_rl.runs.run_dir import RunDir, page_link

Values = Mapping[str, float]
"""The score of each question by its id."""


LEAST, LEAST_GROUPS = 30, 10
"""Fewest questions, and groups or kinds of them, for an outcome; the spread between fewer is not known well enough."""


LEVEL = 0.05
"""Largest adjusted p-value of an outcome."""
BELOW = " †"
"""Mark of a score below the best constant answer."""
CHANGES_PICTURE = "changes.svg"


@dataclass(frozen=True)
class Change:
    """What training changed on one task.

    Attributes:
        task: The task.
        before: The mean score of the starting model.
        after: The mean over questions and seeds afterwards.
        interval: The 95% interval of the difference, over groups of questions or over kinds, whichever is wider.
        seeds: The difference of each seed.
        n: Questions that all of them answered.
        groups: Groups of those questions.
        section: The section of the suite that the task is in.
        constant: The score of the best constant answer; None where there is none.
        p: The p-value of the difference, by what the interval is over.
        adjusted_p: It, adjusted for the rows of the table; None where the change stands alone.
        kinds: The difference of each kind, from the least to the greatest.
        cut: The share of cut responses before and afterwards.
    """

    task: str
    before: float
    after: float
    interval: tuple[float, float] | None
    seeds: tuple[float, ...]
    n: int
    constant: float | None
    groups: int
    section: str = ""
    p: float | None = None
    kinds: tuple[float, ...] = ()
    cut: tuple[float, float] | None = None
    adjusted_p: float | None = None

    @property
    def outcome(self) -> str:
        """Return `higher` or `lower` where the adjusted p-value is small, and `no difference seen` elsewhere."""
        if not self.interval or self.n < LEAST:
            return f"too few questions (under {LEAST})"
        if self.groups < LEAST_GROUPS:
            return f"too few groups (under {LEAST_GROUPS})"
        p = self.p if self.adjusted_p is None else self.adjusted_p
        if p is None or p > LEVEL:
            return "no difference seen"
        return "higher" if self.after > self.before else "lower"


def change_of(
    task: str,
    before: Values,
    after: Sequence[Values],
    constant: float | None,
    groups: Mapping[str, str] | None = None,
    section: str = "",
    kinds: Mapping[str, str] | None = None,
    cut: tuple[float, float] | None = None,
) -> Change | None:
    """Compare the seeds of an arm with the starting model; None where they share no question.

    Args:
        task: The task.
        before: The starting model's scores.
        after: The scores of each seed.
        constant: The score of the best constant answer.
        groups: The group of each question that shares one with others.
        section: The section of the suite that the task is in.
        kinds: The law, formula or function of each question that is about one.
        cut: The share of cut responses before and afterwards.
    """
    ids = sorted(set(before).intersection(*after)) if after else []
    if not ids:
        return None
    first = {key: before[key] for key in ids}
    mean = {key: sum(seed[key] for seed in after) / len(after) for key in ids}
    compared = paired(task, first, mean, groups=groups)
    by_kind: dict[str, list[float]] = {}
    for key in ids if kinds else ():
        by_kind.setdefault((kinds or {}).get(key, ""), []).append(mean[key] - first[key])
    widest = compared
    if len(by_kind) >= LEAST_GROUPS:
        widest = max((compared, paired(task, first, mean, groups=kinds)), key=_width)
    return Change(
        task=task,
        before=sum(first.values()) / len(ids),
        after=sum(mean.values()) / len(ids),
        interval=widest.interval,
        seeds=tuple(sum(seed[key] - before[key] for key in ids) / len(ids) for seed in after),
        n=len(ids),
        constant=constant,
        groups=compared.groups,
        section=section,
        p=widest.p,
        kinds=tuple(sorted(sum(values) / len(values) for values in by_kind.values())) if len(by_kind) > 1 else (),
        cut=cut,
    )


def _width(found: PairedComparison) -> float:
    return found.interval[1] - found.interval[0] if found.interval else 0.0


@dataclass(frozen=True)
class Comparison:
    """Models that were trained from one model, as seeds of one arm or alone.

    Attributes:
        label: What trained them: the name of the arm or model.
        start: The model that they started from.
        ends: The models.
    """

    label: str
    start: str
    ends: tuple[str, ...]


def comparisons(config: PaperConfig) -> list[Comparison]:
    """Return every trained model of a path with the one that it started from, in the order of the path."""
    found = []
    if config.upcycle:
        found += [Comparison("dense", "base", ("dense",))] if config.upcycle.dense else []
        found.append(Comparison("mixture", "base", ("mixture",)))
    found += [
        Comparison(f"sft-{model}", model, (f"sft-{model}",)) for model in (config.sft.models if config.sft else ())
    ]
    arms = config.learning.arms if config.learning else ()
    return found + [Comparison(arm.name, arm.model, tuple(f"{arm.name}-{seed}" for seed in arm.seeds)) for arm in arms]


@dataclass(frozen=True)
class Finding:
    """What one training changed on the questions of one suite.

    Attributes:
        compared: The models.
        suite: Name of the suite.
        domains: The domain of each task that has one.
        changes: The change of each task that the starting model and all evaluated ones answered.
        pages: The trained models that were evaluated: name -> address of the run's page.
    """

    compared: Comparison
    suite: str
    domains: Mapping[str, str]
    changes: Sequence[Change]
    pages: Mapping[str, str]

    def sections(self) -> dict[str, list[Change]]:
        """Return the changes by section of the suite, which is a way of measuring."""
        found: dict[str, list[Change]] = {}
        for change in self.changes:
            found.setdefault(change.section, []).append(change)
        return found


def findings(config: PaperConfig) -> list[Finding]:
    """Compare all evaluated models of a path with those that they started from, in the order of the path."""
    found = []
    for part in config.evaluations:
        suite, domains = suite_name(part.suite), task_domains(part.suite)
        for compared in comparisons(config):
            changes, pages = _changes(config, part.suite, compared)
            found += [Finding(compared, suite, domains, changes, pages)] if changes else []
    return found


def _changes(config: PaperConfig, suite_file: str, compared: Comparison) -> tuple[list[Change], dict[str, str]]:
    suite, names = suite_name(suite_file), (compared.start, *compared.ends)
    documents = {name: read_json(evaluation_folder(config, suite, name) / "report.json") for name in names}
    start = documents.pop(compared.start)
    done = {name: document for name, document in documents.items() if document}
    if not start or not done:
        return [], {}
    found = []
    for task, part in start["tasks"].items():
        after = [document["tasks"][task]["values"] for document in done.values() if task in document["tasks"]]
        if len(after) == len(done):
            main = (row for row in start["rows"] if row["task"] == task and row.get("main"))
            row: Mapping[str, Any] = next(main, {})
            constant, section = row.get("constant"), str(row.get("section") or "")
            cut = _cut(start, done.values(), task)
            kinds = question_kinds(suite_file).get(task)
            change = change_of(task, part["values"], after, constant, part.get("groups"), section, kinds, cut)
            found += [change] if change is not None else []
    adjusted = zip(found, holm([change.p for change in found]), strict=True)
    found = [replace(change, adjusted_p=p) for change, p in adjusted]
    return found, {name: page_link(RunDir(str(document["run"]))) for name, document in done.items()}


def _cut(start: Mapping[str, Any], done: Iterable[Mapping[str, Any]], task: str) -> tuple[float, float] | None:
    """Return the share of responses to a task that were cut, of the starting model and of the trained ones."""
    counts = [document["tasks"][task].get("facts", {}) for document in (start, *done)]
    if not all(facts.get("responses") for facts in counts):
        return None
    first, *rest = [facts["truncated"] / facts["responses"] for facts in counts]
    return first, sum(rest) / len(rest)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for their number (Holm 1979); None stays None."""
    known = sorted((value, place) for place, value in enumerate(values) if value is not None)
    found: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, place) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - rank)))
        found[place] = largest
    return found


def claims(found: Sequence[Finding]) -> list[str]:
    """Describe what each training changed on the suites' questions."""
    if not found:
        return []
    note = (
        "Differences in points, paired by question, with 95 % intervals. Questions about one function or one pair of numbers "
        "are a group and count as one; where laws, formulas or conversions differ more from each other than groups do, the "
        "interval is over these kinds. `by kind` has the least and the greatest difference of a kind. No interval covers another "
        "seed of the training. p is adjusted for the rows of its table (Holm), and an outcome is one where it is at most 0.05, also "
        f"where the interval alone excludes zero.{BELOW} marks a score that is below the best constant answer. "
        "`cut` is the share of responses that reached the "
        "token limit, before and afterwards: a model that learned to stop gains by that alone."
    )
    picture = [f"![Difference of every task with its interval]({CHANGES_PICTURE})", ""]
    lines = [line for finding in found for line in _compared(finding)]
    return ["## What training changed", "", note, "", *picture, *lines]


def _compared(finding: Finding) -> list[str]:
    rows = [
        (
            finding.domains.get(change.task, "-"),
            change.task,
            f"{change.n} ({change.groups})",
            percent(change.constant),
            percent(change.before),
            percent(change.after) + (BELOW if (change.constant or 0.0) > change.after else ""),
            _points(change),
            _p(change.adjusted_p),
            f"{len(change.kinds)}: {100 * change.kinds[0]:+.0f} to {100 * change.kinds[-1]:+.0f}"
            if change.kinds
            else "-",
            ", ".join(f"{100 * seed:+.1f}" for seed in change.seeds),
            " to ".join(percent(share) for share in change.cut) if change.cut else "-",
            change.outcome,
        )
        for change in finding.changes
    ]
    start, label = finding.compared.start, finding.compared.label
    trained = ", ".join(link(name, page) for name, page in finding.pages.items())
    header = (
        "domain", "task", "n (groups)", "best constant", start, label, "points [95 %]", "p", "by kind", "each seed", "cut",
        "outcome",
    )  # fmt: skip
    about = f"{trained}, from `{start}`, on {finding.suite}."
    return [about, "", *_summary(finding), "", *table(header, rows)]


def _summary(finding: Finding) -> list[str]:
    """Say for each way of measuring on how many tasks, and in which domains, training changed something."""
    lines = []
    for section, own in finding.sections().items():
        parts = []
        for outcome in ("higher", "lower"):
            found = [change.task for change in own if change.outcome == outcome]
            named = [f"{domain}: {name}" if (domain := finding.domains.get(name)) else name for name in found]
            of = f" of {len(own)} tasks" if outcome == "higher" else ""
            parts.append(f"{outcome} on {len(found)}{of}" + (f" ({', '.join(named)})" if named else ""))
        lines.append(f"- {section or 'All tasks'}: {', '.join(parts)}.")
    return lines


def suite_recipes(suite: str) -> dict[str, str]:
    """Return the recipe of each row of a suite that asks the questions of one."""
    from innovator_rl.evaluation.suite import load_suite

    return {row.name: Path(row.recipe).stem for row in load_suite(suite)[0].rows if row.recipe}


def task_domains(suite: str) -> dict[str, str]:
    """Return the domain of each row of a suite that asks the questions of a recipe."""
    from innovator_rl.evaluation.sets.recipes import load
    from innovator_rl.evaluation.suite import load_suite

    return {row.name: load(row.recipe, row.style)[0].domain for row in load_suite(suite)[0].rows if row.recipe}


@cache
def question_kinds(suite: str) -> dict[str, dict[str, str]]:
    """Return the law, formula or function that each question is about, of each row of a suite with a generated task."""
    from innovator_rl.data.build import problems_to_evaluate
    from innovator_rl.evaluation.sets.recipes import load
    from innovator_rl.evaluation.suite import load_suite

    found = {}
    for row in load_suite(suite)[0].rows:
        recipe, folder = load(row.recipe, row.style) if row.recipe else (None, None)
        if recipe is not None and folder is not None and recipe.task:
            problems = problems_to_evaluate(recipe, folder)
            found[row.name] = {problem.id: problem.kind for problem in problems if problem.kind}
    return {name: kinds for name, kinds in found.items() if kinds}


def _p(value: float | None) -> str:
    return "-" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _points(change: Change) -> str:
    text = f"{100 * (change.after - change.before):+.1f}"
    if change.interval is None or change.interval[0] == change.interval[1]:
        return f"{text} [-]"  # questions that all changed by the same say nothing about others
    return f"{text} [{100 * change.interval[0]:+.1f}, {100 * change.interval[1]:+.1f}]"
