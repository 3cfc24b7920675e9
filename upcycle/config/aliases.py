"""Accept the configuration keys of the previous release under their current names.

The table holds every key that was renamed. It applies to configuration files, to `key=value` arguments and to the
`config.yaml` of recorded stages, so a run that an earlier release began can be resumed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from innovator_rl.errors import UserError

RENAMED_KEYS = {
    "donor": "base_model",
    "donor_config": "base_config",
    "induct": "train_experts",
    "route": "train_router",
    "route.start_tokens": "train_router.init_tokens",
    "integrate": "train_joint",
    "dense": "train_dense",
    "engine": "trainer",
}
"""Key of the previous release to today's key; a dotted key lies in a section."""


def current_key(key: str) -> str:
    """Return today's name of a dotted key.

    Keys that were not renamed stay as they are.
    """
    whole = RENAMED_KEYS.get(key)
    if whole is not None:
        return whole
    section, dot, rest = key.partition(".")
    section = RENAMED_KEYS.get(section, section)
    inside = RENAMED_KEYS.get(f"{_old_name(section)}.{rest}", "") if dot else ""
    return inside or section + dot + rest


def current_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration document with today's keys.

    Raises:
        UserError: If a key is given under its old and its new name.
    """
    result: dict[str, Any] = {}
    for key, value in document.items():
        name = current_key(str(key))
        if name in result:
            raise UserError(f"{key}: renamed to {name}, which is also given; keep only {name}")
        result[name] = _current_section(name, value) if isinstance(value, Mapping) else value
    return result


def current_overrides(overrides: Sequence[str]) -> list[str]:
    """Return `key=value` arguments with today's keys."""
    pairs = (word.partition("=") for word in overrides)
    return [current_key(key.strip()) + equals + value for key, equals, value in pairs]


def renamed_keys(document: Mapping[str, Any], overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Return the old and the new name of every key of the previous release in use."""
    keys = [str(key) for key in document]
    keys += [f"{key}.{inner}" for key, value in document.items() if isinstance(value, Mapping) for inner in value]
    keys += [word.partition("=")[0].strip() for word in overrides]
    return [
        (old, new) for old, new in RENAMED_KEYS.items() if any(key == old or key.startswith(f"{old}.") for key in keys)
    ]


def current_stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded settings of one stage (any of them) with today's keys."""
    inner = {old.partition(".")[2]: new.partition(".")[2] for old, new in RENAMED_KEYS.items() if "." in old}
    return {inner.get(key, key): value for key, value in stage.items()}


def _current_section(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in section.items():
        inside = current_key(f"{name}.{key}").removeprefix(f"{name}.")
        if inside in result:
            raise UserError(f"{name}.{key}: renamed to {name}.{inside}, which is also given; keep only one")
        result[inside] = value
    return result


def _old_name(section: str) -> str:
    return next((old for old, new in RENAMED_KEYS.items() if new == section), section)
