"""Summarize a step's or a validation's metrics under the names that `Progress` shows.

The flat metrics of a step carry figures per domain as `domain/NAME/...`; `innovator_rl.rollouts.domain_figures` reads the
same figures from the recorded rollouts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

FIGURES = {
    "reward": ("critic/score/mean", "critic/rewards/mean"),
    "tokens_per_second": ("perf/throughput",),
    "response_tokens": ("response_length/mean",),
    "seconds": ("timing_s/step", "perf/time_per_step"),
    "groups_kept": ("sampling/useful_groups",),
}
DROPPED_PREFIX = "sampling/dropped_"
VALIDATION_ACCURACY = re.compile(r"^val-core/(?P<source>.+)/(?:acc|reward)/mean@\d+$")

Domains = Mapping[str, Mapping[str, Any]]


def trained_domains(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Read figures per domain from the sampler's `domain/NAME/...` metrics; accuracy and reward are None where nothing was judged."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in metrics.items():
        parts = key.split("/")
        if parts[0] == "domain" and len(parts) == 3:
            found.setdefault(parts[1], {})[parts[2]] = value
    return {name: _trained_domain(values) for name, values in found.items()}


def _trained_domain(values: Mapping[str, Any]) -> dict[str, Any]:
    responses, unscored = values.get("responses"), values.get("unjudged") or 0.0
    judged = None if responses is None else round(responses * (1 - unscored))
    accuracy, reward = (None if judged == 0 else values.get(name) for name in ("correct", "score"))
    return {
        "accuracy": accuracy,
        "reward": reward,
        "responses": responses,
        "judged": judged,
        "correct": None if accuracy is None or judged is None else accuracy * judged,
    }


def overall_accuracy(domains: Domains | None) -> float | None:
    """Correct responses over judged ones, all domains together; None where nothing was judged."""
    judged = sum(values.get("judged") or 0 for values in (domains or {}).values())
    return sum(values.get("correct") or 0 for values in (domains or {}).values()) / judged if judged else None


def step_figures(metrics: Mapping[str, Any], domains: Domains | None = None) -> dict[str, Any]:
    """The figures of a training step; keys as in `ProgressState.last`, those that are known."""
    figures: dict[str, Any] = {name: value for name, value in metrics.items() if "/" not in name}
    for name, sources in FIGURES.items():
        known = [metrics[key] for key in sources if _is_number(metrics.get(key))]
        if known and name not in figures:
            figures[name] = known[0]
    if "groups_kept" in figures:
        figures["groups_kept"] = round(figures["groups_kept"])
    dropped = {k.removeprefix(DROPPED_PREFIX): round(v) for k, v in metrics.items() if k.startswith(DROPPED_PREFIX)}
    if dropped:
        figures.setdefault("groups_dropped", dropped)
    if domains:
        figures.setdefault("domains", domains)
        figures.setdefault("accuracy", overall_accuracy(domains))
    return figures


def validation_figures(metrics: Mapping[str, Any], domains: Domains | None = None) -> dict[str, Any]:
    """`accuracy` and `domains` of a validation; by data source where no domains are given."""
    figures: dict[str, Any] = {name: value for name, value in metrics.items() if "/" not in name}
    if domains:
        figures.setdefault("domains", domains)
        figures.setdefault("accuracy", overall_accuracy(domains))
        return figures
    sources = {
        match["source"]: {"accuracy": float(value)}
        for name, value in metrics.items()
        if (match := VALIDATION_ACCURACY.match(name)) and _is_number(value)
    }
    if sources:
        figures.setdefault("domains", sources)
        figures.setdefault("accuracy", sum(s["accuracy"] for s in sources.values()) / len(sources))
    return figures


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
