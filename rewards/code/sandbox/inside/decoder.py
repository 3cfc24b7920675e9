"""Make the values of a table (see `values`), whatever the other side wrote into it.

value = decode(table, {"Node": Node})
"""

from __future__ import annotations

import collections
import enum
import functools
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

try:  # inside a sandbox the modules of this folder have no package
    import arrays  # type: ignore[import-not-found, unused-ignore]
    import plain_types  # type: ignore[import-not-found, unused-ignore]
    import values  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from rewards.code.sandbox.inside import arrays, plain_types, values

MAX_HASHED_DEPTH = 1000
Extend = Callable[[list[Any], type], tuple[type, dict[str, Any]] | None]


def decode(data: Any, classes: Mapping[str, Any]) -> Any:
    """Return the value of a table; raises as `Decoder` does."""
    return Decoder(data, classes).root


class Decoder:
    """Read a table; no constructor of a class of the program or the data set is called.

    Args:
        data: What the other side sent.
        classes: By name, the classes that objects may have; objects of others become `Opaque`.
        resolve: Returns the object of an exported entry, None for an unknown kind.
        originals: By place in the table, the objects of this side that are given the content sent.
        extend: Of what is noted about an object and its built-in class, returns a subclass and the state of an instance.
        equal_lists: Whether arrays equal lists of the same numbers.

    Attributes:
        root: The value.
        made: The objects of the table.

    Raises:
        values.UndecodableValue: For anything that is no table, and for an element or key that would keep hashing forever or
            overrun the stack: tuples inside tuples, in C, which nothing could interrupt.
    """

    def __init__(
        self,
        data: Any,
        classes: Mapping[str, Any],
        resolve: Callable[[list[Any]], Any] = lambda _: None,
        originals: Mapping[int, Any] | None = None,
        extend: Extend | None = None,
        equal_lists: bool = False,
    ) -> None:
        try:
            table, root = data["table"], data["root"]
            if not isinstance(table, list):
                raise values.UndecodableValue("no table")
            own = originals or {}
            extras = {place: extra for place, *extra in data.get("extras") or ()} if extend is not None else {}
            self.made: list[Any] = [
                _reuse(entry, own[place]) if place in own else _shell(entry, classes, resolve, equal_lists)
                for place, entry in enumerate(table)
            ]
            for place, extra in extras.items():
                if place not in own and table[place][0] in values.EXTENDED and extend is not None:
                    self.made[place] = _extended(table[place][0], self.made[place], extend, extra)
            _fill_values(table, self.made, classes)
            self.root = _get(root, self.made)
        except (
            KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, ArithmeticError
        ) as error:  # fmt: skip
            raise values.UndecodableValue(f"{type(error).__name__}: {error}") from None


_INNER = {"tuple", "frozenset", "alias", "named", *plain_types.KINDS}
_LATE = {*_INNER, "set"}


def _reuse(entry: list[Any], original: Any) -> Any:
    """Empty an object of this side, to be filled with what the other side made of it."""
    if entry[0] not in values.MUTABLE:
        raise values.UndecodableValue("an object that changed its kind")
    if entry[0] == "bytearray":
        original[:] = bytes.fromhex(entry[1])
    elif entry[0] == "array":
        arrays.refill(entry, original)
    elif entry[0] == "namespace":
        vars(original).clear()
    elif entry[0] not in ("object", "wrapped"):
        original.clear()
    return original


def _extended(kind: str, made: Any, extend: Extend, extra: list[Any]) -> Any:
    """Return an object of a subclass of a built-in type, or the maker of one that has no parts yet."""
    maker = _Maker(extend, extra)
    return maker if kind in _INNER else maker(made)


class _Maker:
    """Makes an instance of a subclass of a built-in type; for a tuple or a frozen set once its parts are there."""

    def __init__(self, extend: Extend, extra: list[Any]) -> None:
        self.extend, self.extra = extend, extra

    def __call__(self, made: Any) -> Any:
        found = self.extend(self.extra, type(made))
        if found is None:
            return made
        subclass: Any = found[0]
        new = tuple.__new__(subclass, made) if isinstance(made, tuple) else subclass(made)
        new.__dict__.update(found[1])
        return new


def _shell(
    entry: list[Any], classes: Mapping[str, Any], resolve: Callable[[list[Any]], Any], equal_lists: bool = False
) -> Any:
    """Return an atom, an empty container to be filled later, or None."""
    kind = entry[0]
    if kind == "list":
        return []
    if kind == "deque":
        return collections.deque()
    if kind in values.DICTS:
        return values.DICTS[kind]()
    if kind == "set":
        return set()
    if kind == "plain":
        return entry[1] if entry[1] is None or isinstance(entry[1], (bool, str)) else values.Opaque("plain")
    if kind == "int":
        return int(str(entry[1]), 16)
    if kind == "float":
        return float(entry[1])
    if kind == "complex":
        return complex(float(entry[1]), float(entry[2]))
    if kind == "bytes":
        return bytes.fromhex(entry[1])
    if kind == "bytearray":
        return bytearray.fromhex(entry[1])
    if kind == "array":
        return arrays.read(entry, equal_lists)
    if kind == "namespace":
        return types.SimpleNamespace()
    if kind == "opaque":
        return values.Opaque(str(entry[1])[:100])
    if kind == "wrapped":
        wrapper: Any = values.WRAPPERS[entry[1]][0]
        return wrapper.__new__(wrapper)
    if kind in ("object", "enum"):
        found = classes.get(str(entry[1]))
        if not isinstance(found, type) or issubclass(found, enum.Enum) != (kind == "enum"):
            return values.Opaque(str(entry[1])[:100])
        return object.__new__(found) if kind == "object" else found[str(entry[2])]  # type: ignore[index]
    if kind in _LATE:
        return None
    made = resolve(entry)
    if made is None:
        raise values.UndecodableValue(f"unknown kind {str(kind)[:40]!r}")
    return made


