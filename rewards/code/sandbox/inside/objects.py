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
import sys
import threading
from collections.abc import Callable, Mapping
from json import dumps, loads  # by name: a check may replace those of the module
from typing import Any

try:
    import coroutines  # type: ignore[import-not-found, unused-ignore]
    import decoder  # type: ignore[import-not-found, unused-ignore]
    import encoder  # type: ignore[import-not-found, unused-ignore]
    import held  # type: ignore[import-not-found, unused-ignore]
    import notes  # type: ignore[import-not-found, unused-ignore]
    import operations  # type: ignore[import-not-found, unused-ignore]
    import raised  # type: ignore[import-not-found, unused-ignore]
    import remotes  # type: ignore[import-not-found, unused-ignore]
    import replaced  # type: ignore[import-not-found, unused-ignore]
    import shared_files  # type: ignore[import-not-found, unused-ignore]
    import values  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from rewards.code.sandbox.inside import (
        coroutines,
        decoder,
        encoder,
        held,
        notes,
        operations,
        raised,
        remotes,
        replaced,
        shared_files,
        values,
    )

_NOT_RAISED = {"unittest", "pytest", "_pytest", "check", "judge", "__main__"}
MAX_CAUSES = 16
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
        printed: Returns what was printed since the last answer, as `out` and `err`.

    Attributes:
        theirs: The names of the classes that both sides have.
        operators: Whether objects of the other side are asked about operators with plain values.
        tested: The class that is tested, where it is one; its instances are handles, also where they are containers.
        fresh: Whether results are compared with plain data, so that arrays are lists, subclasses their base, and what is
            awaitable its result.
        replaced: What this side has put in the place of functions and streams, which goes along with each call.
        files: The files that both sides have; None where the check uses none.
        notes: Whether warnings and log records of the other side are wanted.
        seeds: What seeded a generator of random numbers since the last question: module and arguments.
        called: Calls asked for.
        asked: Questions asked.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        write: Callable[[bytes], None],
        space: Mapping[str, Any],
        serves: str,
        entry: Callable[[], Any] | None = None,
        printed: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self.read, self.write, self.space, self.serves = read, write, space, serves
        self.is_guarded = serves == GUARDED
        self.entry, self.printed = entry, printed
        self.theirs: set[str] = set()
        self.operators = True
        self.tested: Any = None
        self.fresh = False
        self.replaced: replaced.Replaced | None = None
        self.files: shared_files.SharedFiles | None = None
        self.notes = False
        self._recorder: notes.Recorder | None = None
        self.seeds: list[tuple[str, tuple[Any, ...]]] = []
        self.called = self.asked = 0
        self._turn = threading.RLock()
        self._held = held.Held()
        self._shared = shared_files.SharedFiles()
        self._left = 0
        self._depth = 0
        self._errors: dict[int, type[BaseException]] = {}
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
        with self._turn:  # of threads that ask, one waits for its answer
            return self._ask(op, on, data, same, fields)

    def _ask(self, op: str, on: int | None, data: Any, same: bool, fields: dict[str, Any]) -> Any:
        self.called += op == "call"
        self.asked += 1
        sent = self._encoder()
        if self.files is not None:
            fields["files"] = self.files.out(data)
        if self.notes:
            fields["notes"] = True
        if self.seeds:
            fields["seeds"] = self._table(self._encoder(), self.seeds)
            self.seeds.clear()
        if op in operations.RUNNING and self.replaced is not None:
            stdin, environ, found = self.replaced.now()
            if found or stdin is not None or environ is not None:
                data, fields = [data, found], {**fields, "with": [stdin, environ]}
        message = {"op": op, "on": on, "same": same, **fields, "data": self._table(sent, data)}
        for item in self._held.changed():
            sent.add(item)
        if numbers := self._held.numbers(sent.places):
            message["changed"] = numbers
        self.write(dumps(message).encode())
        while True:
            line = self.read()
            answer = loads(line) if line else {"lost": True}
            if not isinstance(answer, dict):
                raise values.UndecodableValue("no object")
            if "lost" in answer:
                raise Lost
            if "op" in answer:
                self.serve(answer)
                continue
            if self.files is not None:
                self.files.take(answer.get("files") or {})
            for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
                if isinstance(answer.get(name), str):
                    stream.write(answer[name])
            if self.notes:
                notes.repeat(answer.get("notes") or [], self._error_class)
            if self.replaced is not None:
                self.replaced.give_back(answer.get("left"))
            if "raised" in answer:
                error = self._exception(answer)
                error.__dict__[raised.MARK] = True
                raise error
            originals = {
                place: sent.alive[number]
                for place, number in (answer.get("same") or ())
                if same and isinstance(number, int) and 0 <= number < len(sent.alive)
                and sent.table[number][0] in values.MUTABLE
            }  # fmt: skip
            pairs = held.pairs(answer.get("held")) if self.is_guarded and op == "getattr" else []
            received = self._decoder(answer["ok"], originals | self._held.known(pairs))
            self._held.note(pairs, received.made)
            return received.root

    def serve(self, question: dict[str, Any]) -> None:
        """Answer one question of the other side."""
        reply: dict[str, Any]
        sent = self._encoder()
        files = self._files_of(question)
        if "notes" in question and not self.is_guarded and self._recorder is None:
            self._recorder = notes.Recorder(self._lineage)
        try:
            own = {
                place: self.handles[number] for place, number in question.get("changed") or () if not self.is_guarded
            }
            received = self._decoder(question["data"], own)
            if "seeds" in question and not self.is_guarded:
                replaced.seed(self._decoder(question["seeds"]).root)
            result = self._answer(question, received.root)
            reply = {"ok": self._table(sent, result)}
            if question.get("same"):
                kept = [
                    (sent.add(item), number)
                    for number, item in enumerate(received.made)
                    if question["data"]["table"][number][0] in values.MUTABLE and not isinstance(item, values.Opaque)
                ]
                reply["same"] = [(ref[0], number) for ref, number in kept]
            if question["op"] == "getattr" and not self.is_guarded and len(self.handles) < held.MAX_NUMBERED:
                reply["held"] = held.numbered(sent.alive, self._number)
        except (Exception, SystemExit) as error:
            reply = self._raised(error)
        if self._left:
            reply["left"], self._left = self._left, 0
        if files is not None:
            reply["files"] = files.out()
        if self._recorder is not None:
            reply["notes"] = self._recorder.take()
        self.write(dumps({**reply, **self.printed()}).encode())

    def _files_of(self, question: Mapping[str, Any]) -> shared_files.SharedFiles | None:
        """Take the files that come with a question; None where none are to be shared."""
        if self.serves != OPEN or "files" not in question:
            return None
        self._shared.take(question["files"])
        return self._shared

    def _answer(self, question: Mapping[str, Any], data: Any) -> Any:
        if self.serves != OPEN or "with" not in question:
            return self._do(question, data)
        stdin, environ = question["with"]
        with replaced.applied(stdin, environ, data[1]) as stream:
            try:
                return self._do(question, data[0])
            finally:
                self._left = len(stream.read()) if stream is not None else 0

    def _do(self, question: Mapping[str, Any], data: Any) -> Any:
        op, on = question["op"], question["on"]
        if op == "name" and self.serves == OPEN:
            return self.space[str(question["name"])]
        target = self.entry() if on is None and self.entry is not None else self.handles[_index(on, self.handles)]
        if self.serves == GUARDED and not operations.is_offered(op, target, str(question.get("name", ""))):
            refusal = AttributeError if op == "getattr" else TypeError
            raise refusal(f"{op} of {type(target).__name__} is not offered")
        result = operations.apply(op, target, data, question)
        return coroutines.settled(result) if op == "call" and self.fresh else result

    def _encoder(self) -> encoder.Encoder:
        return encoder.Encoder(self._export, self.theirs.__contains__, self._whole, self._extra, self.fresh)

    def _decoder(self, data: Any, originals: Mapping[int, Any] | None = None) -> decoder.Decoder:
        guarded = self.serves == GUARDED
        return decoder.Decoder(data, self._classes(), self._resolve, originals, self._extend, equal_lists=guarded)

    def _whole(self, item: Any) -> bool:
        """Return whether an object is exported even if it is a container: one of the other side, or of the tested class."""
        if issubclass(type(item), remotes.Remote):
            return True
        if getattr(type(item), "_is_extended", False):
            return bool(item.__dict__.get("_peer") is self)  # an instance of a built-in class
        return self.tested is not None and isinstance(item, self.tested)

    def _extra(self, item: Any) -> list[Any] | None:
        """Return number and class name of an instance of a subclass of a built-in class of the program."""
        kind = type(item)
        shared = kind.__name__ in self.theirs and self.space.get(kind.__name__) is kind
        if self.serves != OPEN or kind.__module__ not in raised.OWN or self.fresh or shared:
            return None
        return [self._number(item), kind.__name__]

    def _extend(self, extra: list[Any], base: type) -> Any:
        number, name = extra
        if not isinstance(number, int):
            return None
        return remotes.extended_class(str(name)[:100], base), {"_peer": self, "_handle": number}

    def _number(self, item: Any) -> int:
        if id(item) not in self._numbers:
            self._numbers[id(item)] = len(self.handles)
            self.handles.append(item)
        return self._numbers[id(item)]

    def _classes(self) -> Mapping[str, Any]:
        """Return the classes that a message may name: of the check's, those that the program has as well."""
        if self.serves == OPEN:
            return self.space
        return {name: self.space[name] for name in self.theirs if isinstance(self.space.get(name), type)}

    @staticmethod
    def _table(sent: encoder.Encoder, value: Any) -> dict[str, Any]:
        root = sent.add(value)
        return {"root": root, "table": sent.table, **({"extras": sent.extras} if sent.extras else {})}

    def _export(self, item: Any) -> list[Any]:
        kind: Any = type(item)
        own = remotes.state(item) if issubclass(kind, remotes.Remote) else {}
        own = item.__dict__ if getattr(kind, "_is_extended", False) else own
        if own.get("_peer") is self:
            return ["yours", own["_handle"]]
        if isinstance(item, type):
            name = str(item.__name__)
            if getattr(builtins, name, None) is item:
                return ["builtin", name]
            if name in self.theirs and self.space.get(name) is item:
                return ["class", name]
            if issubclass(item, Exception) and item.__module__ in raised.OWN:
                return ["raises", self._lineage(item)]
        if isinstance(item, (Exception, SystemExit)) and self._depth < MAX_CAUSES:
            return ["error", self._raised(item)]
        special = remotes.special_of(kind)
        special += ["getitem"] if isinstance(item, type) and hasattr(item, "__class_getitem__") else []
        tested = self.tested is not None and isinstance(item, self.tested)
        sorts = remotes.CONTAINERS if tested else values.WRAPPERS
        content = next((name for name in sorts if isinstance(item, remotes.SORTS[name])), "")
        return ["handle", self._number(item), kind.__name__, special, content or remotes.sort_of(item)]

    def _resolve(self, entry: list[Any]) -> Any:
        if entry[0] == "yours":
            return self.handles[_index(entry[1], self.handles)]
        if entry[0] == "builtin":
            found = getattr(builtins, str(entry[1]), None)
            return found if isinstance(found, type) else None
        if entry[0] == "class":
            return self._classes().get(str(entry[1]))
        if entry[0] == "raises":
            return self._error_class(entry[1])
        if entry[0] == "error":
            return self._exception(entry[1])
        if entry[0] != "handle" or not isinstance(entry[1], int):
            return None
        if entry[1] not in self._remotes:
            special = frozenset(name for name in entry[3] if name in remotes.METHODS or name == remotes.UNHASHABLE)
            made: Any = object.__new__(remotes.remote_class(str(entry[2])[:100], special, str((*entry, "")[4])))
            state = {"_peer": self, "_handle": entry[1], "_ahead": [], "_count": 1, "_ended": False}
            remotes.state(made).update(state, _special=special)
            self._remotes[entry[1]] = made
        return self._remotes[entry[1]]

    def _lineage(self, kind: type) -> list[Any]:
        """Return module, name and, of the program's own classes, the number of each class of exceptions."""
        lineage = [base for base in kind.__mro__ if issubclass(base, (Exception, SystemExit))]
        return [
            [base.__module__, base.__name__, self._number(base) if base.__module__ in raised.OWN else None]
            for base in lineage
        ]

    def _raised(self, error: BaseException) -> dict[str, Any]:
        lineage, args = self._lineage(type(error)), raised.arguments(error)
        self._depth += 1
        try:
            held: list[Any]
            for held in ([args, raised.fields(error)], [args, {}], [[], {}]):
                try:
                    return {"raised": lineage, "args": self._table(self._encoder(), held)}
                except Exception:
                    continue
        finally:
            self._depth -= 1
        return {"raised": lineage, "args": {"root": None, "table": []}}

    def _exception(self, answer: Mapping[str, Any]) -> BaseException:
        held = self._decoder(answer["args"]).root
        args, fields = held if isinstance(held, list) and len(held) == 2 else ((), {})
        return raised.make(self._error_class(answer["raised"]), args, fields)

    def _error_class(self, lineage: list[list[Any]]) -> type[BaseException]:
        """Return the nearest class known here, extended by those of the program's own below it."""
        nearest: type[BaseException] = Failure
        below: list[list[Any]] = []
        for module, name, *number in lineage:
            found: Any = self._classes().get(name)
            if found is None and str(module).partition(".")[0] not in _NOT_RAISED:
                found = getattr(sys.modules.get(module), name, None)
            allowed = isinstance(found, type) and issubclass(found, (Exception, SystemExit))
            if allowed and not issubclass(found, StopIteration):
                nearest = found
                break
            below += [[number[0], name]] if number and isinstance(number[0], int) else []
        for key, name in reversed(below):
            nearest = self._errors[key] = self._errors.get(key) or raised.named(str(name), nearest)
        return nearest


def _index(number: Any, handles: list[Any]) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(handles):
        raise LookupError("no handle of that number")
    return number
