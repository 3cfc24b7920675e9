"""Find the files of the interpreter and the packages that a program may import."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import site
import sys
import sysconfig
from typing import Any

from rewards.code.sandbox.toolchain import Toolchain

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
PRELOAD = (
    "abc",
    "argparse",
    "array",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "collections.abc",
    "contextlib",
    "copy",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "gc",
    "hashlib",
    "heapq",
    "io",
    "itertools",
    "json",
    "math",
    "numbers",
    "operator",
    "queue",
    "random",
    "re",
    "signal",
    "statistics",
    "string",
    "struct",
    "sys",
    "textwrap",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
    "dataclasses",
    "linecache",
    "encodings.idna",
    "encodings.ascii",
    "encodings.latin_1",
)
NEEDS: dict[str, tuple[str, ...]] = {
    "numpy": (),
    "sortedcontainers": (),
    "scipy": ("numpy",),
    "pandas": ("numpy", "dateutil", "pytz", "tzdata"),
    "networkx": (),
    "sympy": ("mpmath",),
}  # what may be imported besides the standard library, and what it needs itself
_SINGLE_FILES = {"dateutil": ("six.py",)}


def installed(name: str) -> bool:
    """Return whether a package is a folder of modules in this environment."""
    found = importlib.util.find_spec(name)
    return found is not None and bool(found.submodule_search_locations)


@dataclasses.dataclass(frozen=True)
class Files:
    """The files of Python that a program needs.

    Attributes:
        paths: Shown to a program.
        hidden: Folders in them that are shown empty.
        listed: What Landlock allows to be read where no separate tree can be built.
        site: Entries of the module path.
        preload: Modules imported beforehand.
        devices: What of /dev is shown.
        executable: Programs that may be executed, by Landlock; none but in the sandbox of the compiler.
    """

    paths: tuple[str, ...]
    hidden: tuple[str, ...]
    packages: tuple[str, ...]
    site: tuple[str, ...]
    preload: tuple[str, ...]
    devices: tuple[str, ...] = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
    executable: tuple[str, ...] = ()

    @staticmethod
    def of(packages: tuple[str, ...], warm: tuple[str, ...] = ()) -> Files:
        """Return the files for the standard library and these packages, of which `warm` are imported beforehand.

        Raises:
            ValueError: For a package that is not installed.
        """
        stdlib = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
        places: list[str] = []
        roots: list[str] = []
        for name in packages:
            found = importlib.util.find_spec(name)
            if found is None or not found.submodule_search_locations:
                raise ValueError(f"package {name!r} is not installed here; install it or leave it out")
            place = os.path.dirname(found.submodule_search_locations[0])
            roots.append(place)
            places += [entry.path for entry in os.scandir(place) if entry.name in (name, f"{name}.libs")]
            for module in _SINGLE_FILES.get(name, ()):
                places += [path for path in (os.path.join(place, module),) if os.path.exists(path)]
        library = [path for path in (os.path.join(sys.base_prefix, "lib"),) if _holds_libpython(path)]
        hidden = [os.path.join(path, part) for path in stdlib for part in ("site-packages", "dist-packages")]
        return Files(
            paths=tuple(dict.fromkeys([*sorted(stdlib), *library, *filter(os.path.exists, LIBRARIES)])),
            hidden=tuple(path for path in {*hidden, *site.getsitepackages()} if os.path.isdir(path)),
            packages=tuple(places),
            site=tuple(dict.fromkeys(roots)),
            preload=(*PRELOAD, *warm),
        )

    @staticmethod
    def of_compiler(toolchain: Toolchain) -> Files:
        """Return the files for a sandbox in which C++ is compiled.

        It has no device without an end, which `#include` would read.
        """
        files = Files.of(())
        return dataclasses.replace(
            files,
            paths=tuple(dict.fromkeys([*files.paths, *toolchain.paths])),
            preload=(*files.preload, "subprocess"),
            devices=("/dev/null",),
            executable=toolchain.programs,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the supervisor."""
        return dataclasses.asdict(self)


def _holds_libpython(path: str) -> bool:
    return path not in LIBRARIES and bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))