def _fill_values(table: list[list[Any]], made: list[Any], classes: Mapping[str, Any]) -> None:
    """Put the parts in place.

    Immutable containers from the inside out, then the others in any order.
    """
    state = [0] * len(table)  # 1: on the way, 2: done
    costs: dict[int, tuple[int, int]] = {}
    for start in range(len(table)):
        if table[start][0] not in _INNER or state[start]:
            continue
        stack = [start]
        while stack:
            place = stack[-1]
            inner = [
                part[0]
                for part in _parts(table[place])
                if isinstance(part, list) and table[part[0]][0] in _INNER and state[part[0]] < 2
            ]
            if not inner:
                maker = made[place]
                made[place] = _frozen(table[place], made, costs, classes)
                if isinstance(maker, _Maker):
                    made[place] = maker(made[place])
                costs[place] = _cost(table[place], costs)
                state[place] = 2
                stack.pop()
            elif state[place]:
                raise values.UndecodableValue("a tuple that holds itself")
            else:
                state[place] = 1
                stack.extend(dict.fromkeys(part for part in inner if state[part] == 0))
    for place, entry in enumerate(table):
        _fill(entry, made[place], made, costs)


def _parts(entry: list[Any]) -> list[Any]:
    return entry[3:] if entry[0] == "named" else entry[1:]


def _frozen(entry: list[Any], made: list[Any], costs: dict[int, tuple[int, int]], classes: Mapping[str, Any]) -> Any:
    if entry[0] == "frozenset":
        return frozenset(_hashable(part, made, costs) for part in entry[1:])
    parts = [_get(part, made) for part in _parts(entry)]
    if entry[0] == "named":
        return _named(str(entry[1]), [str(name) for name in entry[2]], parts, classes)
    if entry[0] in plain_types.KINDS:
        if entry[0] in ("keys", "items"):
            parts = [_hashable(part, made, costs) for part in entry[1:]]
        return plain_types.read(entry[0], parts)
    return parts[0] if entry[0] == "alias" else tuple(parts)


def _named(name: str, fields: list[str], parts: list[Any], classes: Mapping[str, Any]) -> Any:
    found: Any = classes.get(name)
    if not (isinstance(found, type) and issubclass(found, tuple) and getattr(found, "_fields", None) == tuple(fields)):
        found = _generic(name, tuple(fields))
    if len(parts) != len(fields):
        raise values.UndecodableValue("a named tuple of another length")
    return tuple.__new__(found, parts)


@functools.lru_cache(256)
def _generic(name: str, fields: tuple[str, ...]) -> Any:
    make: Any = collections.namedtuple  # whose arguments a type checker wants as literals
    return make(name, fields)


def _cost(entry: list[Any], costs: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return steps and depth of hashing an immutable container, without sharing."""
    inner = [costs[part[0]] for part in _parts(entry) if isinstance(part, list) and part[0] in costs]
    steps = len(entry) + sum(steps for steps, _ in inner)
    return min(steps, values.MAX_ITEMS + 1), 1 + max((depth for _, depth in inner), default=0)


def _fill(entry: list[Any], target: Any, made: list[Any], costs: dict[int, tuple[int, int]]) -> None:
    kind = entry[0]
    if kind in ("list", "deque"):
        target.extend(_get(part, made) for part in entry[1:])
    elif kind == "set":
        target.update(_hashable(part, made, costs) for part in entry[1:])
    elif kind in values.DICTS:
        parts = entry[1:]
        if kind == "defaultdict":
            factory = _get(parts.pop(0), made)
            target.default_factory = factory if callable(factory) else None
        keys = (_hashable(part, made, costs) for part in parts[::2])
        for key, content in zip(keys, (_get(part, made) for part in parts[1::2]), strict=True):
            dict.__setitem__(target, key, content) if kind != "ordered" else target.__setitem__(key, content)
    elif kind == "object" and not isinstance(target, values.Opaque):
        for name, part in _pairs(entry[2:]):
            object.__setattr__(target, name, _get(part, made))
    elif kind == "wrapped":
        _, name, part = entry
        target.data = _get(part, made)
        if not isinstance(target.data, values.WRAPPERS[name][1]):
            raise values.UndecodableValue(f"no content of a {name}")
    elif kind == "namespace":
        for name, part in _pairs(entry[1:]):
            vars(target)[name] = _get(part, made)


def _pairs(parts: list[Any]) -> Iterable[tuple[str, Any]]:
    return zip(map(str, parts[::2]), parts[1::2], strict=True)


def _get(part: Any, made: list[Any]) -> Any:
    if isinstance(part, list):
        (place,) = part
        if not isinstance(place, int) or isinstance(place, bool) or place < 0:
            raise values.UndecodableValue("no reference")
        return made[place]
    if isinstance(part, dict):
        raise values.UndecodableValue("no reference")
    return part


def _hashable(part: Any, made: list[Any], costs: dict[int, tuple[int, int]]) -> Any:
    value = _get(part, made)
    steps, depth = costs.get(part[0], (0, 0)) if isinstance(part, list) else (0, 0)
    if isinstance(value, (list, set, dict)) or steps > values.MAX_ITEMS or depth > MAX_HASHED_DEPTH:
        raise values.UndecodableValue("an element that cannot be hashed")
    return value
