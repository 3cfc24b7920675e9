"""Probe the sandbox's isolation on this machine by attacks it has to stop.

    report = probe_isolation()      # about a second
    report.level                    # "strict", "standard" or "none"
    report.missing("standard")      # the properties that a level asks for and that do not hold

That a layer was put up shows nothing; the attacks decide. An honest program decides, too: on a machine where it
fails, right programs would be scored as wrong. They are harmless: they look for a file, a port and a
process of our own, and ask for bounded amounts of memory, disk and processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from typing import Any, Literal

from rewards.code.sandbox.executor import Layers, Sandbox
from rewards.code.sandbox.limits import Limits, SandboxFailure

Level = Literal["strict", "standard", "none"]

PROPERTIES: dict[str, str] = {
    "network": "no connection to anything: loopback, other hosts, sockets of this machine",
    "files": "no file of this machine read or written, but the interpreter's own",
    "honest": "threads, child processes, temporary files and deep recursion of an honest program work",
    "names": "no name, size or owner of a file of this machine seen, but of the interpreter's own",
    "processes": "no other process seen, signaled or traced",
    "calls": "no new namespaces, mounts, tracing, keyrings, io_uring or foreign programs",
    "memory": "one bound on the memory of all of a program's processes together",
    "count": "a bound on the number of its processes",
    "disk": "a bound on what it writes, gone afterwards",
}
LEVELS: dict[Level, tuple[str, ...]] = {
    "strict": tuple(PROPERTIES),
    "standard": ("network", "files", "honest"),
    "none": (),
}
PROBE_MEMORY_MB = 64
PROBE_LIMITS = Limits(seconds=20, wall_seconds=60)

_LOOK = r"""
import ctypes, json, os, socket, sys
where = json.loads(input())
broken = []
def attack(name, action):
    try:
        if action() is not False:
            broken.append(name)
    except BaseException:
        pass
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        s.connect(address)
def write(path):
    with open(path, "w") as file:
        file.write("x")
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError
def in_a_child(action):
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0
attack("network", lambda: connect(socket.AF_INET, ("127.0.0.1", where["port"])))
attack("network", lambda: connect(socket.AF_UNIX, "\0" + where["name"]))
attack("network", lambda: connect(socket.AF_UNIX, where["socket"]))
attack("files", lambda: open(where["file"]).read())
attack("files", lambda: os.listdir(where["folder"]))
attack("files", lambda: open("/etc/passwd").read())
attack("files", lambda: write(where["folder"] + "/made"))
attack("files", lambda: open(os.__file__, "a").close())
attack("names", lambda: os.stat(where["file"]))
attack("names", lambda: os.stat("/etc/passwd"))
attack("names", lambda: os.access("/etc/passwd", os.F_OK))
attack("processes", lambda: os.kill(where["pid"], 0))
attack("processes", lambda: open(f"/proc/{where['pid']}/cmdline").read())
attack("processes", lambda: call(libc.ptrace, 0x4206, where["pid"], 0, 0))
attack("calls", lambda: call(libc.unshare, 0x10000000))
attack("calls", lambda: call(libc.mount, b"x", b"/tmp", b"tmpfs", 0, None))
attack("calls", lambda: in_a_child(lambda: call(libc.ptrace, 0, 0, 0, 0)))
attack("calls", lambda: call(libc.syscall, 250 if os.uname().machine == "x86_64" else 219, 0, -3, 0))
attack("calls", lambda: call(libc.syscall, 425, 1, ctypes.create_string_buffer(240)))
print(json.dumps(broken), flush=True)
attack("calls", lambda: os.execv("/bin/echo", ["echo", '["calls"]']))
"""
_HONEST = r"""
import functools, os, sys, tempfile, threading
sys.setrecursionlimit(10**6)
@functools.lru_cache(None)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
wait = threading.Event()
threads = [threading.Thread(target=wait.wait) for _ in range(64)]
for thread in threads:
    thread.start()
wait.set()
for thread in threads:
    thread.join()
with tempfile.NamedTemporaryFile("w+") as file:
    file.write("x")
child = os.fork()
if child == 0:
    os._exit(7)
