"""List the rules about the run itself: heartbeats, progress, complete records.

They are evaluated on every request, because time passes without any file changing.
"""

from __future__ import annotations

import math
import statistics

from innovator_rl.dashboard.health.rule import Measurement, Rule, RuleContext
from innovator_rl.dashboard.runs.headline import is_silent
from innovator_rl.rollouts.recorder import recorded_losses


def _heartbeat_age(context: RuleContext) -> Measurement:
    state = context.state
    silent = is_silent(state, context.limits.silent_seconds)
    age = state.heartbeat_age if math.isfinite(state.heartbeat_age) else None
    return Measurement(
        value=age if silent or state.live else None,
        fired=silent,
        advice=f"{state.detail or 'No heartbeat'}. See logs/driver.log; the same `innovator train` command resumes the run.",
    )


def _phase_age(context: RuleContext) -> Measurement:
    times = [
        seconds
        for line in context.session.metrics()[-50:]
        if isinstance(seconds := line.get("timing_s/step"), (int, float)) and seconds > 0
    ]
    state, limits = context.state, context.limits
    alive = state.live and state.phase != "starting" and not is_silent(state, limits.silent_seconds)
    return Measurement(
        value=state.phase_age if alive and math.isfinite(state.phase_age) else None,
        threshold=max(limits.stuck_seconds, limits.stuck_factor * statistics.median(times) if times else 0.0),
        advice=f"The phase is {state.phase!r}. See logs/driver.log and the logs of the Ray job.",
    )


def _unreadable_files(context: RuleContext) -> Measurement:
    return Measurement(value=len(context.session.index.problems()))


def _lost_rows(context: RuleContext) -> Measurement:
    rows, why = recorded_losses(context.session.run.path)
    return Measurement(value=rows, advice=why)


STALLS = ("writer_silent", "stuck")
"""Rules whose alert means that the run does not move; it silences advice about settings."""
LIVENESS_RULES = (
    Rule(
        id="writer_silent",
        severity="error",
        title="No heartbeat",
        condition="seconds since the last heartbeat of a run that has not ended > threshold",
        measure=_heartbeat_age,
        limit="silent_seconds",
        unit="seconds",
        missing="the run has ended",
        tuning=False,
        view="run",
    ),
    Rule(
        id="stuck",
        severity="error",
        title="Phase stuck",
        condition="seconds in the present phase > threshold (a multiple of the median step)",
        measure=_phase_age,
        unit="seconds",
        missing="the run is not training now",
        tuning=False,
        view="run",
    ),
    Rule(
        id="damaged_files",
        severity="warning",
        title="Unreadable files",
        condition="damaged, incomplete or foreign files > threshold",
        measure=_unreadable_files,
        unit="files",
        advice="Their rows are missing from every figure here; the run page lists them.",
        tuning=False,
        view="run",
    ),
    Rule(
        id="rows_lost",
        severity="warning",
        title="Unrecorded responses",
        condition="rows that the recorders dropped or rejected > threshold",
        measure=_lost_rows,
        unit="rows",
        advice="The figures here do not include these responses.",
        tuning=False,
        view="run",
    ),
)
