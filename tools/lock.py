"""Write requirements/cpu.lock with the hashes of every package's files.

The packages are those of requirements/cpu.in.

    pip install uv
    python -m tools.lock

torch is the exception. On x86_64 the package index offers a CUDA build under the same version, which does not import without
NVIDIA's libraries, so the lock names the CPU builds alone and an installation of any other build fails with its hash.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "requirements"
PYTHON = "3.11.5"
CPU_BUILDS = {
    "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    "torch-2.13.0-cp311-cp311-manylinux_2_28_aarch64.whl": "092790c696a760c729fd5722835f50b9d81fd7c8f141571f3f3cf4081a8f664c",
}
"""File of torch -> its SHA-256."""


def with_cpu_torch(lock: str) -> str:
    """Replace the hashes of torch by those of its CPU builds."""
    lines = " \\\n".join(f"    --hash=sha256:{digest}" for digest in CPU_BUILDS.values())
    return re.sub(
        r"(?m)^(torch==\S+) \\\n(?:    --hash=\S+(?: \\)?\n)+", lambda found: f"{found[1]} \\\n{lines}\n", lock
    )


def main() -> int:
    """Compile the lock; return the exit status."""
    source = FOLDER / "cpu.in"
    command = ["uv", "pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header", "--no-annotate"]
    done = subprocess.run([*command, "--python-version", PYTHON, str(source)], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return done.returncode
    comment = "".join(line for line in source.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))
    head = f"{comment}# Written by `python -m tools.lock`; edit cpu.in.\n"
    (FOLDER / "cpu.lock").write_text(head + with_cpu_torch(done.stdout), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
