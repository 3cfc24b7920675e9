"""Call the drawing functions in another process.

The server itself never imports RDKit.
"""

from __future__ import annotations

from typing import Any


def figures(predicted: str, gold: str) -> dict[str, Any]:
    """Call `drawing.figures`."""
    from innovator_rl.dashboard.molecules import drawing

    return drawing.figures(predicted, gold)


def draw(predicted: str, gold: str, theme: str, side: str, width: int, height: int) -> str:
    """Call `drawing.draw`."""
    from innovator_rl.dashboard.molecules import drawing

    return drawing.draw(predicted, gold, theme, side, width, height)
