"""Summarize a run in one row of the list of runs.

The row needs the newest steps alone: the end of metrics.jsonl is read, and a few numbers of it are kept, so that hundreds
of runs fit into a page and into memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from innovator_rl.dashboard.runs.config_file import read_config
from innovator_rl.dashboard.runs.tags import read_tags
from innovator_rl.rollouts.recorder import recorded_losses
from innovator_rl.runs.metric_names import current_name
from innovator_rl.runs.metrics import VALIDATION_PREFIX, Wanted, read_newest_metrics
from innovator_rl.runs.reading import as_number
from innovator_rl.runs.run_dir import RunDir, RunState
from innovator_rl.runs.summary import FIGURES, overall_accuracy, overall_reward, step_figures, trained_domains

HISTORY_POINTS = 60
_SHOWN = {name for names in FIGURES.values() for name in names}
_WANTED = Wanted(lambda name: name.startswith("domain/") or current_name(name) in _SHOWN)

Row = dict[str, Any]


def summary(run: RunDir, superseded: Mapping[int, int]) -> Row:
    """Return what the list shows of a run's metrics and configuration."""
    lines = [line for line in read_newest_metrics(run.metrics_jsonl, superseded, _WANTED) if _trains(line)][
        -HISTORY_POINTS:
    ]
    everything = [overall_reward(trained_domains(line)) for line in lines]
    trained = [as_number(step_figures(line).get("reward")) for line in lines]
    last = step_figures(lines[-1]) if lines else {}
    domains = trained_domains(lines[-1]) if lines else {}
    config, _, why = read_config(run)
    model = (config or {}).get("model")
    return {
        "last_step": lines[-1]["step"] if lines else None,
        "reward": everything[-1] if everything else None,
        "reward_trained": trained[-1] if trained else None,
        "reward_history": [value for value in everything if value is not None],
        "reward_trained_history": [value for value in trained if value is not None],
        "accuracy": overall_accuracy(domains),
        "domains": domains or None,
        "tokens_per_second": as_number(last.get("tokens_per_second")),
        "step_seconds": as_number(last.get("seconds")),
        "model": str(model["path"]) if isinstance(model, dict) and model.get("path") else None,
        "config_problem": why,
    }


def _trains(line: Mapping[str, Any]) -> bool:
    return any("/" in name and not name.startswith(VALIDATION_PREFIX) for name in line)


def headline(run: RunDir, state: RunState, figures: Row, silent_after: float) -> Row:
    """Return the part of a run's row that needs no index."""
    record = state.record
    left = (state.total_steps or 0) - state.step
    seconds = figures["step_seconds"]
    wrong = [f"config.yaml: {figures['config_problem']}"] if figures["config_problem"] else []
    wrong += [state.detail] if state.detail.startswith("run.json:") else []
    return {
        **unreadable_row(run.name),
        **read_tags(run.path),
        **{name: value for name, value in figures.items() if name not in ("last_step", "config_problem")},
        "status": state.status,
        "detail": state.detail,
        "step": state.step if record else figures["last_step"] or 0,
        "total_steps": state.total_steps,
        "phase": state.phase,
        "phase_seconds": _finite(state.phase_age) if state.live else None,
        "attempt": state.attempt,
        "attempts": len(record.get("attempts", [])),
        "created": record.get("created"),
        "heartbeat": record.get("heartbeat"),
        "heartbeat_age": _finite(state.heartbeat_age),
        "silent": is_silent(state, silent_after),
        "host": record.get("host"),
        "pid": record.get("pid"),
        "git": record.get("git"),
        "ray": ray_link(record),
        "seconds_left": seconds * left if seconds and left > 0 and state.live else None,
        "rows_dropped": recorded_losses(run.path)[0],
        "problem": "; ".join(wrong) or None,
    }


def unreadable_row(name: str) -> Row:
    """Return the row of a run of which nothing is known."""
    absent = ("total_steps", "phase_seconds", "created", "heartbeat", "heartbeat_age", "host", "pid", "git", "model")
    absent += ("ray", "reward", "reward_trained", "accuracy", "domains", "tokens_per_second", "step_seconds")
    absent += ("seconds_left", "rows_recorded", "alerts", "problems")
    return {
        "name": name,
        "status": "unknown",
        "detail": "",
        "step": 0,
        "phase": "",
        "attempt": 0,
        "attempts": 0,
        "silent": False,
        "reward_history": [],
        "reward_trained_history": [],
        "rows_dropped": 0,
        "problem": None,
        "tags": [],
        "archived": False,
        **dict.fromkeys(absent),
    }


def is_silent(state: RunState, after: float) -> bool:
    """Return whether a run is dead or sent no heartbeat for `after` seconds.

    Only a run that should be alive counts.
    """
    return state.status == "dead" or (state.live and state.heartbeat_age > after)


def ray_link(record: Row) -> Row | None:
    """Return the run's Ray job, with the page of Ray's dashboard where it is known."""
    job, submission, address = (record.get(k) for k in ("ray_job_id", "ray_submission_id", "ray_dashboard"))
    if not (job or submission):
        return None
    web = str(address or "").startswith(("http://", "https://"))
    return {
        "job_id": job,
        "submission_id": submission,
        "url": f"{str(address).rstrip('/')}/#/jobs/{submission or job}" if web else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
