"""A problem: what every source of data is turned into before it gets a prompt and becomes a training row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: The seven domains of the paper's reinforcement-learning data and the rewarder that judges each.
DOMAINS: dict[str, str] = {
    "physics": "physics",
    "chemistry": "chemistry",
    "mol2caption": "mol2caption",
    "caption2mol": "caption2mol",
    "math": "math",
    "stem": "choice",
    "code": "code",
}


@dataclass(frozen=True)
class Problem:
    """One question with a checkable answer.

    `question` is the bare problem: for mol2caption a molecule in SELFIES, for caption2mol a caption. `answer` is the gold
    answer as the rewarder reads it; for code a reference solution. `info` goes to the rewarder (for code: the tests).
    Problems with the same `group` never come to lie on both sides of a split; it defaults to the question.
    """

    id: str
    question: str
    answer: str
    info: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""

    @property
    def split_key(self) -> str:
        """What the split hashes: white space and case do not make a question another one."""
        return " ".join((self.group or self.question).split()).casefold()
