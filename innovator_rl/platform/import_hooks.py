"""Run a function right after a given module has been imported.

Several shims must register something with, or correct something in, modules of verl that take seconds to import
(`verl.workers.engine` pulls in FSDP, transformers' models and more). The plugin is loaded by every process that says
`import verl`, most of which never touch those modules, so importing them eagerly is out of the question. Python
offers a hook for exactly this: a finder on `sys.meta_path` may wrap the loader of a module it is asked for.

An exception in the function propagates out of the import statement: a shim that no longer fits is then a traceback
with its name in it, at the place where the module is first needed, and never a silent no-op.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Callback = Callable[[ModuleType], None]


class _PostImportFinder(MetaPathFinder):
    """A finder that finds nothing itself: it wraps the loader of the other finders."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callback]] = {}
        self._searching: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that is waited for, with a wrapped loader."""
        if fullname not in self.waiting or fullname in self._searching:
            return None
        self._searching.add(fullname)  # the search below comes back through this finder
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching.discard(fullname)
        if spec is not None and spec.loader is not None:
            self._call_back_after(spec, fullname)
        return spec

    def _call_back_after(self, spec: ModuleSpec, fullname: str) -> None:
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_then_call_back(module: ModuleType) -> None:
            execute(module)
            for callback in self.waiting.pop(fullname, ()):
                callback(module)

        # A source loader belongs to this one spec, so an attribute on the instance reaches no other module.
        spec.loader.exec_module = execute_then_call_back  # type: ignore[method-assign]


_FINDER = _PostImportFinder()


def after_import(name: str, callback: Callback) -> None:
    """Call `callback(module)` once, now or after the module's import."""
    module = sys.modules.get(name)
    if module is not None and not _is_half_loaded(module):
        callback(module)
        return
    assert module is None, f"{name} is being imported right now: its end cannot be waited for any more"
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.waiting.setdefault(name, []).append(callback)


def _is_half_loaded(module: ModuleType) -> bool:
    """Return whether the import of the module has not returned yet.

    importlib's own flag tells.
    """
    return bool(getattr(module.__spec__, "_initializing", False))
