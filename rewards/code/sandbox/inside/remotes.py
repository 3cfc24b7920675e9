"""Stand for an object of the other side: every use of it is a question.

`remote_class` returns the class of a handle (see `objects`), with the special methods that the object has. A comparison
with a plain value is never asked of the other side, and neither is an operator with one, unless classes are what is
tested. `extended_class` returns a built-in class for a value that arrived whole and whose own methods stay there.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import operator
import types
from collections.abc import Callable
from typing import Any

try:
    import values  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from rewards.code.sandbox.inside import values

BINARY = (
    "divmod",
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and_",
    "or_",
    "xor",
    "matmul",
    "lshift",
    "rshift",
)
ORDER = ("lt", "le", "gt", "ge")
UNARY: dict[str, Callable[[Any], Any]] = {
    "iter": iter, "len": len, "str": str, "repr": repr, "bool": bool, "neg": operator.neg, "abs": abs,
    "int": int, "float": float, "reversed": lambda item: iter(reversed(item)), "pos": operator.pos,
    "invert": operator.invert, "index": operator.index, "complex": complex, "bytes": bytes, "floor": math.floor,
    "ceil": math.ceil, "trunc": math.trunc,
}  # fmt: skip
MAX_AHEAD = 1024
TELLING = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "equals", "isclose", "almost_equal"}
SORTS: dict[str, Any] = {
    "function": types.FunctionType, "generator": types.GeneratorType, "coroutine": types.CoroutineType,
    "async_generator": types.AsyncGeneratorType, "list": list, "dict": dict, "set": set, "tuple": tuple,
    **{name: kind for name, (kind, _) in values.WRAPPERS.items()},
}  # fmt: skip
CONTAINERS = ("list", "dict", "set", "tuple", *values.WRAPPERS)
WRAPPERS = tuple(kind for kind, _ in values.WRAPPERS.values())
FUNCTION_NAMES = ("__name__", "__qualname__", "__doc__", "__module__")
OFFERED = (*FUNCTION_NAMES, "__annotations__", "__defaults__", "__kwdefaults__", "__wrapped__", "__bases__", "__mro__")
_FLAGS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class _Base:
    pass


state: Callable[[Any], dict[str, Any]] = _Base.__dict__["__dict__"].__get__
"""Return what a `Remote` itself keeps; its `__dict__` is that of the object that it stands for."""


class Remote(_Base):
    """An object of the other side."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        """The fields of the object."""
        return self._ask("getattr", name="__dict__")

    def __getattr__(self, name: str) -> Any:
        if name in ("__signature__", "__code__") and "call" in state(self)["_special"]:
            return described(name, self._ask)
        if name.startswith("__") and name.endswith("__") and name not in OFFERED:
            raise AttributeError(name)
        if name in TELLING and not state(self)["_peer"].operators:
            raise AttributeError(f"{name}: the result is no plain value")
        return self._ask("getattr", name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("setattr", value, name=name)

    def _ask(self, op: str, data: Any = None, **fields: Any) -> Any:
        return state(self)["_peer"].ask(op, state(self)["_handle"], data, **fields)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, type) and issubclass(
            other, Remote
        ):  # `type(result) == Shape`, where only this is a handle
            return bool(other.__name__ == self._ask("getattr", name="__name__"))
        return self._has_peer_of(other) and self._ask("eq", other) is True

    def __hash__(self) -> int:
        return id(self)

    def __instancecheck__(self, instance: Any) -> bool:
        return self._has_peer_of(instance) and self._ask("isinstance", instance) is True

    def __subclasscheck__(self, kind: Any) -> bool:
        return self._has_peer_of(kind) and self._ask("issubclass", kind) is True

    def __copy__(self) -> Any:
        return self._copied("copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return self._copied("deepcopy")

    def _copied(self, op: str) -> Any:
        return self._ask(op) if state(self)["_peer"].is_guarded else self  # a program copies nothing of the check

    def _has_peer_of(self, other: Any) -> bool:
        return isinstance(other, Remote) and state(other)["_peer"] is state(self)["_peer"]


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    return self._ask("call", (list(args), kwargs), same=True)


def _next(self: Any) -> Any:
    own = state(self)
    if not own["_ahead"] and not own["_ended"]:
        own["_ahead"], own["_ended"], own["_value"] = self._ask("next", count=own["_count"])
        own["_ahead"].reverse()
        own["_count"] = min(2 * own["_count"], MAX_AHEAD)
    if not own["_ahead"]:
        raise StopIteration(own.get("_value"))
    return own["_ahead"].pop()


def _unary(op: str) -> Callable[[Any], Any]:
    return lambda self: self._ask(op)


def _binary(op: str, reflected: bool = False) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if not _may_tell(self, other):
            return NotImplemented
        return self._ask(op, other, reflected=reflected)

    return method


def _may_tell(self: Any, other: Any) -> bool:
    """Return whether an operator's other side is shown: a program that knows it could answer what the check wants."""
    return state(self)["_peer"].operators or isinstance(other, Remote)


