"""Models: the ones this project makes without a hub, where a model path leads, and what a checkpoint is.

Importing this room costs nothing: torch and transformers are imported inside the functions that build a checkpoint.
"""

from innovator_rl.models.facts import ModelFacts, facts
from innovator_rl.models.store import MADE_MODELS, make, resolve

__all__ = ["MADE_MODELS", "ModelFacts", "facts", "make", "resolve"]
