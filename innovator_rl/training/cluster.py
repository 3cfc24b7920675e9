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
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from innovator_rl.errors import UserError
from innovator_rl.runs.files import read_json
from innovator_rl.runs.provenance import find_process, process_identity

PREFIX = "innovator-ray-"
OWNER = "owner.json"
"""File in Ray's temporary folder that names the process the folder belongs to."""


@contextlib.contextmanager
def ray_cluster(
    address: str | None, cpus: int, accelerators: int, runtime_env: dict[str, Any], logs: Path
) -> Iterator[None]:
    """Connect to Ray for the time of the `with` block.

    Args:
        address: a cluster to join; None joins RAY_ADDRESS if set and starts a local instance otherwise.
        cpus: Ray CPU slots the run's actors and placement groups need together.
        accelerators: slots called "GPU" that the training workers take.
        runtime_env: Ray's runtime environment of every worker process.
        logs: folder that receives Ray's own logs of a local instance.

    Raises:
        UserError: the cluster cannot be reached, or could never place this run (Ray itself would wait for ever).
    """
    import ray

    address = address or os.environ.get("RAY_ADDRESS") or None
    options: dict[str, Any] = {
        "runtime_env": runtime_env,
        "log_to_driver": True,
        "logging_level": "warning",
    }
    if address is not None:
        try:
            ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"resources.ray_address={address}: no Ray cluster answers there ({_line(error)}); "
                "start one with `ray start --head`, or leave the setting out"
            ) from error
        try:
            _require_room(ray.cluster_resources(), cpus, accelerators, address)
            yield
        finally:
            ray.shutdown()
        return
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / OWNER).write_text(json.dumps(process_identity()))
    try:
        ray.init(num_cpus=cpus, num_gpus=accelerators, include_dashboard=False, _temp_dir=str(folder), **options)
        yield
    finally:
        ray.shutdown()
        _keep_logs(folder, logs)


def _require_room(resources: dict[str, float], cpus: int, accelerators: int, address: str) -> None:
    """Raise `UserError` where the cluster has fewer slots than the run needs."""
    for name, need, flag in (("CPU", cpus, "--num-cpus"), ("GPU", accelerators, "--num-gpus")):
        have = resources.get(name, 0.0)
        if have < need:
            raise UserError(
                f"the Ray cluster at {address} offers {have:g} {name} slots and this run places {need}: it would wait for ever; "
                f"start it with `ray start --head {flag}={need} ...` (slots are bookkeeping, not cores) or lower resources.*"
            )


def sweep() -> list[Path]:
    """Delete the temporary folders of runs that were killed, and return them.

    A folder goes when it is this user's, its owner is gone, and no process names it in its command.
    """
    found = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if path.is_dir()]
    mine = [path for path in found if path.stat().st_uid == os.getuid()]
    if not mine:
        return []
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    stale = [path for path in mine if not _owned(path) and not any(str(path) in command for command in commands)]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return stale


def _owned(folder: Path) -> bool:
    """Return whether the owner lives; a folder without one counts as owned while it is being made."""
    record = read_json(folder / OWNER)
    if record is None:
        return time.time() - folder.stat().st_mtime < 60
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
