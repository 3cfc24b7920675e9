"""Encode Python values as JSON, and decode them without trusting either side.

A value is flattened into a table, so that a linked list of a hundred thousand nodes needs no recursion, and shared or
cyclic parts stay shared:

    {"root": REF, "table": [[KIND, ...], ...]}

A REF is a JSON scalar or `[INDEX]` into the table. Kinds: list, tuple, set, frozenset, dict, deque, int (hexadecimal,
of any size), float (nan and infinities), complex, bytes, object (class name, then names and values of its fields) and
opaque (a class name: something that has no plain form). Subclasses of the built-in types are sent as those types, by
methods of the types themselves.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_ITEMS = 4_000_000
MAX_HASHED_DEPTH = 1000
SAFE_INT = 10**15
_SEQUENCES: tuple[tuple[Any, str], ...] = (
    (list, "list"),
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (collections.deque, "deque"),
)


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


def encode(value: Any) -> dict[str, Any]:
    """Return the table of `value`.

    Raises:
        ValueError: For more than `MAX_ITEMS` parts.
    """
    table: list[list[Any]] = []
    places: dict[int, int] = {}
    alive: list[Any] = []
    waiting: list[tuple[int, Any]] = []
    count = 0

    def ref(item: Any) -> Any:
        nonlocal count
        count += 1
        if count > MAX_ITEMS:
            raise ValueError("too many parts")
        kind = type(item)
        if item is None or kind is bool or kind is str or (kind is int and -SAFE_INT < item < SAFE_INT):
            return item
        if kind is float and math.isfinite(item):
            return item
        key = id(item)
        if key not in places:
            places[key] = len(table)
            alive.append(item)
            table.append([])
            waiting.append((places[key], item))
        return [places[key]]

    root = ref(value)
    while waiting:
        place, item = waiting.pop()
        table[place] = _entry(item, ref)
    return {"root": root, "table": table}


def _entry(item: Any, ref: Callable[[Any], Any]) -> list[Any]:
    for kind, name in _SEQUENCES:
        if isinstance(item, kind):
            return [name, *map(ref, kind.__iter__(item))]
    if isinstance(item, dict):
        return ["dict", *(ref(part) for pair in dict.items(item) for part in pair)]
    if isinstance(item, bool) or item is None:
        return ["plain", item]
    if isinstance(item, int):
        return ["int", format(int.__index__(item), "x")]
    if isinstance(item, float):
        return ["float", repr(float.__float__(item))]
    if isinstance(item, str):
        return ["plain", str.__str__(item)]
    if isinstance(item, complex):
        return ["complex", repr(item.real), repr(item.imag)]
    if isinstance(item, (bytes, bytearray)):
        return ["bytes", bytes(item).hex()]
    if type(item).__module__.partition(".")[0] == "numpy" and hasattr(item, "tolist"):
        return ["alias", ref(item.tolist())]
    fields = _fields(item)
    if fields is None:
        return ["opaque", type(item).__name__]
    return ["object", type(item).__name__, *(part for name, content in fields for part in (name, ref(content)))]


def _fields(item: Any) -> list[tuple[str, Any]] | None:
    """Names and values of an instance's own fields.

    None where it keeps none, or is no plain instance.
    """
    if isinstance(item, type) or callable(item):
        return None
    found: dict[str, Any] = dict(getattr(item, "__dict__", None) or {})
    for kind in type(item).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if isinstance(name, str) and hasattr(item, name):
                found[name] = getattr(item, name)
    has_fields = hasattr(item, "__dict__") or "__slots__" in type(item).__dict__
    return [(str(name), content) for name, content in found.items()] if has_fields else None


def decode(data: Any, classes: Mapping[str, Any]) -> Any:
    """Return the value of a table; no constructor of an object is called.

    Args:
        data: What `encode` gave on the other side.
        classes: By name, the classes that objects may have; objects of others become `Opaque`.

    Raises:
        UndecodableValue: For anything that is no table, and for an element or key that would keep hashing forever or
            overrun the stack: tuples inside tuples, in C, which nothing could interrupt.
    """
    try:
        table, root = data["table"], data["root"]
        if not isinstance(table, list):
            raise UndecodableValue("no table")
        made: list[Any] = [_shell(entry, classes) for entry in table]
        _fill_values(table, made)
        return _get(root, made)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise UndecodableValue(f"{type(error).__name__}: {error}") from None


_LATE = {"tuple", "set", "frozenset", "dict", "alias"}


def _shell(entry: list[Any], classes: Mapping[str, Any]) -> Any:
    """Return an atom, an empty container to be filled later, or None."""
    kind = entry[0]
    if kind == "list":
        return []
    if kind == "deque":
        return collections.deque()
    if kind == "dict":
        return {}
    if kind == "set":
        return set()
    if kind == "plain":
        return entry[1] if entry[1] is None or isinstance(entry[1], (bool, str)) else Opaque("plain")
    if kind == "int":
        return int(str(entry[1]), 16)
    if kind == "float":
        return float(entry[1])
    if kind == "complex":
        return complex(float(entry[1]), float(entry[2]))
    if kind == "bytes":
        return bytes.fromhex(entry[1])
    if kind == "opaque":
        return Opaque(str(entry[1])[:100])
    if kind == "object":
        found = classes.get(str(entry[1]))
        return object.__new__(found) if isinstance(found, type) else Opaque(str(entry[1])[:100])
    if kind in _LATE:
        return None
    raise UndecodableValue(f"unknown kind {str(kind)[:40]!r}")


def _fill_values(table: list[list[Any]], made: list[Any]) -> None:
    """Put the parts in place.

    Immutable containers from the inside out, then the others in any order.
    """
    state = [0] * len(table)  # 1: on the way, 2: done
    costs: dict[int, tuple[int, int]] = {}
    for start in range(len(table)):
        if table[start][0] not in ("tuple", "frozenset", "alias") or state[start]:
            continue
        stack = [start]
        while stack:
            place = stack[-1]
            inner = [
                part[0]
                for part in table[place][1:]
                if isinstance(part, list)
                and table[part[0]][0] in ("tuple", "frozenset", "alias")
                and state[part[0]] < 2
            ]
            if not inner:
                made[place] = _frozen(table[place], made, costs)
                costs[place] = _cost(table[place], costs)
                state[place] = 2
                stack.pop()
            elif state[place]:
                raise UndecodableValue("a tuple that holds itself")
            else:
                state[place] = 1
                stack.extend(dict.fromkeys(part for part in inner if state[part] == 0))
    for place, entry in enumerate(table):
        _fill(entry, made[place], made, costs)


def _frozen(entry: list[Any], made: list[Any], costs: dict[int, tuple[int, int]]) -> Any:
    if entry[0] == "frozenset":
        return frozenset(_hashable(part, made, costs) for part in entry[1:])
    parts = [_get(part, made) for part in entry[1:]]
    return parts[0] if entry[0] == "alias" else tuple(parts)


def _cost(entry: list[Any], costs: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return steps and depth of hashing an immutable container, without sharing."""
    inner = [costs[part[0]] for part in entry[1:] if isinstance(part, list) and part[0] in costs]
    steps = len(entry) + sum(steps for steps, _ in inner)
    return min(steps, MAX_ITEMS + 1), 1 + max((depth for _, depth in inner), default=0)


