"""Define the parameters of `innovator upcycle` and find a run's inputs."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from innovator_rl.cli import completion
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from upcycle.checkpoint.verify import Check
    from upcycle.config.schema import UpcycleConfig

Config = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="A YAML file, or the name of one in configs/upcycle.",
        autocompletion=completion.configurations("upcycle"),
    ),
]
Settings = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to change, as key=value.")]
Ranks = Annotated[int, typer.Option(min=1, help="Processes on this machine, started with torchrun.")]
FAILED_CHECK = 3  # exit code


def load_config(path: Path, settings: list[str] | None) -> "UpcycleConfig":
    """Load an upcycling configuration; warn of keys of the previous release.

    Raises:
        UserError: With one line per mistake.
    """
    from innovator_rl.config.load import read_yaml
    from innovator_rl.packaged_files import find_config
    from upcycle.config.aliases import renamed_keys
    from upcycle.config.schema import load

    file = find_config(str(path), "upcycle")
    loaded = load(file, settings or [])
    for old, new in renamed_keys(read_yaml(file), settings or []):
        warn_renamed(old, new)
    return loaded


def warn_renamed(old: str, new: str) -> None:
    """Warn on standard error that a command, an option or a key was renamed."""
    typer.echo(f"innovator: {old} is now {new}; the old name works for one more release", err=True)


def base_model_folder(config: "UpcycleConfig") -> Path:
    """Return the base model's folder on this machine; nothing is downloaded.

    Raises:
        UserError: If it is not on this machine.
    """
    from innovator_rl.models import resolve

    place = resolve(config.base_model, "base_model")
    if isinstance(place, Path):
        return place
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(place, local_files_only=True))
    except Exception as error:
        raise UserError(
            f"base model {place!r}: not in the local hub cache ({type(error).__name__}); download it or set base_model "
            "to its folder"
        ) from None


def base_model_config(config: "UpcycleConfig") -> dict[str, Any]:
    """Return the base model's config.json.

    On a machine without the base model it is `base_config`.

    Raises:
        UserError: If there is neither, or both and they disagree.
    """
    from upcycle.checkpoint.readers import read_base_config

    try:
        found = read_base_config(base_model_folder(config))
    except UserError:
        if not config.base_config:
            raise
        return config.base_config
    for key, value in config.base_config.items():
        if key in found and found[key] != value and key not in ("dtype", "torch_dtype"):
            raise UserError(
                f"base_config.{key} = {value!r}: the base model's config.json has {found[key]!r}; correct one of them"
            )
    return found


def results_folder(config: "UpcycleConfig") -> Path:
    """Return the folder of a run's results, RUNS_DIR/NAME."""
    from innovator_rl.runs.run_dir import resolve_runs_dir

    return resolve_runs_dir(config.runs_dir) / config.name


def latest_mixture(config: "UpcycleConfig") -> Path:
    """Return the folder of the run's most trained mixture.

    Raises:
        UserError: If the run has no mixture yet.
    """
    from upcycle.config.stages import STAGE_FOLDERS

    folder = results_folder(config)
    for stage in (STAGE_FOLDERS["train_joint"], STAGE_FOLDERS["train_router"], "split"):
        if (folder / stage / "upcycle.json").is_file():
            return folder / stage
    raise UserError(f"{folder}: has no mixture yet (no integrate, route or split folder); run the stages first")


def print_checks(checks: "Iterable[Check]") -> "list[Check]":
    """Print each check as soon as it is done, and return all of them."""
    done = []
    for check in checks:
        typer.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.figure}  [bound: {check.bound}]")
        done.append(check)
    return done


def print_progress(line: str) -> None:
    """Print a line of progress to standard error."""
    typer.echo(f"        {line} ...", err=True)
