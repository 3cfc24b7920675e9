"""Run a suite on a checkpoint: prepare, ask, grade, record, report.

Everything that can be wrong is checked before a model is loaded: the suite, the names in it, the files of the
checkpoint, the data, and whether each prompt fits the context. A finished task is reported at once and its responses
are on disk, so the same command again repeats no work, whatever ended the first one.

What an evaluation is started with is in `options.py`, the tasks' preparation in `preparation.py`, the results and their
JSON document in `results.py`, the lines of progress in `progress.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import yaml

from innovator_rl.errors import UserError
from innovator_rl.evaluation.build import check_suite
from innovator_rl.evaluation.checkpoint import Checkpoint, open_checkpoint
from innovator_rl.evaluation.driver import Driver
from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.local_data import data_root
from innovator_rl.evaluation.network import settle_network
from innovator_rl.evaluation.options import EvalOptions, backends, engine_settings, require_possible, run_name
from innovator_rl.evaluation.preparation import Prepared, prepare_tasks, require_fitting, shorter_or_left_out
from innovator_rl.evaluation.progress import Progress, Say, finished_line
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.recording import record
from innovator_rl.evaluation.results import EvalResult, RowResult, metrics, stored
from innovator_rl.evaluation.store import ResponseStore
from innovator_rl.evaluation.suite import Suite, load_suite
from innovator_rl.evaluation.task import Drawing, EvalTask
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.runs.files import dump_json, write_atomic
from innovator_rl.runs.provenance import package_versions
from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir
from innovator_rl.scoring import ScoringPool

STORE = "responses.sqlite"
RESULT = "evaluation.json"


def evaluate(suite_name: str, options: EvalOptions, say: Say) -> EvalResult:
    """Evaluate a checkpoint on a suite.

    Args:
        suite_name: The name of a shipped suite, or a file.
        options: The checkpoint and the settings.
        say: Receives lines of progress.

    Raises:
        UserError: Something that was asked for cannot be done; finished tasks are kept.
    """
    require_possible(options)
    suite, _ = load_suite(suite_name)
    suite = suite.only(options.tasks) if options.tasks else suite
    root = data_root(options.data)
    check_suite(suite)
    checkpoint = open_checkpoint(options.model)
    settings = engine_settings(checkpoint, options)
    prompter = Prompter(checkpoint.path)
    settle_network()
    run = RunDir(resolve_runs_dir(options.runs_dir) / (options.name or run_name(suite, checkpoint, options)))
    _require_own(run, _config(suite, checkpoint, options))
    with ScoringPool(options.workers) as pool:
        drawing = Drawing(options.limit, options.seed)
        tasks = prepare_tasks(suite, root, prompter, pool, drawing, options.max_new_tokens)
        for result, _ in tasks:
            if result.skipped:
                say(f"skipped {result.row.name}: {result.skipped}")
        require_fitting(tasks, settings.context, checkpoint.name, shorter_or_left_out)
        return _Evaluation(suite, checkpoint, options, settings, prompter, run, say).go(tasks)


def _config(suite: Suite, checkpoint: Checkpoint, options: EvalOptions) -> dict[str, Any]:
    """Return what a run directory is the evaluation of."""
    settings = {name: getattr(options, name) for name in ("limit", "seed", "dtype", "max_new_tokens", "context")}
    return {
        "evaluation": suite.model_dump(mode="json", exclude_defaults=True),
        "model": {"path": str(checkpoint.path), "fingerprint": checkpoint.fingerprint},
        "settings": settings,
    }


def _require_own(run: RunDir, config: Mapping[str, Any]) -> None:
    """Refuse a run directory of something else: its records would be those of two evaluations, or of a training run.

    Raises:
        UserError: The message has what differs.
    """
    if not run.config_yaml.exists():  # a run directory gets its configuration before anything else
        return
    try:
        there = yaml.safe_load(run.config_yaml.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        there = None
    if not isinstance(there, dict) or "evaluation" not in there:
        raise UserError(f"{run.path} must be the run directory of an evaluation, or new: choose another --name")
    known = {**there, "model": {**(there.get("model") or {}), "path": config["model"]["path"]}}  # it may have moved
    other = next((key for key, value in config.items() if known.get(key, value) != value), None)
    if other:
        what = {"evaluation": "suite", "model": "checkpoint", "settings": "limit, seed, dtype or length"}[other]
        raise UserError(f"{run.path} is an evaluation with another {what}: choose another --name, or remove it")


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

    def go(self, tasks: Sequence[Prepared]) -> EvalResult:
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

    def _run_all(self, runnable: Sequence[tuple[RowResult, EvalTask]], attempt: int, result: EvalResult) -> None:
        progress = Progress(self.say)
        store = ResponseStore(self.run.path / STORE)
        recorder = Recorder(self.run.path, writer="eval", attempt=attempt)
        driver = Driver(
            self.checkpoint, store, self.settings, backends(self.options), self.run.logs / "engine.log", progress
        )
        with store, driver:
            try:
                for number, (row, task) in enumerate(runnable, 1):
                    self.run.heartbeat(step=0, phase=f"evaluating {row.row.name}")
                    progress.task(number, len(runnable))
                    started = time.monotonic()
                    row.outcome = task.run(driver)
                    row.seconds = time.monotonic() - started
                    row.constant = task.constant()
                    record(recorder, row.outcome.rows)
                    result.footer = self._footer(driver)
                    write_atomic(self.run.path / RESULT, dump_json(stored(result), indent=1))
                    self.say(finished_line(row))
            finally:
                recorder.close()
        self.run.write_metrics(0, metrics(result))
        result.footer = self._footer(driver)
        write_atomic(self.run.path / RESULT, dump_json(stored(result), indent=1))

    def _write_config(self) -> None:
        document = _config(self.suite, self.checkpoint, self.options)
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
            "packages": {**package_versions(), "lm_eval": metadata.version("lm_eval")},
        }
