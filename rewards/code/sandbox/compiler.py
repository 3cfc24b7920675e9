r"""Compile C++ in a sandbox of its own, and run what comes out in the one of programs.

    library = compile_cpp(sandbox, source)                    # raises CompileError, with a line that says why
    run = sandbox.open_compiled(library).run(b"1 2\n")

The compiler reads a stranger's source, so it has the same layers as a program, its own limits, and a tree in which
nothing is but itself. A program is compiled once, into a shared library: its runs execute nothing and are confined as
those of Python.
"""

from __future__ import annotations

import functools

from rewards.code.sandbox.executor import Sandbox
from rewards.code.sandbox.inside.native import ENTRY
from rewards.code.sandbox.limits import Limits, Run
from rewards.code.sandbox.toolchain import find_toolchain

LIMITS = Limits(seconds=10.0, memory_mb=768, output_bytes=16 * 2**20, processes=16)
MAX_DETAIL_CHARS = 300
OPTIONS = (
    "-std=gnu++2a",
    "-O2",
    "-DONLINE_JUDGE",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-pthread",
    "-pipe",
    "-w",
    "-fno-diagnostics-show-caret",
    "-fmax-errors=5",
    "-ftemplate-backtrace-limit=3",
    "-fno-use-linker-plugin",
    "-Wl,--no-undefined,--require-defined=main",
)
_SCRIPT = r"""
import subprocess, sys
command, path, entry = {words!r}, {path!r}, {entry!r}
with open("solution.cpp", "wb") as file:
    file.write(sys.stdin.buffer.read())
with open("entry.h", "w") as file:
    file.write(f'asm(".globl {{entry}}\\n.set {{entry}}, main");\n')
words = [*command, "-include", "entry.h", "solution.cpp", "-o", "solution.so"]
done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=2, env={{"PATH": path, "LC_ALL": "C"}})
if done.returncode:
    sys.exit(1)
with open("solution.so", "rb") as file:
    sys.stdout.buffer.write(file.read())
"""
_HELLO = "#include <iostream>\n#include <vector>\nint main() { std::vector<int> v{3}; std::cout << v.back() << std::endl; }\n"
_WHY = {
    "time_limit_exceeded": f"compiling took more than {LIMITS.seconds:g} s",
    "memory_limit_exceeded": f"compiling took more than {LIMITS.memory_mb} MiB",
    "output_limit_exceeded": f"the compiler wrote more than {LIMITS.output_bytes // 2**20} MiB",
}


class CompileError(Exception):
    """A program that does not compile within the limits.

    Attributes:
        run: The run of the compiler, its messages as standard error.
    """

    def __init__(self, detail: str, run: Run) -> None:
        super().__init__(detail[:MAX_DETAIL_CHARS])
        self.run = run


class NoCompiler(Exception):
    """A machine on which C++ cannot be compiled, and why."""


def compile_cpp(sandbox: Sandbox, source: str, limits: Limits = LIMITS) -> tuple[bytes, Run]:
    """Return a program as a shared library, and the run of the compiler.

    Args:
        sandbox: The sandbox of the program; the compiler runs in the one next to it.
        source: The program.
        limits: Bounds of the compiler.

    Raises:
        CompileError: Where it does not compile within the limits.
        NoCompiler: Where there is no compiler.
        SandboxFailure: Where the sandbox fails.
    """
    toolchain = find_toolchain()
    if toolchain is None:
        raise NoCompiler("no g++ here, or it lacks its assembler or linker")
    words = [toolchain.driver, *OPTIONS]
    script = _SCRIPT.format(words=words, path=":".join(toolchain.folders), entry=ENTRY)
    with sandbox.compiler(toolchain).open(script, limits=limits) as solution:
        run = solution.run(source.encode("utf-8", "replace"))
    if run.ending != "finished" or not run.stdout:
        messages = run.stderr.decode("utf-8", "replace").splitlines()
        said = next((line for line in messages if "error" in line.lower()), run.detail)
        raise CompileError(_WHY.get(run.ending, said), run)
    return run.stdout, run


def probe_compiler() -> tuple[str, bool]:
    """Compile and run a program on this machine; a success is cached per process.

    Returns:
        The compiler's version and true, or why there is none and false.
    """
    try:
        return _working_version(), True
    except NoCompiler as error:
        return str(error), False


@functools.cache
def _working_version() -> str:
    """Return the version of a compiler that works here; raises `NoCompiler`, which no cache keeps."""
    with Sandbox() as sandbox:
        try:
            library, _ = compile_cpp(sandbox, _HELLO)
        except CompileError as error:
            raise NoCompiler(f"g++ does not compile here: {error}") from error
        run = sandbox.open_compiled(library).run(b"")
    toolchain = find_toolchain()
    if run.stdout != b"3\n" or toolchain is None:
        raise NoCompiler(f"what g++ compiles does not run here: {run.ending} {run.detail}")
    return toolchain.version
