"""Find what the configuration of a part names: files, the recipes of its datasets, the code of its rewarders.

A part depends on all of them, so they are inputs of its stage.

    files_named(Path("configs/sft/smollm2.yaml"))
    code_named([Path("configs/train/mine.yaml")], ["reward.routes={gsm8k: rewards/mine.py:grade}"])
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from innovator_rl.config.load import read_yaml
from innovator_rl.errors import UserError
from innovator_rl.packaged_files import config_names, find_config

YAML = frozenset((".yaml", ".yml"))
PYTHON_FILE = re.compile(r"[^\s:()\[\]{},*+|=\"']+\.py\b")
"""A file in the words that name a rewarder, such as `math + 0.2 * rewards/mine.py:brevity`."""


def recipe_file(task: str) -> Path:
    """Return the recipe of a task, which is given as a file or as the name of a dataset.

    Raises:
        UserError: No dataset has the name.
    """
    from innovator_rl.data.recipe import RECIPE, find_dataset

    return Path(task) if Path(task).suffix in YAML else find_dataset(task) / RECIPE


def files_named(config: Path) -> tuple[Path, ...]:
    """Return the files that a configuration names, and those that they name; patterns and folders are not followed.

    A dataset or recipe counts wherever its name is the value of `dataset` or `recipe`.
    """
    found: dict[Path, None] = {}
    files = [config]
    while files:
        file = files.pop()
        for key, value in _strings(read_yaml(file)):
            path = _recipe_named(value) if key in ("dataset", "recipe") else Path(value)
            if path and path.suffix and "\n" not in value and path.is_file() and path not in found and path != config:
                found[path] = None
                files += [path] if path.suffix in YAML else []
    return tuple(sorted(found))


def code_named(configs: Iterable[Path], words: Iterable[str] = ()) -> tuple[Path, ...]:
    """Return the Python files that configurations and settings name, such as those of one's own rewarders.

    Args:
        configs: YAML files; those that they name count too.
        words: `key=value` words laid over them.
    """
    files = {file: None for config in configs for file in (config, *files_named(config)) if file.suffix in YAML}
    texts = [*words, *(value for file in files for _, value in _strings(read_yaml(file)))]
    found = {Path(name) for text in texts for name in PYTHON_FILE.findall(text)}
    return tuple(sorted(path for path in found if path.is_file()))


def _strings(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string of a document with the key that it is under."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _strings(part, str(name))
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, key)
    elif isinstance(value, str):
        yield key, value


def _recipe_named(name: str) -> Path | None:
    """Return the file of a recipe that is given by the name of its dataset or its own; None where there is none."""
    try:
        return find_config(name, "data") if name in config_names("data") else recipe_file(name)
    except UserError:
        return None
