"""Execute stages in order: skip what is complete, repeat what changed, go on with what needs nothing of a failed stage.

Everything a stage prints goes to `logs/NAME.log`; the display shows the stage, its time, the time left and the last line
of that log. A stage that fails is named with its last line and its log; stages that need its result wait, the others run,
and the same command continues there. A stage starts only if the disk has the space that it needs.

What a complete stage left is set aside while it runs again, and removed once the new result is there: nothing that took
long is lost for an edit. If the configuration becomes again what made it, it is put back, and so it is if the command makes
nothing new (a training run that has ended trains no more).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from innovator_rl.errors import InnovatorError, UserError
from innovator_rl.paper.decisions import REPEAT, Decisions
from innovator_rl.paper.estimates import Expected, TimeLeft, expected
from innovator_rl.paper.process import (
    ended,
    is_stage_process,
    last_line,
    run_to_the_end,
    stage_command,
    terminated_like_interrupted,
)
from innovator_rl.paper.set_aside import bytes_in, drop, put_back, remove, set_aside
from innovator_rl.paper.stage import (
    Decision,
    Stage,
    StageRecord,
    StartedStage,
    changed_parts,
    read_started,
    stage_states,
    write_record,
    write_started,
)
from innovator_rl.runs.files import duration, utc_now
from innovator_rl.runs.provenance import git_state
from innovator_rl.runs.run_dir import RunDir

GRACE_SECONDS = 60.0
"""Time between the request to end a stage and its end by force, where the configuration names none."""
EARLIER_SECONDS = 300.0
"""Shortest limit of the wait for a stage's process that a killed run left; a training run finishes its update first."""

Say = Callable[[str], None]


class StageFailed(InnovatorError, RuntimeError):
    """A stage whose command failed or left no result."""


