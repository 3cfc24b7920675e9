"""Call a rewarder's `health(settings)`, its own check of this machine.

`settings` are those of `reward.` by name; the result is a list of mappings with `setting`, `value`, `why`, `fix` and
`severity`, as in a `Diagnostic`. A rewarder is a plugin: it is imported here by its entry point, and whatever it raises
becomes a diagnostic.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

from innovator_rl.preflight.diagnostic import Diagnostic, Severity
from innovator_rl.scoring import registry


def check(names: Iterable[str], settings: Mapping[str, Any], failure: Severity = "error") -> Iterator[Diagnostic]:
    """Yield the diagnostics of the installed rewarders among `names`.

    Args:
        names: rewarders; those that are not installed are skipped.
        settings: those of `reward.`, by name.
        failure: the severity of a rewarder whose check fails itself.
    """
    for name in sorted(set(names) & set(registry.names())):
        try:
            module, _, attribute = registry.target(name).partition(":")
            found = reduce(getattr, attribute.split("."), importlib.import_module(module))
            health = getattr(found, "health", None)
            yield from [Diagnostic(**answer) for answer in (health(settings) if health else ())]
        except Exception as error:
            why = f"its health check failed: {type(error).__name__}: {error}"
            yield Diagnostic(
                setting=f"rewarder {name}", value=None, why=why, fix="repair or uninstall it", severity=failure
            )
