"""Build the filter of system calls that a program may make, by libseccomp.

An allow-list: computing, its own files, its own processes and threads, clocks and waiting. What is not on it fails
with EPERM: sockets, exec, mounts, namespaces, tracing, keyrings, io_uring, BPF, other processes' memory, the clock, the
scheduler. The library is a part of every Debian and Fedora; without it this layer is missing, and said to be.
"""

from __future__ import annotations

import errno
import functools
import tempfile
from typing import Any

MEMORY = "brk mmap munmap mremap mprotect madvise msync mincore mlock munlock membarrier"
FILES = """
read write readv writev pread64 pwrite64 preadv pwritev open openat openat2 close close_range creat lseek _llseek
stat fstat lstat newfstatat fstatat64 stat64 fstat64 lstat64 statx statfs fstatfs access faccessat faccessat2
getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat
symlink symlinkat readlink readlinkat chmod fchmod fchmodat utime utimes utimensat futimesat umask truncate ftruncate
fallocate fadvise64 fsync fdatasync sync_file_range flock fcntl fcntl64 dup dup2 dup3 pipe pipe2 sendfile
copy_file_range poll ppoll select pselect6 _newselect epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
epoll_pwait2 eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4
"""
LOCAL_SOCKETS = "socketpair sendto recvfrom sendmsg recvmsg shutdown getsockopt setsockopt getsockname getpeername"
PROCESSES = """
exit exit_group wait4 waitid fork vfork kill tkill tgkill pidfd_open pidfd_send_signal getpid gettid getppid getpgid
getpgrp setpgid setsid getsid getuid geteuid getgid getegid getresuid getresgid getgroups set_tid_address
set_robust_list get_robust_list rseq futex futex_waitv sched_yield sched_getaffinity sched_getscheduler
sched_getparam sched_get_priority_max sched_get_priority_min getpriority getcpu getrusage getrlimit times sysinfo uname
capget arch_prctl restart_syscall getrandom
"""
SIGNALS = """
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo sigaltstack pause
sigreturn
"""
TIME = """
clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time alarm getitimer setitimer timer_create
timer_settime timer_gettime timer_delete timer_getoverrun
"""  # prose: allow alarm
NARROWER = """
fork vfork kill tkill tgkill pidfd_send_signal rt_sigqueueinfo chmod fchmod fchmodat utime utimes utimensat
futimesat
"""
_TERMINAL_AND_FLAG_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_HARMLESS_PRCTL = (15, 16, 22, 38)  # names of threads, further filters, no new privileges
_THREAD_FLAG = 0x10000
_NAMESPACE_FLAGS = 0x7E020080 | 0x02000000


@functools.cache
def allow_list(programs: bool = False) -> bytes:
    """Return the filter of a solution process; empty where libseccomp is missing.

    Args:
        programs: Whether other programs may be executed, as a compiler has to; Landlock says which.
    """
    return _build(_fill_for_compiler if programs else _fill_allow_list, "EPERM")


@functools.cache
def narrower() -> bytes:
    """Return a second filter for a program without a tree and processes of its own.

    It refuses new processes but no threads, signals, and changes to the owner's view of files, which Landlock does not
    cover.
    """
    return _build(_fill_narrower, "ALLOW")


def _build(fill: Any, default: str) -> bytes:
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return b""
    action = pyseccomp.ALLOW if default == "ALLOW" else pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(action)
    fill(rules, pyseccomp)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _fill_allow_list(rules: Any, lib: Any) -> None:
    for name in " ".join((MEMORY, FILES, LOCAL_SOCKETS, PROCESSES, SIGNALS, TIME)).split():
        _add(rules, lib, lib.ALLOW, name)
    for request in _TERMINAL_AND_FLAG_REQUESTS:
        _add(rules, lib, lib.ALLOW, "ioctl", lib.Arg(1, lib.EQ, request))
    _add(rules, lib, lib.ALLOW, "prlimit64", lib.Arg(0, lib.EQ, 0))
    _add(rules, lib, lib.ALLOW, "setrlimit")
    for option in _HARMLESS_PRCTL:
        _add(rules, lib, lib.ALLOW, "prctl", lib.Arg(0, lib.EQ, option))
    _add(rules, lib, lib.ALLOW, "clone", lib.Arg(0, lib.MASKED_EQ, _NAMESPACE_FLAGS, 0))
    # its flags are in memory, where no filter can look: ENOSYS makes the C library fall back to clone
    _add(rules, lib, lib.ERRNO(errno.ENOSYS), "clone3")


def _fill_for_compiler(rules: Any, lib: Any) -> None:
    _fill_allow_list(rules, lib)
    _add(rules, lib, lib.ALLOW, "execve")


def _fill_narrower(rules: Any, lib: Any) -> None:
    for name in NARROWER.split():
        _add(rules, lib, lib.ERRNO(errno.EPERM), name)
    _add(rules, lib, lib.ERRNO(errno.EPERM), "clone", lib.Arg(0, lib.MASKED_EQ, _THREAD_FLAG, 0))


def _add(rules: Any, lib: Any, action: Any, name: str, *arguments: Any) -> None:
    """Add a rule; a name that this architecture or library does not have needs none."""
    try:
        lib.resolve_syscall(lib.system_arch(), name)
        rules.add_rule(action, name, *arguments)
    except (OSError, ValueError):
        return
