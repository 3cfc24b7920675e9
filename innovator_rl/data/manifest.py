"""Write down what a build did: `dataset.json` with all counts, a card for people, and the rows that were left out.

data/NAME/train.parquet, validation.parquet   the rows
data/NAME/dataset.json                        recipe, sources by hash, steps with counts and reasons, versions
data/NAME/README.md                           the card: the same figures and three example rows
data/NAME/rejected.jsonl                      one line per row left out: place, reason, detail
"""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from innovator_rl.data.checks.balance import CLASSES
from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.corpus.publish import publish_json, publish_text
from innovator_rl.data.problem import Problem
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections

MANIFEST = "dataset.json"
CARD = "README.md"
REJECTED = "rejected.jsonl"
PACKAGES = ("innovator-rl", "rdkit", "selfies", "sympy", "jinja2", "pyarrow")
EXAMPLES = 3
EXAMPLE_CHARS = 700


@dataclass(frozen=True)
class Step:
    """One step of a build: rows in, rows out, and what it left out by reason."""

    name: str
    rows_in: int
    rows_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def write_manifest(
    folder: Path,
    recipe: Recipe,
    steps: Sequence[Step],
    rejected: Rejections,
    parts: Mapping[str, Sequence[Problem]],
    evaluation: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the manifest, the card and the rows left out into the folder of a built set."""
    lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rejected.rows)
    publish_text(folder / REJECTED, "".join(lines).encode("utf-8", "replace").decode())
    splits = {
        name: {
            "rows": len(rows),
            "sha256": hash_file(folder / f"{name}.parquet"),
            "true_false": {key: count for key, count in _classes(rows).items() if count},
        }
        for name, rows in parts.items()
    }
    content = {
        "recipe": recipe.model_dump(mode="json"),
        "sources": _sources(recipe),
        "steps": [asdict(step) for step in steps],
        "left_out": dict(sorted(rejected.items())),
        "unreadable_rows": rejected.bad,
        "splits": splits,
        "evaluation_sets": {name: dict(found) for name, found in evaluation.items()},
        "versions": {"python": platform.python_version(), **_versions()},
    }
    publish_json(folder / MANIFEST, content)
    publish_text(folder / CARD, card(recipe, steps, parts, evaluation))


def card(
    recipe: Recipe,
    steps: Sequence[Step],
    parts: Mapping[str, Sequence[Problem]],
    evaluation: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the card as Markdown. It has no times in it, so that equal builds have equal cards."""
    uses = {"train": "train", "validation": "validate", "test": "test", "worked": "fine-tune"}
    counts = ", ".join(f"{len(rows):,} to {uses[name]} on" for name, rows in parts.items())
    source = str(recipe.source.name) if recipe.source else recipe.hub.id if recipe.hub else recipe.task or "the sample"
    blocks = [
        f"# {recipe.title or recipe.name}",
        f"{counts}. Domain {recipe.domain}, reward function `{recipe.rewarder or 'named by each row'}`, read from "
        f"{source}. License: {recipe.license}.",
        "## Steps",
        "| step | rows in | rows out | left out |\n| --- | --- | --- | --- |\n" + "\n".join(map(_line, steps)),
    ]
    for name, rows in parts.items():
        classes = _classes(rows)
        if all(classes.values()):
            blocks.append(f"True and False in {name}: {classes['True']:,} and {classes['False']:,}.")
    if evaluation:
        checked = "; ".join(
            f"{name} ({found['items']:,} items, {found['molecules']:,} molecules)" for name, found in evaluation.items()
        )
        blocks.append(f"Compared with these evaluation sets: {checked}.")
    blocks.append("## Examples")
    for problem in list(parts.get("train", ()))[:EXAMPLES]:
        blocks.append(f"`{problem.id}`\n\n{_quoted(problem.question)}\n\nAnswer:\n\n{_quoted(problem.answer)}")
    return "\n\n".join(blocks) + "\n"


def _line(step: Step) -> str:
    dropped = "; ".join(f"{reason}: {count:,}" for reason, count in sorted(step.dropped.items()))
    return f"| {step.name} | {step.rows_in:,} | {step.rows_out:,} | {dropped} |"


def _quoted(text: str) -> str:
    shown = text if len(text) <= EXAMPLE_CHARS else text[:EXAMPLE_CHARS].rstrip() + " …"
    return "\n".join("    " + line for line in shown.splitlines())


def _classes(rows: Sequence[Problem]) -> dict[str, int]:
    found = Counter(problem.answer for problem in rows)
    return {name: found[name] for name in CLASSES}


def _sources(recipe: Recipe) -> dict[str, str]:
    if recipe.hub:
        return {f"hub:{recipe.hub.id}": recipe.hub.revision or "newest"}
    source = recipe.source_path
    if source is None:
        return {}
    paths = [source] if source.is_file() else sorted(path for path in source.glob("*") if path.is_file())
    return {path.name: hash_file(path) for path in paths}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
