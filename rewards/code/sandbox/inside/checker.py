"""Run the data set's code - prelude, check, custom checker - and the comparison of values, in a process of its own.

It knows what is expected and has no access to the program; the program's process never learns it. Lines that start
with `P` go to the program, lines that start with `V` are the result:

    V{"loaded": true} | V{"bad": REASON}                  once, before anything was asked of the program
    V{"passed", "asserts", "failed", "calls", "why"}      for each {"case": NUMBER} that is received

`tests` are those of `rewards.code.reward`. An `assert` of the check is counted where it is executed; with `every`, one
that fails is noted and the check goes on, so that the fraction of assertions that hold is known; those about one
call are counted as one.
"""

from __future__ import annotations

import ast
import builtins
import collections
import contextlib
import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

try:
    import comparison  # type: ignore[import-not-found, unused-ignore]
    import coroutines  # type: ignore[import-not-found, unused-ignore]
    import notes  # type: ignore[import-not-found, unused-ignore]
    import objects  # type: ignore[import-not-found, unused-ignore]
    import remotes  # type: ignore[import-not-found, unused-ignore]
    import replaced  # type: ignore[import-not-found, unused-ignore]
    import shared_files  # type: ignore[import-not-found, unused-ignore]
    import unpickling  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from rewards.code.sandbox.inside import (
        comparison,
        coroutines,
        notes,
        objects,
        remotes,
        replaced,
        shared_files,
        unpickling,
    )  # fmt: skip

JUDGE = "judge"
_WHY_CHARS = 300
_SHORT = {"np": "numpy", "pd": "pandas", "nx": "networkx"}


class Space(dict[str, Any]):
    """The names of the check; one that it lacks is looked for in the libraries and in the program."""

    lookup: Callable[[str], Any] | None = None

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            return getattr(builtins, name)
        if self.lookup is None or name.startswith("__"):
            raise KeyError(name)
        try:
            return self.lookup(name)
        except KeyError:
            raise KeyError(name) from None


class Counter(ast.NodeTransformer):
    """Count each assertion that is executed; with `every`, go on after one that fails."""

    def __init__(self, every: bool) -> None:
        self.every = every

    def visit_Assert(self, node: ast.Assert) -> Any:
        """Replace an assertion."""
        held = ast.Expr(ast.Call(ast.Name("__held__", ast.Load()), [], []))
        if not self.every:
            return [node, held]
        failed = ast.Expr(ast.Call(ast.Name("__failed__", ast.Load()), [], []))
        handler = ast.ExceptHandler(ast.Name("__Exception__", ast.Load()), None, [failed])
        return ast.Try([node], [handler], [held], [])


