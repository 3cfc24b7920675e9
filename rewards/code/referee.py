"""Carry messages between a program and the data set's checker, which run in sandboxes of their own.

    with Referee(sandbox, program, tests, limits) as referee:
        result = referee.grade({"case": 0})

The checker knows what is expected, the program does not, and this process reads nothing that either says but the
checker's results. The program starts at the first question; what goes wrong before it is the data set's fault.
"""

from __future__ import annotations

import dataclasses
import json
from contextlib import ExitStack
from typing import Any

from rewards.code.sandbox.conversation import Conversation, Ended, converse
from rewards.code.sandbox.executor import Sandbox
from rewards.code.sandbox.limits import Limits, Run

CHECK_SECONDS = 10.0
CHECK_MEMORY_MB = 1024
CHECK_BYTES = 64 * 2**20


class BadTests(ValueError):
    """The tests do not have the form that is documented, or their own code fails."""


@dataclasses.dataclass(frozen=True)
class CaseResult:
    """What the checker found about one case.

    Attributes:
        passed: Whether the case is passed.
        held: Assertions that held.
        asserts: Assertions that were executed.
        cut: Whether the check ended before its end.
        raised: The name of the exception that the program raised and the check did not expect.
        why: What else happened, in a few words.
        failure: How the program ended, where it did.
    """

    passed: bool = False
    held: int = 0
    asserts: int = 0
    cut: bool = True
    raised: str = ""
    why: str = ""
    failure: Run | None = None


class Referee:
    """The two processes of one program's tests.

    Args:
        sandbox: Where the program runs; the checker runs in the one next to it.
        program: Python source.
        tests: The tests of a row, of type stdio with a custom checker, call or check.
        limits: Bounds of the program.
        check_seconds: Processor seconds of the data set's code.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        program: str,
        tests: dict[str, Any],
        limits: Limits,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self.sandbox, self.program, self.tests, self.limits = sandbox, program, tests, limits
        self.check_seconds = check_seconds
        self.asserts = 0
        self.asked = False
        self.over = False
        self._stack = ExitStack()
        self._running = ExitStack()
        self._talk: Conversation | None = None
        self._failure: Run | None = None

    def __enter__(self) -> Referee:
        """Load the data set's code; raises `BadTests` where it does not load."""
        limits = Limits(self.check_seconds, None, CHECK_MEMORY_MB, CHECK_BYTES)
        solution = self.sandbox.checker().open("", limits=limits)
        try:
            self._checker = self._stack.enter_context(converse(solution, self.check_seconds, None, checker=self.tests))
            loaded = self._relay()
        except Ended as end:
            self.close()
            if not self.asked:
                raise BadTests(f"the tests' own code: {end.run.ending} {end.run.detail}") from None
            self.over = True
            return self
        except BaseException:
            self.close()
            raise
        if not loaded.get("loaded"):
            self.over = True
            if not self.asked:
                self.close()
                raise BadTests(str(loaded.get("bad")))
        self.asserts = int(loaded.get("asserts", 0))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End both processes."""
        self._drop_program()
        self._stack.close()

    def grade(self, request: dict[str, Any]) -> CaseResult:
        """Grade one case.

        Raises:
            BadTests: Where the data set's code fails before anything was asked of the program.
        """
        if self.over:
            return CaseResult(why="the check did not load", failure=self._failure)
        self._failure = None
        involved = self.tests["type"] == "stdio"
        try:
            self._checker.send(json.dumps(request).encode())
            found = self._relay()
        except Ended as end:
            self.over = True
            if not self.asked and not involved:
                raise BadTests(f"the check ended before it called the program: {end.run.ending}") from None
            kind = "time_limit_exceeded" if end.run.ending == "time_limit_exceeded" else "wrong_answer"
            run = self._failure or Run(kind, detail="the check of what the program gave did not end well")  # type: ignore[arg-type]
            return CaseResult(failure=run)
        if not self.asked and not involved:
            raise BadTests(f"the check calls nothing {found.get('why', '')}")
        fields = {key: found[key] for key in ("passed", "held", "asserts", "cut", "raised", "why")}
        return CaseResult(**fields, failure=self._failure)

    def _relay(self) -> dict[str, Any]:
        """Carry messages until the checker gives a result; raises `Ended` where it ends."""
        while True:
            line = self._checker.line()
            if line[:1] == b"V":
                found: dict[str, Any] = json.loads(line[1:])
                return found
            self.asked = True
            try:
                talk = self._program()
                talk.send(line[1:])
                answer = talk.line()
            except Ended as end:
                self._failure = self._failure or end.run
                self._drop_program()
                answer = b'{"lost": true}'
            self._checker.send(answer)

    def _program(self) -> Conversation:
        if self._talk is None:
            solution = self.sandbox.open(self.program, self.tests.get("prelude") or "", self.limits)
            entry, fresh = str(self.tests["entry_point"]), self.tests["type"] == "call"
            self._talk = self._running.enter_context(
                converse(solution, self.limits.seconds, self.limits.wall, entry_point=entry, fresh=fresh)
            )
            self._talk.line()
        return self._talk

    def _drop_program(self) -> None:
        self._talk = None
        self._running.close()
