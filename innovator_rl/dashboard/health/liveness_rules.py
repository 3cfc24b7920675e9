"""Rules about the run itself: is its writer alive, does it move, is the record whole.

They are looked at on every request, for time passes without any file changing.
"""

from __future__ import annotations

import statistics

from innovator_rl.dashboard.health.rule import Finding, RuleContext
from innovator_rl.dashboard.runs.registry import is_silent
from innovator_rl.rollouts.recorder import recorded_losses


def silent(look: RuleContext) -> Finding:
    state, limit = look.state, look.limits.silent_seconds
    fired = is_silent(state, limit)
    age = state.heartbeat_age if state.heartbeat_age != float("inf") else None
    return Finding(
        "writer_silent",
        "error",
        "The writer is silent",
        "seconds since the last heartbeat of a run that has not ended > threshold",
        limit,
        age if fired or state.live else None,
        "seconds",
        fired,
        why="the run has ended" if not fired else "",
        advice=(state.detail or "no heartbeat") + ". See logs/driver.log; the same `innovator train` command resumes.",
        tuning=False,
        view="run",
    )


def stuck(look: RuleContext) -> Finding:
    times = [
        v for line in look.session.metrics()[-50:] if isinstance(v := line.get("timing_s/step"), (int, float)) and v > 0
    ]
    state, limits = look.state, look.limits
    threshold = (
        max(limits.stuck_seconds, limits.stuck_factor * statistics.median(times)) if times else limits.stuck_seconds
    )
    alive = state.live and state.phase != "starting" and not is_silent(state, limits.silent_seconds)
    value = state.phase_age if alive and state.phase_age != float("inf") else None
    return Finding(
        "stuck",
        "error",
        "One phase does not end",
        "seconds in the present phase > threshold (a multiple of the median step)",
        threshold,
        value,
        "seconds",
        value is not None and value > threshold,
        why="the run is not training now",
        advice=f"It is in the phase {state.phase!r}. See logs/driver.log and the Ray job's logs.",
        tuning=False,
        view="run",
    )


def damaged(look: RuleContext) -> Finding:
    count = len(look.session.index.problems())
    return Finding(
        "damaged_files",
        "warning",
        "Files that cannot be shown",
        "damaged, half-written or foreign files > threshold",
        0,
        count,
        "files",
        count > 0,
        advice="Their rows are missing from every figure here; the run's page lists them.",
        tuning=False,
        view="run",
    )


def lost(look: RuleContext) -> Finding:
    rows, why = recorded_losses(look.session.run.path)
    return Finding(
        "rows_lost",
        "warning",
        "Responses that were not recorded",
        "rows the recorders dropped or refused > threshold",
        0,
        rows,
        "rows",
        rows > 0,
        advice=f"Figures here leave those responses out. {why}",
        tuning=False,
        view="run",
    )