def _contains(self: Any, item: Any) -> bool:
    if _may_tell(self, item):
        return self._ask("contains", item) is True
    return any(found is item or found == item for found in self)


def _exit(self: Any, kind: Any, error: Any, trace: Any) -> bool:
    """Leave a context; no context of a program makes a failed assertion hold."""
    ends = self._ask("exit") is True
    return ends and isinstance(error, Exception) and not isinstance(error, AssertionError)


def _ordered(op: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: self._ask(op, other) is True if isinstance(other, Remote) else NotImplemented


def _format(self: Any, spec: str) -> str:
    """Format as the other side does, where it may know how: a check could write what it expects into the format."""
    if not state(self)["_peer"].operators:
        return object.__format__(self, spec)
    return str(self._ask("format", spec))


def _await(self: Any) -> Any:
    return self._ask("await")
    yield


def _send(self: Any, value: Any) -> Any:
    raise StopIteration(self._ask("await"))


def _throw(self: Any, error: Any, *_: Any) -> Any:
    raise error


async def _aenter(self: Any) -> Any:
    return self._ask("aenter")


async def _aexit(self: Any, kind: Any, error: Any, trace: Any) -> bool:
    ends = self._ask("aexit") is True
    return ends and isinstance(error, Exception) and not isinstance(error, AssertionError)


async def _anext(self: Any) -> Any:
    found, ended = self._ask("anext")
    if ended:
        raise StopAsyncIteration
    return found


METHODS: dict[str, Any] = {
    "call": _call,
    "next": _next,
    "enter": lambda self: self._ask("enter"),
    "exit": _exit,
    "getitem": lambda self, key: self._ask("getitem", key),
    "setitem": lambda self, key, value: self._ask("setitem", (key, value)),
    "delitem": lambda self, key: self._ask("delitem", key),
    "contains": _contains,
    "await": _await,
    "aenter": _aenter,
    "aexit": _aexit,
    "aiter": lambda self: self._ask("aiter"),
    "anext": _anext,
    "hash": lambda self: self._ask("hash") if state(self)["_peer"].is_guarded else id(self),
    "format": _format,
    "round": lambda self, *digits: self._ask("round", digits),
    "dataclass_fields": property(lambda self: _fields(self._ask("fields"))),
    **{op: _unary(op) for op in UNARY},
    **{f"i{op.strip('_')}": _binary(f"i{op.strip('_')}") for op in BINARY},
    **{op.strip("_"): _binary(op) for op in BINARY},
    **{f"r{op.strip('_')}": _binary(op, True) for op in BINARY},
    **{op: _ordered(op) for op in ORDER},
}


UNHASHABLE = "unhashable"
_OF_EVERY_OBJECT = {"hash": object.__hash__, "format": object.__format__}


def special_of(kind: type) -> list[str]:
    """Return the special methods of a class, of `METHODS`, without those that every object has, and `UNHASHABLE`."""
    found = [name for name in METHODS if getattr(kind, f"__{name}__", None) is not None]
    special = [name for name in found if getattr(kind, f"__{name}__") is not _OF_EVERY_OBJECT.get(name)]
    return [*special, UNHASHABLE] if kind.__hash__ is None else special


def _fields(names: Any) -> dict[str, Any]:
    """Return the fields of a data class, as `dataclasses` keeps them."""
    found: dict[str, Any] = {}
    for name in map(str, names):
        field: Any = dataclasses.field()
        field.name, field.type, field._field_type = name, Any, dataclasses._FIELD  # type: ignore[attr-defined]
        found[name] = field
    return found


@functools.cache
def remote_class(name: str, special: frozenset[str], sort: str) -> type:
    """Return the class of a handle.

    Args:
        name: The name of the class on the other side.
        special: What `special_of` returns about it.
        sort: One of `SORTS`, which `isinstance` finds; empty for any other object.
    """
    body: dict[str, Any] = {f"__{method}__": METHODS[method] for method in special if method in METHODS}
    body |= {"__hash__": None} if UNHASHABLE in special else {}
    body["__doc__"] = property(lambda self: self._ask("getattr", name="__doc__"))
    if "next" in special:
        body["__iter__"] = lambda self: self
    if "await" in special:
        body |= {"send": _send, "throw": _throw, "close": lambda self: None}
    if sort in SORTS:
        body["__class__"] = property(lambda self: SORTS[sort])
    if sort in values.WRAPPERS and "contains" in special:
        body["__contains__"] = lambda self, item: item in _content(self)
    if sort in CONTAINERS:
        body |= {"__eq__": _equals_content, "__hash__": Remote.__hash__}
    return type(name, (Remote,), body)


def _equals_content(self: Any, other: object) -> Any:
    """Compare here what the other side keeps, as plain data."""
    if self is other:
        return True
    return _content(self) == (_content(other) if isinstance(other, Remote) else other)


def _content(self: Any) -> Any:
    """Return what the other side keeps; comparisons in a row, between which nothing else is asked, see the same."""
    own = state(self)
    if own.get("_seen") != own["_peer"].asked:
        own["_kept"] = self._ask("content")
        own["_seen"] = own["_peer"].asked
    return own["_kept"]


@functools.lru_cache(256)
def extended_class(name: str, base: type) -> type:
    """Return a subclass of a built-in class; attributes that the class lacks are those of the other side."""

    def attribute(self: Any, name: str) -> Any:
        if name.startswith("_") or (name in TELLING and not self.__dict__["_peer"].operators):
            raise AttributeError(name)
        return self.__dict__["_peer"].ask("getattr", self.__dict__["_handle"], name=name)

    return type(name, (base,), {"__getattr__": attribute, "_is_extended": True})


def described(name: str, ask: Callable[..., Any]) -> Any:
    """Return `__signature__` or `__code__` of a function of the other side, as far as `inspect` looks at them."""
    if name == "__signature__":
        found = [
            inspect.Parameter(
                part, _KINDS[kind], default=default if given else inspect.Parameter.empty,
                annotation=hint if hinted else inspect.Parameter.empty,
            )
            for part, kind, given, default, hinted, hint in ask("signature")[0]
        ]  # fmt: skip
        hinted, hint = ask("signature")[1]
        return inspect.Signature(found, return_annotation=hint if hinted else inspect.Signature.empty)
    flags, names, count = ask("code")
    code = described.__code__
    return (lambda: None).__code__.replace(
        co_flags=(code.co_flags & ~_FLAGS) | (flags & _FLAGS), co_varnames=tuple(names), co_nlocals=len(names),
        co_argcount=count,
    )  # fmt: skip


_KINDS = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
)


def signature_of(target: Any) -> list[Any]:
    """Return the parameters and the result of a function, as `described` reads them."""
    found, empty = inspect.signature(target), inspect.Parameter.empty
    parts = [
        [part.name, int(part.kind), *_given(part.default, empty), *_given(part.annotation, empty)]
        for part in found.parameters.values()
    ]
    return [parts, _given(found.return_annotation, inspect.Signature.empty)]


def _given(value: Any, empty: Any) -> list[Any]:
    return [value is not empty, None if value is empty else value]


def sort_of(item: Any) -> str:
    """Return the sort of an object of this side, by what it really is."""
    kind = type(item)
    if kind is types.MethodType:
        return "function"
    return next((name for name, found in SORTS.items() if kind is found), "")