assert os.waitpid(child, 0)[1] >> 8 == 7
exec("import multiprocessing; multiprocessing.Lock()")
print(depth(20_000) // 20_000)
"""
_MEMORY = r"""
import os, select, time
ready, say = os.pipe()
wait, go = os.pipe()
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        os.close(go)
        held = b"x" * (40 * 2**20)
        os.write(say, bytes([number]))
        os.close(say)
        os.read(wait, 1)
        os._exit(0 if held else 1)
    children.append(child)
os.close(say)
held = set()
while select.select([ready], [], [], 3)[0] and (numbers := os.read(ready, 4)):
    held.update(numbers)
time.sleep(0.3)
os.close(go)
ended_well = [os.waitpid(child, 0)[1] == 0 for child in children]
print(sum(ended_well[number] for number in held))  # held it all at once: none was killed to make room for the next
"""
_COUNT = r"""
import os, time
made = 0
for _ in range(120):
    try:
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
    except OSError:
        break
    made += 1
print(made)
"""
_DISK = r"""
import os
names = [f"/tmp/innovator-probe-{number}" for number in range(12)]
if os.path.exists(names[0]):
    print(10**9)
    names = [os.remove(name) for name in names if os.path.exists(name)][:0]
total = 0
try:
    for name in names:
        with open(name, "wb") as file:
            total += file.write(bytes(12 * 2**20))
except OSError:
    pass
print(total)
"""


@dataclasses.dataclass(frozen=True)
class IsolationReport:
    """The properties that hold and the layers put up, or why no sandbox started."""

    properties: dict[str, bool]
    put_up: dict[str, str]
    failure: str = ""

    @property
    def level(self) -> Level:
        """Return the highest level all of whose properties hold."""
        return next(level for level, needed in LEVELS.items() if all(self.properties[name] for name in needed))

    def missing(self, level: Level) -> list[str]:
        """Return the properties that `level` asks for and that do not hold."""
        return [name for name in LEVELS[level] if not self.properties[name]]

    def describe(self) -> str:
        """Return one line: what holds, what does not, by which layers."""
        if self.failure:
            return f"the sandbox does not start: {self.failure}"
        holds = ", ".join(name for name, holding in self.properties.items() if holding) or "nothing"
        fails = ", ".join(name for name, holding in self.properties.items() if not holding)
        layers = "; ".join(f"{name}: {word}" for name, word in self.put_up.items())
        return f"verified by attack: {holds}" + (f"; does not hold: {fails}" if fails else "") + f" ({layers})"


@functools.cache
def probe_isolation(layers: Layers | None = None) -> IsolationReport:
    """Attack a sandbox on this machine and report what holds; cached per process."""
    try:
        with Sandbox(layers=layers) as sandbox:
            broken = _look(sandbox)
            if _run(sandbox, _HONEST) != 1:
                broken.add("honest")
            if _run(sandbox, _MEMORY, PROBE_MEMORY_MB) * 40 > 2 * PROBE_MEMORY_MB:
                broken.add("memory")
            if _run(sandbox, _COUNT) >= 100:
                broken.add("count")
            if max(_run(sandbox, _DISK) for _ in range(2)) > 100 * 2**20:
                broken.add("disk")
            return IsolationReport({name: name not in broken for name in PROPERTIES}, sandbox.put_up)
    except SandboxFailure as error:
        return IsolationReport(dict.fromkeys(PROPERTIES, False), {}, str(error))


def _look(sandbox: Sandbox) -> set[str]:
    with _canary() as where, sandbox.open(_LOOK, limits=PROBE_LIMITS) as solution:
        run = solution.run(json.dumps(where).encode())
    try:
        lines = run.stdout.splitlines()
        return {name for line in lines for name in json.loads(line)} if lines else set(json.loads(b""))
    except ValueError:  # it was stopped for good, or the probe broke: neither proves anything
        raise SandboxFailure(f"the probe ended with {run.ending} {run.detail}: {run.stderr[-200:]!r}") from None


def _run(sandbox: Sandbox, program: str, memory_mb: int = 512) -> int:
    """Return the number that a probe prints; 0 where it was ended before it could."""
    with sandbox.open(program, limits=dataclasses.replace(PROBE_LIMITS, memory_mb=memory_mb)) as solution:
        words = solution.run(b"").stdout.split()
    return int(words[0]) if words else 0


@contextlib.contextmanager
def _canary() -> Iterator[dict[str, Any]]:
    """Yield a file, a folder, sockets and a process that no program may reach."""
    name = f"innovator-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory(prefix="innovator-canary-") as folder,
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
    ):
        os.chmod(folder, 0o777)
        path = os.path.join(folder, "canary")
        with open(path, "w") as file:
            file.write(name)
        abstract.bind("\0" + name)
        abstract.listen()
        named.bind(os.path.join(folder, "socket"))
        os.chmod(os.path.join(folder, "socket"), 0o777)
        named.listen()
        yield {
            "file": path,
            "folder": folder,
            "port": port.getsockname()[1],
            "name": name,
            "socket": os.path.join(folder, "socket"),
            "pid": os.getpid(),
        }
