"""Becomes an ordinary user and runs the attacks: `python as_nobody.py REPOSITORY`, as root. Prints JSON.

The interpreter and the repository may lie in folders that only root may enter; a mount namespace of this process's own
opens them for it.
"""

import importlib
import json
import os
import sys
from pathlib import Path

REPOSITORY = Path(sys.argv[1])
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests/sandbox")]

kernel = importlib.import_module("rewards.code.sandbox.inside.kernel")

NOBODY = 65534
STAGE = "/mnt"


def private_ancestor(path: Path) -> Path | None:
    for step in [*reversed(path.parents), path]:
        if os.stat(step).st_mode & 0o005 != 0o005:
            return step
    return None


def open_up(paths: list[Path]) -> None:
    """Make `paths` reachable for everybody, in this process's view alone."""
    kernel.unshare(kernel.NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    closed = {path: step for path in paths if (step := private_ancestor(path))}
    kernel.mount("stage", STAGE, "tmpfs", 0, "mode=0755")
    for number, path in enumerate(closed):
        os.mkdir(f"{STAGE}/{number}")
        kernel.mount(str(path), f"{STAGE}/{number}", None, kernel.MS_BIND | kernel.MS_REC)
    for step in dict.fromkeys(closed.values()):
        kernel.mount("opened", str(step), "tmpfs", 0, "mode=0755")
    for number, path in enumerate(closed):
        path.mkdir(parents=True, exist_ok=True)
        kernel.mount(f"{STAGE}/{number}", str(path), None, kernel.MS_BIND | kernel.MS_REC)


def main() -> None:
    open_up([Path(sys.base_prefix), Path(sys.prefix).resolve(), REPOSITORY])
    kernel.become(NOBODY)
    os.environ["HOME"] = "/tmp"
    import test_attacks

    from rewards.code.sandbox import layers
    from rewards.code.sandbox.executor import Sandbox

    report = layers.probe_isolation()
    escaped = []
    with Sandbox() as sandbox, layers._canary() as canary:
        try:
            test_attacks.attack_all(sandbox, canary)
        except AssertionError as error:
            escaped.append(str(error)[:300])
    print(
        json.dumps({"user": os.getuid(), "properties": report.properties, "layers": report.put_up, "escaped": escaped})
    )


if __name__ == "__main__":
    main()
