"""Register verl's FSDP engines for the device "cpu", where they run unchanged.

verl registers them for "cuda" and "npu" only. They are registered for "cpu" through verl's own
`EngineRegistry.register`, as soon as their module is imported.
"""

from types import ModuleType

from innovator_rl.platform.import_hooks import after_import
from innovator_rl.platform.shims.base import Shim

NAME = "register_fsdp_engine_cpu"
MODEL_TYPES = ("language_model", "value_model")
BACKENDS = ("fsdp", "fsdp2")


def needed() -> bool:
    """Return True: the registry decides once the engines exist."""
    return True  # the registry itself is checked in `_register_for_cpu`, once the engines exist


def _register_for_cpu(module: ModuleType) -> None:
    from verl.workers.engine.base import EngineRegistry

    for model_type in MODEL_TYPES:
        for backend in BACKENDS:
            engines = EngineRegistry._engines[model_type][backend]
            if "cpu" not in engines:
                EngineRegistry.register(model_type=model_type, backend=backend, device="cpu")(engines["cuda"])


def apply() -> None:
    """Register the engines after verl's module has been imported."""
    after_import("verl.workers.engine.fsdp.transformer_impl", _register_for_cpu)


SHIM = Shim(
    name=NAME,
    works_around="verl registers its FSDP engines for cuda and npu only",
    seen_in="verl 0.9.1",
    platforms=("cpu",),
    needed=needed,
    apply=apply,
)
