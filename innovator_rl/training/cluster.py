"""Provide Ray for one run.

It is a private local instance that is removed at the end, or an existing cluster.

A Ray job finds its cluster in RAY_ADDRESS; `resources.ray_address` names another. Otherwise Ray starts here with as many
CPU *slots* as verl's placement needs. Slots are bookkeeping: two cores run sixty of them. Its files are in a temporary
folder, and its logs move to the run directory at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from innovator_rl.errors import UserError
from innovator_rl.platform.private_folder import sweep_weight_transfers
from innovator_rl.platform.slots import Need, NodeSlots, holders, shortage, slots_of_nodes
from innovator_rl.platform.socket_folder import compile_cache
from innovator_rl.runs.files import read_json
from innovator_rl.runs.provenance import find_process, process_identity

SLOT_POLL_SECONDS = 5.0
PREFIX = "innovator-ray-"
OWNER = "owner.json"
"""File in Ray's temporary folder that names the process the folder belongs to."""


@contextlib.contextmanager
def ray_cluster(
    address: str | None,
    need: Need,
    runtime_env: dict[str, Any],
    logs: Path,
    wait_seconds: float = 0.0,
    note: Callable[[str], object] = lambda line: None,
) -> Iterator[None]:
    """Connect to Ray for the time of the `with` block.

    Args:
        address: a cluster to join; None joins RAY_ADDRESS if set and starts a local instance otherwise.
        need: the slots that the run places; those called "GPU" are taken by its training workers.
        runtime_env: Ray's runtime environment of every worker process.
        logs: folder that receives Ray's own logs of a local instance.
        wait_seconds: how long to wait for slots of a shared cluster that other jobs hold.
        note: receives a sentence whenever what is waited for changes.

    Raises:
        UserError: the cluster cannot be reached, could never place this run, or its slots stayed taken (Ray itself would
            wait for ever).
    """
    import ray

    address = address or os.environ.get("RAY_ADDRESS") or None
    options: dict[str, Any] = {"log_to_driver": True, "logging_level": "warning"}
    if address is not None:
        try:
            ray.init(address=address, runtime_env=runtime_env, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"resources.ray_address={address}: no Ray cluster answers there ({_line(error)}); "
                "start one with `ray start --head`, or leave the setting out"
            ) from error
        try:
            require_slots(need, address, wait_seconds, note)
            yield
        finally:
            ray.shutdown()
        return
    sweep()
    sweep_weight_transfers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / OWNER).write_text(json.dumps(process_identity()))
    left_behind = folder / "tmp"  # what engines and locks leave, here and in the workers, goes with the folder
    left_behind.mkdir()
    outside = tempfile.tempdir
    variables = {**compile_cache(), **runtime_env.get("env_vars", {}), "TMPDIR": str(left_behind)}
    options |= {"runtime_env": {**runtime_env, "env_vars": variables}, "_temp_dir": str(folder)}
    try:
        ray.init(num_cpus=need.cpus, num_gpus=need.accelerators, include_dashboard=False, **options)
        tempfile.tempdir = str(left_behind)
        yield
    finally:
        tempfile.tempdir = outside
        ray.shutdown()
        _keep_logs(folder, logs)


def require_slots(
    need: Need,
    address: str,
    wait_seconds: float,
    note: Callable[[str], object],
    nodes: Callable[[], Sequence[NodeSlots]] = slots_of_nodes,
    who: Callable[[], list[str]] = holders,
) -> None:
    """Return once a shared cluster can place the run.

    Args:
        need: the slots that the run places.
        address: the cluster, for the message.
        wait_seconds: how long to wait for slots that other jobs hold.
        note: receives a sentence whenever what is waited for changes.
        nodes: lists the cluster's nodes.
        who: lists who holds its accelerators.

    Raises:
        UserError: the cluster could never place the run, or its slots stayed taken.
    """
    deadline, told = time.monotonic() + wait_seconds, ""
    while (missing := shortage(need, nodes())) is not None:
        if missing.kind != "taken":
            raise UserError(f"the Ray cluster at {address} cannot place this run: {missing.why}")
        by = who()
        why = f"{missing.why} ({'; '.join(by[:3])})" if by else missing.why
        if time.monotonic() >= deadline:
            raise UserError(
                f"the Ray cluster at {address} is taken: {why}; resources.wait_minutes=60 waits up to an hour, "
                "`innovator runs stop NAME` ends a run after its step"
            )
        if why != told:
            note(f"waiting for slots: {why}")
            told = why
        time.sleep(min(SLOT_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def sweep() -> list[Path]:
    """Delete the temporary folders of runs that were killed, and return them.

    A folder goes when it is this user's, its owner is gone, and no process names it in its command.
    """
    mine = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _is_mine(path)]
    if not mine:
        return []
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    stale = [path for path in mine if not _owned(path) and not any(str(path) in command for command in commands)]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return stale


def _is_mine(path: Path) -> bool:
    """Return whether a path is a folder of this user; one that another run deletes meanwhile is none."""
    with contextlib.suppress(OSError):
        state = path.lstat()
        return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()
    return False


def _owned(folder: Path) -> bool:
    """Return whether the owner lives; a folder without one counts as owned while it is being made."""
    record = read_json(folder / OWNER)
    if record is None:
        try:
            return time.time() - folder.stat().st_mtime < 60
        except OSError:  # another run deletes it
            return True
    return find_process(record) is not None


def _keep_logs(folder: Path, logs: Path) -> None:
    """Move what Ray wrote about the run next to the run; remove the rest."""
    source = folder / "session_latest" / "logs"
    if source.is_dir():
        target = logs / f"ray-{time.strftime('%Y%m%d-%H%M%S')}"
        with contextlib.suppress(OSError, shutil.Error):  # a full disk keeps no logs, and hides no cause
            shutil.copytree(source.resolve(), target, symlinks=True, ignore_dangling_symlinks=True)
    shutil.rmtree(folder, ignore_errors=True)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
