"""Name published recipes: the values that `algorithm.preset` starts from.

A preset fills what the `algorithm` section leaves out; a value written next to it wins. Each has the clip range of its own
ratio: GSPO's is a mean over a response and moves by thousandths, CISPO's bounds a weight, not a step. The resolved
configuration of a run lists every value, so a preset is never needed to read one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Preset = Literal["grpo", "dapo", "dr_grpo", "gspo", "cispo", "icepop"]

PRESETS: dict[str, dict[str, Any]] = {
    # DeepSeekMath, arXiv 2402.03300: symmetric clip, mean per response, KL term, every group
    "grpo": {
        "clip_low": 0.2,
        "clip_high": 0.2,
        "loss_aggregation": "seq-mean-token-mean",
        "kl_coefficient": 0.04,
        "dynamic_sampling": {"enabled": False},
        "overlong": {"enabled": False},
    },
    # arXiv 2503.14476: the defaults of this project
    "dapo": {
        "clip_low": 0.2,
        "clip_high": 0.28,
        "loss_aggregation": "token-mean",
        "kl_coefficient": 0.0,
        "dynamic_sampling": {"enabled": True},
        "overlong": {"enabled": True},
    },
    # arXiv 2503.20783: no division by length or by the group's deviation
    "dr_grpo": {
        "clip_low": 0.2,
        "clip_high": 0.2,
        "loss_aggregation": "seq-mean-token-sum-norm",
        "normalize_by_std": False,
        "dynamic_sampling": {"enabled": False},
        "overlong": {"enabled": False},
    },
    # arXiv 2507.18071: the geometric mean of a response's ratios is clipped
    "gspo": {
        "policy_loss": "gspo",
        "clip_low": 3e-4,
        "clip_high": 4e-4,
        "loss_aggregation": "seq-mean-token-mean",
    },
    # arXiv 2506.13585, upper bound of arXiv 2510.13786: the weight of a token is bounded and its gradient kept
    "cispo": {"policy_loss": "cispo", "clip_low": 0.99, "clip_high": 4.0, "loss_aggregation": "token-mean"},
    # arXiv 2510.18855: tokens whose training and rollout probabilities differ too much do not train
    "icepop": {"rollout_correction": {"level": "token", "lower": 0.5, "threshold": 5.0}},
}


def fill(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return an `algorithm` section with what its preset adds; an unknown name is left to the schema."""
    name = section.get("preset")
    return _under(PRESETS.get(str(name), {}), section)


def _under(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base) | dict(over)
    for key, value in base.items():
        if isinstance(value, Mapping) and isinstance(over.get(key), Mapping):
            merged[key] = _under(value, over[key])
    return merged
