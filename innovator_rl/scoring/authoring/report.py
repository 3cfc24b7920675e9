"""Report what a check of a rewarder found, as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, Literal

Severity = Literal["fail", "warn"]
BAR = 40
MAX_SHOWN = 160


@dataclasses.dataclass(frozen=True)
class CheckProblem:
    """Something to fix: the part of the check, what was seen, and the fix.

    A problem of severity `warn` leaves the rewarder ready.
    """

    part: str
    seen: str
    fix: str
    severity: Severity = "fail"

    def line(self) -> str:
        """Return the problem as one line of text."""
        return f"{self.severity.upper()} {self.part}: {_short(self.seen)}; {self.fix}"


@dataclasses.dataclass
class Report:
    """The result of `innovator reward check`: latency in ms, memory in MiB, counts."""

    rewarder: str
    version: str = ""
    golden_file: str = ""
    problems: list[CheckProblem] = dataclasses.field(default_factory=list)
    golden: Counter[str] = dataclasses.field(default_factory=Counter)
    probes: int = 0
    slowest_probe: tuple[str, float] = ("", 0.0)
    best_constant: float | None = None
    latency_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    memory_mb: float = 0.0
    values: list[float] = dataclasses.field(default_factory=list)
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def ready(self) -> bool:
        """Return whether nothing must be fixed."""
        return not any(problem.severity == "fail" for problem in self.problems)

    def problem(self, part: str, seen: str, fix: str, severity: Severity = "fail") -> None:
        """Add something to fix."""
        self.problems.append(CheckProblem(part, seen, fix, severity))

    def histogram(self) -> dict[str, int]:
        """Count the values of golden cases and probes in ten equal bins."""
        if not self.values:
            return {}
        low, high = min(self.values), max(self.values)
        width = (high - low) / 10 or 1.0
        bins = Counter(min(int((value - low) / width), 9) for value in self.values)
        return {f"{low + i * width:.2f}..{low + (i + 1) * width:.2f}": bins[i] for i in range(10) if bins[i]}

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "values"}
        fields["problems"] = [dataclasses.asdict(problem) for problem in self.problems]
        return fields | {"histogram": self.histogram(), "result": "ready" if self.ready else "not ready"}

    def text(self) -> str:
        """Return the report as text."""
        lines = [f"{self.rewarder}  version {self.version or '?'}  checked in {self.seconds:.1f} s"]
        if self.golden:
            cases = ", ".join(f"{count} {kind}" for kind, count in sorted(self.golden.items()))
            lines.append(f"golden cases   {cases}  ({self.golden_file})")
        if self.probes:
            name, seconds = self.slowest_probe
            lines.append(f"probes         {self.probes}, the slowest {seconds * 1000:.0f} ms ({name})")
        if self.best_constant is not None:
            lines.append(
                f"best constant  {self.best_constant:.3f}: what one golden answer earns on references it is wrong for"
            )
        if self.latency_ms:
            shown = "  ".join(f"{name} {value:.2f}" for name, value in self.latency_ms.items())
            lines.append(f"latency (ms)   {shown}  peak memory {self.memory_mb:.0f} MiB")
        if self.values:
            lines.append(f"values         {'  '.join(f'{name} {n}' for name, n in self.outcomes.most_common())}")
            most = max(self.histogram().values())
            lines += [f"  {name:>14}  {'#' * max(1, BAR * n // most)} {n}" for name, n in self.histogram().items()]
        lines += [problem.line() for problem in self.problems]
        lines.append("result         " + ("ready" if self.ready else "NOT ready"))
        return "\n".join(lines)


def _short(text: str) -> str:
    plain = text.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= MAX_SHOWN else plain[:MAX_SHOWN] + "..."
