"""Find out which of several machines this is: a launcher starts the same command on each and tells it."""

from __future__ import annotations

import os

from innovator_rl.errors import UserError

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"


def node_rank(nodes: int, setting: str = "resources.nodes") -> int:
    """Return the number of this machine, from NODE_RANK or SLURM_NODEID.

    Args:
        nodes: The number of machines.
        setting: The name of the setting with that number, for messages.

    Raises:
        UserError: There are several machines and the environment does not say which this is, or where the first is.
    """
    if nodes == 1:
        return 0
    text = os.environ.get("NODE_RANK", os.environ.get("SLURM_NODEID", ""))
    if not text.isdigit() or int(text) >= nodes:
        raise UserError(
            f"{setting} = {nodes}: NODE_RANK (or SLURM_NODEID) must be a number below {nodes} on each machine, found {text!r}"
        )
    for variable in (ADDRESS, PORT):
        if not os.environ.get(variable):
            raise UserError(f"{setting} = {nodes}: {variable} must be set to the first machine's on each machine")
    return int(text)
