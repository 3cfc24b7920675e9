"""Define one thing that is wrong, or worth knowing, about a run before it starts."""

from dataclasses import dataclass
from typing import Any, Literal

from innovator_rl.secret_values import mask

PAGE = "docs/troubleshooting.md"
OPEN = ("reward.routes", "data.mixture", "verl", "package", "environment", "machine", "rewarder")
"""Settings whose last part is a name of the run: all of them share one section of the page."""

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A setting, its value, why it matters and what to do.

    Errors stop a run, warnings do not. `section` is that of docs/troubleshooting.md; by default it follows from the setting.
    """

    setting: str
    value: Any
    why: str
    fix: str
    severity: Severity = "error"
    section: str = ""

    def line(self) -> str:
        """Format as one line: `error: rollout.samples_per_prompt = 1: ...; ... [PAGE#anchor]`."""
        shown = "" if self.value is None else f" = {mask(repr(self.value)):.100}"
        return f"{self.severity}: {self.setting}{shown}: {self.why}; {self.fix} [{self.help}]"

    @property
    def help(self) -> str:
        """Page and section with every reason for this diagnostic."""
        return f"{PAGE}#{self.section or anchor(self.setting)}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        value = self.value if isinstance(self.value, (str, int, float, bool, type(None))) else str(self.value)
        return {
            "setting": self.setting,
            "value": value,
            "why": self.why,
            "fix": self.fix,
            "severity": self.severity,
            "help": self.help,
        }


def anchor(setting: str) -> str:
    """Return the section of docs/troubleshooting.md about a setting: `rollout-top_p`, `reward-routes`."""
    words = setting.lower()
    for name in OPEN:
        if words.startswith((f"{name}.", f"{name} ")):
            words = name
    return words.replace(".", "-").replace(" ", "-")
