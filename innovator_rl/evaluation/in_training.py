"""Evaluate suites inside a training run, with the engine that generates its rollouts.

`schedule.validation_suites` names suites; every validation of the run then asks a few rows of each of their tasks with the
current weights. Tasks, prompts, graders and rewarders are those of `innovator eval`. Two things differ: responses are at
most `rollout.max_response_tokens` long, and tasks that compare log-probabilities of options are left out, because the
rollout engine returns those of sampled tokens only. `innovator eval` measures them on an exported checkpoint.

Scores go to the metrics as `suite/SUITE/TASK/METRIC`, responses to the run's rollouts with the data source `SUITE/TASK`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from innovator_rl.config.schema import RunConfig
from innovator_rl.errors import UserError
from innovator_rl.evaluation.build import check_suite
from innovator_rl.evaluation.contamination import find_contamination, training_text
from innovator_rl.evaluation.local_data import data_root
from innovator_rl.evaluation.network import settle_network
from innovator_rl.evaluation.preparation import Prepared, prepare_tasks, require_fitting
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.recording import record
from innovator_rl.evaluation.requests import GenerateRequest, Generation, OptionRequest, OptionScore
from innovator_rl.evaluation.suite import Suite, load_suite
from innovator_rl.evaluation.task import Drawing, EvalTask
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.scoring import ScoringPool

FIX = "set a smaller max_new_tokens in the suite, a larger data.max_prompt_tokens, or leave the task out"
Ask = Callable[[Sequence[tuple[Sequence[int], dict[str, Any]]]], list[list[int] | None]]
"""Returns token ids per prompt and sampling parameters; None where the engine brought none."""


class RolloutEngine:
    """Get responses from the rollout engine of a run."""

    def __init__(self, ask: Ask, prompter: Prompter, seeded: bool = True) -> None:
        self._ask, self._prompter, self._seeded = ask, prompter, seeded

    def generate(self, requests: Sequence[GenerateRequest], what: str, samples: int = 1) -> list[Generation]:
        """Return a sample of text per request."""
        found = self._ask([(request.tokens, _parameters(request, self._seeded)) for request in requests])
        return [self._generation(request, tokens) for request, tokens in zip(requests, found, strict=True)]

    def score_options(self, requests: Sequence[OptionRequest], what: str) -> list[OptionScore]:
        """Refuse, because the engine returns no log-probability of a given token."""
        raise UserError(f"task {what}: the rollout engine cannot compare options; use innovator eval")

    def _generation(self, request: GenerateRequest, tokens: list[int] | None) -> Generation:
        if tokens is None:
            return Generation("", (), "error")
        text = str(self._prompter.tokenizer.decode(tokens, skip_special_tokens=False))
        ends = [place for place in map(text.find, request.stop) if place >= 0]
        reason = "length" if not ends and len(tokens) >= request.max_new_tokens else "stop"
        return Generation(text[: min(ends, default=len(text))], tuple(tokens), reason)


def _parameters(request: GenerateRequest, seeded: bool) -> dict[str, Any]:
    """Return the sampling parameters with which an evaluation's own engine would be asked."""
    found: dict[str, Any] = {
        "max_tokens": request.max_new_tokens,
        "stop": list(request.stop),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "skip_special_tokens": False,
    }
    return found | ({"seed": request.seed} if seeded and request.temperature > 0 else {})


