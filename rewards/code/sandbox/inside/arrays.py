"""Send arrays of numpy as their type, shape and bytes, and make them again.

`write` returns the entry of an array (see `values`), None for what is none; `read` makes an array of an entry. An array
that reaches the data set's code equals a list of the same numbers as well, in shape and content, so that a check that
was written for lists accepts a program that computes with numpy.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from typing import Any

_PLAIN = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c(?:8|16)|U[0-9]{1,6})")


def write(item: Any) -> list[Any] | None:
    """Return the entry of an array of numbers or strings."""
    numpy = sys.modules.get("numpy")
    kind = type(item)
    if kind.__name__ not in ("ndarray", "array") or numpy is None or not isinstance(item, numpy.ndarray):
        return None
    if (kind is not numpy.ndarray and kind not in _made()) or not _PLAIN.fullmatch(item.dtype.str):
        return None
    if _is_hollow(item.shape):
        return None
    return ["array", item.dtype.str, list(item.shape), numpy.ndarray.tobytes(item).hex()]


def read(entry: list[Any], equals_lists: bool) -> Any:
    """Make the array of an entry; raises `ValueError` or `TypeError` for any other."""
    _, dtype, shape, content = entry
    if not isinstance(dtype, str) or not _PLAIN.fullmatch(dtype):
        raise ValueError("no type of an array")
    try:
        numpy = importlib.import_module("numpy")
    except ImportError as error:
        raise ValueError(str(error)) from None
    data = bytes.fromhex(content)
    shape = [int(length) for length in shape]
    if _is_hollow(shape):
        raise ValueError("an empty array of several dimensions")
    flat = numpy.frombuffer(data, "u1" if dtype.endswith("b1") else dtype) if data else numpy.empty(0, dtype)
    made = (flat != 0 if dtype.endswith("b1") else flat).reshape(shape).copy()
    return made.view(_made()[0]) if equals_lists else made


def _is_hollow(shape: Any) -> bool:
    """Return whether an array has no content but several dimensions; numpy finds it equal to every row of that length.

    It is sent as the list that it is, which is equal to no such row.
    """
    return len(shape) > 1 and 0 in shape


def refill(entry: list[Any], original: Any) -> None:
    """Give an array of this side the content of an entry of the same type and shape."""
    found = read(entry, equals_lists=False)
    if found.shape != original.shape or found.dtype != original.dtype:
        raise ValueError("an array that changed its shape")
    original[...] = found


def _made() -> tuple[Any, ...]:
    numpy = sys.modules.get("numpy")
    return () if numpy is None else _classes(numpy)


@functools.cache
def _classes(numpy: Any) -> tuple[Any, ...]:
    """Return the class of arrays that equal lists, once numpy is there."""

    class Equal(numpy.ndarray):  # type: ignore[misc]
        """The comparison of an array with a list, number by number; as a whole it holds or not."""

        def __bool__(self) -> bool:
            whole = self.__dict__.get("whole")
            return bool(super().__bool__()) if whole is None else whole

    class array(numpy.ndarray):  # type: ignore[misc]
        """An array; it prints as one."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            return self._compare(other, super().__eq__, True)

        def __ne__(self, other: object) -> Any:
            return self._compare(other, super().__ne__, False)

        def _compare(self, other: object, compare: Any, equal: bool) -> Any:
            if not isinstance(other, (list, tuple)):
                return compare(other)
            whole = (self.tolist() == list(other)) is equal
            try:
                found = compare(other)
            except (ValueError, TypeError):  # lists of several lengths
                return whole
            if not isinstance(found, numpy.ndarray):
                return whole
            made = found.view(Equal)
            made.__dict__["whole"] = whole
            return made

    return array, Equal
