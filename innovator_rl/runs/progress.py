"""Show the progress of a run: a live panel on a terminal, else one line per step.

The trainer reports plain values. The state, the text made of it and the printing are three layers, so that what is
shown can be tested as text.

    with Progress("demo", total_steps=100) as progress:
        progress.phase("starting", detail="Ray and 2 workers")
        progress.phase("generating", step=1, done=0, total=512)
        progress.advance(128)
        progress.step(1, {"reward": 0.4, "accuracy": 0.38, "domains": {"physics": {"accuracy": 0.42}}, ...})
        progress.validation(10, {"accuracy": 0.5, "domains": {...}})
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from innovator_rl.runs.files import duration
from innovator_rl.runs.summary import Domains, step_figures, validation_figures

PHASES = ("starting", "generating", "updating", "syncing", "validating", "saving")
STEPS_FOR_ESTIMATE = 10  # steps get longer as responses do, so only recent ones predict the rest


@dataclass
class ProgressState:
    """The current state of the run; times are seconds of one monotonic clock.

    `last` keys, all optional: reward, accuracy, domains {name: {accuracy, reward, responses}}, groups_kept,
    groups_dropped {reason: count}, tokens_per_second, response_tokens, seconds, weight_version.
    """

    name: str
    total_steps: int
    started: float
    step: int = 0
    phase: str = "starting"
    detail: str = ""
    phase_started: float = 0.0
    done: int = 0
    total: int | None = None
    unit: str = ""
    extra: str = ""
    last: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    validation_step: int | None = None
    first_validation: float | None = None
    completed: int = 0
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=STEPS_FOR_ESTIMATE))

    def seconds_left(self) -> float | None:
        """Estimate the time left from the recent steps; None before the first one."""
        if not self.durations:
            return None
        return sum(self.durations) / len(self.durations) * (self.total_steps - self.completed)


def percent(value: Any) -> str:
    """Format a share as `38%`, or `?` for a missing one."""
    return f"{float(value):.0%}" if value is not None else "?"


def groups_text(last: Mapping[str, Any]) -> str:
    """Format group counts: `48 kept, 16 dropped (all_wrong 12, all_correct 4)`."""
    dropped = {reason: count for reason, count in (last.get("groups_dropped") or {}).items() if count}
    text = f"{last.get('groups_kept', '?')} kept"
    if dropped:
        parts = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1]))
        text += f", {sum(dropped.values())} dropped ({parts})"
    return text


def domains_text(domains: Mapping[str, Mapping[str, Any]]) -> str:
    """Format accuracy by domain, sorted by name: `math 31%  physics 42%`."""
    return "  ".join(f"{name} {percent(values.get('accuracy'))}" for name, values in sorted(domains.items()))


def step_line(state: ProgressState) -> str:
    """Format the last step as one line."""
    last = state.last
    parts = [f"step {state.completed}/{state.total_steps}"]
    if last.get("reward") is not None:
        parts.append(f"reward {float(last['reward']):.3f}")
    if last.get("accuracy") is not None:
        parts.append(f"correct {percent(last['accuracy'])}")
    if last.get("domains"):
        parts.append(domains_text(last["domains"]))
    if "groups_kept" in last:
        parts.append(f"groups {groups_text(last)}")
    if last.get("tokens_per_second") is not None:
        parts.append(f"{float(last['tokens_per_second']):,.0f} tokens/s")
    if state.durations:
        parts.append(duration(state.durations[-1]))
    left = state.seconds_left()
    if left is not None:
        parts.append(f"{duration(left)} left")
    return " | ".join(parts)


def validation_line(state: ProgressState) -> str:
    """Format the last validation as one line, with the change since the first."""
    accuracy = state.validation.get("accuracy")
    text = f"validation at step {state.validation_step} | correct {percent(accuracy)}"
    if accuracy is not None and state.first_validation is not None and state.validation_step:
        text += f" ({(float(accuracy) - state.first_validation) * 100:+.1f} points since the start)"
    if state.validation.get("domains"):
        text += f" | {domains_text(state.validation['domains'])}"
    return text


def phase_text(state: ProgressState, now: float) -> str:
    """Format the current phase and its time: `generating 128/512 responses, 12 s`."""
    text = state.phase
    if state.total:
        text += f" {state.done}/{state.total} {state.unit}".rstrip()
    if state.extra:
        text += f", {state.extra}"
    if state.detail:
        text += f": {state.detail}"
    return f"{text}, {duration(max(0.0, now - state.phase_started))}"


def render(state: ProgressState, now: float) -> RenderableType:
    """Render the panel for a terminal."""
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True, justify="right")
    left = state.seconds_left()
    bar.add_row(
        f"step {state.completed}/{state.total_steps}",
        ProgressBar(total=max(state.total_steps, 1), completed=state.completed),
        f"{duration(left)} left" if left is not None else f"{duration(now - state.started)} so far",
    )
    details = Table.grid(padding=(0, 2))
    details.add_column(style="dim", no_wrap=True)
    details.add_column()
    details.add_row("now", Text(phase_text(state, now)))
    last = state.last
    if last:
        reward = f"{float(last['reward']):.3f}" if last.get("reward") is not None else "?"
        details.add_row("reward", Text(f"{reward}, correct {percent(last.get('accuracy'))}"))
        details.add_row("groups", Text(groups_text(last)))
        speed = [f"{float(last['tokens_per_second']):,.0f} tokens/s"] if last.get("tokens_per_second") else []
        if last.get("response_tokens") is not None:
            speed.append(f"{float(last['response_tokens']):,.0f} tokens per response")
        if last.get("weight_version") is not None:
            speed.append(f"weights of update {last['weight_version']} in the generator")
        if speed:
            details.add_row("speed", Text(", ".join(speed)))
    if state.validation:
        details.add_row("validation", Text(validation_line(state).partition(" at ")[2]))
    parts: list[RenderableType] = [bar, details]
    if last.get("domains"):
        parts.append(_domain_table(last["domains"], state.validation.get("domains") or {}))
    return Panel(Group(*parts), title=Text(state.name), title_align="left", border_style="cyan")


def _domain_table(train: Mapping[str, Any], validation: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column, justify in (("domain", "left"), ("correct", "right"), ("reward", "right"), ("validation", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name in sorted(set(train) | set(validation)):
        values = train.get(name, {})
        reward = values.get("reward")
        table.add_row(
            name,
            percent(values.get("accuracy")) if values else "",
            f"{float(reward):.3f}" if reward is not None else "",
            percent(validation[name].get("accuracy")) if name in validation else "",
        )
    return table


class Progress:
    """The display of a run's progress.

    The panel starts with the first call and ends with `close`, which is also the end of a `with` block.
    """

    def __init__(
        self,
        name: str,
        total_steps: int,
        stream: TextIO | None = None,
        live: bool | str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Choose how to show the progress.

        Args:
            name: The name of the run.
            total_steps: The number of steps of the whole run.
            stream: Where to write; standard output by default.
            live: "auto" (a panel on a terminal, lines elsewhere), True (a panel) or False (nothing).
            clock: A monotonic clock in seconds.

        Raises:
            ValueError: `live` has another value.
        """
        stream = stream or sys.stdout
        modes = {"auto": "panel" if stream.isatty() else "lines", True: "panel", False: "off"}
        if live not in modes:
            raise ValueError(f"logging.progress={live!r}: use auto, true or false")
        self.mode = modes[live]
        self.clock = clock
        now = clock()
        self.state = ProgressState(name=name, total_steps=total_steps, started=now, phase_started=now)
        self._console = Console(file=stream, highlight=False, soft_wrap=self.mode != "panel")
        self._live: Live | None = None
        self._closed = False
        self._step_started: float | None = None

    def __enter__(self) -> Progress:
        self._show()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the panel, leaving its last state on the screen. Closing twice is harmless."""
        self._closed = True
        if self._live is not None:
            self._live.stop()
            self._live = None

    def resume(self, step: int) -> None:
        """Start from the steps that earlier attempts completed."""
        self.state.completed = self.state.step = step

    def phase(
        self, name: str, step: int | None = None, detail: str = "", done: int = 0, total: int | None = None
    ) -> None:
        """Enter a phase.

        Args:
            name: One of `PHASES` or another word.
            step: The step it belongs to; None for the current one.
            detail: What exactly is done.
            done: How much of it is done.
            total: How much there is to do.
        """
        self._show()
        state, now = self.state, self.clock()
        if name != "starting" and self._step_started is None:
            self._step_started = now  # start-up must not count as the first step's time
        if (name, detail) != (state.phase, state.detail) or (step is not None and step != state.step):
            state.phase_started = now
        state.phase, state.detail, state.done, state.total, state.extra = name, detail, done, total, ""
        state.unit = "responses" if name in ("generating", "validating") else ""
        state.step = state.step if step is None else step
        if self.mode == "lines" and name == "starting":
            self._print(f"{state.name}: starting{f': {detail}' if detail else ''}")

    def advance(self, done: int, total: int | None = None) -> None:
        """Report how much of the phase is done."""
        self.state.done = done
        self.state.total = total or self.state.total

    def sampling(self, kept: int, wanted: int, in_flight: int = 0, dropped: Mapping[str, int] | None = None) -> None:
        """Report dynamic sampling: groups kept, wanted, in flight, and dropped by reason."""
        state = self.state
        state.done, state.total, state.unit = kept, wanted, "groups"
        parts = [f"{in_flight} in flight"] if in_flight else []
        parts += [f"{count} dropped as {reason}" for reason, count in sorted((dropped or {}).items()) if count]
        state.extra = ", ".join(parts)

    def step(self, step: int, metrics: Mapping[str, Any], domains: Domains | None = None) -> None:
        """Report a completed step.

        Args:
            step: Its number.
            metrics: The keys of `ProgressState.last`, or the engine's flat names.
            domains: Figures by domain.
        """
        self._show()
        state, now = self.state, self.clock()
        summary = step_figures(metrics, domains)
        measured = now - (self._step_started if self._step_started is not None else state.started)
        state.durations.append(float(summary.get("seconds") or measured))
        self._step_started = now
        state.last, state.completed, state.step = summary, step, step
        if self.mode == "lines":
            self._print(step_line(state))

    def validation(self, step: int, metrics: Mapping[str, Any], domains: Domains | None = None) -> None:
        """Report a completed validation: `accuracy` and `domains`, or flat metrics."""
        self._show()
        state = self.state
        state.validation, state.validation_step = validation_figures(metrics, domains), step
        accuracy = state.validation.get("accuracy")
        if state.first_validation is None and accuracy is not None:
            state.first_validation = float(accuracy)
        if self.mode == "lines":
            self._print(validation_line(state))

    def note(self, text: str) -> None:
        """Print a line that stays: a checkpoint written, a warning, the run directory."""
        if self.mode != "off":
            self._show()
            self._print(text)

    def _show(self) -> None:
        if self.mode == "panel" and self._live is None and not self._closed:
            # Do not redirect the output of others: this stream may be all that still reaches the terminal.
            self._live = Live(
                console=self._console,
                refresh_per_second=2,
                get_renderable=lambda: render(self.state, self.clock()),
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False)
