"""Refer to secrets by name, find their values where they are used, and keep the values out of every file.

A configuration, a job and a recorded row hold a reference, `${env:NAME}`:

    reward.routes.essays="essays.py:Essays(api_key='${env:OPENAI_API_KEY}')"

The value is looked up in the process that needs it: in its environment, then in the file NAME of the folders below
(`INNOVATOR_SECRETS_DIR`, Kubernetes' mounted secrets, the user's own). A value that was written out instead of a
reference is replaced by `***` in whatever is recorded, and so is every value that this process has looked up.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError

MASK = "***"
SECRETS_VARIABLE = "INNOVATOR_SECRETS"
"""Names, separated by commas, of the secrets that a submitted job was given by reference."""
DIRECTORY_VARIABLE = "INNOVATOR_SECRETS_DIR"
SHORTEST = 6
"""Characters of a value that is masked wherever it occurs: a shorter one would also hide ordinary words."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_NAMES_SECRET = (
    r"(?:\w*[_-])?(?:api_?key|access_?key|secret(?:_?key)?|token|password|passwd|credentials?|authorization)"
)
_SETTING = re.compile(rf"^{_NAMES_SECRET}$", re.IGNORECASE)
_PARAMETER = re.compile(
    rf"(?P<name>\b(?:{_NAMES_SECRET}|key))(?P<equals>\s*[=:]\s*)(?P<quote>['\"])(?P<value>(?:(?!(?P=quote)).)+)(?P=quote)",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?P<name>\b{_NAMES_SECRET})=(?P<value>[^\s'\"&,;)]+)", re.IGNORECASE)
_WELL_KNOWN = re.compile(
    r"\b(?:sk-[\w-]{8,}|hf_\w{8,}|gh[pousr]_\w{16,}|glpat-[\w-]{8,}|AKIA[0-9A-Z]{12,}|xox[abp]-[\w-]{8,})"
)

_VARIABLE = re.compile(
    r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|PAT|AUTH)(_|$)|APIKEY|^AWS_|^AZURE_CLIENT", re.I
)
KEEP_VARIABLE = "INNOVATOR_REWARD_ENVIRONMENT"
"""Names of variables that reward workers keep although they look like secrets."""

_seen: set[str] = set()


def directories() -> list[Path]:
    """Return the folders in which a secret may be a file, the first one first."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    places = [Path(chosen)] if chosen else []
    return [*places, Path("/run/secrets/innovator"), Path("~/.config/innovator_rl/secrets").expanduser()]


def find(name: str) -> str | None:
    """Return the value of a secret, and mask it from now on; None where it is not found.

    Raises:
        UserError: The name is none, or the file can be read by every user of the machine.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"secret {name!r} must be the name of an environment variable, not its value")
    value = os.environ.get(name) or next((read for place in directories() if (read := _read(place / name))), None)
    if value and len(value) >= SHORTEST:
        _seen.add(value)
    return value or None


def require(name: str) -> str:
    """Return the value of a secret.

    Raises:
        UserError: It is not found; the message names the places.
    """
    value = find(name)
    if value is None:
        places = ", ".join(str(place) for place in directories())
        raise UserError(
            f"secret {name!r} not found in the environment of this process nor as a file in {places}; "
            f"set it where the process is started, or write it there with mode 0600"
        )
    return value


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH) and not path.is_relative_to("/run/secrets"):
            raise UserError(f"{path} must not be readable by other users: chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def export_requested() -> list[str]:
    """Put the secrets that a job was given by reference into this process's environment.

    Returns:
        Their names.

    Raises:
        UserError: One is not found.
    """
    names = [name for name in os.environ.get(SECRETS_VARIABLE, "").split(",") if name]
    for name in names:
        os.environ[name] = require(name)
    return names


def resolve(value: Any) -> Any:
    """Return a value with each `${env:NAME}` in its text replaced.

    Raises:
        UserError: A secret is not found.
    """
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: require(match[1]), value)
    if isinstance(value, Mapping):
        return {key: resolve(item) for key, item in value.items()}
    return [resolve(item) for item in value] if isinstance(value, (list, tuple)) else value


def protect(text: str) -> str:
    """Write references as `$env{NAME}`, which OmegaConf, verl's configuration library, does not interpolate."""
    return REFERENCE.sub(r"$env{\1}", text)


def restore(text: str) -> str:
    """Undo `protect`."""
    return re.sub(r"\$env\{([A-Za-z_][A-Za-z0-9_]*)\}", r"${env:\1}", text)


def references(text: str) -> list[str]:
    """Return the names of the secrets that a text refers to."""
    return list(dict.fromkeys(REFERENCE.findall(text)))


def mask_found(text: str) -> str:
    """Return a text without the values that this process has looked up; text that only looks like a secret stays."""
    for value in sorted(_seen, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def mask(text: str) -> str:
    """Return a text without the values of secrets; references stay."""
    text = mask_found(text)
    text = _PARAMETER.sub(_mask_parameter, text)
    text = _OPTION.sub(lambda m: m[0] if _harmless(m["value"]) else f"{m['name']}={MASK}", text)
    return _WELL_KNOWN.sub(MASK, text)


def _mask_parameter(match: re.Match[str]) -> str:
    if _harmless(match["value"]):
        return match[0]
    return f"{match['name']}{match['equals']}{match['quote']}{MASK}{match['quote']}"


def _harmless(value: str) -> bool:
    return (
        bool(REFERENCE.search(value))
        or "$env{" in value
        or value in (MASK, "null", "None", "true", "false", "EMPTY", "auto")
    )


def mask_values(value: Any, key: str = "") -> Any:
    """Return nested mappings and lists with the values of secrets replaced; other values stay as they are.

    Args:
        value: What is about to be recorded, for example a configuration.
        key: The key under which it stands.
    """
    if isinstance(value, Mapping):
        return {name: mask_values(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_values(item, key) for item in value]
    if not isinstance(value, str):
        return value
    return MASK if _SETTING.match(key) and value and not _harmless(value) else mask(value)


def reduced(environment: Mapping[str, str], users: Iterable[str]) -> dict[str, str]:
    """Return an environment without the secrets that its users do not name.

    A rewarder is somebody's code, and the trainer's environment holds tokens that are none of its business.

    Args:
        environment: That of this process.
        users: Names of the rewarders that will run; a variable whose name is a word of one of them is kept.
    """
    named = set(NAME.findall(" ".join(users))) | set(NAME.findall(environment.get(KEEP_VARIABLE, "")))
    return {key: value for key, value in environment.items() if key in named or not _VARIABLE.search(key)}


def written_out(values: Iterable[str]) -> list[str]:
    """Return those strings that hold the value of a secret, masked."""
    return [masked for text in values if (masked := mask(text)) != text]
