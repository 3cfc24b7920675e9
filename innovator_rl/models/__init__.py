"""Models: the ones this project makes without a hub, where a model path leads, and what a checkpoint is.

Importing this room costs nothing: torch and transformers are imported inside the functions that build a checkpoint.
"""

from innovator_rl.models.inspect import ModelInfo, inspect_model
from innovator_rl.models.resolver import BUILT_IN_MODELS, make, resolve

__all__ = ["BUILT_IN_MODELS", "ModelInfo", "inspect_model", "make", "resolve"]
