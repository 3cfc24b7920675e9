"""Let two processes call each other's functions and use each other's objects, over one line of JSON per message.

    peer = Peer(read_line, write_line, space, serves=OPEN)
    result = peer.ask("call", on=handle, args=[1], kwargs={})

One process runs the program, the other the data set's check; exactly one of them works at a time, and while it waits
for an answer it serves the questions of the other. Values travel as `values` writes them. What has no plain form (a
function, a generator, an instance of a class that the other side lacks) travels as a handle and is used through a
`Remote`. Comparisons of a `Remote` with a plain value are never asked of the other side: no object of a program can
claim to be equal to an expected value. Nor can it hide behind an operator (`abs(result - 5) < 1e-6`), unless classes
are what is tested (`operators`). A message can name no class and no exception but those that both sides have.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any

try:
    import values  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from rewards.code.sandbox.inside import values

BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "matmul", "lshift", "rshift")
ORDER = ("lt", "le", "gt", "ge")
UNARY: dict[str, Callable[[Any], Any]] = {
    "iter": iter, "len": len, "str": str, "repr": repr, "bool": bool, "neg": operator.neg, "abs": abs,
    "int": int, "float": float, "reversed": lambda item: iter(reversed(item)),
}  # fmt: skip
MAX_AHEAD = 1024
TELLING = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint", "equals", "isclose", "almost_equal"}
_NOT_RAISED = {"unittest", "pytest", "_pytest", "check", "judge", "__main__"}
OPEN = "open"
GUARDED = "guarded"


class Lost(BaseException):
    """The other process has ended; no `Exception`, so that no check takes it for a result."""


class Failure(Exception):
    """An exception of the other side of which no class is known here."""


class Peer:
    """This side of the conversation.

    Args:
        read: Returns the next line, empty where the other side is gone.
        write: Sends a line.
        space: The names of this side: classes of the values that arrive, and what `name` finds.
        serves: `OPEN` answers every question (the program's side); `GUARDED` only calls what it was given, and
            uses public attributes of instances of this side's classes.
        entry: Returns what a question about the entry point means.
        printed: Returns what was printed since the last answer.

    Attributes:
        theirs: The names of the classes that both sides have.
        operators: Whether objects of the other side are asked about operators with plain values.
        called: Calls asked for.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        write: Callable[[bytes], None],
        space: Mapping[str, Any],
        serves: str,
        entry: Callable[[], Any] | None = None,
        printed: Callable[[], str] = str,
    ) -> None:
        self.read, self.write, self.space, self.serves = read, write, space, serves
        self.entry, self.printed = entry, printed
        self.theirs: set[str] = set()
        self.operators = True
        self.called = 0
        self.handles: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._remotes: dict[int, Any] = {}

    def ask(self, op: str, on: int | None = None, data: Any = (), same: bool = False, **fields: Any) -> Any:
        """Ask the other side and return its answer.

        Args:
            op: What to do.
            on: The handle, None for the entry point.
            data: A value that goes along.
            same: Whether objects in `data` are given what the other side makes of them.
            fields: Further fields of plain JSON.

        Raises:
            Lost: The other side has ended.
            Exception: What the other side raised.
        """
        self.called += op == "call"
        encoder = self._encoder()
        message = {"op": op, "on": on, "same": same, **fields, "data": self._table(encoder, data)}
        self.write(json.dumps(message).encode())
        while True:
            line = self.read()
            answer = json.loads(line) if line else {"lost": True}
            if not isinstance(answer, dict):
                raise values.UndecodableValue("no object")
            if "lost" in answer:
                raise Lost
            if "op" in answer:
                self.serve(answer)
                continue
            if isinstance(answer.get("out"), str):
                sys.stdout.write(answer["out"])
            if "raised" in answer:
                raise self._exception(answer)
            originals = {
                place: encoder.alive[number]
                for place, number in (answer.get("same") or ())
                if same and isinstance(number, int) and 0 <= number < len(encoder.alive)
                and encoder.table[number][0] in values.MUTABLE
            }  # fmt: skip
            return self._decoder(answer["ok"], originals).root

    def serve(self, question: dict[str, Any]) -> None:
        """Answer one question of the other side."""
        reply: dict[str, Any]
        encoder = self._encoder()
        try:
            decoder = self._decoder(question["data"])
            result = self._do(question, decoder.root)
            reply = {"ok": self._table(encoder, result)}
            if question.get("same"):
                kept = [
                    (encoder.add(item), number)
                    for number, item in enumerate(decoder.made)
                    if question["data"]["table"][number][0] in values.MUTABLE and not isinstance(item, values.Opaque)
                ]
                reply["same"] = [(ref[0], number) for ref, number in kept]
        except Exception as error:
            reply = self._raised(error)
        printed = self.printed()
        self.write(json.dumps({**reply, "out": printed} if printed else reply).encode())

    def _do(self, question: Mapping[str, Any], data: Any) -> Any:
        op, on = question["op"], question["on"]
        if op == "name" and self.serves == OPEN:
            return self.space[str(question["name"])]
        target = self.entry() if on is None and self.entry is not None else self.handles[_index(on, self.handles)]
        if self.serves == GUARDED and not self._may(op, target, str(question.get("name", ""))):
            raise TypeError(f"{op} of {type(target).__name__} is not offered")
        if op == "call":
            return target(*data[0], **data[1])
        if op == "target":
            return target
        if op == "next":
            return self._ahead(target, min(int(question["count"]), MAX_AHEAD))
        if op == "getattr":
            return getattr(target, str(question["name"]))
        if op == "setattr":
            return setattr(target, str(question["name"]), data)
        if op == "getitem":
            return target[data]
        if op == "setitem":
            return operator.setitem(target, *data)
        if op == "delitem":
            return operator.delitem(target, data)
        if op == "contains":
            return data in target
        if op == "enter":
            return target.__enter__()
        if op == "exit":
            return bool(target.__exit__(None, None, None))
        if op in UNARY:
            return UNARY[op](target)
        if op in BINARY or op in ORDER or op == "eq":
            return getattr(operator, op)(*((data, target) if question.get("reflected") else (target, data)))
        raise TypeError(f"unknown operation {str(op)[:40]!r}")

    def _may(self, op: str, target: Any, name: str) -> bool:
        if op in ("call", "next"):
            return callable(target) if op == "call" else hasattr(target, "__next__")
        own = type(target).__module__ == "check" and not isinstance(target, type)
        return own and op in ("getattr", "setattr") and not name.startswith("_")

    @staticmethod
    def _ahead(iterator: Any, count: int) -> list[Any]:
        """Return [items, whether the iterator has ended]."""
        found: list[Any] = []
        for _ in range(count):
            try:
                found.append(next(iterator))
            except StopIteration:
                return [found, True]
        return [found, False]

    def _encoder(self) -> values.Encoder:
        return values.Encoder(self._export, self.theirs.__contains__)

    def _decoder(self, data: Any, originals: Mapping[int, Any] | None = None) -> values.Decoder:
        return values.Decoder(data, self._classes(), self._resolve, originals)

    def _classes(self) -> Mapping[str, Any]:
        """Return the classes that a message may name: of the check's, those that the program has as well."""
        if self.serves == OPEN:
            return self.space
        return {name: self.space[name] for name in self.theirs if isinstance(self.space.get(name), type)}

    @staticmethod
    def _table(encoder: values.Encoder, value: Any) -> dict[str, Any]:
        root = encoder.add(value)
        return {"root": root, "table": encoder.table}

    def _export(self, item: Any) -> list[Any]:
        kind: Any = type(item)
        if isinstance(item, Remote) and item.__dict__.get("_peer") is self:
            return ["yours", item.__dict__["_handle"]]
        if isinstance(item, type):
            name = str(item.__name__)
            if getattr(builtins, name, None) is item:
                return ["builtin", name]
            if name in self.theirs and self.space.get(name) is item:
                return ["class", name]
        if id(item) not in self._numbers:
            self._numbers[id(item)] = len(self.handles)
            self.handles.append(item)
        special = [name for name in _METHODS if hasattr(kind, f"__{name}__")]
        return ["handle", self._numbers[id(item)], kind.__name__, special]

    def _resolve(self, entry: list[Any]) -> Any:
        if entry[0] == "yours":
            return self.handles[_index(entry[1], self.handles)]
        if entry[0] == "builtin":
            found = getattr(builtins, str(entry[1]), None)
            return found if isinstance(found, type) else None
        if entry[0] == "class":
            return self._classes().get(str(entry[1]))
        if entry[0] != "handle" or not isinstance(entry[1], int):
            return None
        if entry[1] not in self._remotes:
            special = frozenset(name for name in entry[3] if name in _METHODS)
            made: Any = object.__new__(_remote_class(str(entry[2])[:100], special))
            made.__dict__.update(_peer=self, _handle=entry[1], _ahead=[], _count=1, _ended=False)
            self._remotes[entry[1]] = made
        return self._remotes[entry[1]]

    def _raised(self, error: Exception) -> dict[str, Any]:
        lineage = [[kind.__module__, kind.__name__] for kind in type(error).__mro__ if issubclass(kind, Exception)]
        args: list[Any] = []
        for part in error.args:
            with contextlib.suppress(Exception):
                values.encode([*args, part])
                args.append(part if isinstance(part, (str, int, float, tuple, list, dict)) else str(part))
        with contextlib.suppress(Exception):
            return {"raised": lineage, "args": self._table(self._encoder(), args)}
        return {"raised": lineage, "args": {"root": None, "table": []}}

    def _exception(self, answer: Mapping[str, Any]) -> Exception:
        args = self._decoder(answer["args"]).root
        raised: Exception = Failure()
        for module, name in answer["raised"]:
            found = self._classes().get(name)
            if found is None and str(module).partition(".")[0] not in _NOT_RAISED:
                found = getattr(sys.modules.get(module), name, None)
            if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, StopIteration):
                raised = found.__new__(found)
                break
        raised.args = tuple(args or ())
        raised.__dict__["_from_the_program"] = True
        return raised