class Checker:
    """The tests of one row, ready to grade one program."""

    def __init__(self, tests: dict[str, Any], read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
        self.tests, self.read, self.write = tests, read, write
        self.calls = self.asserts = self.held = 0
        self.space = Space()
        self.peer = objects.Peer(read, lambda line: write(b"P" + line + b"\n"), self.space, objects.GUARDED)
        self.judge: Callable[..., Any] | None = None
        self.modules: set[str] = set()
        self.counted, self.holds = 0, False

    def load(self) -> None:
        """Execute the prelude, the check and the custom checker; whatever they raise passes through."""
        tests, every = self.tests, bool(self.tests.get("every"))
        module = types.ModuleType("check")
        sys.modules["check"] = module
        self.space.update(__name__="check", __builtins__=builtins)
        self.space.update(__held__=self._note_held, __failed__=self._note_failed, __Exception__=Exception)
        exec(compile(tests.get("prelude") or "", "prelude.py", "exec", dont_inherit=True), self.space)
        self.peer.theirs = {
            key for key, found in self.space.items() if isinstance(found, type)
        }  # it runs on both sides
        kind, name = tests["type"], str(tests.get("entry_point", ""))
        self.peer.operators = _is_class(name)
        if kind == "check":
            self.peer.replaced = replaced.Replaced()
            if "mock" in tests["check"] + str(tests.get("prelude")):
                self.peer.replaced.watch()
            if shared_files.mentions_files(tests["check"] + str(tests.get("prelude"))):
                self.peer.files = shared_files.SharedFiles(guarded=True)
            self.peer.notes = notes.mentions_notes(tests["check"])
            if "seed(" in tests["check"] + str(tests.get("prelude")):
                replaced.watch_seeds(self.peer.seeds.append)
            self.space.pop(name.partition("(")[0].partition(".")[0], None)  # a stub of what is to be written
            self.space.lookup = self._look_up
            tree = ast.parse(tests["check"], "check.py")
            tree = _as_check(tree) if tests.get("script") else tree
            used = (node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute))
            self.modules = {node.id for node in used if isinstance(node, ast.Name)}
            tree = ast.fix_missing_locations(Counter(every).visit(tree))
            module.__dict__.update(self.space)
            exec(compile(tree, "check.py", "exec", dont_inherit=True), self.space)
            if not callable(dict.get(self.space, "check")):
                raise TypeError("check is no function")
        if tests.get(JUDGE):
            judges: dict[str, Any] = {"__name__": JUDGE}
            exec(compile(tests[JUDGE], "judge.py", "exec", dont_inherit=True), judges)
            self.judge = judges[JUDGE]
        module.__dict__.update(self.space)

    def _note_held(self) -> None:
        if self.calls and self._is_new():
            self.held += 1
            self.asserts += 1
            self.holds = True

    def _note_failed(self) -> None:
        if self._is_new():
            self.asserts += 1
        elif self.holds:
            self.held -= 1
        self.holds = False

    def _is_new(self) -> bool:
        """Return whether an assertion counts by itself.

        Where a fraction is the score, all that follow one call are one, or else a loop over a long result would
        outweigh everything that is wrong.
        """
        calls = self.peer.called if self.peer.operators else self.calls
        is_new = not self.tests.get("every") or calls != self.counted or not calls
        self.counted = calls
        return is_new

    def _look_up(self, name: str) -> Any:
        if name in sys.stdlib_module_names or name in _SHORT:
            with contextlib.suppress(ImportError):
                if name in self.modules:
                    return importlib.import_module(_SHORT.get(name, name))
        if hasattr(collections, name):
            return getattr(collections, name)
        self.peer.operators = self.peer.operators or _is_class(name)
        found = self.peer.ask("name", name=name)
        self.calls += 1
        return found

    def candidate(self, *args: Any, **kwargs: Any) -> Any:
        """Call the entry point."""
        self.calls += 1
        return self.peer.ask("call", None, (list(args), kwargs), same=True)

    def grade(self, request: dict[str, Any]) -> dict[str, Any]:
        """Grade one case; what the data set's code raises is not passed."""
        why, raised, passed, cut = "", "", False, True
        try:
            passed = self._passes(request)
            cut = False
        except objects.Lost:
            why = "lost"
        except BaseException as error:
            if getattr(error, "_from_the_program", False):
                raised = type(error).__name__
            else:
                cut = not isinstance(error, AssertionError)
                why = "" if isinstance(error, AssertionError) else f"the check ended with {_describe(error)}"
        failed = self.asserts - self.held
        result = {"passed": passed and not failed and unpickling.intact(), "why": why, "cut": cut, "raised": raised}
        return {**result, "calls": self.calls, "asserts": self.asserts, "held": self.held}

    def _passes(self, request: dict[str, Any]) -> bool:
        kind = self.tests["type"]
        if kind == "check":
            found = self.space["check"](Candidate(self))
            if type(found) is types.CoroutineType:  # a check with `async def`
                coroutines.complete(found)
            return True
        if kind == "stdio":
            assert self.judge is not None
            return bool(self.judge(request["input"], request["said"], request["expected"]))
        case = self.tests["cases"][request["case"]]
        args, kwargs, in_place = (
            list(case.get("args") or []),
            dict(case.get("kwargs") or {}),
            self.tests.get("in_place"),
        )
        if self.tests.get("number_keys"):
            args = [_numbered(arg) for arg in args]
        given = json.loads(json.dumps([args, kwargs])) if self.judge else None
        value = self.peer.ask("call", None, (args, kwargs), same=in_place is not None)
        if in_place is not None:
            value = args[in_place]
        if self.judge is not None and given is not None:
            return bool(self.judge(given[0], given[1], value, comparison.alternatives(case.get("expected"))[0]))
        equal = comparison.comparison(self.tests, output=False)
        return any(equal(right, value) for right in comparison.alternatives(case.get("expected")))

    def serve(self) -> None:
        """Load, then grade cases until there are no more."""
        try:
            self.load()
            asserts = ast.walk(ast.parse(str(self.tests.get("check") or "")))
            self._say({"loaded": True, "asserts": sum(isinstance(node, ast.Assert) for node in asserts)})
        except objects.Lost:
            return self._say({"lost": True})
        except BaseException as error:
            return self._say({"bad": _describe(error)})
        while line := self.read():
            self.calls = self.asserts = self.held = self.counted = 0
            self._say(self.grade(json.loads(line)))
        return None

    def _say(self, result: dict[str, Any]) -> None:
        self.write(b"V" + json.dumps(result).encode() + b"\n")


