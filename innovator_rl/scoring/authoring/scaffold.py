"""Write a new rewarder as a package that passes `innovator reward check`.

The example compares one number with a tolerance. It shows what a rewarder needs: a typed parameter, a prepared
reference, a reason for every outcome, and golden cases; replace the comparison and the cases with your own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from innovator_rl.errors import UserError

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{dashed}-reward"
version = "0.1.0"
description = "The reward {name} for Innovator RL."
requires-python = ">=3.11"
dependencies = ["innovator-rl"]

[project.entry-points."innovator_rl.rewards"]
{name} = "{package}.reward:{kind}"

[tool.setuptools]
packages = ["{package}"]

[tool.setuptools.package-data]
{package} = ["golden.jsonl"]
"""

INIT = '''"""Provide the reward `{name}`."""
'''

REWARD = '''"""Compare the number in the response's last line `Answer: ...` with the reference.

Change `prepare` (what is known from the data row alone), `__call__` (the score) and `golden.jsonl` (what must
hold), and run `innovator reward check {name} --watch` while you do.
"""

from __future__ import annotations

import math
import re

from innovator_rl.scoring import Score, abstain, right, wrong

MAX_TAIL_CHARS = 2_000  # the answer stands at the end; nothing before it is parsed
_ANSWER = re.compile(r"^Answer:[ \\t]*(\\S.*?)[ \\t]*$", re.MULTILINE)
_NUMBER = re.compile(r"[-+]?(?:\\d{{1,30}}(?:\\.\\d{{0,30}})?|\\.\\d{{1,30}})(?:[eE][-+]?\\d{{1,3}})?")


class {kind}:
    """Give full marks within the relative `tolerance`, nothing otherwise.

    Parameters are written in a configuration as `{name}(tolerance=0.05)`.
    """

    version = "1"

    def __init__(self, tolerance: float = 0.01) -> None:
        self.tolerance = tolerance

    def prepare(self, answer: str) -> float | None:
        """Read the reference once; return None where it is not a number."""
        return _number(answer)

    def __call__(self, response: str, gold: float | None) -> Score:
        """Score one response; `gold` is what `prepare` returned."""
        if gold is None:
            return abstain("bad_reference")
        final = response.rpartition("</think>")[2][-MAX_TAIL_CHARS:]
        answers = _ANSWER.findall(final)
        if not answers:
            return wrong("no_answer")
        if len(answers) > 1:
            return wrong("ambiguous_answer")
        value = _number(answers[0])
        if value is None:
            return wrong("malformed_answer", answers[0])
        close = math.isclose(value, gold, rel_tol=self.tolerance)
        return right(answers[0]) if close else wrong(extracted=answers[0])


def _number(text: str) -> float | None:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
'''

TEST = '''"""Test the reward with its golden cases and the probes."""

from {package}.reward import {kind}

from innovator_rl.scoring.authoring import check


def test_the_check_has_nothing_to_fix() -> None:
    report = check("{package}.reward:{kind}")
    assert report.ready, report.text()


def test_the_tolerance_is_a_parameter() -> None:
    strict, loose = {kind}(tolerance=0.001), {kind}(tolerance=0.1)
    assert not strict("Answer: 2.1", 2.0).correct
    assert loose("Answer: 2.1", 2.0).correct
'''

README = """\
# The reward `{name}`

    pip install -e .                     # installs the name `{name}`
    innovator reward check {name}        # golden cases, probes, determinism, speed, faults
    innovator reward check {name} --watch

In a run's configuration: `reward: {{routes: {{my_data: {name}}}}}`, or with a parameter `{name}(tolerance=0.05)`.
"""

_PROMPT = "What is the solubility of the salt at 25 degrees, in g per 100 mL? End with a line `Answer: <number>`."
CASES = [
    {"case": "full", "prompt": _PROMPT, "response": "It is about 36.\nAnswer: 36.0", "answer": "35.9"},
    {"case": "full", "prompt": _PROMPT, "response": "<think>0.2 or 0.3?</think>\nAnswer: 2.4e-1", "answer": "0.24"},
    {"case": "full", "prompt": _PROMPT, "response": "Answer: 203.9", "answer": "204"},
    {"case": "zero", "prompt": _PROMPT, "response": "Answer: 40", "answer": "35.9", "reason": "wrong"},
    {"case": "zero", "prompt": _PROMPT, "response": "Answer: -0.24", "answer": "0.24", "reason": "wrong"},
    {"case": "zero", "prompt": _PROMPT, "response": "Answer: 2040", "answer": "204", "reason": "wrong"},
    {"case": "malformed", "prompt": _PROMPT, "response": "I think 35.9", "answer": "35.9", "reason": "no_answer"},
    {
        "case": "malformed",
        "prompt": _PROMPT,
        "response": "Answer: 35.9\nAnswer: 40",
        "answer": "35.9",
        "reason": "ambiguous_answer",
    },
    {
        "case": "malformed",
        "prompt": _PROMPT,
        "response": "Answer: 35.9 or 40",
        "answer": "35.9",
        "reason": "malformed_answer",
    },
    {"case": "abstain", "prompt": _PROMPT, "response": "Answer: 1", "answer": "high", "reason": "bad_reference"},
]


def write(name: str, parent: Path) -> Path:
    """Write the package NAME into `parent` and return its folder.

    Raises:
        UserError: The name cannot be the name of a package, or the folder exists.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"reward name {name!r}: use 2 to 40 of a-z, 0-9 and _, a letter first")
    folder = parent / name
    if folder.exists():
        raise UserError(f"{folder} exists; choose another name or --dir")
    package = f"{name}_reward"
    fields = {
        "name": name,
        "dashed": name.replace("_", "-"),
        "package": package,
        "kind": "".join(part.capitalize() for part in name.split("_")),
    }
    files = {
        "pyproject.toml": PYPROJECT.format(**fields),
        "README.md": README.format(**fields),
        f"{package}/__init__.py": INIT.format(**fields),
        f"{package}/reward.py": REWARD.format(**fields),
        f"{package}/golden.jsonl": "".join(json.dumps(case) + "\n" for case in CASES),
        f"tests/test_{name}.py": TEST.format(**fields),
    }
    for relative, text in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
