"""Define the parameters that several commands share.

Each has one name, one help text and one completion.
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from innovator_rl.cli import completion

Kind = Literal["train", "validation"]
Isolation = Literal["standard", "strict", "none"]

RunConfigFile = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="A YAML file, or the name of one in configs/train.",
        autocompletion=completion.configurations("train"),
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings to change, as key=value.", autocompletion=completion.settings),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="The name of a run, or the path of its directory.", autocompletion=completion.run_names
    ),
]
RunsDir = Annotated[str, typer.Option("--runs-dir", help="Folder of run directories.")]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--address", envvar="RAY_API_SERVER_ADDRESS", help="Ray dashboard of a cluster whose jobs are meant too."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Step = Annotated[int | None, typer.Option("--step", help="Only this training step.")]
Rewarder = Annotated[
    str,
    typer.Option(
        "--reward",
        help="An installed rewarder, module:attribute, path.py:attribute or a composite.",
        autocompletion=completion.rewarders,
    ),
]
Workers = Annotated[int, typer.Option("--workers", help="Responses scored at the same time.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds that one call of a rewarder may take.")]
MemoryMb = Annotated[int, typer.Option("--memory-mb", help="Address space of one worker process (MiB).")]
CodeIsolation = Annotated[
    Isolation, typer.Option("--code-isolation", help="Least isolation in which programs are run.")
]
