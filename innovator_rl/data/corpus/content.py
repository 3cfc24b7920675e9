"""Hash what decides a result: input files, settings, the source of the code and the versions of packages."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@cache
def hash_code(modules: tuple[str, ...]) -> str:
    """Return the SHA-256 of the source of these modules."""
    sources = [inspect.getsource(importlib.import_module(name)) for name in modules]
    return hash_json([list(modules), sources])


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of Python and of each package; `missing` where there is none."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"  # it decides the Unicode tables
    return {"python": python} | {name: _version(name) for name in sorted(set(packages))}


@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
