"""Commands behind `innovator data` for training rows: build them with checks, and print what came out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError


def build_rows(what: str, out: Path, source: str | None, workers: int | None, check: bool, **changes: Any) -> None:
    """Build the training files of a dataset's name, a recipe file or a file of one's own.

    Raises:
        UserError: An argument does not fit the recipe, a folder of the output is a file, or the build cannot be made.
    """
    from rich.console import Console

    from innovator_rl.data.build import build, open_recipe, overridden
    from innovator_rl.data.checks.progress import RowProgress
    from innovator_rl.data.hub import Hub
    from innovator_rl.data.materialize import is_own_file, own_recipe

    if is_own_file(what):
        if source is not None:
            raise UserError(f"{what!r} is the source itself: leave --source out")
        path = Path(what).expanduser()
        if changes.get("style") is None:
            changes["style"] = "full" if changes.get("domain") else "bare"
        recipe, folder = own_recipe(path), path.parent
        changes["domain"] = changes.get("domain") or recipe.domain
    else:
        recipe, folder = open_recipe(what)
        if changes.get("domain") not in (None, recipe.domain):
            raise UserError(
                f"--domain {changes['domain']}: dataset {recipe.name!r} has the domain {recipe.domain!r}, and the option is "
                "for a file of your own; expected --reward NAME where another rewarder is meant"
            )
        if source is not None and recipe.task:
            raise UserError(
                f"dataset {recipe.name!r} is generated (task {recipe.task}): leave --source out, use --rows"
            )
        if source is not None:
            given = {"hub": Hub.parse(source)} if source.startswith("hub:") else {"source": Path(source)}
            recipe = recipe.model_copy(update={"hub": None, "source": None})
            changes |= {**given, "reader": recipe.reader or "jsonl"}
    if not check:
        changes["checks"] = recipe.checks.model_copy(update={"gold": False})
    recipe = overridden(recipe, **changes)
    require_folder(out / recipe.name)
    report = build(recipe, folder, out, workers=workers or os.cpu_count() or 1, progress=RowProgress(sys.stderr))
    console = Console(highlight=False, soft_wrap=True)
    for name, path in report.files.items():
        console.print(f"{path}  {report.rows[name]} rows", markup=False)
    for reason, count in sorted(report.rejected.items(), key=lambda item: -item[1]):
        console.print(f"left out {count}: {reason}", markup=False)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"{report.seconds:.1f} s")


def require_folder(out: Path) -> None:
    """Raise a `UserError` where a build cannot make its output folder, because a file has its name or a parent's."""
    nearest = next(path for path in (out, *out.parents, Path()) if path.exists())
    if not nearest.is_dir():
        raise UserError(
            f"--out {out}: {str(nearest)!r} is a file, expected a folder; choose another one or move the file"
        )
