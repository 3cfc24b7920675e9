"""Score a recorded run again and compare the new scores with the recorded ones.

The responses come from the run directory, which is not changed. A response is scored by the rewarder that its row
names, or by `--reward`, in the same worker pool as in a run.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import IO, Annotated

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.parameters import (
    AsJson,
    CodeIsolation,
    Kind,
    MemoryMb,
    RunName,
    RunsDir,
    Timeout,
    Workers,
)
from innovator_rl.errors import UserError
from innovator_rl.rollouts.store import Store
from innovator_rl.runs.run_dir import resolve_runs_dir
from innovator_rl.scoring import Score, ScoringPool, registry
from innovator_rl.scoring.rescoring import Row, differs, rescore

SHOWN = 120
KEY = ("step", "kind", "attempt", "prompt_uid", "sample", "prompt_id", "data_source", "rewarder")


def rescore_run(
    run: RunName,
    reward: Annotated[
        str | None,
        typer.Option(
            "--reward",
            help="Score with this rewarder instead of the one each row names.",
            autocompletion=completion.rewarders,
        ),
    ] = None,
    kind: Annotated[Kind, typer.Option("--kind", help="Which responses.")] = "train",
    step: Annotated[list[int] | None, typer.Option("--step", help="Only this step; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for one JSON line per response.")] = None,
    examples: Annotated[int, typer.Option("--examples", help="Changed responses to show per kind of change.")] = 2,
    workers: Workers = 2,
    timeout: Timeout = 10.0,
    memory_mb: MemoryMb = 2048,
    code_isolation: CodeIsolation = "standard",
    as_json: AsJson = False,
    runs_dir: RunsDir = "runs",
) -> None:
    """Score the responses of a run again and compare with the recorded scores."""
    if reward is not None:
        registry.require_known(reward)
    path = _find(run, runs_dir)
    store = Store(path)
    steps = store.steps(kind)
    absent = sorted(set(step or ()) - set(steps))
    if not steps or absent:
        recorded = f"{steps[0]} to {steps[-1]}" if steps else "none"
        raise UserError(f"{path}: no {kind} responses of step {absent or '?'}; recorded steps: {recorded}")
    comparison = Comparison()
    pool = ScoringPool(workers, timeout, memory_mb, code_isolation=code_isolation, warm=[reward] if reward else [])
    with pool, _sink(out) as sink:
        for number, chosen in enumerate(sorted(step or steps), 1):
            for row, score in rescore(pool, store.rollouts(chosen, kind, with_text=True), reward):
                change = comparison.add(row, score)
                if sink is not None:
                    sink.write(json.dumps(change) + "\n")
            typer.echo(f"step {chosen} ({number} of {len(step or steps)}): {comparison.line()}", err=True)
    typer.echo(json.dumps(comparison.as_dict()) if as_json else comparison.text(examples))
    if comparison.errors:
        raise typer.Exit(3)


@dataclasses.dataclass
class Comparison:
    """Counts of recorded scores against new ones."""

    responses: int = 0
    skipped: int = 0
    errors: int = 0
    changed: int = 0
    old_correct: int = 0
    new_correct: int = 0
    old_value: float = 0.0
    new_value: float = 0.0
    moves: Counter[str] = dataclasses.field(default_factory=Counter)
    examples: dict[str, list[Row]] = dataclasses.field(default_factory=lambda: defaultdict(list))

    def add(self, row: Row, score: Score | None) -> Row:
        """Count one response and return the row that is written about it.

        Args:
            row: A recorded response.
            score: Its new score; None where the record has no response.
        """
        old = {name: row[name] for name in ("correct", "outcome", "reason", "extracted")}
        old["value"] = row["score_value"]
        change = {name: row[name] for name in KEY} | {"old": old, "new": None, "changed": False}
        if score is None:
            self.skipped += 1
            return change
        new = {name: getattr(score, name) for name in ("value", "correct", "outcome", "reason", "extracted", "terms")}
        change["new"] = new
        change["changed"] = differs(old, new)
        self.responses += 1
        self.errors += score.outcome == "error"
        self.old_correct += bool(old["correct"])
        self.new_correct += score.correct
        self.old_value += old["value"] or 0.0
        self.new_value += score.value
        if change["changed"]:
            self.changed += 1
            move = f"{_mark(old)} -> {_mark(new)}"
            self.moves[move] += 1
            if len(self.examples[move]) < 20:
                self.examples[move].append(change | {"answer": row["answer"], "response": row["response"]})
        return change

    def line(self) -> str:
        """Return the progress in one line."""
        return f"{self.responses} scored, {self.changed} changed, {self.errors} errors"

    def as_dict(self) -> Row:
        """Return the comparison as plain values for JSON."""
        counts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return counts | {"moves": dict(self.moves.most_common()), "examples": dict(self.examples)}

    def text(self, examples: int) -> str:
        """Return totals, and the kinds of change by frequency with examples.

        Args:
            examples: Changed responses to show per kind of change.
        """
        count = max(1, self.responses)
        lines = [
            f"responses  {self.responses} ({self.skipped} without a response were skipped)",
            f"correct    {self.old_correct / count:.4f} -> {self.new_correct / count:.4f}",
            f"value      {self.old_value / count:.4f} -> {self.new_value / count:.4f}",
            f"changed    {self.changed}",
        ]
        for move, number in self.moves.most_common():
            lines.append(f"{number:>7}  {move}")
            for change in self.examples[move][:examples]:
                place = f"step {change['step']} {change['prompt_uid']}/{change['sample']}"
                lines.append(
                    f"         {place}: reference {_short(change['answer'])}, response ...{_tail(change['response'])}"
                )
                read = (change["old"]["extracted"], change["new"]["extracted"])
                lines.append(f"         read {_short(read[0])} then, {_short(read[1])} now")
        return "\n".join(lines)


def _mark(score: Row) -> str:
    result = ("right" if score["correct"] else "not right") if score["outcome"] == "scored" else str(score["outcome"])
    return f"{result} {score['value'] or 0.0:.2f} ({score['reason']})"


def _short(text: object) -> str:
    shown = " ".join(str(text if text is not None else "nothing").split())
    return shown if len(shown) <= SHOWN else shown[:SHOWN] + "..."


def _tail(text: str) -> str:
    return " ".join(text[-4 * SHOWN :].split())[-SHOWN:]


def _find(name: str, runs_dir: str) -> Path:
    for path in (Path(name), resolve_runs_dir(runs_dir) / name):
        if (path / "rollouts").is_dir():
            return path
    raise UserError(f"run {name!r}: neither a run directory with rollouts nor a run in {resolve_runs_dir(runs_dir)}")


class _sink:
    """Open an optional file to write to."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.file: IO[str] | None = None

    def __enter__(self) -> IO[str] | None:
        self.file = self.path.open("w", encoding="utf-8") if self.path else None
        return self.file

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
