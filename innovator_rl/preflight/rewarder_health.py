"""What rewarders say about this machine: a rewarder may offer `health(settings)`, and it is asked before a run.

`settings` are those of `reward.` by name; the answer is a list of mappings with `setting`, `value`, `why`, `fix` and
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
    """The diagnostics of the installed rewarders among `names`; `failure` is how grave one is that cannot be asked."""
    for name in sorted(set(names) & set(registry.names())):
        try:
            module, _, attribute = registry.target(name).partition(":")
            found = reduce(getattr, attribute.split("."), importlib.import_module(module))
            health = getattr(found, "health", None)
            yield from [Diagnostic(**answer) for answer in (health(settings) if health else ())]
        except Exception as error:
            why = f"it cannot say whether it works here: {type(error).__name__}: {error}"
            yield Diagnostic(
                setting=f"rewarder {name}", value=None, why=why, fix="repair or uninstall it", severity=failure
            )
