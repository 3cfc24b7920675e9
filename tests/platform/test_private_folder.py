"""An engine's temporary folder goes with its owner; what killed owners left goes at the next start, and nothing else."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from innovator_rl.evaluation.engine import client
from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.platform import private_folder as module


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="pf", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "socket_folder", lambda: place)
    return place


def left(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


OWNER = (
    "import sys, tempfile, pathlib\n"
    "from innovator_rl.platform import private_folder as m\n"
    "m.socket_folder = lambda: pathlib.Path(sys.argv[1])\n"
    "first = m.use_private_folder()\n"
    "assert m.use_private_folder() == first and tempfile.mkstemp()[1].startswith(str(first))\n"
    "print(first, flush=True)\n"
    "sys.stdin.read()\n"
)


def owner(place: Path) -> tuple["subprocess.Popen[str]", Path]:
    """Start a process that owns a folder until its standard input ends."""
    command = [sys.executable, "-c", OWNER, str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_killed_owner_goes_and_that_of_a_living_one_stays(place: Path) -> None:
    living, kept = owner(place)
    killed, stale = owner(place)
    try:
        assert module.sweep(place) == []
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
        assert stale.is_dir()
        waits = [sys.executable, "-c", "print('here', flush=True); input()", str(stale)]
        with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()  # the kernel shows no arguments of a process in the moment of its start
            assert module.sweep(place) == []  # a child of the killed one
            child.communicate(b"\n")
        assert module.sweep(place) == [stale]
        assert living.communicate("", 30) == ("", None)
        assert not kept.exists(), "a normal end removes it"
    finally:
        living.kill()
        killed.kill()


def test_a_new_folder_removes_the_stale_ones(here: Path) -> None:
    (here / f"{module.PREFIX}stale").mkdir()
    (here / "other").mkdir()
    folder = module.PrivateFolder()
    assert left(here) == {"other", folder.path.name}
    assert module.sweep(here) == []
    assert folder.environment()["TMPDIR"] == str(folder.path)
    folder.remove()
    folder.remove()
    assert left(here) == {"other"}


def test_an_engine_that_is_killed_at_its_end_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every evaluation ends its engine by a signal."""
    engine = here / "python"
    lines = (
        "import os, tempfile",
        "open(tempfile.mkstemp()[1])",
        """print('{"ready": {"at": "%s"}}' % os.environ["TMPDIR"])""",
    )
    engine.write_text("\n".join([f"#!{sys.executable}", *lines, "import sys; sys.stdout.flush(); sys.stdin.read()"]))
    engine.chmod(0o700)
    monkeypatch.setattr(client.sys, "executable", str(engine))
    with client.EngineClient(EngineSettings("none", "vllm", "float32", 64), here / "log") as running:
        folder = Path(running.description["at"])
        assert folder.parent == here
        assert len(left(folder)) == 1
    assert left(here) == {"python", "log"}


def test_what_is_no_folder_of_this_user_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "target").mkdir()
    (place / f"{module.PREFIX}link").symlink_to(place / "target")
    (place / f"{module.PREFIX}file").touch()
    foreign = place / f"{module.PREFIX}foreign"
    foreign.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert module.sweep(place) == []
    monkeypatch.undo()
    assert module.sweep(place) == [foreign]
    assert left(place) == {"target", f"{module.PREFIX}link", f"{module.PREFIX}file"}


def test_a_folder_with_a_bound_socket_is_in_use(place: Path) -> None:
    folder = place / f"{module.PREFIX}served"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "rpc"))
        assert module.sweep(place) == []
    assert module.sweep(place) == [folder]


def test_a_sweep_between_making_and_locking_costs_a_second_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    plain = module._open

    def swept(folder: Path) -> int | None:
        if not made:
            made.append(folder)
            shutil.rmtree(folder)  # what a sweep of another process would do here
        return plain(folder)

    monkeypatch.setattr(module, "_open", swept)
    folder = module.PrivateFolder()
    assert folder.path.is_dir()
    assert made != [folder.path]
    folder.remove()


def test_a_file_system_without_locks_keeps_everything(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    (here / f"{module.PREFIX}unknown").mkdir()
    folder = module.PrivateFolder()
    assert left(here) == {f"{module.PREFIX}unknown", folder.path.name}
    folder.remove()


def test_old_transfers_of_weights_go_unless_they_are_used(place: Path) -> None:
    names = ("verl_weights_old", "verl_weights_new", "verl_weights_mapped", "other")
    for name in names:
        (place / name).write_bytes(bytes(4096))
    sockets = [place / f"rl-colocate-zmq-{name}.sock" for name in ("closed", "bound")]
    bound = [socket.socket(socket.AF_UNIX) for _ in sockets]
    for each, path in zip(bound, sockets, strict=True):
        each.bind(str(path))
    bound[0].close()
    for path in (*sockets, *(place / name for name in names if name != "verl_weights_new")):
        os.utime(path, (time.time() - 2 * module.TRANSFER_SECONDS,) * 2)
    holding = (
        "import mmap, sys\nf = open(sys.stdin.readline().strip(), 'r+b')\nm = mmap.mmap(f.fileno(), 0)\n"
        "f.close()\nprint(flush=True)\ninput()"
    )
    user = subprocess.Popen([sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert user.stdin is not None
        assert user.stdout is not None
        user.stdin.write(f"{place / 'verl_weights_mapped'}\n")
        user.stdin.flush()
        user.stdout.readline()
        deleted = module.sweep_weight_transfers(place, place)
    finally:
        user.kill()
        user.communicate()
        bound[1].close()
    assert {path.name for path in deleted} == {"verl_weights_old", "rl-colocate-zmq-closed.sock"}
    kept = {"other", "verl_weights_new", "verl_weights_mapped", "rl-colocate-zmq-bound.sock"}
    assert left(place) == kept
