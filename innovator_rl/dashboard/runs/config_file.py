"""Read config.yaml of a run as a mapping, or as text where it is none that can be shown.

A YAML file of 500 bytes can stand for gigabytes, through aliases, or contain itself. Such a file is shown as its text.
"""

from __future__ import annotations

from typing import Any

import yaml

from innovator_rl.runs.reading import clean, read_bytes
from innovator_rl.runs.run_dir import RunDir

MOST_BYTES = 1 << 20
MOST_NODES = 20_000
MOST_CHARS = 2 << 20
"""Characters of all keys and values, every alias written out."""
MOST_NESTING = 200
MOST_BRACKETS = 2_000
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_config(run: RunDir) -> tuple[dict[str, Any] | None, str, str]:
    """Return config.yaml as a mapping (None where it is not one), as text, and why there is no mapping."""
    raw, why = read_bytes(run.config_yaml, MOST_BYTES)
    if raw is None:
        return None, "", why
    text = raw.decode("utf-8", "replace")
    if text.count("[") + text.count("{") > MOST_BRACKETS or _indentation(text) > MOST_NESTING:
        return None, text, "nested too deeply"
    if "<<" in text and "*" in text:  # each merge copies what it merges, so that a few of them can be endless
        return None, text, "merged mappings are not followed"
    try:
        value = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        return None, text, f"not YAML: {(str(error).splitlines() or [''])[0][:100]}"
    if not isinstance(value, dict):
        return None, text, "not a mapping" if value is not None else ""
    if not _fits(value, [MOST_NODES, MOST_CHARS], 0):
        return None, text, "too large or too deep with its aliases written out"
    return clean(value), text, ""


def _indentation(text: str) -> int:
    """Return how deep a line can be by what stands before its first word."""
    return max((len(line) - len(line.lstrip(" -?:")) for line in text.splitlines()), default=0)


def _fits(value: Any, left: list[int], depth: int) -> bool:
    """Return whether the value ends within `left` nodes and characters, every alias written out."""
    left[0] -= 1
    if isinstance(value, (str, bytes)):
        left[1] -= len(value)
    elif isinstance(value, int):
        left[1] -= value.bit_length() // 3
    if min(left) < 0 or depth > MOST_NESTING:
        return False
    if isinstance(value, dict):
        return all(_fits(part, left, depth + 1) for item in value.items() for part in item)
    if isinstance(value, (list, tuple, set)):
        return all(_fits(item, left, depth + 1) for item in value)
    return True
