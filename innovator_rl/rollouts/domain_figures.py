"""Aggregate one recorded step into figures per domain; reads its rows in tens of milliseconds."""

from __future__ import annotations

from typing import Any

from innovator_rl.rollouts.store import Store


def domain_figures(store: Store, step: int, kind: str = "train") -> dict[str, dict[str, Any]]:
    """`{domain: {accuracy, reward, responses, judged, correct}}` of one recorded step."""
    return {
        row["domain"] or "?": {
            "accuracy": row["accuracy"],
            "reward": row["reward_mean"],
            "responses": row["responses"],
            "judged": row["judged"],
            "correct": row["correct"],
        }
        for row in store.counts(by=["domain"], steps=step, kind=kind)
    }
