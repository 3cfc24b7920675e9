"""Summarize the metrics of a step or a validation.

The summary has the names that `Progress` shows. The flat metrics of a step contain figures per domain as
`domain/NAME/...`; `innovator_rl.rollouts.domain_figures` reads the same figures from the recorded rollouts. Metrics
with the names of earlier versions are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from innovator_rl.runs.metric_names import current_names
from innovator_rl.runs.reading import as_number

FIGURES = {
    "reward": ("critic/score/mean", "critic/rewards/mean"),
    "tokens_per_second": ("perf/throughput",),
    "response_tokens": ("response_length/mean",),
    "seconds": ("timing_s/step", "perf/time_per_step"),
    "groups_kept": ("sampling/kept_groups",),
}
MOST_RESPONSES = 1e12
DROPPED_PREFIX = "sampling/dropped_"
VALIDATION_ACCURACY = re.compile(r"^val-core/(?P<source>.+)/(?:acc|reward)/mean@\d+$")

Domains = Mapping[str, Mapping[str, Any]]


def trained_domains(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Read figures per domain from the `domain/NAME/...` metrics of a step.

    Returns:
        For each domain `accuracy`, `reward`, `responses`, `scored` and `correct`. Accuracy and reward are None where no
        response was scored.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, value in current_names(metrics).items():
        parts = key.split("/")
        if parts[0] == "domain" and len(parts) == 3:
            found.setdefault(parts[1], {})[parts[2]] = value
    return {name: _trained_domain(values) for name, values in found.items()}


def _trained_domain(values: Mapping[str, Any]) -> dict[str, Any]:
    responses, unscored = as_number(values.get("responses")), as_number(values.get("unscored")) or 0.0
    if responses is not None and not 0 <= responses <= MOST_RESPONSES:  # no count, and sums of such numbers overflow
        responses = None
    scored = None if responses is None else round(responses * (1 - min(max(unscored, 0.0), 1.0)))
    accuracy, reward = (None if scored == 0 else as_number(values.get(name)) for name in ("correct", "score"))
    return {
        "accuracy": accuracy,
        "reward": reward,
        "responses": responses,
        "scored": scored,
        "correct": None if accuracy is None or scored is None else accuracy * scored,
    }


def overall_accuracy(domains: Domains | None) -> float | None:
    """Return the share of correct responses among scored ones over all domains.

    It is None where no response was scored.
    """
    scored = sum(values.get("scored") or 0 for values in (domains or {}).values())
    return sum(values.get("correct") or 0 for values in (domains or {}).values()) / scored if scored else None


def overall_reward(domains: Domains | None) -> float | None:
    """Return the mean reward of the scored responses over all domains, dropped groups included.

    It is None where no response was scored, or where a domain does not say its reward.
    """
    known = [(as_number(values.get("reward")), values.get("scored") or 0) for values in (domains or {}).values()]
    known = [(reward, scored) for reward, scored in known if scored]
    if not known or any(reward is None for reward, _ in known):
        return None
    return sum((reward or 0.0) * scored for reward, scored in known) / sum(scored for _, scored in known)


def step_figures(metrics: Mapping[str, Any], domains: Domains | None = None) -> dict[str, Any]:
    """Return the figures of a training step under the keys of `ProgressState.last`."""
    metrics = current_names(metrics)
    figures: dict[str, Any] = {name: value for name, value in metrics.items() if "/" not in name}
    for name, sources in FIGURES.items():
        known = [metrics[key] for key in sources if _is_number(metrics.get(key))]
        if known and name not in figures:
            figures[name] = known[0]
    if _is_number(figures.get("groups_kept")):
        figures["groups_kept"] = round(figures["groups_kept"])
    dropped = {
        k.removeprefix(DROPPED_PREFIX): round(v)
        for k, v in metrics.items()
        if k.startswith(DROPPED_PREFIX) and _is_number(v)
    }
    if dropped:
        figures.setdefault("groups_dropped", dropped)
    if domains:
        figures.setdefault("domains", domains)
        figures.setdefault("accuracy", overall_accuracy(domains))
    return figures


def validation_figures(metrics: Mapping[str, Any], domains: Domains | None = None) -> dict[str, Any]:
    """Return `accuracy` and `domains` of a validation.

    Where no domains are given, they are the data sources.
    """
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
    return as_number(value) is not None
