"""Implement `innovator data distill`: train the quality classifier on an annotated corpus."""

from pathlib import Path
from typing import Annotated

import typer


def distill_command(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A built corpus with the step annotate_quality.")],
    hold_out: Annotated[list[str], typer.Option(help="A source that measures and does not train; repeat it.")],
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = Path("models/quality"),
    gate: Annotated[float, typer.Option(min=0, max=1, help="Required accuracy in each language.")] = 0.85,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    most: Annotated[int, typer.Option(min=10, help="Passages that train and that measure, at most.")] = 20_000,
) -> None:
    """Train the quality classifier on annotated passages, and measure it on held-out sources."""
    from innovator_rl.data.quality.distill import distill

    card = distill(corpus, hold_out, out, gate, seed, most)
    for language, figures in card["languages"].items():
        typer.echo(
            f"{language}: accuracy {figures['accuracy']:.1%} ({figures['low']:.1%} to {figures['high']:.1%}) on "
            f"{figures['passages']:,} held-out passages"
        )
    typer.echo(
        f"{out}: {card['megabytes_per_second']:g} MB per second of CPU time, trained on {card['trained_on']['passages']:,} passages"
    )
