"""Take apart the standard library's plain types and make them again: fractions, decimals, dates, ranges, views, paths.

`write` returns a kind and parts that `values` can encode, `read` makes the object of them. No other object is touched.
"""

from __future__ import annotations

import array
import datetime
import decimal
import fractions
import pathlib
import types
import uuid
from typing import Any

KINDS = (
    "fraction",
    "decimal",
    "date",
    "time",
    "datetime",
    "timedelta",
    "timezone",
    "range",
    "keys",
    "values",
    "items",
    "uuid",
    "path",
    "typed",
    "slice",
    "constant",
)
MAX_DECIMAL_CHARS = 100_000


def write(item: Any) -> list[Any] | None:
    """Return the kind and the parts of a plain object; None for any other."""
    kind = type(item)
    if kind is range:
        return ["range", item.start, item.stop, item.step]
    if kind in _VIEWS:
        return [_VIEWS[kind], *item]
    if kind is fractions.Fraction:
        return ["fraction", item.numerator, item.denominator]
    if kind is decimal.Decimal:
        return ["decimal", str(item)]
    if kind is datetime.datetime:
        offset = item.utcoffset()
        naive = item.replace(tzinfo=None)
        return ["datetime", naive.isoformat(), None if offset is None else offset.total_seconds()]
    if kind in (datetime.date, datetime.time):
        return [kind.__name__, item.replace(tzinfo=None).isoformat() if kind is datetime.time else item.isoformat()]
    if kind is datetime.timedelta:
        return ["timedelta", item.days, item.seconds, item.microseconds]
    if kind is datetime.timezone:
        return ["timezone", item.utcoffset(None).total_seconds()]
    if kind in _PATHS.values():
        return ["path", kind.__name__, str(item)]
    if kind is array.array:
        return ["typed", item.typecode, *item]
    if kind is slice:
        return ["slice", item.start, item.stop, item.step]
    if item is Ellipsis or item is NotImplemented:
        return ["constant", str(item)]
    if kind is memoryview:
        return ["alias", item.tobytes()]
    if kind is types.MappingProxyType:
        return ["alias", dict(item)]
    return ["uuid", item.hex] if kind is uuid.UUID else None


def read(kind: str, parts: list[Any]) -> Any:
    """Make the object of its parts; raises `ValueError`, `TypeError` or `ArithmeticError` where they do not fit."""
    if kind == "slice":
        return slice(*parts)
    if kind == "constant":
        return _CONSTANTS[parts[0]]
    if kind == "path":
        return _PATHS[parts[0]](parts[1])
    if kind == "typed":
        return array.array(parts[0], parts[1:])
    if kind == "range":
        return range(*parts)
    if kind == "keys":
        return dict.fromkeys(parts).keys()
    if kind == "values":
        return dict(enumerate(parts)).values()
    if kind == "items":
        return dict(parts).items()
    if kind == "fraction":
        return fractions.Fraction(*parts)
    if kind == "decimal":
        return decimal.Decimal(str(parts[0])[:MAX_DECIMAL_CHARS])
    if kind == "datetime":
        naive = datetime.datetime.fromisoformat(parts[0])
        return naive if parts[1] is None else naive.replace(tzinfo=_zone(parts[1]))
    if kind == "date":
        return datetime.date.fromisoformat(parts[0])
    if kind == "time":
        return datetime.time.fromisoformat(parts[0])
    if kind == "timedelta":
        return datetime.timedelta(*parts)
    return _zone(parts[0]) if kind == "timezone" else uuid.UUID(hex=parts[0])


def _zone(seconds: float) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(seconds=seconds))


_PATHS: dict[str, Any] = {
    kind.__name__: kind for kind in (type(pathlib.Path()), pathlib.PurePosixPath, pathlib.PureWindowsPath)
}
_CONSTANTS: dict[str, Any] = {str(item): item for item in (Ellipsis, NotImplemented)}
_VIEWS: dict[type, str] = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