def _fill(entry: list[Any], target: Any, made: list[Any], costs: dict[int, tuple[int, int]]) -> None:
    kind = entry[0]
    if kind in ("list", "deque"):
        target.extend(_get(part, made) for part in entry[1:])
    elif kind == "set":
        target.update(_hashable(part, made, costs) for part in entry[1:])
    elif kind == "dict":
        keys = (_hashable(part, made, costs) for part in entry[1::2])
        target.update(zip(keys, (_get(part, made) for part in entry[2::2]), strict=True))
    elif kind == "object" and not isinstance(target, Opaque):
        for name, part in _pairs(entry[2:]):
            object.__setattr__(target, name, _get(part, made))


def _pairs(parts: list[Any]) -> Iterable[tuple[str, Any]]:
    return zip(map(str, parts[::2]), parts[1::2], strict=True)


def _get(part: Any, made: list[Any]) -> Any:
    if isinstance(part, list):
        (place,) = part
        if not isinstance(place, int) or isinstance(place, bool) or place < 0:
            raise UndecodableValue("no reference")
        return made[place]
    if isinstance(part, dict):
        raise UndecodableValue("no reference")
    return part


def _hashable(part: Any, made: list[Any], costs: dict[int, tuple[int, int]]) -> Any:
    value = _get(part, made)
    steps, depth = costs.get(part[0], (0, 0)) if isinstance(part, list) else (0, 0)
    if isinstance(value, (list, set, dict)) or steps > MAX_ITEMS or depth > MAX_HASHED_DEPTH:
        raise UndecodableValue("an element that cannot be hashed")
    return value
