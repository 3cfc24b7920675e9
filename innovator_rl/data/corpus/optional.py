"""Import optional packages with an error that names the installation command."""

from __future__ import annotations

import importlib
from types import ModuleType

from innovator_rl.errors import UserError


def require(module: str, package: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: Name to import.
        package: Name to install.
        purpose: What needs it, for the message.

    Raises:
        UserError: when the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise UserError(f"{purpose} needs the package {package}, which is not found: pip install {package}") from None
