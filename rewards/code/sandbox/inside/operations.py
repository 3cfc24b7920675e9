"""Do with an object of this side what the other side asks.

The questions are those of `remotes`: a call, an attribute, an operator, one step of an iterator.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

try:
    import coroutines  # type: ignore[import-not-found, unused-ignore]
    import remotes  # type: ignore[import-not-found, unused-ignore]
    import replaced  # type: ignore[import-not-found, unused-ignore]
    import values  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from rewards.code.sandbox.inside import coroutines, remotes, replaced, values

RUNNING = ("call", "await", "anext", "next")
"""Questions that run code of the program for as long as it likes."""


def apply(op: str, target: Any, data: Any, question: Mapping[str, Any]) -> Any:
    """Return the answer to a question; raises whatever the object does, and `TypeError` for an unknown question.

    Args:
        op: What is asked.
        target: The object.
        data: The value that came along.
        question: Further fields: `name` of an attribute, `count` of items, `reflected` operators.
    """
    if op == "next":
        return _ahead(target, min(int(question["count"]), remotes.MAX_AHEAD))
    if op == "getattr":
        return getattr(target, str(question["name"]))
    if op == "setattr":
        return setattr(target, str(question["name"]), data)
    if op in _PLAIN:
        return _PLAIN[op](target, data)
    if op in remotes.UNARY:
        return remotes.UNARY[op](target)
    if op.removeprefix("i") in _BINARY or op in remotes.BINARY or op in remotes.ORDER or op == "eq":
        function = divmod if op == "divmod" else getattr(operator, op)
        return function(*((data, target) if question.get("reflected") else (target, data)))
    raise TypeError(f"unknown operation {str(op)[:40]!r}")


def is_offered(op: str, target: Any, name: str) -> bool:
    """Return whether a program may ask this about an object of the check.

    Args:
        op: What is asked.
        target: The object.
        name: The attribute, where one is asked for.
    """
    if op in ("call", "next"):
        return callable(target) if op == "call" else hasattr(target, "__next__")
    if op in ("await", "anext"):
        return hasattr(target, f"__{op}__")
    if replaced.may_use(op, target, name) or (
        op == "getattr" and name in remotes.FUNCTION_NAMES and remotes.sort_of(target) == "function"
    ):
        return True
    own = type(target).__module__ == "check" and not isinstance(target, type)
    return own and op in ("getattr", "setattr") and not name.startswith("_")


def _ahead(iterator: Any, count: int) -> list[Any]:
    """Return [items, whether the iterator has ended, the value it ended with]."""
    found: list[Any] = []
    for _ in range(count):
        try:
            found.append(next(iterator))
        except StopIteration as end:
            return [found, True, end.value]
    return [found, False, None]


def _code(target: Any) -> list[Any]:
    code = target.__code__
    return [code.co_flags, list(code.co_varnames), code.co_argcount]


def _content(target: Any) -> Any:
    if isinstance(target, remotes.WRAPPERS):
        return values.unwrapped(target)
    base = next(kind for name, kind in remotes.SORTS.items() if name in remotes.CONTAINERS and isinstance(target, kind))
    return base(base.items(target) if base is dict else base.__iter__(target))


_BINARY = {op.strip("_") for op in remotes.BINARY} - {"divmod"}
_PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "call": lambda target, data: target(*data[0], **data[1]),
    "target": lambda target, _: target,
    "getitem": lambda target, key: target[key],
    "setitem": lambda target, pair: operator.setitem(target, *pair),
    "delitem": operator.delitem,
    "contains": lambda target, item: item in target,
    "enter": lambda target, _: target.__enter__(),
    "exit": lambda target, _: bool(target.__exit__(None, None, None)),
    "signature": lambda target, _: remotes.signature_of(target),
    "code": lambda target, _: _code(target),
    "content": lambda target, _: _content(target),
    "hash": lambda target, _: hash(target),
    "format": format,
    "round": lambda target, digits: round(target, *digits),
    "copy": lambda target, _: copy.copy(target),
    "deepcopy": lambda target, _: copy.deepcopy(target),
    "fields": lambda target, _: [field.name for field in dataclasses.fields(target)],
    "issubclass": lambda target, kind: issubclass(kind, target),
    "isinstance": lambda target, instance: isinstance(instance, target),
    "await": lambda target, _: coroutines.complete(target),
    "aenter": lambda target, _: coroutines.complete(target.__aenter__()),
    "aexit": lambda target, _: bool(coroutines.complete(target.__aexit__(None, None, None))),
    "aiter": lambda target, _: target.__aiter__(),
    "anext": lambda target, _: coroutines.following(target),
}
