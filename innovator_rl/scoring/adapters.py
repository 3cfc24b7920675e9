"""Run reward functions of other libraries as they are.

A prefix before the name of a module or file names the calling convention of the function:

    trl:my_rewards.py:accuracy           f(completions, **columns) of TRL, completions as text
    trl-chat:my_rewards.py:accuracy      the same, completions as chat messages
    verl:my_rewards.py:compute_score     compute_score(data_source, solution_str, ground_truth, extra_info) of verl
    verifiers:my_env.py:rubric           a reward function, a Rubric, or load_environment of verifiers

None of the libraries is imported here; the function's own module may do so. Each response is passed alone. The columns
that TRL passes are those of the row: `answer` (under `solution` and `ground_truth` too), and the keys of `info`.

A number is correct from 1 upwards (a rubric from the sum of its weights), as everywhere. verl's dictionary gives its
`score`, `acc` as correct where it is there, and its other numbers as terms.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Score

Row = dict[str, Any]


class AdaptedReward:
    """A reward function with another calling convention.

    Attributes:
        adapted: The function that is called.
        source: What its author wrote: the same, or the first function of a rubric.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: Callable[[Row], Row], read: Callable[[Any], Any]
    ) -> None:
        self.adapted = self.source = function
        self.arguments = arguments
        self.read = read
        self.is_async = any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004
        signature = inspect.signature(function).parameters
        self.takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.values())
        self.names = frozenset(signature)
        self.required = [
            name
            for name, parameter in signature.items()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        ]

    def __call__(self, prompt: str, response: str, answer: str, info: Row, data_source: str) -> Any:
        """Return the score of one response, or an awaitable of it where the function is async."""
        offered = self.arguments(
            {"prompt": prompt, "response": response, "answer": answer, "info": info, "data_source": data_source}
        )
        missing = [name for name in self.required if name not in offered]
        if missing:
            raise UserError(f"it requires {', '.join(missing)}; the row offers {', '.join(offered)}")
        chosen = {name: value for name, value in offered.items() if self.takes_all or name in self.names}
        result = self.adapted(**chosen)
        return self._awaited(result) if inspect.isawaitable(result) else self.read(result)

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        return self.read(await result)


def _messages(role: str, text: str) -> list[Row]:
    return [{"role": role, "content": text}]


def _trl(function: Any, chat: bool = False) -> AdaptedReward:
    def arguments(row: Row) -> Row:
        columns = {**row["info"], **dict.fromkeys(("answer", "solution", "ground_truth"), row["answer"])}
        prompt, completion = row["prompt"], row["response"]
        batch = {name: [value] for name, value in columns.items()}
        both = (_messages("user", prompt), _messages("assistant", completion)) if chat else (prompt, completion)
        return {**batch, "prompts": [both[0]], "completions": [both[1]]}

    def read(result: Any) -> Any:
        return result[0] if isinstance(result, Sequence) and len(result) == 1 else result

    return AdaptedReward(function, arguments, read)


def _trl_chat(function: Any) -> AdaptedReward:
    return _trl(function, chat=True)


def _verl(function: Any) -> AdaptedReward:
    def arguments(row: Row) -> Row:
        extra = {"info": row["info"], "question": row["prompt"], **row["info"]}
        return {
            "data_source": row["data_source"],
            "solution_str": row["response"],
            "ground_truth": row["answer"],
            "extra_info": extra,
        }

    def read(result: Any) -> Any:
        if not isinstance(result, Mapping):
            return result[0] if isinstance(result, tuple) else result
        value = float(result["score"])
        correct = bool(result.get("acc", value >= 1.0))
        terms = {str(name): float(part) for name, part in result.items() if name != "score" and _is_number(part)}
        return Score(value, correct, "correct" if correct else "wrong", terms=terms)

    return AdaptedReward(function, arguments, read)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)


def _verifiers(found: Any) -> AdaptedReward:
    if getattr(found, "__name__", "") == "load_environment":
        found = found().rubric
    functions = getattr(found, "funcs", None) or getattr(found, "reward_funcs", None)
    if functions is None:
        functions, weights = [found], [1.0]
    else:
        weights = getattr(found, "weights", None) or getattr(found, "reward_weights", None) or [1.0] * len(functions)
    parser = getattr(found, "parser", None)
    parts = [AdaptedReward(function, lambda row: row, lambda result: result) for function in functions]
    full = sum(weight for weight in weights if weight > 0)

    async def score(**row: Any) -> Score:
        values = {}
        for part in parts:
            chosen = {name: value for name, value in row.items() if part.takes_all or name in part.names}
            value = part.adapted(**chosen)
            values[part.adapted.__name__] = float(await value if inspect.isawaitable(value) else value)
        total = sum(weight * value for weight, value in zip(weights, values.values(), strict=True))
        correct = total >= full > 0
        return Score(total, correct, "correct" if correct else "wrong", terms=values if len(values) > 1 else {})

    def arguments(row: Row) -> Row:
        prompt, completion = _messages("user", row["prompt"]), _messages("assistant", row["response"])
        common = {"prompt": prompt, "completion": completion, "answer": row["answer"], "info": row["info"]}
        offered = {**common, "task": row["data_source"], "state": {**common, "task": row["data_source"]}}
        return offered if parser is None else {**offered, "parser": parser}

    adapted = AdaptedReward(score, arguments, lambda result: result)
    adapted.is_async = any(part.is_async for part in parts)
    adapted.source = functions[0]
    return adapted


ADAPTERS: dict[str, Callable[[Any], AdaptedReward]] = {
    "trl": _trl,
    "trl-chat": _trl_chat,
    "verl": _verl,
    "verifiers": _verifiers,
}
"""Prefix -> what makes a rewarder of the object that the rest of the name stands for."""


def split(name: str) -> tuple[str, str]:
    """Split a name into its adapter, empty where it has none, and the name of the function.

    `trl:rewards` is the attribute `rewards` of a module `trl`: a prefix stands before a name with a colon of its own.
    """
    prefix, _, rest = name.partition(":")
    return (prefix, rest) if prefix in ADAPTERS and ":" in rest.partition("(")[0] else ("", name)
