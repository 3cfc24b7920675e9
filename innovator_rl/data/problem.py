"""Define a problem, the form of every data source before it gets a prompt, and find text that no file can hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: The seven domains of the paper's reinforcement-learning data and the rewarder that scores each. A recipe may name any
#: other domain; it then names its rewarder and its prompt too.
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

    Attributes:
        id: A name that is unique within the data set.
        question: The bare problem; for mol2caption a molecule in SELFIES, for caption2mol a caption.
        answer: The gold answer in the rewarder's form; for code a reference solution.
        info: What the rewarder gets besides; for code the tests.
        group: Problems of one group are never on both sides of a split; the question by default.
        kind: The law, formula or function that it is about, where a task has several; every split may ask about it.
        solution: A worked response that ends with the answer, for supervised fine-tuning; empty where there is none.
        smiles: The molecule that the problem is about, if there is one.
        columns: The other columns of the source row, for prompt templates.
        messages: The complete prompt where the source has one; no template is applied to it.
        reward: The rewarder of this row; the recipe's where empty.
        domain: The domain of this row; the recipe's where empty.
        data_source: The data source of this row; the recipe's name where empty.
        place: File and line, for messages.
    """

    id: str
    question: str
    answer: str
    info: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    solution: str = ""
    smiles: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Mapping[str, str], ...] = ()
    reward: str = ""
    domain: str = ""
    data_source: str = ""
    place: str = ""
    kind: str = ""

    @property
    def split_key(self) -> str:
        """Return what the split hashes, with white space and case folded."""
        return " ".join((self.group or self.question).split()).casefold()


def lone_surrogate(value: Any) -> str:
    r"""Return the first lone surrogate in a value's strings as `U+D800`, which UTF-8 cannot write; empty where none is.

    JSON can spell half of a character as `\ud800`, so a row may hold one although its file is valid.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple)):
            waiting += item
        elif isinstance(item, str) and not item.isascii():
            try:
                item.encode()
            except UnicodeEncodeError as error:
                return f"U+{ord(item[error.start]):04X}"
    return ""
