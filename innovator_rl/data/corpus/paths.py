"""Expand the environment variables in the paths of a recipe."""

from __future__ import annotations

import os
import re
from pathlib import Path

from innovator_rl.errors import UserError


def expand_path(path: str) -> str:
    """Return a path with environment variables and `~` replaced.

    Raises:
        UserError: when a variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise UserError(f"path {path!r}: the environment variable {name} is not set: export {name}=FOLDER")
        return os.environ[name]

    return (
        str(Path(expanded).expanduser()) if "://" not in (expanded := re.sub(r"\$\{(\w+)\}", value, path)) else expanded
    )
