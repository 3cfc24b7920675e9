# ruff: noqa: E501
"""Programs in C++: honest ones are scored as those in Python, and no attack on compiler, sandbox or result is paid."""

from collections.abc import Callable
from typing import Any

import pytest

from innovator_rl.scoring import Score
from rewards.code import reward as rewarder
from rewards.code.reward import CodeReward
from rewards.code.sandbox import compiler as compiler_module
from rewards.code.sandbox import toolchain
from rewards.code.sandbox.compiler import CompileError, compile_cpp, probe_compiler
from rewards.code.sandbox.executor import Sandbox, SolutionProcess
from rewards.code.sandbox.limits import Limits, Run

Grade = Callable[..., Score]


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    if not probe_compiler()[1]:
        pytest.skip(f"does not hold here: {probe_compiler()[0]}")


TICKS = "```"
SUM = '#include <cstdio>\nint main() { long a, b; scanf("%ld %ld", &a, &b); printf("%ld\\n", a + b); }\n'
STDIO: dict[str, Any] = {"type": "stdio", "inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"], "time_limit": 1}
CALL = {"type": "call", "entry_point": "f", "cases": [{"args": [1], "expected": 1}]}
SECRET = {
    "type": "stdio",
    "inputs": ["1\n", "2\n"],
    "outputs": ["8675309\n", "8675310\n"],
    "time_limit": 0.3,
    "memory_limit": 64,
}


@pytest.fixture(scope="module")
def sandbox(sandboxes: dict[Any, Any]) -> Sandbox:
    """The sandbox of programs in C++, which no package needs."""
    made: Sandbox = sandboxes.setdefault(((), ()), Sandbox())
    return made


def cpp(source: str, tag: str = "cpp") -> str:
    return f"{TICKS}{tag}\n{source}\n{TICKS}"


RESPONSES = {
    "a tag": (cpp(SUM), {}),
    "another tag": (cpp(SUM, "c++17"), {}),
    "an example of the output": (f"{cpp(SUM)}\nprints\n{TICKS}\n3\n{TICKS}", {}),
    "no tag": (cpp(SUM, ""), {}),
    "no fence": (SUM, {}),
    "a row that asks for it": (f"{cpp(SUM, '')}\n{cpp('print(3)', 'python')}", {"language": "C++"}),
    "a column of that name": (cpp(SUM), {"language": "en", "type": None}),
}  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES)
def test_the_language_of_a_response(grade: Grade, name: str) -> None:
    response, options = RESPONSES[name]
    info = {key: value for key, value in {**STDIO, **options}.items() if value is not None}
    assert grade(response, info, fence=False).reason == "correct"


def test_rows_and_responses_that_do_not_fit(grade: Grade) -> None:
    assert grade(cpp(SUM), {**STDIO, "language": "python"}, fence=False).reason == "language_not_offered"
    assert grade("print(3)", {**STDIO, "language": "cpp"}).reason == "language_not_offered"
    assert grade(cpp(SUM), CALL, fence=False).reason == "language_needs_stdio"
    assert grade(cpp(SUM), {**CALL, "language": "cpp"}, fence=False).outcome == "abstained"
    assert grade(cpp(SUM), {**STDIO, "language": "fr"}, fence=False).reason == "bad_info"


def test_every_result_has_its_reason(grade: Grade) -> None:
    for body, reason in {
        "return 0": "wrong",
        "return 3": "runtime_error",
        "throw 3": "runtime_error",
        "*(volatile int*)0 = 1": "runtime_error",
        "for (;;);": "time_limit_exceeded",
        "for (;;) memset(new char[1 << 20], 1, 1 << 20)": "memory_limit_exceeded",
        'for (;;) puts("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")': "output_limit_exceeded",
        "undeclared()": "compile_error",
        "return 0; }\n}": "compile_error",
    }.items():
        source = f"#include <cstdio>\n#include <cstring>\n#include <unistd.h>\nint main() {{ {body}; }}"
        score = grade(cpp(source), {**STDIO, "time_limit": 0.2, "memory_limit": 64}, fence=False)
        assert (score.reason, score.value, score.outcome, score.terms["failed_test"]) == (reason, 0, "scored", 1), body
    assert grade(cpp("int x;"), STDIO, fence=False).reason == "compile_error", "no main"


