"""Complete what a shell cannot know: runs, configurations, keys and rewarders.

Each function is the `autocompletion` of a typer parameter. It returns candidates and never raises, because a shell
has nowhere to show an error; where it returns nothing, the shell completes file names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

Candidates = list[tuple[str, str]]


def run_names(context: typer.Context, incomplete: str) -> Candidates:
    """Return the runs of `--runs-dir` with their status."""
    from innovator_rl.errors import UserError
    from innovator_rl.runs.run_dir import list_runs, resolve_runs_dir

    try:
        runs = list_runs(resolve_runs_dir(context.params.get("runs_dir") or "runs"))
        return [(run.name, run.state().status) for run in runs if run.name.startswith(incomplete)]
    except (OSError, UserError):
        return []


def configurations(kind: str) -> Callable[[str], Candidates]:
    """Return the completion of a configuration.

    It offers shipped names, and YAML files and folders of the working directory.
    """

    def complete(incomplete: str) -> Candidates:
        from innovator_rl.packaged_files import SUFFIXES, config_names

        names = [(name, f"configs/{kind}/{name}.yaml") for name in config_names(kind) if name.startswith(incomplete)]
        folder, part = (incomplete.rpartition("/")[0], incomplete.rpartition("/")[2])
        here = Path(folder or ("/" if incomplete.startswith("/") else ".")).expanduser()
        found = sorted(here.iterdir()) if here.is_dir() else []
        prefix = incomplete[: len(incomplete) - len(part)]
        files = [(f"{prefix}{path.name}", "file") for path in found if _offered(path, part) and path.suffix in SUFFIXES]
        folders = [(f"{prefix}{path.name}/", "folder") for path in found if _offered(path, part) and path.is_dir()]
        return [*names, *files, *folders]

    return complete


def settings(incomplete: str) -> Candidates:
    """Return the keys of a run's configuration as `key=`, each with its meaning."""
    from innovator_rl.config.schema_introspection import settings as all_settings

    return [
        (f"{setting.key}=", setting.description)
        for setting in all_settings()
        if f"{setting.key}=".startswith(incomplete)
    ]


def rewarders(incomplete: str) -> list[str]:
    """Return the names of the installed rewarders."""
    from innovator_rl.scoring import registry

    return [name for name in registry.names() if name.startswith(incomplete)]


def datasets(incomplete: str) -> list[str]:
    """Return the names of the datasets."""
    from innovator_rl.packaged_files import roots

    found = (path.parent.name for root in roots() for path in (root / "datasets").glob("*/dataset.yaml"))
    return sorted({name for name in found if name.startswith(incomplete)})


def _offered(path: Path, part: str) -> bool:
    return path.name.startswith(part) and (part.startswith(".") or not path.name.startswith("."))
