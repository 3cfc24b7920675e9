"""Decide which stages of a path run, and why; nothing starts and nothing moves.

    decisions = Decisions(run, stages)
    for decision in decisions.all():
        print(decision.stage.name, decision.runs, decision.reason)

A stage is complete if its fingerprint and its result are those of its record. One whose weights are gone is complete too, as
long as no stage that runs reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from innovator_rl import __version__
from innovator_rl.errors import UserError
from innovator_rl.paper.contents import Contents, FileState, named_files
from innovator_rl.paper.places import Places
from innovator_rl.paper.set_aside import aside
from innovator_rl.paper.stage import (
    Decision,
    Stage,
    StageRecord,
    StartedStage,
    changed_parts,
    fingerprint_parts,
    read_record,
    read_started,
    stage_states,
)
from innovator_rl.runs.files import duration
from innovator_rl.runs.run_dir import RunDir

REPEAT = "asked for with --repeat"
"""Part of the fingerprint of a complete stage while it runs from the start again, so that what it leaves unfinished counts for
that alone."""


class Decisions:
    """What runs of the stages of one run directory.

    Args:
        run: The run directory; records are in `stages/`.
        stages: The stages in an order in which each follows those that it needs.
        say: Receives a line before a long time of reading.
        repeat: Names of complete stages that run again.
        only: Names of the stages that run; all where there is none.

    Raises:
        UserError: No stage has a name in `repeat` or `only`.
    """

    def __init__(
        self,
        run: RunDir,
        stages: Sequence[Stage],
        say: Callable[[str], None] = lambda line: None,
        repeat: Collection[str] = (),
        only: Collection[str] = (),
    ) -> None:
        _require_order(stages)
        _require_known("--repeat", repeat, stages)
        _require_known("--only", only, stages)
        self.run = run
        self.stages = list(stages)
        self.repeat, self.only = set(repeat), set(only)
        self.contents = Contents(run.path / "contents.json", say)
        self.places = Places(run.path.parent)
        self._read_later = {name for stage in stages for name in stage.needs}

    def asks(self, stage: Stage) -> bool:
        """Return whether a stage is one of those that may run."""
        return not self.only or stage.name in self.only

    def all(self) -> list[Decision]:
        """Return for each stage whether it would run now."""
        results: dict[str, str] = {}
        found = []
        for stage in self.stages:
            decision = self.of(stage, self.parts(stage, results))
            results[stage.name] = decision.checksum or f"of a new run of {stage.name}"
            found.append(decision)
        return self._with_what_is_read(found)

    def of(self, stage: Stage, parts: Mapping[str, str]) -> Decision:
        """Return whether a stage runs by itself, whatever later stages read.

        Args:
            stage: The stage.
            parts: Its fingerprint.
        """
        record, work = self.record(stage), self.unfinished_work(stage)
        starts_again = work is None or changed_parts(work.parts, parts)
        replaces = tuple(path for path in stage.clean if starts_again and path.exists())
        if record is None:
            return Decision(stage, True, self._why_unfinished(work, parts), replaces=replaces)
        decision = Decision(stage, False, f"took {duration(record.seconds)}", record.seconds, record.checksum, record)
        if changed := changed_parts(record.parts, parts):
            reason = self._why_unfinished(work, parts) if work else self._changed(changed)
            return replace(decision, runs=True, reason=reason, checksum="", replaces=replaces)
        if self.is_set_aside(stage, parts):
            gone = (stage.weights or stage.result) if record.from_start else None
            return replace(decision, reason="its result was set aside and comes back", gone=gone, comes_back=True)
        states = stage_states(stage, self.places, record.files)
        names = {**record.files, **states}
        differing = [name for name in names if _checksum_of(record.files, name) != _checksum_of(states, name)]
        if gone := self._gone(stage, record, states, differing):
            return replace(
                decision, reason=f"{decision.reason}; {gone} is not here, and no stage that runs reads it", gone=gone
            )
        if not states:
            missing = next((path for path in (stage.result, *stage.also) if not path.exists()), stage.result)
            return replace(decision, runs=True, reason=f"result not found: {missing}", checksum="")
        if differing:
            reason = f"result changed since: {', '.join(sorted(differing)[:3])}"
            return replace(decision, runs=True, reason=reason, checksum="")
        return decision

    def parts(self, stage: Stage, results: Mapping[str, str]) -> dict[str, str]:
        """Return the fingerprint of a stage; data that a complete one read and that are not here are as they were.

        Args:
            stage: The stage.
            results: Checksum of the result of each stage that it needs.
        """
        parts = fingerprint_parts(stage, results, __version__, self.contents, self.places)
        record = self.record(stage)
        if record is None:
            return parts
        made = ("file ", "result of ")
        parts |= {name: was for name, was in record.parts.items() if name not in parts and not name.startswith(made)}
        repeats = stage.name in self.repeat and not changed_parts(record.parts, parts)
        return parts | {REPEAT: ""} if repeats else parts

    def record_path(self, stage: Stage) -> Path:
        """Return where the record of a stage is kept."""
        return self.run.path / "stages" / f"{stage.name}.json"

    def started_path(self, stage: Stage) -> Path:
        """Return where the fingerprint of a stage that started and did not end is kept."""
        return self.run.path / "stages" / f"{stage.name}.started.json"

    def record(self, stage: Stage) -> StageRecord | None:
        """Return what is kept of the last complete run of a stage."""
        return read_record(self.record_path(stage))

    def unfinished_work(self, stage: Stage) -> StartedStage | None:
        """Return what is kept of a run that did not end, and that was not one to make a complete stage's result again."""
        started, record = read_started(self.started_path(stage)), self.record(stage)
        return None if started and record and started.parts == record.parts else started

    def is_set_aside(self, stage: Stage, parts: Mapping[str, str]) -> bool:
        """Return whether what a stage left with this fingerprint was set aside for a run that did not end."""
        record, started = self.record(stage), read_started(self.started_path(stage))
        if record is None or changed_parts(record.parts, parts) or (started and started.parts == record.parts):
            return False
        return any(aside(path).exists() for path in stage.clean)

    def starts_again(self, stage: Stage, record: StageRecord) -> bool:
        """Return whether the folders of a complete stage hold no work that its command could continue."""
        return record.from_start or (stage.weights is not None and not any(named_files(stage.weights)))

    def _with_what_is_read(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Let stages whose result is gone run where one that runs reads it."""
        readers: dict[str, str] = {}
        found = []
        for one in reversed(decisions):
            reader = readers.get(one.stage.name)
            if one.gone and reader:
                reason = f"{one.gone} is not here, and {reader} reads it"
                again = one.record is not None and self.starts_again(one.stage, one.record)
                replaces = tuple(path for path in one.stage.clean if again and path.exists())
                one = replace(one, runs=True, reason=reason, replaces=replaces)
            if one.runs and self.asks(one.stage):
                readers |= dict.fromkeys(one.stage.needs, one.stage.name)
            found.append(one)
        return found[::-1]

    def _gone(
        self, stage: Stage, record: StageRecord, states: Mapping[str, FileState], differing: Sequence[str]
    ) -> Path | None:
        """Return what later stages would read of a complete stage and is not here, where nothing else of it changed.

        A result that is a file, such as the figures of an evaluation, is for the report, and never gone.
        """
        if stage.result.name in differing or any(name in states for name in differing):
            return None
        if stage.weights and not any(named_files(stage.weights)):
            return stage.weights
        if not differing or (stage.name not in self._read_later and not record.from_start):
            return None
        return next((path for path in (stage.result, *stage.also) if not path.exists()), stage.result / differing[0])

    def _changed(self, parts: Sequence[str]) -> str:
        """Name the parts of a fingerprint that changed."""
        return f"changed: {', '.join(map(self.places.long, parts))}"

    def _why_unfinished(self, work: StartedStage | None, parts: Mapping[str, str]) -> str:
        """Say why a stage runs that has no result of its fingerprint."""
        if work is None:
            return "not run yet"
        changed = changed_parts(work.parts, parts)
        return f"not finished, starts again, {self._changed(changed)}" if changed else "not finished, continues"


def _require_order(stages: Sequence[Stage]) -> None:
    known: set[str] = set()
    for stage in stages:
        missing = [name for name in stage.needs if name not in known]
        assert not missing, f"stage {stage.name} needs {missing}, which must come before it"
        assert stage.name not in known, f"two stages are named {stage.name}"
        known.add(stage.name)


def _require_known(option: str, names: Collection[str], stages: Sequence[Stage]) -> None:
    known = [stage.name for stage in stages]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 3, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(known)}"
            raise UserError(f"{option} {name}: unknown stage: {hint}")


def _checksum_of(states: Mapping[str, FileState], name: str) -> str:
    return states[name].checksum if name in states else ""
