"""Describe what the installed verl declares: keys, defaults, open dictionaries.

Everything here is read from verl's own files, so that a key that verl renamed is noticed at the start of a run. The
YAML files are found and composed without importing verl; only `dataclass_fields` imports it.
"""

import copy
import dataclasses
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from innovator_rl.errors import UserError

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"

FREE_FORM_KEYS = (
    "actor_rollout_ref.model.override_config",
    f"{ROLLOUT}.engine_kwargs.vllm",
    f"{ROLLOUT}.checkpoint_engine.engine_kwargs",
    f"{ROLLOUT}.custom",
    f"{ACTOR}.optim.override_optimizer_config",
    f"{ACTOR}.fsdp_config.wrap_policy",
    f"{ACTOR}.fsdp_config.mixed_precision",
    "actor_rollout_ref.ref.fsdp_config.mixed_precision",
    "data.apply_chat_template_kwargs",
    "data.mm_processor_kwargs",
    "ray_kwargs.ray_init.runtime_env",
)
"""Keys whose content belongs to another library: verl passes it on and does not list it."""


def config_dir() -> Path:
    """Return the folder of verl's YAML files, found without importing verl.

    Raises:
        UserError: verl is not installed.
    """
    spec = find_spec("verl")
    if spec is None or spec.origin is None:
        raise UserError("verl is not installed: pip install 'innovator-rl[cpu]' or 'innovator-rl[gpu]'")
    return Path(spec.origin).parent / "trainer" / "config"


@cache
def _composed() -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base=None):
        config = compose("ppo_trainer")
    OmegaConf.set_struct(config, False)
    return config


def stock() -> DictConfig:
    """Compose verl's `ppo_trainer` configuration, unresolved and writable.

    It is the caller's own copy.
    """
    return copy.deepcopy(_composed())


def stock_node(key: str) -> Any:
    """Return the value or section at a dotted key of verl's own configuration.

    None where there is none.

    The result is shared between callers and must not be changed.
    """
    return OmegaConf.select(_composed(), key, throw_on_missing=False) if key else _composed()


@cache
def stock_keys() -> dict[str, Any]:
    """Return verl's leaf keys with unresolved defaults, and its empty mappings."""
    container = OmegaConf.to_container(_composed(), resolve=False)
    assert isinstance(container, dict)
    return flatten(container)


def flatten(section: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested and dotted keys into dotted leaves.

    Args:
        section: a mapping with nested mappings, dotted keys, or both.
        prefix: the dotted key of `section` itself.

    Returns:
        Dotted key -> value. An empty mapping and a free-form dictionary stay values.
    """
    found: dict[str, Any] = {}
    for name, value in section.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value and key not in FREE_FORM_KEYS:
            found.update(flatten(value, key))
        else:
            found[key] = value
    return found


def dataclass_fields(target: str) -> dict[str, Any]:
    """Return the defaults of the dataclass that verl builds for a `_target_`.

    This imports verl.
    """
    module, _, name = target.rpartition(".")
    return {field.name: field.default for field in dataclasses.fields(getattr(import_module(module), name))}
