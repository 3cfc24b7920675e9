"""How a response becomes a reward: the plugin API, the registry of rewarders, the pool of killable processes,
overlong shaping.

A rewarder's author needs `Score` and its short forms from here; a caller needs `ScoringPool` and `ScoreRequest`.
"""

from innovator_rl.scoring.api import ENGINE_REASONS, Rewarder, Score, ScoreRequest, abstain, right, wrong
from innovator_rl.scoring.overlong import Overlong, compose
from innovator_rl.scoring.pool import ScoringPool

__all__ = [
    "ENGINE_REASONS",
    "Overlong",
    "Rewarder",
    "Score",
    "ScoreRequest",
    "ScoringPool",
    "abstain",
    "compose",
    "right",
    "wrong",
]
