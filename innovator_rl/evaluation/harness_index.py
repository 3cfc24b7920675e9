"""Find and build tasks of lm-evaluation-harness by name, and only those.

The harness's own index of all tasks takes 8 seconds. Here the names are found with a search for lines, and the folder of
the wanted task alone is indexed.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.evaluation.task import TaskUnavailable

NAME_LINE = re.compile(rb"^[\"']?(?:task|group|tag)[\"']?:[ \t]*[\"']?([\w@.\-/+]+)", re.MULTILINE)
OWN_TASKS = Path(__file__).with_name("tasks")
"""Tasks in the harness's form for sets that it lacks."""

LocalCopy = Callable[[str, str | None], Any]
"""Returns the local copy of a hub data set (id, configuration) as a mapping of splits, or None."""


def _tasks_folder() -> Path:
    os.environ.setdefault("LMEVAL_LOG_LEVEL", "ERROR")
    import lm_eval

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return Path(lm_eval.__file__).parent / "tasks"


@functools.cache
def task_files() -> dict[str, Path]:
    """Return the file of every task and group of the harness, by name."""
    found: dict[str, Path] = {}
    for path in [*sorted(OWN_TASKS.glob("*.yaml")), *sorted(_tasks_folder().glob("**/*.yaml"))]:
        for match in NAME_LINE.finditer(path.read_bytes()):
            found.setdefault(match[1].decode(), path)
    return found


def require_task(name: str) -> Path:
    """Return the file that defines a task or group.

    Raises:
        UserError: The harness has no such task; the message has the near names.
    """
    files = task_files()
    if name in files:
        return files[name]
    near = get_close_matches(name, files, 4, 0.6) or sorted(known for known in files if name in known)[:4]
    hint = f"did you mean {' or '.join(near)}?" if near else "expected a task of lm-evaluation-harness 0.4.13"
    raise UserError(f"unknown task {name!r}: {hint}")


def leaf_names(name: str) -> list[str]:
    """Return the tasks of a group in order, or the task itself."""
    index = _index(require_task(name).parent)
    entry = index.get(name)
    if entry is None:
        raise UserError(f"unknown task {name!r}: the harness names it in {require_task(name)} but does not define it")
    found: list[str] = []
    _collect(name, index, found)
    return found


def _collect(name: str, index: dict[str, Any], found: list[str]) -> None:
    entry = index.get(name)
    if entry is None:
        raise UserError(f"unknown task {name!r} in a group of lm-evaluation-harness")
    kind = entry.kind.name
    if kind == "TAG":
        _collect_all(sorted(entry.tags), index, found)
    elif kind == "GROUP":
        _collect_all(entry.cfg["task"], index, found)
    elif name not in found:
        found.append(name)


def _collect_all(children: Any, index: dict[str, Any], found: list[str]) -> None:
    for child in [children] if isinstance(children, str) else children:
        if isinstance(child, str):
            _collect(child, index, found)
        elif child.get("group") and child["group"] not in index:  # a group that is defined inside another one
            _collect_all(child["task"], index, found)
        else:
            _collect(str(child.get("group") or child["task"]), index, found)


@functools.cache
def _index(folder: Path) -> dict[str, Any]:
    from lm_eval.tasks import TaskManager

    return dict(TaskManager(include_path=str(folder), include_defaults=False).task_index)


def build_leaf(name: str, group: str, shots: int | None, local: LocalCopy) -> Any:
    """Build one task of the harness with the local copy of its data where there is one."""
    from lm_eval.tasks._factory import TaskFactory

    index = _index(require_task(group).parent)
    entry = index[name]
    config = dict(entry.cfg or {})
    hub_id, subset = str(config.get("dataset_path") or ""), config.get("dataset_name")
    overrides: dict[str, Any] = {} if shots is None else {"num_fewshot": shots}
    copy = local(hub_id, subset)
    if copy is not None:
        overrides["custom_dataset"] = lambda **_: copy
    try:
        return TaskFactory(meta=None).build(entry, overrides=overrides or None, registry=index)
    except UserError:
        raise
    except Exception as error:  # data sets raise every kind where the network or a file is missing
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if copy is not None:
            raise UserError(
                f"task {name}: the copy of {hub_id} below the data folder cannot be used "
                f"({type(error).__name__}: {reason[:160]}): fetch it again"
            ) from None
        why = "the hub cannot be reached" if "OfflineMode" in reason else f"{type(error).__name__}: {reason[:160]}"
        raise TaskUnavailable(
            f"{hub_id}{f' ({subset})' if subset else ''} is not here ({why}); "
            f"put a copy of the hub data set below DATA/hub/{hub_id}, or allow the network"
        ) from None
