"""Map the metric names of earlier versions to the current ones.

Run directories that an earlier version recorded stay readable: every reader of metrics.jsonl gets the current names,
because `read_metrics` applies `current_names`. A writer uses the current names only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED = {
    "sampling/useful_groups": "sampling/kept_groups",
    "sampling/filled_groups": "sampling/fallback_groups",
    "sampling/dropped_unjudged": "sampling/dropped_unscored",
    "sampling/unjudged_samples": "sampling/unscored_samples",
}
"""Name in earlier versions -> name now."""

RENAMED_ENDINGS = {"/unjudged": "/unscored"}
"""Ending in earlier versions -> ending now, for names that contain a domain: `domain/NAME/unscored`."""


def current_name(name: str) -> str:
    """Return the current name of a metric, which is mostly the name itself."""
    if name in RENAMED:
        return RENAMED[name]
    for old, new in RENAMED_ENDINGS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def current_names(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics under their current names.

    Where a metric has both names, the value under the current name counts.
    """
    renamed = {current_name(name): value for name, value in metrics.items()}
    return {**renamed, **{name: value for name, value in metrics.items() if name in renamed}}
