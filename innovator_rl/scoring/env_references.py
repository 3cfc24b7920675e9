"""Keep secrets out of rewarder names: a parameter refers to an environment variable, whose value is masked in all text.

    judged(url='https://host/v1',model='m',key='${env:JUDGE_KEY}')

The name of a rewarder is recorded with every run and every response. So it holds the reference, and the value is read
from the environment when the rewarder is constructed in its worker. Whatever a rewarder reports about a failure passes
through `mask`, which puts the reference back in place of the value.
"""

from __future__ import annotations

import os
import re
from typing import Any

from innovator_rl.errors import UserError

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_NAME = re.compile(r"(?:^|_)(?:key|token|secret|password|passwd|credentials?)$", re.IGNORECASE)
MIN_MASKED_CHARS = 4  # a shorter value would mask ordinary text

_known: dict[str, str] = {}  # value -> reference, of every variable that this process has resolved


def resolve(value: Any, where: str) -> Any:
    """Return a parameter with every `${env:NAME}` replaced by the variable's value.

    Raises:
        UserError: A variable is not set; `where` names the parameter.
    """
    if not isinstance(value, str):
        return value

    def read(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], "")
        if not found:
            raise UserError(f"{where}: environment variable {match[1]!r} not found; export it before the run")
        if len(found) >= MIN_MASKED_CHARS:
            _known[found] = match[0]
        return found

    return _REFERENCE.sub(read, value)


def mask(text: str) -> str:
    """Return a text with the values of secrets replaced by their references."""
    for value, reference in sorted(_known.items(), key=lambda item: -len(item[0])):
        text = text.replace(value, reference)
    return text


def without_interpolation(name: str) -> str:
    """Return a rewarder's name in a form that OmegaConf does not take for an interpolation of its own."""
    return _REFERENCE.sub(r"%{env:\1}", name)


def with_references(name: str) -> str:
    """Return the name that `without_interpolation` got."""
    return re.sub(r"%\{env:(\w+)\}", r"${env:\1}", name)


def written_out(parameters: dict[str, Any]) -> list[str]:
    """Return the parameters that are named like a secret and hold a value instead of a reference."""
    return [
        name
        for name, value in parameters.items()
        if _SECRET_NAME.search(name) and isinstance(value, str) and value and not _REFERENCE.search(value)
    ]