def test_ordinary_programs(grade: Grade) -> None:
    """Threads, deep recursion, streams, an allocator of its own, what is left to be flushed at the end."""
    source = r"""
#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <thread>
#include <vector>
static int live = 0;
void *operator new(std::size_t n) { ++live; return std::malloc(n); }
void operator delete(void *p) noexcept { --live; std::free(p); }
void operator delete(void *p, std::size_t) noexcept { --live; std::free(p); }
int depth(int n) { volatile char page[64]; page[0] = 0; return n ? 1 + depth(n - 1) + page[0] : 0; }
struct Last { ~Last() { std::cout << total << '\n'; } long total = 0; } last;
int main(int argc, char **argv) {
    std::ios::sync_with_stdio(false);
    std::vector<std::thread> threads;
    for (int i = 0; i < 32; ++i) threads.emplace_back([] {});
    for (auto &thread : threads) thread.join();
    if (depth(1000000) != 1000000 || argc != 1 || live <= 0) return 1;
    for (long n; std::cin >> n;) last.total += n;
}"""
    assert grade(cpp(source), {**STDIO, "memory_limit": 256}, fence=False).reason == "correct"
    half = {
        **STDIO,
        "scoring": "fraction",
        "judge": "def judge(given, said, expected):\n    return given[0] == '1' and said.split() == ['3']",
    }
    score = grade(cpp(SUM), half, fence=False)
    assert (score.value, score.correct) == (0.5, False)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, grade: Grade) -> None:
    monkeypatch.setattr(rewarder, "probe_compiler", lambda: ("no g++ here", False))
    assert (grade(cpp(SUM), STDIO, fence=False).reason, grade(SUM, STDIO, fence=False).value) == ("no_compiler", 0)
    score = grade(cpp(SUM), {**STDIO, "language": "cpp"}, fence=False)
    assert (score.reason, score.outcome) == ("no_compiler", "abstained"), "nobody can be scored"
    assert "no g++ here" in CodeReward.health({})[-1]["why"]
    monkeypatch.undo()
    assert "g++" in CodeReward.health({})[-1]["value"]


def test_a_failure_of_the_compiler_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise CompileError("no headers", Run("runtime_error"))

    compiler_module._working_version.cache_clear()
    monkeypatch.setattr(compiler_module, "compile_cpp", broken)
    assert probe_compiler() == ("g++ does not compile here: no headers", False)
    monkeypatch.undo()
    assert probe_compiler()[1]


def test_a_toolchain_that_lacks_a_part_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    which = toolchain.shutil.which
    for missing in ("g++", "as"):
        monkeypatch.setattr(
            toolchain.shutil, "which", lambda name, missing=missing: None if name == missing else which(name)
        )
        assert toolchain.find_toolchain.__wrapped__() is None, missing


# what the compiler is given; each ends as `compile_error`, or as a program that is wrong
COMPILING = {
    "the password file": '#include "/etc/passwd"\nint main() {}',
    "random bytes without an end": '#include "/dev/random"\n#include "/dev/urandom"\nint main() {}',
    "zeros without an end": '#include "/dev/zero"\nint main() {}',
    "a terminal": '#include "/dev/stdin"\n#include "/dev/tty"\n#include "/dev/fd/0"\nint main() {}',
    "the processes": '#include "/proc/self/environ"\n#include "/proc/1/maps"\nint main() {}',
    "what it can see": '#if __has_include("/etc/passwd") || __has_include("/proc/self/maps") || __has_include("/root/.bashrc")\n#include <cstdio>\nint main() { puts("8675309"); }\n#else\nint main() {}\n#endif',
    "a file by the assembler": 'asm(".incbin \\"/etc/shadow\\"");\nint main() {}',
    "a device by the assembler": 'asm(".incbin \\"/dev/zero\\"");\nasm(".include \\"/etc/hosts\\"");\nint main() {}',
    "a file by an error's line": '#line 1 "/etc/passwd"\nint main() { undeclared; }',
    "itself": "#include __FILE__\n#include __FILE__\nint main() {}",
    "templates without an end": "template <int n> struct A { enum { v = A<n + 1>::v }; };\nint main() { return A<0>::v; }",
    "templates by the billion": "template <int n, long m> struct F { enum { v = F<n - 1, 2 * m>::v + F<n - 1, 2 * m + 1>::v }; };\ntemplate <long m> struct F<0, m> { enum { v = 1 }; };\nint main() { return F<40, 0>::v; }",
    "a constant that takes for ever": "constexpr int f() { for (unsigned long i = 0;; ++i) if (i == ~0ul) return 1; }\nconstexpr int x = f();\nint main() {}",
    "macros by the billion": "#define A0 1 +\n" + "".join(f"#define A{n + 1} A{n} A{n} A{n} A{n}\n" for n in range(16)) + "int main() { return A16 0; }",
    "a large array": "char a[1u << 30] = {1};\nint main() {}",
    "a large section": 'asm(".data\\n.rept 2000000000\\n.byte 1\\n.endr\\n.text");\nint main() {}',
    "deep brackets": f"int main() {{ return {'(' * 40000}1{')' * 40000}; }}",
    "many errors": "\n".join(f"int a{n} = b{n};" for n in range(4000)) + "\nint main() {}",
    "a long error": f'static_assert(false, "{"x" * 90000}");\nint main() {{}}',
    "a plugin": '#pragma GCC plugin "/tmp/x.so"\n#pragma GCC optimize ("-fplugin=/tmp/x.so", "-fdump-tree-all=/tmp/y")\nint main() {}',
    "no main but a symbol": 'asm(".globl solution_main\\n.set solution_main, puts");',
    "a main of the assembler": 'asm(".globl main\\nmain: ret\\n");',
    "other libraries": 'asm(".section .interp\\n.string \\"/bin/sh\\"\\n.section .note.GNU-stack,\\"x\\",@progbits\\n.text");\nint main() {}',
}  # fmt: skip

