"""Write Python values as a table (see `values`).

table = encode(value)
"""

from __future__ import annotations

import collections
import enum
import math
import types
from collections.abc import Callable
from typing import Any

try:  # inside a sandbox the modules of this folder have no package
    import arrays  # type: ignore[import-not-found, unused-ignore]
    import plain_types  # type: ignore[import-not-found, unused-ignore]
    import values  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from rewards.code.sandbox.inside import arrays, plain_types, values

SAFE_INT = 10**15
_SEQUENCES: tuple[tuple[Any, str], ...] = (
    (list, "list"),
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (collections.deque, "deque"),
)
_NAMES_OF_DICTS = {kind: name for name, kind in values.DICTS.items()}
_BUILT_IN = frozenset({*values.EXTENDED.values(), *values.DICTS.values(), collections.deque, bool, complex, bytearray})

Export = Callable[[Any], list[Any]]
Known = Callable[[str], bool]


def _opaque(item: Any) -> list[Any]:
    return ["opaque", type(item).__name__]


def encode(value: Any, export: Export = _opaque, knows: Known = lambda _: True) -> dict[str, Any]:
    """Return the table of `value`; raises `ValueError` as `Encoder.add` does."""
    encoder = Encoder(export, knows)
    root = encoder.add(value)
    return {"root": root, "table": encoder.table}


class Encoder:
    """Write values into one table.

    Args:
        export: Returns the entry of something that has no plain form.
        knows: Whether the other side has a class of that name; instances of other classes are exported.
        whole: Whether something is exported although it has a plain form.
        extra: Returns what is noted about an instance of a subclass of a built-in type, None for nothing.
        plain: Whether an array is sent as a list, and a wrapper of `collections` as what it wraps.

    Attributes:
        table: The entries.
        extras: By place in the table, what is noted.
        alive: The objects that the entries stand for.
        places: By identity of an object, its place in the table.
    """

    def __init__(
        self,
        export: Export = _opaque,
        knows: Known = lambda _: True,
        whole: Callable[[Any], bool] = lambda _: False,
        extra: Callable[[Any], list[Any] | None] | None = None,
        plain: bool = False,
    ) -> None:
        self._whole, self._extra, self._plain = whole, extra, plain
        self.extras: list[list[Any]] = []
        self.table: list[list[Any]] = []
        self.alive: list[Any] = []
        self.places: dict[int, int] = {}
        self._export = export
        self._knows = knows
        self._waiting: list[int] = []
        self._count = 0

    def add(self, value: Any) -> Any:
        """Return the reference of `value`; raises `ValueError` for more than `MAX_ITEMS` parts."""
        root = self._ref(value)
        while self._waiting:
            place = self._waiting.pop()
            item = self.alive[place]
            self.table[place] = self._entry(item) if not self._whole(item) else self._export(item)
            if self._extra is not None and type(item) not in _BUILT_IN and self.table[place][0] in values.EXTENDED:
                extra = self._extra(item)
                self.extras += [[place, *extra]] if extra is not None else []
        return root

    def _ref(self, item: Any) -> Any:
        self._count += 1
        if self._count > values.MAX_ITEMS:
            raise ValueError("too many parts")
        kind = type(item)
        if item is None or kind is bool or kind is str or (kind is int and -SAFE_INT < item < SAFE_INT):
            return item
        if kind is float and math.isfinite(item):
            return item
        key = id(item)
        if key not in self.places:
            self.places[key] = len(self.table)
            self._waiting.append(len(self.table))
            self.alive.append(item)
            self.table.append([])
        return [self.places[key]]

    def _entry(self, item: Any) -> list[Any]:
        ref, kind = self._ref, type(item)
        if isinstance(item, enum.Enum) and (self._knows(kind.__name__) or not isinstance(item, (int, str))):
            return ["enum", kind.__name__, str(item.name)] if self._knows(kind.__name__) else self._export(item)
        if isinstance(item, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
            return ["named", kind.__name__, list(map(str, kind._fields)), *map(ref, tuple.__iter__(item))]
        for base, name in _SEQUENCES:
            if isinstance(item, base):
                return [name, *map(ref, base.__iter__(item))]
        if isinstance(item, dict):
            name = _NAMES_OF_DICTS.get(kind, "dict")
            factory = [ref(getattr(item, "default_factory", None))] if name == "defaultdict" else []
            return [name, *factory, *(ref(part) for pair in dict.items(item) for part in pair)]
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
        if isinstance(item, bytes):
            return ["bytes", bytes.hex(item)]
        if isinstance(item, bytearray):
            return ["bytearray", bytearray.hex(item)]
        if kind is types.SimpleNamespace:
            return ["namespace", *(part for key, content in vars(item).items() for part in (str(key), ref(content)))]
        array = None if self._plain else arrays.write(item)
        if array is not None:
            return array
        plain = plain_types.write(item)
        if plain is not None:
            return [plain[0], *map(ref, plain[1:])]
        if kind.__module__.partition(".")[0] == "numpy" and hasattr(item, "tolist"):
            return ["alias", ref(item.tolist())]
        content = values.unwrapped(item)
        if content is not None and self._plain:
            return ["alias", ref(content)]
        if content is not None and kind is values.WRAPPERS.get(kind.__name__, (None,))[0]:
            return ["wrapped", kind.__name__, ref(content)]
        return self._instance(item)

    def _instance(self, item: Any) -> list[Any]:
        name = next((base.__name__ for base in type(item).__mro__[:-1] if self._knows(base.__name__)), None)
        fields = _fields(item) if name is not None else None
        if name is None or fields is None:
            return self._export(item)
        return ["object", name, *(part for key, content in fields for part in (key, self._ref(content)))]


def _fields(item: Any) -> list[tuple[str, Any]] | None:
    """Names and values of an instance's own fields.

    None where it keeps none, or is no plain instance.
    """
    if isinstance(item, (type, BaseException)) or callable(item) or hasattr(item, "__next__"):
        return None
    found: dict[str, Any] = dict(getattr(item, "__dict__", None) or {})
    for kind in type(item).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if isinstance(name, str) and hasattr(item, name):
                found[name] = getattr(item, name)
    has_fields = hasattr(item, "__dict__") or "__slots__" in type(item).__dict__
    return [(str(name), content) for name, content in found.items()] if has_fields else None
