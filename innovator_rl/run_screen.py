"""Show a recorded or live run on a terminal, for people on ssh: `innovator runs top`.

The view reads the same files as the dashboard: run.json for the state, metrics.jsonl for the figures, the rollout record
for the newest responses. `screen` builds what is shown from them; `watch` draws it again and again.
"""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from innovator_rl.rollouts.store import Store
from innovator_rl.runs.files import duration
from innovator_rl.runs.reading import as_number
from innovator_rl.runs.run_dir import RunDir, RunState
from innovator_rl.runs.summary import overall_accuracy, overall_reward, step_figures, trained_domains

STEPS = 10
RESPONSES = 4
RESPONSE_CHARS = 200
BARS = "▁▂▃▄▅▆▇█"
TONES = {"running": "green", "starting": "cyan", "finished": "blue", "stopped": "yellow"}


def watch(run: RunDir, console: Console, every: float, rounds: int | None = None) -> None:
    """Draw the run every few seconds until it ends, Ctrl-C, or `rounds` are over."""
    frames = Live(screen(run), console=console, screen=console.is_terminal, auto_refresh=False, transient=True)
    with frames as live:
        drawn = 1
        while (rounds is None or drawn < rounds) and run.state().live:
            time.sleep(every)
            live.update(screen(run), refresh=True)
            drawn += 1
    console.print(screen(run))


def screen(run: RunDir) -> RenderableType:
    """Return what is shown of a run now."""
    state = run.state()
    lines = [line for line in run.metrics() if any("/" in name and not name.startswith("val") for name in line)]
    parts: list[RenderableType] = [_head(state)]
    if lines:
        parts += [_curve(lines), _steps(lines[-STEPS:]), _domains(lines[-1])]
    parts.append(_responses(run))
    return Panel(Group(*parts), title=Text(_plain(run.name), style="bold"), border_style=TONES.get(state.status, "red"))


def _head(state: RunState) -> RenderableType:
    words = [state.status, state.phase if state.live else "", state.detail]
    text = Text("  ".join(_plain(word) for word in words if word), style=TONES.get(state.status, "red"))
    if state.live:
        text.append(f"  heartbeat {duration(max(0.0, state.heartbeat_age))} ago", style="dim")
    if not state.total_steps:
        return Text.assemble(text, f"  step {state.step}")
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_row(
        f"step {state.step} of {state.total_steps}",
        ProgressBar(total=state.total_steps, completed=state.step, width=40),
        text,
    )
    return row


def _curve(lines: list[dict[str, Any]]) -> RenderableType:
    everything = [overall_reward(trained_domains(line)) for line in lines]
    trained = [as_number(step_figures(line).get("reward")) for line in lines]
    row = Table.grid(padding=(0, 2))
    for name, values in (("reward, all samples", everything), ("reward, trained samples", trained)):
        if any(value is not None for value in values):
            row.add_row(name, sparkline(values[-60:]), _number(values[-1]))
    return row


def sparkline(values: list[float | None]) -> str:
    """Return a line of block characters, a space where a value is missing."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else BARS[round((value - low) * scale)] for value in values)


def _steps(lines: list[dict[str, Any]]) -> RenderableType:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("step", "reward, all", "trained", "accuracy, all", "tokens", "kept groups", "time"):
        table.add_column(name, justify="right")
    for line in lines:
        figures, domains = step_figures(line), trained_domains(line)
        seconds = as_number(figures.get("seconds"))
        table.add_row(
            str(line["step"]),
            _number(overall_reward(domains)),
            _number(figures.get("reward")),
            _number(overall_accuracy(domains)),
            _number(figures.get("response_tokens"), 0),
            _number(figures.get("groups_kept"), 0),
            "" if seconds is None else duration(seconds),
        )
    return table


def _domains(line: dict[str, Any]) -> RenderableType:
    found = trained_domains(line)
    if not found:
        return Text("")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("domain", "reward", "accuracy", "responses"):
        table.add_column(name, justify="left" if name == "domain" else "right")
    for name, values in sorted(found.items()):
        table.add_row(
            _plain(name), *(_number(values[key]) for key in ("reward", "accuracy")), _number(values["responses"], 0)
        )
    return table


def _responses(run: RunDir) -> RenderableType:
    try:
        store = Store(run.path, threads=1)
        steps = store.steps()
        rows = (
            store.rollouts(steps[-1], with_text=True, order_by="written_at", descending=True, limit=RESPONSES)
            if steps
            else []
        )
    except Exception as error:  # a damaged record must not end the view of a live run
        return Text(f"responses cannot be read: {type(error).__name__}", style="red")
    shown = [
        Text.assemble(
            (f"{'✓' if row['correct'] else '✗'} {_number(row['reward'])} ", "green" if row["correct"] else "red"),
            (f"{_plain(row['domain'] or '')}  ", "dim"),
            _plain(" ".join((row["response"] or "").split())[:RESPONSE_CHARS]),
        )
        for row in rows
    ]
    return (
        Group(Text("newest responses", style="dim"), *shown)
        if shown
        else Text("no response is recorded yet", style="dim")
    )


def _number(value: Any, digits: int = 3) -> str:
    number = as_number(value)
    return "" if number is None else f"{number:.{digits}f}"


def _plain(text: str) -> str:
    """Return text without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else "�" for char in text)