class Runner:
    """The stages of one run directory.

    Args:
        run: The run directory; records are in `stages/`, logs in `logs/`.
        stages: The stages in an order in which each follows those that it needs.
        say: Receives one line per event.
        limit_seconds: Longest time of one stage.
        grace_seconds: Time that a stage gets to save its work when it has to end.
        repeat: Names of complete stages that run again.
        only: Names of the stages that run; all where there is none.

    Raises:
        UserError: No stage has a name in `repeat` or `only`.
    """

    def __init__(
        self,
        run: RunDir,
        stages: Sequence[Stage],
        say: Say,
        limit_seconds: float = 24 * 3600.0,
        grace_seconds: float = GRACE_SECONDS,
        repeat: Collection[str] = (),
        only: Collection[str] = (),
    ) -> None:
        self.decisions = Decisions(run, stages, say, repeat, only)
        self.run = run
        self.stages = self.decisions.stages
        self.say = say
        self.limit_seconds = limit_seconds
        self.grace_seconds = grace_seconds

    def asks(self, stage: Stage) -> bool:
        """Return whether a stage is one of those that may run."""
        return self.decisions.asks(stage)

    def decide(self) -> list[Decision]:
        """Return for each stage whether it would run now; nothing starts."""
        return self.decisions.all()

    def short_of_space(self, leaves: Mapping[str, int] | None = None) -> list[str]:
        """Return a line for each stage that would run now and does not fit the disk.

        Args:
            leaves: Bytes that stages leave behind, by name, where that is planned; later stages do without them.
        """
        found, taken = [], 0
        for stage in (one.stage for one in self.decide() if one.runs and self.asks(one.stage)):
            if problem := self._space_problem(stage, taken):
                found.append(problem)
            taken += (leaves or {}).get(stage.name, 0)
        return found

    def execute(self) -> list[StageRecord]:
        """Run what is not complete, and return the record of every stage.

        SIGTERM stops it like Ctrl-C: the running stage gets time to save.

        Raises:
            StageFailed: A command failed or left no result; what needs nothing of it has run.
            UserError: The disk has too little space for a stage, a file of the run cannot be written, another process writes
                this run, or a stage's folders are there without a record of what made them.
        """
        self._require_known_work()
        self._require_needs()
        self.run.open_attempt(total_steps=len(self.stages))
        try:
            with terminated_like_interrupted():
                records = self._execute_all()
        except (KeyboardInterrupt, UserError, StageFailed) as error:
            stopped = isinstance(error, KeyboardInterrupt)
            self.run.finish("stopped" if stopped else "failed", cause=str(error) or "interrupted")
            raise
        except OSError as error:
            place = error.filename or self.run.path
            with contextlib.suppress(OSError):
                self.run.finish("failed", cause=str(error))
            raise UserError(
                f"{place}: {error.strerror or error}; free some space or correct the folder, then run the same command again"
            ) from error
        except BaseException as error:
            self.run.finish("failed", cause=f"{type(error).__name__}: {error}")
            raise
        self.run.finish("finished")
        return records

    def log_path(self, stage: Stage) -> Path:
        """Return the file that receives what a stage prints."""
        return self.run.logs / f"{stage.name}.log"

    def _require_known_work(self) -> None:
        """Refuse folders that no record explains: a stage would continue work of an unknown configuration."""
        for stage in filter(self.asks, self.stages):
            found = next((path for path in stage.clean if path.exists()), None)
            if (
                found
                and self.decisions.record(stage) is None
                and read_started(self.decisions.started_path(stage)) is None
            ):
                raise UserError(
                    f"{found} is there, and {self.run.path / 'stages'} has no record of stage {stage.name!r}, which would continue "
                    f"it: remove {found}, or give the path another name"
                )

    def _require_needs(self) -> None:
        """Refuse a stage of `only` that reads the result of one which is neither complete nor asked for."""
        others = [one for one in self.decide() if not self.asks(one.stage)]
        waiting = {one.stage.name: one.reason for one in others if one.runs or one.comes_back}
        for stage in filter(self.asks, self.stages):
            if name := next((name for name in stage.needs if name in waiting), ""):
                raise UserError(
                    f"--only {stage.name}: it reads the result of {name!r}, which is not complete ({waiting[name]}): add --only "
                    f"{name}, or run the whole path"
                )

    def _execute_all(self) -> list[StageRecord]:
        results: dict[str, str] = {}
        records = []
        failures: list[str] = []
        waiting = 0
        gone: set[str] = set()
        planned = self._read_and_gone()
        for number, stage in enumerate(self.stages, 1):
            place = f"[{number}/{len(self.stages)}] {stage.name}"
            self.run.heartbeat(number - 1, stage.name)
            if missing := [name for name in stage.needs if name not in results]:
                if self.asks(stage):
                    self.say(f"{place}: waits for {', '.join(missing)}")
                    waiting += 1
                continue
            parts = self.decisions.parts(stage, results)
            decision = self._decide(stage, parts, place, planned)
            self.decisions.contents.save()
            if decision.runs and not self.asks(stage):
                continue
            if decision.runs and (absent := gone.intersection(stage.needs)):
                failures.append(
                    f"stage {stage.name!r} has to run again ({decision.reason}), and what it reads of {min(absent)} is not here: run "
                    "the same command again, which makes that first"
                )
                continue
            if decision.runs:
                self.say(f"{place}: {stage.title} ({decision.reason})")
                try:
                    self._run(stage, self._marked(stage, parts), place, self.time_left(number))
                except StageFailed as error:
                    self.say(f"{place}: {error}")
                    failures.append(str(error))
                    continue
            else:
                self.say(f"{place}: complete, {decision.reason}")
                gone |= {stage.name} if decision.gone else set()
                if not decision.gone and not decision.comes_back and self.decisions.started_path(stage).exists():
                    self._clear(stage)  # of a run that was killed after it had written its record
            record = self.decisions.record(stage)
            assert record is not None, f"stage {stage.name} has no record after it ran"
            results[stage.name] = record.checksum
            records.append(record)
        if failures:
            left = [f"not run, because they need its result: {waiting}"] if waiting else []
            raise StageFailed("; ".join([*failures, *left]))
        self.run.heartbeat(len(self.stages), "complete")
        return records

    def _read_and_gone(self) -> dict[str, Decision]:
        """Return the stages whose result is gone and is read by one that runs."""
        return {one.stage.name: one for one in self.decide() if one.gone and one.runs}

    def _decide(self, stage: Stage, parts: Mapping[str, str], place: str, planned: dict[str, Decision]) -> Decision:
        """Return whether a stage runs, after what is set aside of it came back where its fingerprint is again that of it."""
        decision = self.decisions.of(stage, parts)
        if decision.comes_back and self.asks(stage) and stage.name not in planned:
            self._wait_for_earlier(stage, place)
            self._give_back(stage)
            self.say(f"{place}: what was set aside is put back")
            planned |= self._read_and_gone()
            decision = self.decisions.of(stage, parts)
        return planned.get(stage.name, decision) if decision.gone else decision

    def _marked(self, stage: Stage, parts: dict[str, str]) -> dict[str, str]:
        """Return the fingerprint of a stage that runs, with a mark where a complete one has to run from the start."""
        record = self.decisions.record(stage)
        if record is None or changed_parts(record.parts, parts) or not self.decisions.starts_again(stage, record):
            return parts
        write_record(self.decisions.record_path(stage), replace(record, from_start=True))
        return parts | {REPEAT: ""}

    def time_left(self, number: int) -> TimeLeft:
        """Estimate the time of a stage and of the later ones that would run.

        Args:
            number: The place of the stage, from 1.
        """
        stage = self.stages[number - 1]
        later = [one.stage for one in self.decide()[number:] if one.runs and self.asks(one.stage)]
        whole, *times = (self.expected(one).seconds for one in (stage, *later))
        started = read_started(self.decisions.started_path(stage))
        own = max(1.0, whole - (started.seconds if started else 0.0)) if whole else 0.0
        return TimeLeft(own, sum(times), sum(not seconds for seconds in (whole, *times)))

    def expected(self, stage: Stage) -> Expected:
        """Return how long a stage is expected to take, and where that comes from."""
        return expected(stage, self.stages, self.decisions.record)

    def _run(self, stage: Stage, parts: dict[str, str], place: str, left: TimeLeft) -> None:
        self._require_space(stage)
        self._wait_for_earlier(stage, place)
        record, work = self.decisions.record(stage), self.decisions.unfinished_work(stage)
        if record is not None and not changed_parts(record.parts, parts):
            work = read_started(self.decisions.started_path(stage))
            self._make_again(stage, record, StartedStage(parts, work.seconds if work else 0.0), place, left)
            return
        if record is not None and work is None:  # complete: what it left stays until the new result is there
            if read_started(self.decisions.started_path(stage)):
                self._clear(stage)  # of a run that was killed after its record, or while it made the result again
            set_aside(stage.clean)
        elif work is not None and changed_parts(work.parts, parts):
            work = None
            for path in stage.clean:
                remove(path)
        self._make_or_put_back(stage, StartedStage(parts, work.seconds if work else 0.0), place, left)

    def _make_or_put_back(self, stage: Stage, earlier: StartedStage, place: str, left: TimeLeft) -> None:
        """Run a stage from the start or from its unfinished work; what is set aside comes back where it leaves nothing."""
        try:
            self._make(stage, earlier, place, left)
        except BaseException:
            complete = self.decisions.record(stage) is not None
            if complete and not any(path.exists() for path in stage.clean):  # no work that could continue
                self._give_back(stage)
            raise

    def _make_again(self, stage: Stage, record: StageRecord, earlier: StartedStage, place: str, left: TimeLeft) -> None:
        """Run a complete stage whose result changed or is gone; without a new result, what is there stays."""
        results = (stage.result, *stage.also)
        put_back(path for path in results if not path.exists())  # of a run that was killed meanwhile
        set_aside(results)
        try:
            self._make(stage, earlier, place, left, record.seconds)
        except BaseException as error:
            put_back(results)
            if isinstance(error, StageFailed) and stage.clean:
                folders = " and ".join(map(str, stage.clean))
                raise StageFailed(
                    f"{error}; its result changed or was removed after it had ended: put back what changed, or remove {folders} to "
                    "make it from the start"
                ) from None
            raise

    def _make(
        self, stage: Stage, earlier: StartedStage, place: str, left: TimeLeft, least_seconds: float | None = None
    ) -> None:
        """Run a stage's command and keep its record.

        Args:
            stage: The stage.
            earlier: Its fingerprint, and how long interrupted attempts ran.
            place: Its place among the stages, for people.
            left: The time of the path.
            least_seconds: How long it took to make the result that is made again; None for another result.
        """
        started = time.monotonic()
        code = self._watch(stage, earlier, place, left)
        if code != 0:
            raise StageFailed(
                f"stage {stage.name!r} failed with exit code {code}: {last_line(self.log_path(stage)) or 'it printed nothing'}; "
                f"log: {self.log_path(stage)}; the same command continues here"
            )
        states = stage_states(stage, self.decisions.places)
        if not states:
            expected = " and ".join(repr(str(path)) for path in (stage.result, *stage.also))
            raise StageFailed(f"stage {stage.name!r} ended without its result {expected}; log: {self.log_path(stage)}")
        seconds = earlier.seconds + time.monotonic() - started
        took = round(max(seconds, least_seconds or 0.0), 3)
        cores = len(os.sched_getaffinity(0))
        parts = {name: value for name, value in earlier.parts.items() if name != REPEAT}
        if REPEAT in earlier.parts:  # from here on, what is set aside does not come back
            write_started(self.decisions.started_path(stage), StartedStage(parts, seconds))
        write_record(
            self.decisions.record_path(stage),
            StageRecord(stage.name, parts, states, took, utc_now(), stage.command, _revision(), cores),
        )
        self._clear(stage)
        self.decisions.repeat.discard(stage.name)
        self.say(f"{place}: done in {duration(seconds)}")

    def _give_back(self, stage: Stage) -> None:
        """Put back what is set aside of a stage; the note goes first, so that no run continues what is complete."""
        self.decisions.started_path(stage).unlink(missing_ok=True)
        put_back(stage.clean)

    def _clear(self, stage: Stage) -> None:
        """Remove what is kept of an earlier result, and the note of a run that ended."""
        drop((stage.result, *stage.also, *stage.clean))
        self.decisions.started_path(stage).unlink(missing_ok=True)

    def _watch(self, stage: Stage, earlier: StartedStage, place: str, left: TimeLeft) -> int:
        """Run a stage's command to its end and return its exit code; keep its time on the disk meanwhile."""
        log, process = self.log_path(stage), 0
        self._note(stage, earlier, 0.0, process)  # before the command makes any folder

        def started(found: int) -> None:
            nonlocal process
            process = found
            self._note(stage, earlier, 0.0, process)

        def report(elapsed: float) -> None:
            with contextlib.suppress(OSError):  # of a full disk, which the stage itself may outlast
                self._note(stage, earlier, elapsed, process)
            self.say(f"{place}: {duration(elapsed)}{left.after(elapsed)} | {last_line(log)}")

        words = stage_command(stage.command, stage.launcher)
        try:
            return run_to_the_end(words, log, self.limit_seconds, self.grace_seconds, started, report)
        except TimeoutError:
            limit = duration(self.limit_seconds)
            raise StageFailed(f"stage {stage.name!r} passed its limit of {limit}; log: {log}") from None

    def _note(self, stage: Stage, earlier: StartedStage, seconds: float, process: int) -> None:
        write_started(
            self.decisions.started_path(stage), StartedStage(earlier.parts, earlier.seconds + seconds, process)
        )

    def _wait_for_earlier(self, stage: Stage, place: str) -> None:
        """Let the stage's process of a killed run end, which saves what it has.

        Raises:
            UserError: It still runs after a while; two processes would write one folder.
        """
        before = read_started(self.decisions.started_path(stage))
        if not before or not is_stage_process(before.process):
            return
        self.say(f"{place}: waits for process {before.process} of an earlier run to end")
        if not ended(before.process, max(EARLIER_SECONDS, self.grace_seconds)):
            raise UserError(
                f"stage {stage.name!r}: process {before.process} of an earlier run still works on it: wait until it ends, or "
                f"end it (kill {before.process}), then run this command again"
            )

    def _require_space(self, stage: Stage) -> None:
        problem = self._space_problem(stage)
        if problem:
            raise UserError(problem)

    def _space_problem(self, stage: Stage, taken: int = 0) -> str:
        """Return why a stage does not fit the disk, after earlier ones took some of it; empty where it does."""
        place, free = self._free_space()
        needed = self._bytes_to_come(stage)
        if not needed or free >= needed + taken:
            return ""
        whole = f" of its {stage.disk_bytes / 1e9:,.1f}" if needed < stage.disk_bytes else ""
        after = f" after earlier stages leave {taken / 1e9:,.1f} GB" if free >= needed else ""
        return (
            f"stage {stage.name!r} needs {needed / 1e9:,.1f}{whole} GB of disk{after}, and {place} has "
            f"{free / 1e9:,.1f} GB free: free some space, or set runs_dir to another disk"
        )

    def _bytes_to_come(self, stage: Stage) -> int:
        """Return the bytes that a stage still has to write: what interrupted attempts left is there already."""
        if not stage.disk_bytes or self.decisions.unfinished_work(stage) is None:
            return stage.disk_bytes
        return max(0, stage.disk_bytes - sum(map(bytes_in, stage.clean)))

    def _free_space(self) -> tuple[Path, int]:
        place = next(path for path in (self.run.path, *self.run.path.parents) if path.exists())
        return place, shutil.disk_usage(place).free


def _revision() -> str:
    """Return the revision of this code's checkout, with `+` if files differ from it; empty outside one."""
    state = git_state()
    return f"{state['revision'] or ''}{'+' if state['dirty'] else ''}"
