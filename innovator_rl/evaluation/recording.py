"""Record the responses of a task in a run directory, and notice what the disk refuses.

The recorder of a training run never blocks a step: it drops rows when too many wait, and keeps those that the disk refuses
for another try. An evaluation can wait, and a lost row would be missing from its comparison with another checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

from innovator_rl.errors import UserError
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow

ROWS = 1000  # rows that wait in memory, fewer than the recorder's queue takes


def record(recorder: Recorder, rows: Sequence[RolloutRow]) -> None:
    """Write rows; they are on disk when this returns.

    Raises:
        UserError: The disk refuses them, for example because it is full.
    """
    lost = recorder.stats().dropped
    for start in range(0, len(rows), ROWS):
        for row in rows[start : start + ROWS]:
            recorder.rollout(row)
        recorder.flush()
    stats = recorder.stats()
    if stats.pending or stats.dropped > lost:
        raise UserError(
            f"{recorder.path} cannot be written ({stats.last_error}): free the disk and start the same command again; "
            "it goes on from the stored responses"
        )
