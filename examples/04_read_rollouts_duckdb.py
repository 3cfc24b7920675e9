"""Example 4: SQL over recorded responses.

What: why responses were wrong, and which were rewarded most, read from the Parquet files of a run.
Why:  a run directory is plain files; DuckDB, pandas and Polars read them without the trainer.
Run:  python examples/04_read_rollouts_duckdb.py runs/demo
      Without a run, a synthetic one is written to a temporary folder and read.

Expected output: a table of reasons with counts per step, and the three best responses of the last step.
"""

import sys
import tempfile
from pathlib import Path

import innovator_rl as ir

REASONS = """
    SELECT step, reason, count(*) AS responses, round(avg(reward) FILTER (outcome = 'scored'), 3) AS reward
    FROM rollouts GROUP BY step, reason ORDER BY step DESC, responses DESC LIMIT 12
"""
BEST = """
    SELECT prompt_id, reward, advantage, left(response, 60) AS response
    FROM rollouts WHERE step = (SELECT max(step) FROM rollouts) ORDER BY reward DESC NULLS LAST LIMIT 3
"""


def show(folder: Path) -> None:
    """Print the reasons per step and the best responses of a run."""
    run = ir.open_run(folder)
    print(run)
    rollouts = run.rollouts(kind="train")
    print(rollouts.query("rollouts", REASONS))
    print(rollouts.query("rollouts", BEST))


def main() -> None:
    """Show the run of the command line, or a synthetic one."""
    if len(sys.argv) > 1:
        show(Path(sys.argv[1]))
        return
    from innovator_rl.dashboard.demo.write import write_demo

    with tempfile.TemporaryDirectory() as work:
        write_demo(Path(work))
        show(next(path.parent for path in sorted(Path(work).glob("*/run.json"))))


if __name__ == "__main__":
    main()
