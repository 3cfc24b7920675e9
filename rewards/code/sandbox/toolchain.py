"""Find the files of the C++ compiler, which one sandbox shows to it and no other sandbox has.

    toolchain = find_toolchain()        # None where this machine has no g++
    toolchain.version                   # "g++ 12.2.0"

The compiler itself is run by `compiler`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("cc1plus", "collect2", "as", "ld")
QUERY_SECONDS = 60.0
_LOADER = re.compile(rb"/[\w./-]*ld[\w.-]*\.so\.\d+")
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """What is needed to compile and link C++.

    Attributes:
        driver: The compiler's driver, g++.
        version: Its name and version.
        paths: Programs, headers and libraries that it reads, with the links on the way to them.
        programs: What it executes, besides itself the compiler proper, assembler, linker and loader.
        folders: Where it finds them.
    """

    driver: str
    version: str
    paths: tuple[str, ...]
    programs: tuple[str, ...]
    folders: tuple[str, ...]


@functools.cache
def find_toolchain() -> Toolchain | None:
    """Return the toolchain of this machine's g++; None where there is none, or a part of it is missing."""
    driver = shutil.which("g++")
    if driver is None:
        return None
    try:
        version = _ask(driver, "-dumpfullversion", "-dumpversion").strip()
        named = [_ask(driver, f"-print-prog-name={name}").strip() for name in PROGRAMS]
        programs = [os.path.normpath(found) for name in named if (found := shutil.which(name)) is not None]
        searched = re.findall(r"^ (/.*)$", _ask(driver, "-E", "-v", "-x", "c++", "/dev/null"), re.MULTILINE)
        listed = re.search(r"^libraries: =(.*)$", _ask(driver, "-print-search-dirs"), re.MULTILINE)
        loader = _LOADER.search(Path(driver).read_bytes())
    except (OSError, subprocess.SubprocessError):
        return None
    if len(programs) < len(PROGRAMS) or loader is None:
        return None
    folders = [os.path.realpath(path) for path in (*searched, *(listed[1].split(":") if listed else ()))]
    shown = tuple(_outermost(folders))
    chains = [link for program in (driver, *programs) for link in _chain(program)]
    outside = (link for link in chains if not link.startswith(tuple(f"{folder}/" for folder in shown)))
    return Toolchain(
        driver=driver,
        version=f"g++ {version}",
        paths=tuple(dict.fromkeys([*shown, *outside])),
        programs=tuple(dict.fromkeys(map(os.path.realpath, [driver, *programs, loader[0].decode()]))),
        folders=tuple(dict.fromkeys(os.path.dirname(program) for program in programs)),
    )


def _ask(driver: str, *words: str) -> str:
    """Return what the driver says, on either stream."""
    done = subprocess.run(
        [driver, *words], capture_output=True, text=True, timeout=QUERY_SECONDS, check=True, env=_ENVIRONMENT
    )
    return done.stdout + done.stderr


def _chain(path: str) -> Iterator[str]:
    """Yield a path and what it links to, link by link."""
    yield path
    while os.path.islink(path):
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        yield path


def _outermost(folders: list[str]) -> Iterator[str]:
    """Yield the folders that exist and are in no other one."""
    present = {folder for folder in folders if os.path.isdir(folder) and folder != "/"}
    for folder in sorted(present):
        if not any(folder.startswith(other + "/") for other in present):
            yield folder