class Candidate:
    """The entry point, as the check sees it."""

    def __init__(self, checker: Checker) -> None:
        self.__dict__["_checker"] = checker

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """What the program says about it."""
        return self._attribute("__doc__")  # type: ignore[no-any-return]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self._checker.candidate(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("__signature__", "__code__"):
            self._checker.calls += 1
            return remotes.described(name, lambda op: self._checker.peer.ask(op, None))
        if name.startswith("__") and name not in remotes.OFFERED:
            raise AttributeError(name)
        return self._attribute(name)

    def __getitem__(self, key: Any) -> Any:
        self._checker.calls += 1
        return self._checker.peer.ask("getitem", None, key)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._target())

    def __subclasscheck__(self, kind: Any) -> bool:
        return issubclass(kind, self._target())

    def _target(self) -> Any:
        self._checker.calls += 1
        return self._checker.peer.ask("target", None)

    def _attribute(self, name: str) -> Any:
        self._checker.calls += 1
        return self._checker.peer.ask("getattr", None, name=name)


def _is_class(expression: str) -> bool:
    """Return whether a name is written as that of a class."""
    return expression.rpartition(".")[2][:1].isupper()


def _numbered(value: Any) -> Any:
    """Return a dictionary with the whole numbers as keys that JSON turned into text."""
    if isinstance(value, dict) and value and all(key.removeprefix("-").isdecimal() for key in value):
        return {int(key): content for key, content in value.items()}
    return value


def _as_check(tree: ast.Module) -> ast.Module:
    """Return a script as a module with a function `check`, which does what comes after its definitions."""
    plain = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    first = next((place for place, node in enumerate(tree.body) if not isinstance(node, plain)), len(tree.body))
    awaits = any(map(_awaits, tree.body[first:]))
    check = ast.parse(f"{'async ' * awaits}def check(candidate): pass").body[0]
    assert isinstance(check, (ast.FunctionDef, ast.AsyncFunctionDef))
    check.body = tree.body[first:] or check.body
    return ast.Module([*tree.body[:first], check], [])


def _awaits(node: ast.AST) -> bool:
    """Return whether a statement awaits something, outside of the functions that it defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
        return False
    waiting = isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith))
    return waiting or any(map(_awaits, ast.iter_child_nodes(node)))


def _describe(error: BaseException) -> str:
    with contextlib.suppress(BaseException):
        return f"{type(error).__name__}: {error}"[:_WHY_CHARS]
    return type(error).__name__


def enter(tests: dict[str, Any], descriptor: int) -> None:
    """Serve in this process, over one descriptor, and return when the other end closes it."""
    with open(descriptor, "rb", closefd=False) as source:

        def write(line: bytes) -> None:
            while line:
                line = line[os.write(descriptor, line) :]

        unpickling.guard()
        Checker(tests, source.readline, write).serve()
