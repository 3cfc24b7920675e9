"""Read what a run recorded, from its files alone: facts, metrics, responses.

A run can be opened while it trains, after it ended and after it crashed. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from innovator_rl.config import RunConfig
from innovator_rl.config.load import read_yaml, validate
from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import RunDir, RunState, list_runs, resolve_runs_dir

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from innovator_rl.rollouts.store import Store


class Run:
    """One recorded run.

    Attributes:
        path: Its directory.
        name: Its name, which is the directory's.
    """

    def __init__(self, path: str | Path) -> None:
        self._directory = RunDir(path)
        self.path = self._directory.path
        self.name = self._directory.name

    def __repr__(self) -> str:
        state = self.state
        return f"Run({str(self.path)!r}, status={state.status!r}, step={state.step})"

    @property
    def state(self) -> RunState:
        """Return status, step, phase, attempt and age of the heartbeat, read now."""
        return self._directory.state()

    @property
    def config(self) -> RunConfig:
        """Return the configuration that the run was started with.

        Raises:
            UserError: config.yaml is missing or was written by an incompatible version.
        """
        return validate(read_yaml(self._directory.config_yaml), str(self._directory.config_yaml))

    @property
    def store(self) -> Store:
        """Return the reader of the rollout record: groups, counts, tokens, filters."""
        from innovator_rl.rollouts.store import Store

        return Store(self.path)

    def metrics(self) -> pa.Table:
        """Return one row per step with a column per metric; null where a step has none."""
        import pyarrow as pa

        rows = self._directory.metrics()
        columns = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: [row.get(name) for row in rows] for name in columns})

    def steps(self, kind: str = "train") -> list[int]:
        """Return the steps with recorded responses, ascending.

        Args:
            kind: "train" or "validation".
        """
        return self.store.steps(kind)

    def rollouts(self, steps: int | Iterable[int] | None = None, kind: str | None = None) -> duckdb.DuckDBPyRelation:
        """Return the recorded responses as a DuckDB relation.

        It reads the Parquet files when it is used.

        One row per response, with prompt, response, answer, score, reason, and what the update made of it
        (`kept`, `drop_reason`, `advantage`). `.to_arrow_table()`, `.df()` and `.fetchall()` read all of it;
        `.filter(...)`, `.aggregate(...)` and `.query(...)` read what they need.

        Args:
            steps: Only these training steps; all if None.
            kind: "train" or "validation"; both if None.
        """
        return self.store.relation(steps, kind)


def open_run(run: str | Path, runs_dir: str | Path = "runs") -> Run:
    """Open a recorded run for reading.

    Args:
        run: Its directory, or its name below `runs_dir`.
        runs_dir: The folder of run directories.

    Raises:
        UserError: There is no such run; the message lists those there are.
    """
    return Run(find_run(run, runs_dir))


def is_run(run: str | Path, runs_dir: str | Path = "runs") -> bool:
    """Return whether `find_run` finds a run."""
    return any((path / "run.json").is_file() for path in (Path(run), resolve_runs_dir(runs_dir) / run))


def find_run(run: str | Path, runs_dir: str | Path = "runs") -> Path:
    """Return the directory of a run, as `open_run` finds it.

    Args:
        run: Its directory, or its name below `runs_dir`.
        runs_dir: The folder of run directories.

    Raises:
        UserError: There is no such run; the message lists those there are.
    """
    base = resolve_runs_dir(runs_dir)
    for path in (Path(run), base / run) if "/" in str(run) else (base / run, Path(run)):
        if (path / "run.json").is_file():
            return path
    known = ", ".join(found.name for found in list_runs(base)[:8]) or "none"
    raise UserError(f"run {str(run)!r} not found: no run.json in {base / run}; runs in {base}: {known}")
