"""Register the platform "cpu" with verl's `PlatformRegistry`.

Two values are not what their names suggest. `ray_resource_name` is "GPU" because verl counts the workers a cluster
can hold by the Ray resources "GPU" and "NPU" only: a CPU run starts Ray with that many virtual slots.
`is_ipc_supported` is false, which makes verl move weights to the rollout engine through shared memory.
"""

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from typing_extensions import override
from verl.plugin.platform import PlatformBase, PlatformRegistry

from innovator_rl.platform import cpu_device


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):
    """verl's view of a machine without an accelerator."""

    @property
    @override
    def device_name(self) -> str:
        return "cpu"

    @property
    @override
    def vendor_name(self) -> str:
        return "cpu"

    @property
    @override
    def device_module(self) -> ModuleType:
        return cpu_device

    @override
    def is_available(self) -> bool:
        return True

    @override
    def current_device(self) -> Any:
        return cpu_device.current_device()

    @override
    def device_count(self) -> int:
        return cpu_device.device_count()

    @override
    def set_device(self, device_index: int) -> None:
        cpu_device.set_device(device_index)

    @override
    def synchronize(self, device_index: int | None = None) -> None:
        torch.cpu.synchronize()

    @override
    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    @override
    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    @override
    def set_allocator_settings(self, settings: str) -> None:
        """Ignore the settings, which are those of the CUDA allocator."""

    @override
    def empty_cache(self) -> None:
        cpu_device.empty_cache()

    @override
    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    @override
    def communication_backend_name(self) -> str:
        return "gloo"

    @override
    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"  # what Ray sets for its "GPU" slots

    @override
    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    @override
    def profiler_start(self) -> None:
        """Do nothing; there is no device profiler."""

    @override
    def profiler_stop(self) -> None:
        """Do nothing; there is no device profiler."""

    @override
    def ray_resource_name(self) -> str:
        return "GPU"

    @override
    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    @override
    def is_ipc_supported(self) -> bool:
        return False

    @override
    def cudart(self) -> Any:
        return None