HEADERS = "".join(
    f"#include <{name}>\n"
    for name in ("cerrno", "csignal", "cstdio", "cstdlib", "cstring", "dlfcn.h", "fcntl.h", "initializer_list", "pthread.h", "spawn.h", "sys/ptrace.h", "sys/socket.h", "sys/stat.h", "sys/syscall.h", "sys/wait.h", "unistd.h")
)  # fmt: skip
# what a program does; PAID would be printed where it got what it should not
RUNNING = {
    "execute the compiler": 'char *a[] = {(char *)"g++", 0}; execv("/usr/bin/g++", a); execv("/lib64/ld-linux-x86-64.so.2", a); pid_t p; if (!posix_spawn(&p, "/usr/bin/as", 0, 0, a, a)) PAID;',
    "a shell": 'if (!system("true")) PAID; FILE *f = popen("echo 8675309", "r"); char b[9] = ""; if (f && fgets(b, 9, f)) PAID;',
    "execute a file of its own": 'int f = open("/tmp/x", O_CREAT | O_RDWR, 0777); write(f, "\\x7f" "ELF", 4); char *a[] = {0}; syscall(SYS_execveat, f, "", a, a, 0x1000);',
    "files of the host": 'for (auto p : {"/etc/passwd", "/proc/self/maps", "/proc/1/environ", "/root/.bashrc", "/usr/include/stdio.h", "/usr/bin/g++", "/sys/kernel"}) if (!access(p, F_OK)) PAID;',
    "links to files of the host": 'symlink("/etc/passwd", "/tmp/a"); symlink("/proc/1/root", "/tmp/b"); if (open("/tmp/a", 0) >= 0 || open("/tmp/b/etc/passwd", 0) >= 0) PAID;',
    "the interpreter around it": 'auto run = (int (*)(const char *))dlsym(RTLD_DEFAULT, "PyRun_SimpleString"); auto lock = (int (*)())dlsym(RTLD_DEFAULT, "PyGILState_Ensure"); if (run && lock) { lock(); run("import gc\\nfor o in gc.get_objects():\\n    for v in (o.values() if isinstance(o, dict) else o if isinstance(o, (list, tuple)) else ()):\\n        if str(type(v)) in (\'<class str>\', \'<class int>\') and \'8675309\' in str(v): print(v, flush=True)"); _exit(0); }',
    "the frames of the interpreter": 'auto run = (int (*)(const char *))dlsym(RTLD_DEFAULT, "PyRun_SimpleString"); auto lock = (int (*)())dlsym(RTLD_DEFAULT, "PyGILState_Ensure"); if (run && lock) { lock(); run("import sys, os\\nprint([m for m in sys.modules if m in (\'zygote\', \'checker\', \'ipc\', \'kernel\')] and 8675309, flush=True)\\nos._exit(0)"); }',
    "forged reports": 'char b[] = "\\0\\0\\0\\x5a{\\"status\\": 0, \\"cpu\\": 0, \\"wall\\": 0, \\"memory\\": 0, \\"over\\": null, \\"report\\": \\"accepted\\"}          "; for (int f = 3; f < 64; ++f) write(f, b, sizeof b - 1); _exit(0);',
    "descriptors that it inherited": 'for (int f = 3; f < 256; ++f) { struct stat s; if (!fstat(f, &s) && !S_ISFIFO(s.st_mode)) PAID; }',
    "the answers of other tests": 'char b[99] = ""; lseek(0, -1000, SEEK_END); lseek(0, 0, SEEK_SET); read(0, b, 98); if (strstr(b, "8675")) PAID; int f = open("/tmp/left", O_RDONLY); if (f >= 0) PAID; close(open("/tmp/left", O_CREAT | O_RDWR, 0666)); mkdir("/dev/shm/left", 0777);',
    "parents": 'for (int p : {1, getppid()}) { if (!ptrace(PTRACE_SEIZE, p, 0, 0)) PAID; kill(p, SIGSTOP); kill(p, SIGKILL); kill(p, SIGTERM); }',
    "a fork bomb": "for (;;) fork();",
    "a child that stays": "if (!fork()) { setsid(); for (;;) write(1, \"3\\n\", 2); } _exit(0);",
    "a thread that stays": 'pthread_t t; pthread_create(&t, 0, [](void *) -> void * { for (;;); }, 0); pthread_exit(0);',
    "an exit that never ends": "atexit([] { for (;;); });",
    "deaf to signals": "for (int n = 1; n < 65; ++n) signal(n, SIG_IGN); for (;;);",
    "the network": 'for (int d : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK}) if (socket(d, SOCK_STREAM, 0) >= 0 || socket(d, SOCK_RAW, 0) >= 0) PAID;',
    "calls of the kernel": "for (int n : {SYS_mount, SYS_unshare, SYS_bpf, SYS_io_uring_setup, SYS_keyctl, SYS_userfaultfd, SYS_perf_event_open, SYS_memfd_create, SYS_setns, SYS_init_module}) if (syscall(n, 0, 0, 0, 0, 0) >= 0 || errno != EPERM) PAID;",
    "calls by machine code": 'long r = 0; for (long n : {41L, 59L, 0x40000000L + 41}) { asm volatile("syscall" : "=a"(r) : "a"(n), "D"(2L), "S"(1L), "d"(0L) : "rcx", "r11", "memory"); if (r >= 0) PAID; }',
    "all of /tmp": 'static char b[1 << 20]; for (int n = 0; n < 999; ++n) { char p[20]; sprintf(p, "/tmp/%d", n); int f = open(p, O_CREAT | O_WRONLY, 0666); for (int i = 0; i < 15; ++i) write(f, b, sizeof b); close(f); if (n > 8) PAID; if (errno == ENOSPC) break; }',
}  # fmt: skip
LOADING = {
    "a constructor that leaves": "#include <unistd.h>\n__attribute__((constructor)) static void f() { _exit(0); }\nint main() {}",
    "a constructor that stays": "__attribute__((constructor)) static void f() { for (;;); }\nint main() {}",
    "a resolver that stays": 'extern "C" { static void *pick() { for (;;); }\n void g() __attribute__((ifunc("pick"))); }\nint main() { g(); }',
    "names of the C library": '#include <cstdlib>\nextern "C" __attribute__((visibility("default"))) int printf(const char *, ...) { return 0; }\nextern "C" __attribute__((visibility("default"))) void *PyMem_Malloc(unsigned long) { abort(); }\nint main() {}',
}  # fmt: skip
COMPILED = {**{f"compiling: {name}": text for name, text in COMPILING.items()}, **{f"loading: {name}": text for name, text in LOADING.items()}}  # fmt: skip


