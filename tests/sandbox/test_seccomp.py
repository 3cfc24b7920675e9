"""The system-call filters themselves, apart from what other layers would stop as well."""

from typing import Any

import pytest

from rewards.code.sandbox import seccomp

FORBIDDEN = """
execve execveat socket connect bind listen accept accept4 ptrace process_vm_readv process_vm_writev bpf keyctl add_key
request_key unshare setns mount umount2 pivot_root chroot move_mount open_tree fsopen io_uring_setup io_uring_enter
io_uring_register init_module finit_module delete_module kexec_load reboot swapon swapoff mknod mknodat setuid setgid
setreuid setregid setresuid setresgid setgroups capset personality perf_event_open userfaultfd name_to_handle_at
open_by_handle_at seccomp kcmp pidfd_getfd process_madvise inotify_init inotify_init1 inotify_add_watch fanotify_init
syslog acct quotactl chown fchown lchown fchownat setxattr settimeofday clock_settime adjtimex sethostname iopl ioperm
"""
RESTRICTED = {"ioctl": 1, "prlimit64": 0, "prctl": 0, "clone": 0}
"""Calls that are allowed for some values of one argument: name -> its number."""


class Library:
    """Stands in for pyseccomp: every name resolves, rules are recorded."""

    ALLOW, EQ, MASKED_EQ = "allow", "==", "&=="

    def __init__(self) -> None:
        self.rules: list[tuple[Any, str, tuple[Any, ...]]] = []

    @staticmethod
    def ERRNO(number: int) -> tuple[str, int]:
        return ("errno", number)

    @staticmethod
    def Arg(*parts: Any) -> tuple[Any, ...]:
        return parts

    @staticmethod
    def system_arch() -> str:
        return "any"

    @staticmethod
    def resolve_syscall(arch: str, name: str) -> int:
        return 0

    def add_rule(self, action: Any, name: str, *arguments: Any) -> None:
        self.rules.append((action, name, arguments))


@pytest.fixture
def allowed() -> list[tuple[str, tuple[Any, ...]]]:
    library = Library()
    seccomp._fill_allow_list(library, library)
    return [(name, arguments) for action, name, arguments in library.rules if action == Library.ALLOW]


def test_the_allow_list_holds_no_dangerous_call(allowed: list[tuple[str, tuple[Any, ...]]]) -> None:
    assert not {name for name, _ in allowed} & set(FORBIDDEN.split())
    assert {"read", "write", "mmap", "fork", "futex"} <= {name for name, _ in allowed}


def test_calls_with_dangerous_arguments_are_allowed_for_some_values_only(
    allowed: list[tuple[str, tuple[Any, ...]]],
) -> None:
    for name, arguments in allowed:
        if name in RESTRICTED:
            assert len(arguments) == 1, name
            assert arguments[0][0] == RESTRICTED[name]
    namespaces = next(arguments[0] for name, arguments in allowed if name == "clone")
    assert namespaces == (0, Library.MASKED_EQ, 0x7E020080 | 0x02000000, 0)  # every CLONE_NEW* flag must be off


def test_clone3_is_missing_as_on_an_old_kernel() -> None:
    library = Library()
    seccomp._fill_allow_list(library, library)
    assert [action for action, name, _ in library.rules if name == "clone3"] == [("errno", 38)]


def test_the_second_filter_refuses_processes_and_signals() -> None:
    library = Library()
    seccomp._fill_narrower(library, library)
    refused = {name for action, name, _ in library.rules if action == ("errno", 1)}
    assert {"fork", "vfork", "clone", "kill", "tkill", "tgkill", "pidfd_send_signal", "chmod", "utimensat"} <= refused
    assert all(action != Library.ALLOW for action, _, _ in library.rules)
