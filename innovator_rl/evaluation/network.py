"""Decide once whether the hub can be reached, so that a missing data set is named in seconds and not after retries."""

from __future__ import annotations

import os
import sys

PROBE_SECONDS = 3.0
VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


def settle_network() -> bool:
    """Switch the hub's libraries to their local caches where the hub cannot be reached.

    Returns:
        Whether the hub can be reached.
    """
    if any(os.environ.get(name, "0").lower() in ("1", "true", "yes", "on") for name in VARIABLES):
        return False
    import httpx

    try:
        httpx.head(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), timeout=PROBE_SECONDS)
        return True
    except httpx.HTTPError:
        os.environ.update(dict.fromkeys(VARIABLES, "1"))
        _tell_loaded_libraries()
        return False


def _tell_loaded_libraries() -> None:
    """Set the switch in libraries that read the environment at import."""
    for module, name in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")):
        if module in sys.modules:
            setattr(sys.modules[module], name, True)
