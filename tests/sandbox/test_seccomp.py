"""What the kernel decides for a system call of a solution: the filter's own instructions are run, without any other layer."""

import errno
import platform
import struct
from collections.abc import Sequence

import pytest

from rewards.code.sandbox import seccomp

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FORK_FLAGS, NEW_USER, NEW_NET = 0x01200011, 0x10000000, 0x40000000
FORBIDDEN = """
socket connect bind listen accept accept4 execve execveat memfd_create ptrace process_vm_readv process_vm_writev pidfd_getfd
bpf keyctl add_key request_key unshare setns mount umount2 move_mount fsopen pivot_root chroot mknodat open_by_handle_at
io_uring_setup userfaultfd perf_event_open kexec_load init_module finit_module setuid setresuid capset clock_settime
settimeofday sethostname reboot syslog personality swapon shmget mq_open inotify_init1 sched_setscheduler setpriority
"""
NEEDED = "read write openat mmap exit_group futex clock_gettime wait4 socketpair"


def decide(program: bytes, name: str, arguments: Sequence[int] = ()) -> int:
    """Run a BPF program on a system call and return the action."""
    import pyseccomp

    number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    values = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", number, AUDIT_ARCH[platform.machine()], 0, *values)
    lines = list(struct.iter_unpack("<HBBI", program))
    accumulator = index = 0
    while True:
        code, if_true, if_false, k = lines[index]
        index += 1
        kind, operation = code & 0x07, code & 0xF0
        if kind == 0x00:  # load a word of the call
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif kind == 0x04 and operation == 0x50:  # and
            accumulator &= k
        elif kind == 0x05 and operation == 0x00:  # jump
            index += k
        elif kind == 0x05:
            holds = {0x10: accumulator == k, 0x20: accumulator > k, 0x30: accumulator >= k, 0x40: accumulator & k}
            index += if_true if holds[operation] else if_false
        else:
            assert kind == 0x06, f"an instruction that libseccomp does not use: {code:#x}"
            return k


@pytest.fixture(scope="module")
def program() -> bytes:
    if platform.machine() not in AUDIT_ARCH or not seccomp.allow_list():
        pytest.skip("does not hold here: seccomp")
    return seccomp.allow_list()


def test_a_solution_may_compute(program: bytes) -> None:
    assert {name: decide(program, name) for name in NEEDED.split()} == dict.fromkeys(NEEDED.split(), ALLOW)


def test_a_solution_may_not(program: bytes) -> None:
    refused = dict.fromkeys(FORBIDDEN.split(), ERRNO | errno.EPERM)
    assert {name: decide(program, name) for name in FORBIDDEN.split()} == refused


def test_clone_makes_processes_and_no_namespaces(program: bytes) -> None:
    assert decide(program, "clone", [FORK_FLAGS]) == ALLOW
    for flag in (NEW_USER, NEW_NET):
        assert decide(program, "clone", [FORK_FLAGS | flag]) == ERRNO | errno.EPERM
    assert decide(program, "clone3") == ERRNO | errno.ENOSYS


def test_a_program_without_a_tree_may_not_make_processes(program: bytes) -> None:
    for name in ("fork", "clone", "kill", "fchmodat"):
        assert decide(seccomp.narrower(), name) == ERRNO | errno.EPERM
    assert decide(seccomp.narrower(), "read") == ALLOW


def test_the_compiler_may_execute_programs_and_nothing_else_more(program: bytes) -> None:
    compiler = seccomp.allow_list(programs=True)
    assert decide(compiler, "execve") == ALLOW
    for name in set(FORBIDDEN.split()) - {"execve"}:
        assert decide(compiler, name) == ERRNO | errno.EPERM, name
