"""Every attack against every set of layers: no escape, an end in time, and the next program finds a clean world."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from attacks import ATTACKS, HEAD

from rewards.code.sandbox.executor import Sandbox
from rewards.code.sandbox.limits import Limits

LIMITS = Limits(seconds=0.3, wall_seconds=1.0, memory_mb=128, output_bytes=2**20)
HONEST = "print(sum(map(int, input().split())))"
WITH_A_FILE = "import tempfile\nwith tempfile.TemporaryFile() as f:\n    " + HONEST
TOGETHER = 12
QUICK = {f"exhaustion: {name}" for name in ("processes", "threads", "memory of one", "memory of many", "a crash in C")}


def test_there_are_enough() -> None:
    assert len(ATTACKS) >= 100


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str, sandbox: Sandbox, canary: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNOVATOR_CANARY", "canary")
    attack(name, sandbox, canary, honest=name.startswith(("exhaustion", "staying")) or name == list(ATTACKS)[-1])


def test_attacks_on_fewer_layers(layered: Sandbox, canary: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNOVATOR_CANARY", "canary")
    attack_all(layered, canary)


def attack_all(sandbox: Sandbox, canary: dict[str, Any]) -> None:
    """Run all attacks but the long ones, many of those that ask for something in one program."""
    asking = [name for name in ATTACKS if not name.startswith(("exhaustion", "staying"))]
    alone = [name for name in ATTACKS if name.startswith("staying") or name in QUICK]
    for start in range(0, len(asking), TOGETHER):
        names = asking[start : start + TOGETHER]
        parts = (
            f"try: exec({ATTACKS[name][len(HEAD) :]!r})\nexcept BaseException: pass\nprint({name!r})" for name in names
        )
        with sandbox.open(HEAD + "\n".join(parts), limits=LIMITS) as solution:
            run = solution.run(json.dumps(canary).encode() + b"\n")
        assert b"ESCAPED" not in run.stdout, (names, run)
        alone += [name for name in names if name not in run.stdout.decode().splitlines()]
    for name in alone:
        attack(name, sandbox, canary, honest=name in QUICK or name == alone[-1])


def attack(name: str, sandbox: Sandbox, canary: dict[str, Any], honest: bool = True) -> None:
    """Run an attack, twice where it looks for its own traces, and then an honest program."""
    for _ in range(2 if name.startswith("staying") else 1):
        with sandbox.open(ATTACKS[name], limits=LIMITS) as solution:
            run = solution.run(json.dumps(canary).encode() + b"\n")
        assert b"ESCAPED" not in run.stdout, (name, run)
        assert len(run.stdout) <= LIMITS.output_bytes + 2**16, name
        assert run.cpu <= LIMITS.seconds + 1, name  # processor seconds; how long it takes depends on the machine's load
        if name == "exhaustion: memory of many":
            assert run.stdout.count(b"4") * 60 <= LIMITS.memory_mb
    assert sorted(os.listdir(canary["folder"])) == ["canary", "socket"], name
    if not honest:
        return
    scratch = not sandbox.put_up.get("scratch", "missing").startswith("missing")
    with sandbox.open(WITH_A_FILE if scratch else HONEST, limits=Limits(seconds=5)) as solution:
        after = solution.run(b"1 2\n")
    assert (after.ending, after.stdout) == ("finished", b"3\n"), (name, after)


def test_nothing_is_left_behind(layered: Sandbox) -> None:
    assert layered._process is not None
    with layered.open("import os, time\nos.fork() or os.setsid() or time.sleep(100)") as solution:
        solution.run(b"")
    outer = layered._process.pid
    inner = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    assert len(inner) == 1
    assert Path(f"/proc/{inner[0]}/task/{inner[0]}/children").read_text().split() == []
