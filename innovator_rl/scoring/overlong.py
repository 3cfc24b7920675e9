"""Apply the soft overlong penalty of DAPO (arXiv 2503.14476, equation 13).

The penalty is a named term of its own next to the score. A response within `max_tokens - buffer_tokens` keeps its
reward; inside the buffer the penalty grows linearly to
`-penalty` at `max_tokens`, and stays there. It changes the reward that the update sees, never `correct`: a right
answer that is long remains right for dynamic sampling and pass@k. An unscored response has no reward to change.
"""

from __future__ import annotations

from dataclasses import dataclass

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Score


@dataclass(frozen=True)
class Overlong:
    """The shape of the penalty.

    Attributes:
        max_tokens: The response length, in tokens, at which the penalty is largest.
        buffer_tokens: The number of tokens before it in which the penalty grows.
        penalty: The largest penalty.

    Raises:
        UserError: The lengths contradict each other.
    """

    max_tokens: int
    buffer_tokens: int
    penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.buffer_tokens <= 0 or self.buffer_tokens > self.max_tokens:
            raise UserError(
                f"overlong buffer of {self.buffer_tokens} tokens must be in 1..max_resp_len={self.max_tokens}; "
                "shorten overlong_buffer_cfg.len or set overlong_buffer_cfg.enable=false"
            )
        if self.penalty < 0:
            raise UserError(f"overlong penalty_factor must be at least 0, got {self.penalty}")

    def term(self, response_tokens: int) -> float:
        """Return the term, in [-penalty, 0], for a response length in tokens."""
        beyond = response_tokens - (self.max_tokens - self.buffer_tokens)
        return -self.penalty * min(max(beyond / self.buffer_tokens, 0.0), 1.0) + 0.0


def compose(score: Score, overlong: Overlong | None, response_tokens: int) -> tuple[float, float]:
    """Return the final reward and the overlong term that it includes."""
    term = overlong.term(response_tokens) if overlong is not None and score.scored else 0.0
    return score.value + term, term
