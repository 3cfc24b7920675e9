"""The engine: runs that share nothing, limits and how each is reported, faults of the sandbox itself, many at once."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from rewards.code.sandbox import executor, layers
from rewards.code.sandbox.cgroup import ControlGroups
from rewards.code.sandbox.conversation import Ended, converse
from rewards.code.sandbox.executor import Layers, Sandbox
from rewards.code.sandbox.inside.encoder import encode
from rewards.code.sandbox.layers import PROPERTIES, IsolationReport, probe_isolation
from rewards.code.sandbox.limits import Limits, SandboxFailure
from rewards.code.sandbox.pool import Full, SandboxPool


def inner_processes(sandbox: Sandbox) -> list[int]:
    assert sandbox._process is not None
    outer = sandbox._process.pid
    return [int(pid) for pid in Path(f"/proc/{outer}/task/{outer}/children").read_text().split()]


def test_runs_of_a_box_share_nothing_but_the_program(sandbox: Sandbox) -> None:
    program = "import os\nn = len(os.listdir('/tmp'))\nopen('/tmp/x', 'w').write('x')\nprint(input(), n)"
    with sandbox.open(program) as solution:
        assert [solution.run(text).stdout for text in (b"a\n", b"b\n", b"c\n")] == [b"a 0\n", b"b 0\n", b"c 0\n"]


def test_a_run_tells_how_it_ended(sandbox: Sandbox) -> None:
    with sandbox.open("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)") as solution:
        run = solution.run(b"")
    assert (run.ending, run.status, run.stdout, run.stderr) == ("runtime_error", 3, b"out\n", b"err\n")
    assert 0 < run.cpu < 1
    assert run.wall > 0
    assert 2**20 < run.memory < 2**28


def test_large_input_and_output_pass_unchanged(sandbox: Sandbox) -> None:
    data = os.urandom(3 * 2**20)
    with sandbox.open("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())") as solution:
        assert solution.run(data).stdout == data


def test_memory_of_many_processes_is_one_sum() -> None:
    program = (
        "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        held = b'x' * (50 * 2**20)\n"
        "        time.sleep(2)\n        os._exit(0)\nos.wait()"
    )
    for asked in (Layers(), Layers(groups=False)):
        with Sandbox(layers=asked) as made, made.open(program, limits=Limits(seconds=5, memory_mb=100)) as solution:
            assert solution.run(b"").ending == "memory_limit_exceeded"


def test_a_killed_supervisor_is_replaced(sandbox: Sandbox) -> None:
    with sandbox.open("print(1)") as solution:
        assert solution.run(b"").ending == "finished"
    for pid in inner_processes(sandbox):
        os.kill(pid, signal.SIGKILL)
    with sandbox.open("print(2)") as solution:
        assert solution.run(b"").stdout == b"2\n"


def test_everything_ends_with_the_engine() -> None:
    made = Sandbox().start()
    solution = made.open("import time\ntime.sleep(100)", limits=Limits(seconds=0.1, wall_seconds=0.1))
    solution.run(b"")
    pids = [*inner_processes(made), *([made._process.pid] if made._process else [])]
    folders = list(made.groups.folders) if made.groups else []
    made.close()
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(folder.exists() for folder in folders)


def test_every_group_is_removed_even_if_no_time_is_left() -> None:
    groups = ControlGroups.make()
    if groups is None:
        pytest.skip("does not hold here: control groups")
    groups.remove(0.0)
    assert [folder for folder in groups.folders if folder.exists()] == []


def test_an_engine_that_dies_takes_everything_with_it() -> None:
    made = Sandbox().start()
    assert made._control is not None
    assert made._process is not None
    folders = list(made.groups.folders) if made.groups else []
    made._control.close()  # what the kernel does when the process of the engine is killed
    made._process.wait(10)
    assert not any(folder.exists() for folder in folders)


def test_no_supervisor_is_a_failure_of_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "INSIDE", Path("/nowhere"))
    with pytest.raises(SandboxFailure, match="did not start"):
        Sandbox().start()


CALL_F = json.dumps({"op": "call", "on": None, "data": encode([[[1, "two"]], {}])}).encode()


def called(sandbox: Sandbox, program: str) -> str:
    """How a call of `f` ends."""
    with sandbox.open(program, limits=Limits(output_bytes=2**20)) as solution:
        try:
            # A busy machine needs half a second to fill the memory that ends a call.
            with converse(solution, 2.0, 8.0, entry_point="f", fresh=True) as talk:
                talk.line()
                talk.send(CALL_F)
                answer = json.loads(talk.line())
        except Ended as end:
            return end.run.ending
    return f"raised {answer['raised'][0][1]}" if "raised" in answer else "finished"


@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("def f(x): return x", "finished"),
        ("def f(x): return 1 / 0", "raised ZeroDivisionError"),
        ("def f(x):\n    while True: pass", "time_limit_exceeded"),
        ("def f(x): return 'x' * 10**7", "output_limit_exceeded"),
        ("def f(x): return len(b'x' * (900 * 2**20))", "memory_limit_exceeded"),
        ("import os\ndef f(x): os._exit(0)", "runtime_error"),
        ("f = None", "raised TypeError"),
        ("g = None", "runtime_error"),
        ("def f(x", "compile_error"),
    ],
)
def test_calls_end_with_a_reason(sandbox: Sandbox, program: str, ending: str) -> None:
    assert called(sandbox, program) == ending


def test_pool_runs_many_and_refuses_more_than_it_may_hold() -> None:
    def run(sandbox: Sandbox, number: int) -> bytes:
        with sandbox.open("print(int(input()) ** 2)") as solution:
            return solution.run(f"{number}\n".encode()).stdout

    with SandboxPool(2, waiting=4) as pool:
        assert list(pool.map(run, range(20))) == [f"{n * n}\n".encode() for n in range(20)]
        held = [pool.submit(lambda _: time.sleep(0.2)) for _ in range(6)]
        with pytest.raises(Full):
            pool.submit(run, 1)
        assert [future.result() for future in held] == [None] * 6


def test_the_proof_of_the_memory_bound_counts_only_what_is_held_at_once() -> None:
    """Processes that were killed to make room for the next had held their part, too, but not together."""
    if not probe_isolation().properties["memory"]:
        pytest.skip("the tree's memory is not bounded here")
    with Sandbox() as sandbox:
        held = [layers._run(sandbox, layers._MEMORY, layers.PROBE_MEMORY_MB) for _ in range(2)]
    assert max(held) * 40 <= 2 * layers.PROBE_MEMORY_MB, held


def test_layers_are_proved_by_attacks_that_succeed_without_them() -> None:
    bare = probe_isolation(Layers(namespaces=False, landlock=False, seccomp=False, groups=False))
    assert {name for name, held in bare.properties.items() if not held} >= {"network", "files", "calls", "disk"}
    assert bare.level == "none"
    assert "network" in bare.missing("standard")
    here = probe_isolation()
    assert "verified by attack" in here.describe()
    assert probe_isolation() is here


def test_levels() -> None:
    assert IsolationReport(dict.fromkeys(PROPERTIES, True), {}).level == "strict"
    assert (
        IsolationReport({name: name in ("network", "files", "honest") for name in PROPERTIES}, {}).level == "standard"
    )
    for needed in ("files", "honest"):
        assert IsolationReport({name: name != needed for name in PROPERTIES}, {}).level == "none"
    assert IsolationReport({name: name != "names" for name in PROPERTIES}, {}).level == "standard"
