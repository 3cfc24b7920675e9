"""Detect the platform of a process: "cpu" or "cuda".

"cuda" is any accelerator that verl supports by itself. The detection runs at `import verl` in every process of a run,
so it starts nothing and initializes no driver. A Ray actor without a GPU of its own sees no device even on a GPU
machine (Ray empties CUDA_VISIBLE_DEVICES), so "no visible device" alone must not switch the whole platform over: the
build of torch, the driver's device files and the environment decide.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from innovator_rl.config.resolve import Platform
    from innovator_rl.config.schema import RunConfig
    from innovator_rl.config.sft import SftConfig

# Written by the NVIDIA, AMD and Ascend kernel drivers when they find a device.
_DEVICE_FILES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/davinci_manager")


def detect() -> tuple[str, str]:
    """Return the name of the platform and the reason.

    `INNOVATOR_PLATFORM` decides, then `VERL_PLATFORM`, then the machine.

    Raises:
        UserError: `INNOVATOR_PLATFORM` has another value.
    """
    requested = os.environ.get("INNOVATOR_PLATFORM", "").strip().lower()
    if requested in ("cpu", "cuda"):
        return requested, f"INNOVATOR_PLATFORM={requested}"
    if requested not in ("", "auto"):
        raise UserError(f"INNOVATOR_PLATFORM={requested}: must be cpu, cuda or auto")
    chosen = os.environ.get("VERL_PLATFORM", "").strip().lower()
    if chosen:
        return ("cpu" if chosen == "cpu" else "cuda"), f"VERL_PLATFORM={chosen}"
    return _detect_from_machine()


def _detect_from_machine() -> tuple[str, str]:
    import torch

    if torch.version.cuda is None and torch.version.hip is None and not hasattr(torch, "npu"):
        return "cpu", f"torch {torch.__version__} is a CPU build"
    found = [path for path in _DEVICE_FILES if Path(path).exists()]
    if found:
        return "cuda", f"an accelerator's driver is loaded ({found[0]})"
    if torch.cuda.is_available():
        return "cuda", "torch.cuda.is_available()"
    return "cpu", "no accelerator's driver is loaded and torch.cuda.is_available() is false"


def detect_platform(config: RunConfig | SftConfig) -> Platform:
    """Return the platform of a run.

    `auto` is what `detect` finds (environment, torch build, driver).
    """
    if config.resources.platform != "auto":
        return config.resources.platform
    return "cpu" if detect()[0] == "cpu" else "cuda"
