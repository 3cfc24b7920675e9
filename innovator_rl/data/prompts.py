r"""Render prompts in the form of the paper's appendix.

A full prompt has a role, the task, an example, the problem and "step by step".

Each domain has exactly one form of the final answer, stated in the prompt and read by its rewarder:

| domain | final answer |
|---|---|
| physics, math, stem | `\boxed{...}` |
| chemistry | a last line `Answer: True` or `Answer: False` |
| mol2caption, caption2mol | between `<answer>` and `</answer>` |
| code | one Python code block |

`full` is the appendix's form, with the role as system message. `short` is one user message with one line of
instruction, and asks for the bare answer where one line is enough: a model of 135 M parameters loses the question in a
long prompt and does not put a marker around its answer; the rewarders read a bare answer as well. `bare` is the
question alone, for questions that state themselves how to answer.

A recipe with `system` and `prompt` has a form of its own (`templates.py`), and rows with `messages` are used as they
are.
"""

from dataclasses import dataclass
from typing import Literal

from innovator_rl.data.problem import Problem
from innovator_rl.data.rows import Message
from innovator_rl.data.templates import render_template

Style = Literal["full", "short", "bare"]
STYLES: tuple[Style, ...] = ("full", "short", "bare")
REASON = "Please reason step by step"
BOXED = "put your final answer within \\boxed{}."


@dataclass(frozen=True)
class Form:
    """The prompts of one domain.

    `{question}` in `full` and `short` is the bare problem.
    """

    role: str
    full: str
    short: str


FORMS: dict[str, Form] = {
    "physics": Form(
        role="You are a top AI assistant specializing in physics.",
        full="Task: solve the physics problem. Give a formula in the symbols of the problem, or a value with its unit.\n\n"
        f"Problem: {{question}}\n\n{REASON}, and {BOXED}",
        short="{question}\nGive only the number and its unit, or the formula.",
    ),
    "chemistry": Form(
        role="You are a top AI assistant specializing in molecular chemistry.",
        full="Task: decide a property of a molecule written in SELFIES.\n\nProblem: {question}\n\n"
        f"{REASON}, then end with the line `Answer: True` or the line `Answer: False`.",
        short="{question}\nAnswer with one word, True or False.",
    ),
    "mol2caption": Form(
        role="You are a top AI assistant specializing in molecular chemistry.",
        full="Task: describe a molecule written in SELFIES: its class, its structure, its role and its origin.\n\n"
        "Example\nMolecule: [C][C][O]\n<answer>The molecule is a primary alcohol: ethane in which one hydrogen is replaced "
        "by a hydroxy group. It is used as a solvent and as a disinfectant.</answer>\n\n"
        f"Problem\nMolecule: {{question}}\n\n{REASON}, then write the description between <answer> and </answer>.",
        short="Molecule: {question}\nDescribe it between <answer> and </answer>.",
    ),
    "caption2mol": Form(
        role="You are a top AI assistant specializing in molecular chemistry.",
        full="Task: write the molecule that fits a description, in SELFIES.\n\n"
        "Example\nDescription: The molecule is a primary alcohol: ethane in which one hydrogen is replaced by a hydroxy "
        "group.\n<answer>[C][C][O]</answer>\n\n"
        f"Problem\nDescription: {{question}}\n\n{REASON}, then write the SELFIES between <answer> and </answer>.",
        short="{question}\nWrite this molecule in SELFIES between <answer> and </answer>.",
    ),
    "math": Form(
        role="You are a top AI assistant specializing in mathematics.",
        full=f"Task: solve the problem.\n\nProblem: {{question}}\n\n{REASON}, and {BOXED}",
        short="{question}\nGive the answer as a number or an expression in \\boxed{}.",
    ),
    "stem": Form(
        role="You are a top AI assistant specializing in science and engineering.",
        full="Task: answer the question: the letter of the right choice, True or False, or a number.\n\n"
        f"Problem: {{question}}\n\n{REASON}, and {BOXED}",
        short="{question}\nAnswer with the letter, True or False, or the number only.",
    ),
    "code": Form(
        role="You are a top AI assistant specializing in Python programming.",
        full="Task: write a program that passes hidden tests.\n\nProblem: {question}\n\n"
        f"{REASON}, then give the complete program in one ```python code block.",
        short="{question}\nGive the complete program in one ```python code block.",
    ),
}


def render(domain: str, style: Style, question: str) -> tuple[Message, ...]:
    """Return the messages that ask a model a question."""
    if style == "bare":
        return ({"role": "user", "content": question},)
    form = FORMS[domain]
    if style == "short":
        return ({"role": "user", "content": form.short.replace("{question}", question)},)
    text = form.full.replace("{question}", question)
    return ({"role": "system", "content": form.role}, {"role": "user", "content": text})


def messages_of(
    problem: Problem, *, domain: str, style: Style, system: str = "", prompt: str = ""
) -> tuple[Message, ...]:
    """Return the messages that ask a problem.

    Args:
        problem: The problem; its own `messages` are used as they are.
        domain: The domain whose form is used where there is no template.
        style: The prompt style where there is no template.
        system: The template of the system message; empty for the style's.
        prompt: The template of the user message; empty for the style's.

    Raises:
        UserError: A template cannot be rendered for this problem; the message has its place.
    """
    variables = {**problem.columns, "question": problem.question, "domain": domain, "id": problem.id}
    where = problem.place or problem.id
    head = render_template(system, variables, f"{where}: `system`") if system else ""
    if problem.messages:
        given = tuple(dict(message) for message in problem.messages)
        return ({"role": "system", "content": head}, *given) if head and given[0]["role"] != "system" else given
    if prompt:
        asked: tuple[Message, ...] = (
            {"role": "user", "content": render_template(prompt, variables, f"{where}: `prompt`")},
        )
    else:
        asked = render(domain, style, problem.question)
    if not head:
        return asked
    return ({"role": "system", "content": head}, *(message for message in asked if message["role"] != "system"))