@pytest.mark.parametrize("name", COMPILED)
def test_no_attack_on_the_compiler_is_paid(grade: Grade, name: str) -> None:
    score = grade(cpp(COMPILED[name]), SECRET, fence=False, timeout_seconds=0.05)
    assert (score.value, score.correct, score.outcome) == (0, False, "scored"), score
    assert score.terms["passed"] == 0, score


@pytest.fixture(scope="module")
def attacker(sandbox: Sandbox) -> SolutionProcess:
    """All attacks in one program, which reads the number of one."""
    cases = "".join(f"case {number}: {{ {body} }} break;\n" for number, body in enumerate(RUNNING.values()))
    main = f'int main() {{ int n; scanf("%d", &n); switch (n) {{\n{cases}}} }}'
    library, _ = compile_cpp(sandbox, f'{HEADERS}#define PAID puts("8675309")\n{main}')
    return sandbox.open_compiled(library, Limits(seconds=0.3, wall_seconds=1.0, memory_mb=64))


@pytest.mark.parametrize("name", RUNNING)
def test_no_attack_of_a_program_succeeds(attacker: SolutionProcess, name: str) -> None:
    run = attacker.run(f"{list(RUNNING).index(name)}\n".encode())
    assert b"8675309" not in run.stdout, run
    assert run.ending in ("finished", "time_limit_exceeded", "runtime_error"), run


def test_the_compiler_sees_nothing_of_the_host(sandbox: Sandbox) -> None:
    for path in ("/etc/passwd", "/dev/random", "/dev/zero", "/dev/stdin", "/proc/self/environ", __file__):
        with pytest.raises(CompileError, match="No such file"):
            compile_cpp(sandbox, f'#include "{path}"\nint main() {{}}')


def test_an_honest_program_is_paid_after_all_that(grade: Grade) -> None:
    assert grade(cpp(SUM), STDIO, fence=False).correct
