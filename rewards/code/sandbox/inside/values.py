"""Define how a value is written as JSON, for `encoder` and `decoder`, which trust neither side.

A value is flattened into a table, so that a linked list of a hundred thousand nodes needs no recursion, and shared or
cyclic parts stay shared:

    {"root": REF, "table": [[KIND, ...], ...]}

A REF is a JSON scalar or `[INDEX]` into the table. Kinds are the built-in types, those of `plain_types`, `object` (class
name, then names and values of its fields), `named` (a named tuple), `enum`, `wrapped` (the name of a class of `WRAPPERS`
and what it wraps), `opaque` (a class name: something that has no plain form), and whatever an `export` function returns
in place of the last, such as a handle (see `objects`).
Subclasses of the built-in types are sent as those types, by methods of the types themselves.
"""

from __future__ import annotations

import collections
from typing import Any

MAX_ITEMS = 4_000_000
MUTABLE = (
    "list",
    "set",
    "dict",
    "counter",
    "ordered",
    "defaultdict",
    "deque",
    "bytearray",
    "namespace",
    "array",
    "object",
    "wrapped",
)
DICTS: dict[str, Any] = {
    "dict": dict,
    "counter": collections.Counter,
    "ordered": collections.OrderedDict,
    "defaultdict": collections.defaultdict,
}
EXTENDED: dict[str, type] = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict, "int": int, "float": float,
    "plain": str, "bytes": bytes, "named": tuple,
}  # fmt: skip
WRAPPERS: dict[str, tuple[Any, type]] = {
    "UserDict": (collections.UserDict, dict),
    "UserList": (collections.UserList, list),
    "UserString": (collections.UserString, str),
}
"""Classes of `collections` that wrap a built-in value in their field `data`, by name."""


def unwrapped(item: Any) -> Any:
    """Return what an instance of a class of `WRAPPERS`, or of one below it, wraps; None for any other object."""
    for kind, base in WRAPPERS.values():
        if isinstance(item, kind):
            content = vars(item).get("data")
            return content if isinstance(content, base) else None
    return None


class UndecodableValue(ValueError):
    """What arrived is no value of this form."""


class Opaque:
    """Stands for a result that has no plain form (a generator, an open file).

    Equal to nothing but itself.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind}>"
