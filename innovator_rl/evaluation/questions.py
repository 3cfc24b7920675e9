r"""Define a question of a set that the harness does not have, and render it.

The prompt of a mathematical question is the one that Qwen2.5-Math is evaluated with: the question, then the request to
reason step by step and to put the answer into `\boxed{}`. A checkpoint without chat template gets it as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from innovator_rl.evaluation.prompting import Prompter

Format = Literal["auto", "chat", "raw"]
BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
RAW_STOPS = ("\n\nQuestion:", "\nQuestion:")
"""Where a base model begins to write the next question by itself."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One row of a set.

    Attributes:
        id: The row's own id, the same in every run; "newly solved" is decided by it.
        messages: The prompt as chat messages.
        answer: The reference answer.
        info: What the rewarder or metric gets besides.
        subset: The part of the set, for example a subject.
        options: Lettered options of a multiple-choice question.
        core: The bare question without the words around it; contamination is looked for in it.
        rewarder: The rewarder of this row, where a set has rows of several kinds.
        group: What the row shares with others, such as the function that it asks for; such rows count as one in
            intervals. Empty where a row stands alone.
        kind: The law, formula or function that a question of a generated task is about; empty where there is none.
    """

    id: str
    messages: tuple[Mapping[str, str], ...]
    answer: str
    info: Mapping[str, Any] = field(default_factory=dict)
    subset: str = ""
    options: tuple[str, ...] = ()
    rewarder: str = ""
    core: str = ""
    group: str = ""
    kind: str = ""

    @property
    def text(self) -> str:
        """Return the contents of all messages, as rewarders receive the prompt."""
        return "\n\n".join(message["content"] for message in self.messages)


class Questions(list[Question]):
    """The questions of a set, and how many of its rows have no question or no answer."""

    left_out: int = 0


def boxed_question(question: str) -> tuple[Mapping[str, str], ...]:
    """Return the chat messages that ask for an answer in a box."""
    return ({"role": "user", "content": f"{question.strip()}\n{BOXED}"},)


def rendered(questions: Sequence[Question], prompter: Prompter, form: Format) -> tuple[list[str], bool]:
    """Render prompts.

    Returns:
        The strings, and whether the chat template was applied.
    """
    chat = form == "chat" or (form == "auto" and prompter.has_template)
    if chat:
        return [prompter.chat([dict(message) for message in question.messages]) for question in questions], True
    return [f"Question: {question.text}\nAnswer:" for question in questions], False
