"""Run a suite on a checkpoint: prepare, ask, grade, record, report.

Everything that can be wrong is checked before a model is loaded: the suite, the names in it, the files of the
checkpoint, the data, and whether each prompt fits the context. A finished task is reported at once and its responses
are on disk, so the same command again repeats no work, whatever ended the first one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.evaluation.build import build_task, check_suite
from innovator_rl.evaluation.checkpoint import Checkpoint, open_checkpoint
from innovator_rl.evaluation.driver import Backends, Driver
from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.local_data import data_root
from innovator_rl.evaluation.network import settle_network
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.store import ResponseStore
from innovator_rl.evaluation.suite import Suite, SuiteRow, load_suite
from innovator_rl.evaluation.task import Drawing, EvalTask, PreparedTask, TaskOutcome, TaskUnavailable
from innovator_rl.platform.accelerator import detect
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.runs.files import dump_json, write_atomic
from innovator_rl.runs.provenance import package_versions
from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir
from innovator_rl.scoring import ScoringPool

Say = Callable[[str], None]
STORE = "responses.sqlite"
RESULT = "evaluation.json"


@dataclass(frozen=True)
class EvalOptions:
    """What an evaluation is started with.

    Attributes:
        model: A built-in model, a folder or a hub id.
        limit: Rows per task, drawn by `seed`; None for all.
        tasks: Only these rows of the suite.
        data: The data root; None for the environment's.
        runs_dir: The folder of run directories.
        name: The name of the run directory; None for one made of suite, model and settings.
        seed: The seed of the drawing of rows and of sampling.
        dtype: The number format; None for float32 on a CPU and bfloat16 elsewhere.
        max_new_tokens: Bound on every response, in place of the suite's.
        context: The longest sequence in tokens; None for the checkpoint's.
        threads: Threads on a CPU; None for all cores.
        workers: Responses scored at the same time.
        backend: `auto`, `vllm` or `hf` for log-probabilities; text is always vLLM's.
        tensor_parallel: Accelerators that share the model.
    """

    model: str
    limit: int | None = None
    tasks: tuple[str, ...] = ()
    data: str | None = None
    runs_dir: str = "runs"
    name: str | None = None
    seed: int = 0
    dtype: str | None = None
    max_new_tokens: int | None = None
    context: int | None = None
    threads: int | None = None
    workers: int = 2
    backend: str = "auto"
    tensor_parallel: int = 1


@dataclass
class RowResult:
    """One row of the suite with its outcome, or the reason why it was skipped."""

    row: SuiteRow
    skipped: str = ""
    prepared: PreparedTask | None = None
    outcome: TaskOutcome | None = None
    seconds: float = 0.0


@dataclass
class EvalResult:
    """An evaluation: what the report is written from."""

    suite: Suite
    checkpoint: Checkpoint
    options: EvalOptions
    run: Path
    rows: list[RowResult]
    footer: dict[str, Any] = field(default_factory=dict)


def evaluate(suite_name: str, options: EvalOptions, say: Say) -> EvalResult:
    """Evaluate a checkpoint on a suite.

    Args:
        suite_name: The name of a shipped suite, or a file.
        options: The checkpoint and the settings.
        say: Receives lines of progress.

    Raises:
        UserError: Something that was asked for cannot be done; finished tasks are kept.
    """
    suite, _ = load_suite(suite_name)
    suite = suite.only(options.tasks) if options.tasks else suite
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit must be at least 1, got {options.limit}")
    root = data_root(options.data)
    check_suite(suite)
    checkpoint = open_checkpoint(options.model)
    settings = _engine_settings(checkpoint, options)
    prompter = Prompter(checkpoint.path)
    settle_network()
    run = RunDir(resolve_runs_dir(options.runs_dir) / (options.name or _run_name(suite, checkpoint, options)))
    rewarders = ScoringPool(options.workers)
    with rewarders as pool:
        tasks = _prepare(suite, root, prompter, pool, options, say)
        _require_fitting(tasks, settings.context, checkpoint)
        return _Evaluation(suite, checkpoint, options, settings, prompter, run, say).go(tasks)


def _engine_settings(checkpoint: Checkpoint, options: EvalOptions) -> EngineSettings:
    on_cpu = detect()[0] == "cpu"
    context = options.context or checkpoint.context
    if context > checkpoint.context:
        raise UserError(f"--context {context} must be at most the checkpoint's {checkpoint.context} tokens")
    return EngineSettings(
        model=str(checkpoint.path),
        backend="vllm",
        dtype=options.dtype or ("float32" if on_cpu else "bfloat16"),
        context=context,
        threads=options.threads or len(os.sched_getaffinity(0)),
        tensor_parallel=options.tensor_parallel,
    )


def _backends(options: EvalOptions) -> Backends:
    if options.backend == "auto":
        return Backends(one_token="hf" if detect()[0] == "cpu" else "vllm")
    if options.backend not in ("vllm", "hf"):
        raise UserError(f"--backend must be auto, vllm or hf, got {options.backend!r}")
    chosen: Any = options.backend
    return Backends(one_token=chosen, options=chosen)


def _run_name(suite: Suite, checkpoint: Checkpoint, options: EvalOptions) -> str:
    """Return a name under which the same command finds its earlier responses, and no other command does."""
    asked = [suite.model_dump(mode="json"), checkpoint.fingerprint, options.limit, options.seed, options.dtype]
    asked += [options.max_new_tokens, options.context, options.backend]
    mark = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
    model = Path(checkpoint.name).name or "model"
    limited = "" if options.limit is None else f"-limit{options.limit}"
    return f"eval-{suite.name}-{model}{limited}-{mark}"


def _prepare(
    suite: Suite, root: Path, prompter: Prompter, pool: ScoringPool, options: EvalOptions, say: Say
) -> list[tuple[RowResult, EvalTask | None]]:
    drawing = Drawing(options.limit, options.seed)
    found: list[tuple[RowResult, EvalTask | None]] = []
    for row in suite.rows:
        result = RowResult(row, skipped=row.unavailable)
        task = None
        if not row.unavailable:
            try:
                task = build_task(row, root, pool, options.max_new_tokens)
                result.prepared = task.prepare(prompter, drawing)
            except TaskUnavailable as error:
                result.skipped, task = str(error), None
        if result.skipped:
            say(f"skipped {row.name}: {result.skipped}")
        found.append((result, task))
    return found


def _require_fitting(tasks: list[tuple[RowResult, EvalTask | None]], context: int, checkpoint: Checkpoint) -> None:
    """Refuse prompts that would be cut: a cut prompt gives a score of something else."""
    lines = []
    for result, _ in tasks:
        if result.prepared is not None and sum(result.prepared.longest) > context:
            prompt, new = result.prepared.longest
            room = context - prompt
            fix = f"give --max-new-tokens {room} or less" if room > 0 else "leave it out with --tasks"
            lines.append(
                f"task {result.row.name}: its longest prompt of {prompt} tokens and {new} new tokens must fit the context "
                f"of {context} tokens of {checkpoint.name}: {fix}"
            )
    if lines:
        raise UserError("\n".join(lines))


class _Evaluation:
    """One evaluation with its run directory open."""

    def __init__(
        self,
        suite: Suite,
        checkpoint: Checkpoint,
        options: EvalOptions,
        settings: EngineSettings,
        prompter: Prompter,
        run: RunDir,
        say: Say,
    ) -> None:
        self.suite, self.checkpoint, self.options, self.settings = suite, checkpoint, options, settings
        self.prompter, self.run, self.say = prompter, run, say

    def go(self, tasks: list[tuple[RowResult, EvalTask | None]]) -> EvalResult:
        """Run the prepared tasks.

        Raises:
            UserError: An engine, the disk or another writer of the run stops the evaluation.
        """
        runnable = [(result, task) for result, task in tasks if task is not None]
        try:
            attempt = self.run.open_attempt()
        except OSError as error:
            raise UserError(
                f"{self.run.path} cannot be written ({error.strerror}): choose another --runs-dir"
            ) from None
        result = EvalResult(self.suite, self.checkpoint, self.options, self.run.path, [r for r, _ in tasks])
        status, cause = "failed", ""
        try:
            self._write_config()
            self._run_all(runnable, attempt, result)
            status = "finished"
        except UserError as error:
            cause = str(error).splitlines()[0]
            raise
        except KeyboardInterrupt:
            status, cause = "stopped", "interrupted"
            raise
        except OSError as error:
            cause = f"{self.run.path} cannot be written ({error.strerror}); the same command goes on from here"
            raise UserError(cause) from None
        finally:
            self.run.finish(status, cause)
        return result

    def _run_all(self, runnable: list[tuple[RowResult, EvalTask]], attempt: int, result: EvalResult) -> None:
        progress = _Progress(self.say)
        store = ResponseStore(self.run.path / STORE)
        recorder = Recorder(self.run.path, writer="eval", attempt=attempt)
        driver = Driver(
            self.checkpoint, store, self.settings, _backends(self.options), self.run.logs / "engine.log", progress
        )
        with store, driver:
            try:
                for number, (row, task) in enumerate(runnable, 1):
                    self.run.heartbeat(step=0, phase=f"evaluating {row.row.name}")
                    progress.task(number, len(runnable))
                    started = time.monotonic()
                    row.outcome = task.run(driver)
                    row.seconds = time.monotonic() - started
                    for record in row.outcome.rows:
                        recorder.rollout(record)
                    recorder.flush()
                    result.footer = self._footer(driver)
                    write_atomic(self.run.path / RESULT, dump_json(_stored(result), indent=1))
                    self.say(_line(row))
            finally:
                recorder.close()
        self.run.write_metrics(0, _metrics(result))
        result.footer = self._footer(driver)
        write_atomic(self.run.path / RESULT, dump_json(_stored(result), indent=1))

    def _write_config(self) -> None:
        import yaml

        document = {
            "evaluation": self.suite.model_dump(mode="json", exclude_defaults=True),
            "model": {"path": str(self.checkpoint.path), "fingerprint": self.checkpoint.fingerprint},
        }
        write_atomic(self.run.config_yaml, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    def _footer(self, driver: Driver) -> dict[str, Any]:
        seconds = driver.generating_seconds
        return {
            "command": " ".join(["innovator", *sys.argv[1:]]),
            "model": self.checkpoint.name,
            "architecture": self.checkpoint.architecture,
            "fingerprint": self.checkpoint.fingerprint[:16],
            "dtype": self.settings.dtype,
            "context": self.settings.context,
            "threads": self.settings.threads,
            "seed": self.options.seed,
            "limit": self.options.limit,
            "chat_template": self.prompter.template_hash or "none",
            "backends": {"text": driver.backends.text, "one token": driver.backends.one_token},
            "engines": driver.engines,
            "responses": {"asked": driver.answered, "from the store": driver.reused},
            "tokens_per_second": round(driver.generated_tokens / seconds, 1) if seconds else None,
            "packages": {**package_versions(), **_harness_version()},
        }


def _harness_version() -> dict[str, str]:
    from importlib import metadata

    return {"lm_eval": metadata.version("lm_eval")}


class _Progress:
    """Lines of progress with rate and time left, at most one in five seconds."""

    SECONDS = 5.0

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = -self.SECONDS
        self._what, self._started, self._first = "", 0.0, 0
        self._place = ""

    def task(self, number: int, total: int) -> None:
        """Begin a task."""
        self._place = f"[{number}/{total}]"

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._started, self._first = what, now, done
        elif (done < total and now - self._last < self.SECONDS) or done >= total:
            return
        self._last = now
        fresh, seconds = done - self._first, now - self._started
        left = ""
        if fresh and seconds > 1:
            from innovator_rl.runs.files import duration

            left = f", {fresh / seconds:.1f} responses/s, {duration((total - done) * seconds / fresh)} left"
        self._say(f"{self._place} {what}: {done}/{total}{left}")


def _line(row: RowResult) -> str:
    assert row.outcome is not None
    first = row.outcome.metrics[0]
    interval = first.estimate.interval
    scale, unit = (100, "%") if first.share else (1, "")
    shown = f" [{interval[0] * scale:.1f}, {interval[1] * scale:.1f}]" if interval else ""
    return f"{row.row.name}: {first.name} {first.estimate.score * scale:.1f}{unit}{shown}, {first.estimate.n} rows, {row.seconds:.0f} s"


def _metrics(result: EvalResult) -> dict[str, Any]:
    return {
        f"validation/{row.row.name}/{metric.name}": metric.estimate.score
        for row in result.rows
        if row.outcome is not None
        for metric in row.outcome.metrics
    }


def json_rows(result: EvalResult) -> list[dict[str, Any]]:
    """Return `task, metric, score, n, interval, skipped` and more of every metric, in the order of the suite."""
    rows: list[dict[str, Any]] = []
    for row in result.rows:
        base: dict[str, Any] = {"task": row.row.name, "title": row.row.shown, "section": row.row.section}
        base |= {"same_protocol": row.row.protocol, "paper": row.row.paper, "note": row.row.note}
        if row.outcome is None:
            reason = row.skipped or "not run yet"
            rows.append({**base, "metric": row.row.metric, "score": None, "n": 0, "interval": None, "skipped": reason})
            continue
        for place, metric in enumerate(row.outcome.metrics):
            estimate = metric.estimate
            interval = list(estimate.interval) if estimate.interval else None
            measured = {"metric": metric.name, "score": estimate.score, "n": estimate.n, "interval": interval}
            rows.append({**base, **measured, "skipped": None, "main": place == 0, "share": metric.share})
    return rows


def _stored(result: EvalResult) -> dict[str, Any]:
    tasks = {
        row.row.name: {
            "facts": row.outcome.facts,
            "values": row.outcome.values,
            "seconds": row.seconds,
            "first_prompt": row.prepared.first_prompt if row.prepared else "",
            "first_tokens": list(row.prepared.first_tokens) if row.prepared else [],
        }
        for row in result.rows
        if row.outcome is not None
    }
    return {
        "suite": result.suite.name,
        "title": result.suite.title,
        "suite_note": result.suite.note,
        "columns": list(result.suite.columns),
        "averages": {row.row.name: row.row.average for row in result.rows if row.row.average},
        "model": result.checkpoint.name,
        "fingerprint": result.checkpoint.fingerprint,
        "run": str(result.run),
        "rows": json_rows(result),
        "tasks": tasks,
        "footer": result.footer,
    }


def document(result: EvalResult) -> dict[str, Any]:
    """Return the whole evaluation as JSON data, from which every report is written."""
    return json.loads(dump_json(_stored(result)))  # type: ignore[no-any-return]