def _index(number: Any, handles: list[Any]) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(handles):
        raise LookupError("no handle of that number")
    return number


class Remote:
    """An object of the other side."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in ("__name__", "__doc__"):
            raise AttributeError(name)
        if name in TELLING and not self.__dict__["_peer"].operators:
            raise AttributeError(f"{name}: the result is no plain value")
        return self._ask("getattr", name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("setattr", value, name=name)

    def _ask(self, op: str, data: Any = None, **fields: Any) -> Any:
        return self.__dict__["_peer"].ask(op, self.__dict__["_handle"], data, **fields)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        both = isinstance(other, Remote) and other.__dict__["_peer"] is self.__dict__["_peer"]
        return both and self._ask("eq", other) is True

    def __hash__(self) -> int:
        return id(self)


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    return self._ask("call", (list(args), kwargs), same=True)


def _next(self: Any) -> Any:
    state = self.__dict__
    if not state["_ahead"] and not state["_ended"]:
        state["_ahead"], state["_ended"] = self._ask("next", count=state["_count"])
        state["_ahead"].reverse()
        state["_count"] = min(2 * state["_count"], MAX_AHEAD)
    if not state["_ahead"]:
        raise StopIteration
    return state["_ahead"].pop()


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
    return self.__dict__["_peer"].operators or isinstance(other, Remote)


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


_METHODS: dict[str, Callable[..., Any]] = {
    "call": _call,
    "next": _next,
    "enter": lambda self: self._ask("enter"),
    "exit": _exit,
    "getitem": lambda self, key: self._ask("getitem", key),
    "setitem": lambda self, key, value: self._ask("setitem", (key, value)),
    "delitem": lambda self, key: self._ask("delitem", key),
    "contains": _contains,
    **{op: _unary(op) for op in UNARY},
    **{op.strip("_"): _binary(op) for op in BINARY},
    **{f"r{op.strip('_')}": _binary(op, True) for op in BINARY},
    **{op: _ordered(op) for op in ORDER},
}
_classes: dict[tuple[str, frozenset[str]], type] = {}


def _remote_class(name: str, special: frozenset[str]) -> type:
    if (name, special) not in _classes:
        body = {f"__{method}__": _METHODS[method] for method in special}
        if "next" in special:
            body["__iter__"] = lambda self: self
        _classes[name, special] = type(name, (Remote,), body)
    return _classes[name, special]
