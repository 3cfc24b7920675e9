"""Resolve model paths, build the built-in models and inspect checkpoints.

Built-in models need no model hub. Importing this package is cheap: torch and transformers are imported inside the
functions that build a checkpoint.
"""

from innovator_rl.models.inspect import ModelInfo, inspect_model
from innovator_rl.models.resolver import BUILT_IN_MODELS, make, resolve

__all__ = ["BUILT_IN_MODELS", "ModelInfo", "inspect_model", "make", "resolve"]
