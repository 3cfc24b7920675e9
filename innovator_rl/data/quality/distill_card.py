"""Write the card of a quality classifier with its calibration plot; every figure is one of its `model.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from innovator_rl.data.corpus.optional import require
from innovator_rl.errors import UserError

CARD = "README.md"
PLOT = "calibration.png"
NAMES = {"en": "English", "zh": "Chinese"}


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write `README.md`, and `calibration.png` where matplotlib is installed."""
    plotted = plot_calibration(folder / PLOT, card["calibration"])
    (folder / CARD).write_text(render_card(card, plotted), encoding="utf-8")


def render_card(card: dict[str, Any], plotted: bool) -> str:
    """Return the card as Markdown."""
    trained, annotator = card["trained_on"], card["annotator"]
    blocks = [
        "# Quality classifier",
        "Tells good passages from bad ones in English and Chinese: measured signals and hashed character n-grams in boosted trees. "
        "It reads the first 4,000 characters of a document.",
        f"Trained on {trained['passages']:,} passages ({trained['good']:,} good) of {', '.join(trained['sources'])} "
        f"(corpus {card['corpus']['name']}, license: {card['corpus']['license'] or 'see its sources'}) in "
        f"{card['seconds_of_training']:g} s. Measured on {', '.join(card['held_out_sources'])}, which trained nothing.",
        "## Labels",
        f"Annotator: {annotator.get('annotator', 'unknown')}. It decides like a reader on "
        f"{annotator.get('agreement', 0):.1%} of {annotator.get('gold passages', 0)} gold passages (required: "
        f"{annotator.get('required agreement', 0):.1%}). A passage is good where the annotator keeps it and it is not a damaged copy.",
        "## Accuracy on held-out sources",
        _table(
            ("language", "accuracy", "95 % interval", "passages", "always the larger class"),
            [(NAMES.get(n, n), *_figures(f), f"{f['majority']:.1%}") for n, f in card["languages"].items()],
        ),
        f"Required: {card['gate']:.1%} in each language. The overall figure depends on the mix of kinds:",
        _table(
            ("kind", "accuracy", "95 % interval", "passages"), [(n, *_figures(f)) for n, f in card["kinds"].items()]
        ),
        "## Accuracy on held-out gold passages",
        _table(
            ("language", "accuracy", "95 % interval", "passages"),
            [(NAMES.get(n, n), *_figures(f)) for n, f in card["gold"].items()],
        ),
        "## Calibration",
        "; ".join(
            f"{NAMES.get(n, n)}: mean gap between probability and share {c['expected_error']:.3f}"
            for n, c in card["calibration"].items()
        )
        + ".",
        f"![Calibration]({PLOT})" if plotted else "",
        "## Speed",
        f"{card['megabytes_per_second']:g} MB per second of CPU time, signals and n-grams included.",
        "## Limits",
        "It knows form and not truth. Sentences in another order and removed formulas are hard for it, as the table "
        "by kind shows. A style that no training source has may be graded too low. The intervals count passages, which within one "
        "source resemble each other: another choice of held-out sources moves the figures by more.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _figures(figures: dict[str, float]) -> tuple[str, str, str]:
    interval = f"{figures['low']:.1%} to {figures['high']:.1%}"
    return f"{figures['accuracy']:.1%}", interval, f"{figures['passages']:,}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def plot_calibration(path: Path, calibration: dict[str, Any]) -> bool:
    """Draw the share of good passages over the predicted probability; return False without matplotlib."""
    try:
        require("matplotlib", "matplotlib", "the calibration plot")
    except UserError:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted probability", ylabel="share of good passages", xlim=(0, 1), ylim=(0, 1))
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="perfect")
    for name, found in calibration.items():
        means, shares, counts = zip(*found["bins"], strict=True)
        axes.plot(means, shares, marker="o", label=f"{NAMES.get(name, name)} ({sum(counts):,} passages)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    return True
