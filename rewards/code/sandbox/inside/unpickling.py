"""Keep a check that unpickles what the program gave from running code of the program.

A pickle names functions that are called as it is read, and a check may read one that the program wrote: with `exec` it
would take over the process that knows what is expected. After `guard()`, a pickle can name classes of plain data alone, whichever
library reads it: the interpreter raises an audit event for each name that a pickle looks up. Even those can be given
attributes by a pickle (an `__eq__` of its own), so a check counts only while they are `intact`.
"""

from __future__ import annotations

import builtins
import collections  # noqa: F401  (each is watched, and has to be there before)
import fractions  # noqa: F401
import pathlib  # noqa: F401
import pickle
import sys
import uuid  # noqa: F401
from typing import Any

_IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
_PLAIN: dict[str, set[str]] = {
    "builtins": {
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range", "set",
        "slice", "str", "tuple", "long", "unicode", "xrange",
    },
    "collections": {"ChainMap", "Counter", "OrderedDict", "UserDict", "UserList", "UserString", "defaultdict", "deque"},
    "copyreg": {"_reconstructor"},
    "_codecs": {"encode"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "uuid": {"UUID"},
    "types": {"SimpleNamespace"},
    "array": {"array", "_array_reconstructor"},
    "pathlib": {"PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
}  # fmt: skip
_FORMER = {
    "__builtin__": "builtins", "copy_reg": "copyreg", "exceptions": "builtins", "_decimal": "decimal",
    "numpy._core.multiarray": "numpy.core.multiarray", "numpy._core.numeric": "numpy.core.numeric",
}  # fmt: skip
_watched: dict[type, dict[str, Any]] = {}
_names_seen: set[str] = set()


def guard() -> None:
    """Refuse from now on, until the process ends, every name in a pickle that is none of plain data."""
    for module, names in _PLAIN.items():
        for name in names:
            found = getattr(sys.modules.get(module), name, None)
            if isinstance(found, type) and not found.__flags__ & _IMMUTABLE:
                _watched[found] = dict(vars(found))
    sys.addaudithook(_refuse)


def intact() -> bool:
    """Return whether no class that a pickle may name was changed since `guard`; true as long as no pickle named any."""
    return not _names_seen or all(
        len(vars(kind)) == len(before) and all(vars(kind).get(name) is value for name, value in before.items())
        for kind, before in _watched.items()
    )


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event != "pickle.find_class":
        return
    _names_seen.add(str(args))
    if not _is_plain(*args):
        raise pickle.UnpicklingError(f"{'.'.join(map(str, args))[:100]} is no plain data")


def _is_plain(module: Any, name: Any) -> bool:
    module = _FORMER.get(module, module)
    if name in _PLAIN.get(module, ()):
        return True
    found = getattr(builtins, name, None) if module == "builtins" else None
    return isinstance(found, type) and issubclass(found, Exception)
