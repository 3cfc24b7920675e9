"""Build Markdown tables and numbers; one style for every section."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table; cells are escaped, a missing table has no lines.

    Args:
        header: Names of the columns.
        rows: Cells of each row, as many as the header has.
    """
    body = [line(row) for row in rows]
    if not body:
        return []
    return [line(header), line(["---"] * len(header)), *body, ""]


def line(cells: Sequence[object]) -> str:
    """Return one row of a table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def link(text: str, address: str) -> str:
    """Return a link."""
    return f"[{text}]({address})"


def percent(value: float | None, interval: Sequence[float] | None = None) -> str:
    """Return a share in percent with its interval in percent; a dash where nothing was measured."""
    if value is None:
        return "-"
    text = f"{100 * value:.1f}"
    return f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else text


def number(value: object, digits: int = 3) -> str:
    """Return a number with a fixed number of decimals; a dash where nothing was measured."""
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else "-"
