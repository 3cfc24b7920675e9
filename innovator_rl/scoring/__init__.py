"""Score responses: plugin API, rewarder registry, worker pool, overlong shaping.

An author of a rewarder imports `Score`, its short forms and `UserError` from here; a caller imports `ScoringPool` and
`ScoreRequest`.
"""

from innovator_rl.errors import UserError
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
    "UserError",
    "abstain",
    "compose",
    "right",
    "wrong",
]
