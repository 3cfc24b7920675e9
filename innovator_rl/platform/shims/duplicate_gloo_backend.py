"""Correct verl's backend string `cpu:gloo,cpu:gloo`, which torch refuses.

`initialize_global_process_group_ray` builds its default backend string as `cpu:gloo,{device}:{backend}`. It takes the
backend as an argument, so the correction is another default: `cpu:gloo`.
"""

import functools
from types import ModuleType

from innovator_rl.platform.import_hooks import after_import
from innovator_rl.platform.shims.base import Shim, require_parameters

NAME = "duplicate_gloo_backend"


def needed() -> bool:
    """Return True: the default starts with `cpu:gloo` for every device."""
    return True


def _default_to_gloo_alone(module: ModuleType) -> None:
    stock = module.initialize_global_process_group_ray
    require_parameters(NAME, stock, ("timeout_second", "backend"))

    @functools.wraps(stock)
    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        stock(timeout_second=timeout_second, backend=backend or "cpu:gloo")

    module.initialize_global_process_group_ray = initialize  # type: ignore[attr-defined]


def apply() -> None:
    """Correct the default after verl's module has been imported."""
    after_import("verl.utils.distributed", _default_to_gloo_alone)


SHIM = Shim(
    name=NAME,
    works_around="verl.utils.distributed builds the backend string cpu:gloo,cpu:gloo, which torch refuses",
    seen_in="verl 0.9.1",
    platforms=("cpu",),
    needed=needed,
    apply=apply,
)