@dataclass(frozen=True)
class RunSuites:
    """The validation suites of a training run.

    Attributes:
        suites: The suites, with responses no longer than the run's.
        drawing: Which rows are asked; the same ones at every validation.
        model: The folder of the model that the run starts from, for its tokenizer.
        context: The longest sequence of the rollout engine in tokens.
        root: The data root (`INNOVATOR_DATA`).
        workers: Responses scored at the same time.
        run: The run directory.
        attempt: The number of this start of the run.
        seeded: Whether samples have seeds; an engine that reads long prompts in parts takes none on a CPU.
    """

    suites: tuple[Suite, ...]
    drawing: Drawing
    model: Path
    context: int
    root: Path
    workers: int
    run: Path
    attempt: int
    seeded: bool = True

    @classmethod
    def of(cls, config: RunConfig, model: Path, run: Path, attempt: int = 1) -> RunSuites:
        """Return the suites that a run names.

        Raises:
            UserError: A suite, or a name in one, is unknown.
        """
        suites = tuple(load_suite(name)[0] for name in config.schedule.validation_suites)
        for suite in suites:
            check_suite(suite)
        longest = config.rollout.max_response_tokens
        return cls(
            suites=tuple(suite.bounded(longest) for suite in suites),
            drawing=Drawing(config.schedule.validation_suite_rows, config.data.seed),
            model=model,
            context=config.data.max_prompt_tokens + longest,
            root=data_root(),
            workers=config.reward.workers,
            run=run,
            attempt=attempt,
            seeded=config.rollout.seed_requests is not False and config.rollout.max_staleness == 0,
        )

    def __call__(self, step: int, ask: Ask) -> dict[str, float]:
        """Ask the engine, grade and record.

        Args:
            step: The step whose weights the engine has.
            ask: Asks the engine.

        Returns:
            `suite/SUITE/TASK/METRIC` -> score.
        """
        metrics: dict[str, float] = {}
        prompter = Prompter(self.model)
        engine = RolloutEngine(ask, prompter, self.seeded)
        recorder = Recorder(self.run, writer="suites", attempt=self.attempt)
        try:
            with ScoringPool(self.workers) as pool:
                for suite, name, task in self._runnable(prompter, pool):
                    outcome = task.run(engine)
                    for metric in outcome.metrics:
                        if metric.estimate.n:
                            metrics[f"suite/{suite}/{name}/{metric.name}"] = metric.estimate.score
                    source = f"{suite}/{name}"
                    placed = [
                        replace(row, step=step, data_source=source, prompt_uid=f"{suite}/{row.prompt_uid}")
                        for row in outcome.rows
                    ]
                    record(recorder, placed)
        finally:
            recorder.close()
        return metrics

    def prepared(self, prompter: Prompter, pool: ScoringPool) -> Iterator[tuple[Suite, list[Prepared]]]:
        """Yield each suite with its tasks, prepared as in an evaluation."""
        settle_network()
        for suite in self.suites:
            yield suite, prepare_tasks(suite, self.root, prompter, pool, self.drawing)

    def _runnable(self, prompter: Prompter, pool: ScoringPool) -> Iterator[tuple[str, str, EvalTask]]:
        for suite, tasks in self.prepared(prompter, pool):
            for result, task in tasks:
                if task is not None and result.prepared is not None and result.prepared.text:
                    yield suite.name, result.row.name, task


def check_run_suites(config: RunConfig, model: Path, run: Path, train_files: Sequence[str]) -> list[Diagnostic]:
    """Check the validation suites of a run before it starts, and look for their questions in its training files.

    Args:
        config: The run.
        model: The folder of its model.
        run: Its directory.
        train_files: Its training files.

    Returns:
        An error for each suite that cannot be used; warnings for tasks that are left out and for questions that are
        trained on.
    """
    if not config.schedule.validation_suites:
        return []
    key, named = "schedule.validation_suites", config.schedule.validation_suites
    try:
        suites = RunSuites.of(config, model, run)
        training = list(chain.from_iterable(training_text(Path(file)) for file in train_files))
        found: list[Diagnostic] = []
        with ScoringPool(1) as pool:
            for suite, tasks in suites.prepared(Prompter(model), pool):
                require_fitting(
                    [one for one in tasks if one[0].prepared is not None and one[0].prepared.text],
                    suites.context,
                    "this run",
                    lambda _: FIX,
                )
                found += _left_out(suite, tasks)
                found += _trained_on(suite, tasks, training)
        return found
    except UserError as error:
        return [
            Diagnostic(
                setting=key, value=named, why=str(error).replace("\n", "; "), fix="correct the suite or its data"
            )
        ]


def _left_out(suite: Suite, tasks: Sequence[Prepared]) -> Iterator[Diagnostic]:
    key = "schedule.validation_suites"
    compared = [r.row.name for r, _ in tasks if r.prepared is not None and not r.prepared.text]
    missing = [result.row.name for result, _ in tasks if result.skipped]
    if len(compared) + len(missing) == len(tasks):
        yield Diagnostic(
            setting=key,
            value=suite.name,
            why="none of its tasks can be asked in a run: their data are missing or they compare options",
            fix="name another suite, or set INNOVATOR_DATA",
        )
        return
    if missing:
        yield Diagnostic(
            setting=key,
            value=suite.name,
            why=f"tasks without data are left out: {', '.join(missing)}",
            fix="put the data below INNOVATOR_DATA (docs/evaluation.md), or nothing",
            severity="warning",
        )
    if compared:
        yield Diagnostic(
            setting=key,
            value=suite.name,
            why=f"tasks that compare log-probabilities of options are left out: {', '.join(compared)}",
            fix="measure them with innovator eval on an exported checkpoint, or nothing",
            severity="warning",
        )


def _trained_on(
    suite: Suite, tasks: Sequence[Prepared], training: Sequence[tuple[str, str, str]]
) -> Iterator[Diagnostic]:
    for result, task in tasks:
        if task is None:
            continue
        hits = find_contamination(result.row.name, task.questions(), training)
        names = sorted({*hits.text, *hits.molecules})
        if names:
            yield Diagnostic(
                setting="schedule.validation_suites",
                value=suite.name,
                why=f"{len(names)} of {hits.rows} questions of {hits.task} are in the training data: {', '.join(names[:3])}",
                fix="leave these rows out of data.train, or do not read the score as one on new questions",
                severity="warning",
            )
