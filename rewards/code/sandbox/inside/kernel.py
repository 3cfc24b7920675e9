"""Call the isolation features of the kernel that Python lacks, by ctypes.

They are namespaces, mounts, capabilities, Landlock, a seccomp program, and the forks around them. Each function raises
`OSError` when the kernel refuses. Numbers that are the same on every architecture since Linux 5.1 are given; the others
go through the C library's own wrappers. Source: the manual pages of the calls.
"""

from __future__ import annotations

import ctypes
import os
import struct

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4

_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_SYS_SETNS = {"x86_64": 308, "aarch64": 268}
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 4, 22, 36, 38
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000

_FS_READ = 0b1100  # read a file, list a directory
_FS_LIST = 0b1000
_FS_EXECUTE = 1
_FS_OF_A_FILE = 0b1100_0000_0000_0111  # execute, write, read, truncate, device control
_FS_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET = 0b11  # bind and connect TCP
_SCOPE = 0b11  # abstract unix sockets, signals

libc = ctypes.CDLL(None, use_errno=True)
_machine = os.uname().machine


def _check(result: int, what: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def _syscall(what: str, number: int, *arguments: object) -> int:
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(libc.syscall(ctypes.c_long(number), *passed), what)


def _numbered(what: str, numbers: dict[str, int], *arguments: object) -> int:
    if _machine not in numbers:
        raise OSError(f"{what}: unknown on {_machine}")
    return _syscall(what, numbers[_machine], *arguments)


def unshare(flags: int) -> None:
    """Move this process into new namespaces; with NEWPID, its later children."""
    _check(libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace behind `descriptor`."""
    _numbered("setns", _SYS_SETNS, descriptor, kind)


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, see mount in section 2 of the manual."""
    result = libc.mount(
        source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), options.encode()
    )
    _check(result, f"mount {target}")


def protect(target: str, attributes: int) -> None:
    """Add mount attributes to everything mounted at and below `target`."""
    record = ctypes.create_string_buffer(struct.pack("=QQQQ", attributes, 0, 0, 0))
    _syscall(f"protect {target}", _SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, record, 32)


def unmount(target: str) -> None:
    """Detach what is mounted at `target`."""
    _check(libc.umount2(target.encode(), MNT_DETACH), f"unmount {target}")


def pivot(root: str) -> None:
    """Make `root` the root directory and forget the old one."""
    os.chdir(root)
    _numbered("pivot_root", _SYS_PIVOT_ROOT, b".", b".")
    unmount(".")
    os.chdir("/")


def prctl(option: int, value: int = 0) -> None:
    """Set an option of this process, see prctl in section 2 of the manual."""
    _check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def become(user: int) -> None:
    """Change every user and group id to `user`, keeping /proc/self readable."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    prctl(_PR_SET_DUMPABLE, 1)


def unshare_user(proc: int, others: int) -> None:
    """Enter a new user namespace together with the namespaces `others`.

    The user is the same inside as outside, and there is nobody else. `proc` is an open /proc.
    """
    user, group = os.geteuid(), os.getegid()
    unshare(NEWUSER | others)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        descriptor = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def drop_capabilities() -> None:
    """Give up every capability, and for ever the chance of new ones."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    _numbered("capset", _SYS_CAPSET, header, ctypes.create_string_buffer(24))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def landlock_version() -> int:
    """Return the kernel's Landlock ABI, 0 where there is none."""
    result = libc.syscall(ctypes.c_long(_SYS_LANDLOCK_CREATE), None, ctypes.c_long(0), ctypes.c_long(1))
    return max(0, int(result))


def landlock_rules(readable: list[str], writable: list[str], listed: list[str], executable: list[str]) -> int:
    """Return the descriptor of rules that confine a process to the files given, without TCP and signals outwards.

    It may read `readable`, use `writable`, list the folders `listed` and execute the programs `executable`. What the
    kernel's version lacks is left out; `layers` finds out what holds.
    """
    version = landlock_version()
    if not version:
        raise OSError("landlock: not in this kernel")
    handled = _FS_HANDLED[min(version, 5)]
    record = struct.pack("=QQQ", handled, _NET if version >= 4 else 0, _SCOPE if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _syscall("landlock", _SYS_LANDLOCK_CREATE, ctypes.create_string_buffer(record), size, 0)
    try:
        rules = (
            (readable, _FS_READ),
            (writable, handled & ~_FS_EXECUTE),
            (listed, _FS_LIST),
            (executable, _FS_READ | _FS_EXECUTE),
        )
        for paths, access in rules:
            for path in paths:
                _allow(ruleset, path, access)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def landlock(ruleset: int) -> None:
    """Confine this process for ever by rules from `landlock_rules`."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _syscall("landlock", _SYS_LANDLOCK_RESTRICT, ruleset, 0)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        record = struct.pack("=Qi", access if os.path.isdir(path) else access & _FS_OF_A_FILE, descriptor)
        _syscall("landlock", _SYS_LANDLOCK_ADD, ruleset, 1, ctypes.create_string_buffer(record), 0)
    finally:
        os.close(descriptor)


class _Program(ctypes.Structure):
    """Where a filter is."""

    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def seccomp(program: bytes) -> None:
    """Load a BPF program (`struct sock_filter` array) as the system-call filter."""
    code = ctypes.create_string_buffer(program, len(program))
    record = _Program(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _check(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(record), 0, 0), "seccomp")
