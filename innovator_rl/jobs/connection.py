"""Connect to a Ray cluster's job API, with its token, and say in one sentence why that fails.

Ray 2.60 protects a cluster with a token as soon as one exists on the machine that starts it, which any local run
brings about. The command line of Ray loads the token; its job client does not, so this module does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from innovator_rl.errors import UserError

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
Result = TypeVar("Result")


def load_token() -> bool:
    """Use the cluster's token if this machine has one and RAY_AUTH_MODE does not say otherwise.

    Returns:
        Whether requests carry a token.
    """
    from ray._private.authentication import authentication_token_setup as setup

    quiet = logging.getLogger(setup.__name__)
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # Ray's warning is about clusters that it starts
    try:
        return bool(setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False))
    finally:
        quiet.setLevel(level)


def client(address: str) -> Any:
    """Return Ray's job client.

    Raises:
        UserError: Nothing answers at the address, or the cluster does not accept the token of this machine.
    """
    from ray.job_submission import JobSubmissionClient

    load_token()
    for name in ("ray._private.runtime_env", "ray.dashboard.modules"):  # each ignored file, once per walk
        logging.getLogger(name).setLevel(logging.ERROR)
    return call(address, lambda: JobSubmissionClient(address))


def call(address: str, request: Callable[[], Result]) -> Result:
    """Make one request of the job API.

    Args:
        address: The cluster's dashboard, for the message.
        request: Makes it.

    Raises:
        UserError: The connection or the authentication failed.
    """
    from ray.exceptions import AuthenticationError

    try:
        return request()
    except AuthenticationError as error:
        raise UserError(_refused(address, error)) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(_unreachable(address, error)) from error


def _refused(address: str, error: Exception) -> str:
    mode, place = os.environ.get("RAY_AUTH_MODE", "unset"), os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")
    has = bool(os.environ.get("RAY_AUTH_TOKEN")) or Path(place).expanduser().is_file()
    token = (
        "the token here was not accepted"
        if has and mode != "disabled"
        else f"no token is in use (RAY_AUTH_MODE {mode})"
    )
    return (
        f"--address {address}: the cluster requires a token and {token}; set RAY_AUTH_MODE=token and copy the token of the "
        f"machine that started the cluster (`ray get-auth-token` there) to {place}"
    )


def _unreachable(address: str, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    host = urlsplit(address if "://" in address else f"http://{address}").hostname or ""
    scheme = urlsplit(address).scheme or "http"
    proxy = getproxies().get(scheme)
    if proxy and host and not proxy_bypass(host):
        return (
            f"--address {address}: no Ray dashboard answers through the proxy {proxy} ({reason}); {scheme}_proxy is set and "
            f"NO_PROXY does not name {host}: set NO_PROXY={host} if no proxy is needed on the way there"
        )
    return (
        f"--address {address}: no Ray dashboard answers there ({reason}); "
        f"`ray start --head` starts one at {DEFAULT_ADDRESS}"
    )
