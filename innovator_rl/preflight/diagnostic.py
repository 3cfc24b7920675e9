"""Define one thing that is wrong, or worth knowing, about a run before it starts."""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A setting, its value, why it matters and what to do.

    Errors stop a run, warnings do not.
    """

    setting: str
    value: Any
    why: str
    fix: str
    severity: Severity = "error"

    def line(self) -> str:
        """Format as one line: `error: rollout.samples_per_prompt = 1: ...; ...`."""
        shown = "" if self.value is None else f" = {self.value!r:.100}"
        return f"{self.severity}: {self.setting}{shown}: {self.why}; {self.fix}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        value = self.value if isinstance(self.value, (str, int, float, bool, type(None))) else str(self.value)
        return {"setting": self.setting, "value": value, "why": self.why, "fix": self.fix, "severity": self.severity}
