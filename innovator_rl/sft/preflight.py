"""Find what is wrong with a fine-tuning run before a rank starts.

Nothing is started, downloaded or built. `innovator sft` and `innovator doctor` ask the same checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from innovator_rl.config.load import read_yaml
from innovator_rl.config.nodes import node_rank
from innovator_rl.config.sft import SFT_SECTIONS, SftConfig
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.checkpoints import latest_complete
from innovator_rl.integrations.verl.sft_settings import override_problems
from innovator_rl.models import ModelInfo
from innovator_rl.platform.accelerator import detect_platform
from innovator_rl.preflight import ORDER, model
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.preflight.machine import Machine
from innovator_rl.sft.launch import run_directory

GIB = 2**30
# Bytes per parameter: float32 weight and gradient, and AdamW's two moments.
TRAINING_BYTES = 16
LOGIT_BYTES = 12  # per token and word of the vocabulary: logits, their log-softmax and its gradient
FROZEN = ("model", "data", "optimizer")
"""Sections that may not change under a run that resumes."""


def is_sft(path: Path) -> bool:
    """Return whether a configuration file is one of supervised fine-tuning."""
    try:
        keys = set(read_yaml(path))
    except UserError:
        return False
    own = {"optimizer", "export"}
    return (bool(keys & own) and keys <= set(SFT_SECTIONS)) or path.absolute().parent.name == "sft"


def check_sft(config: SftConfig, machine: Machine | None = None) -> list[Diagnostic]:
    """Check a run; errors come first.

    Args:
        config: The run.
        machine: Replaces this machine.
    """
    machine = machine or Machine.here()
    info, _, found = model.look(config.model.path)
    found += [*_shape(config), *_resources(config, machine, info), *_run_dir(config)]
    found += model.adapters(config.model.lora, info) if info else []
    found += [Diagnostic(setting="verl", value=None, why=line, fix="correct it") for line in override_problems(config)]
    return sorted(found, key=lambda diagnostic: ORDER[diagnostic.severity])


def _shape(config: SftConfig) -> Iterator[Diagnostic]:
    if not config.data.train:
        yield Diagnostic(
            setting="data.train", value=(), why="a run needs rows", fix="name a file with rows of `messages`"
        )
    rows, ranks = config.optimizer.batch_rows, config.ranks
    if rows % ranks:
        yield Diagnostic(
            setting="optimizer.batch_rows",
            value=rows,
            why=f"it must be a multiple of the {ranks} ranks",
            fix=f"set {max(1, round(rows / ranks)) * ranks}",
        )
    if config.micro_batch_tokens < config.data.max_tokens:
        yield Diagnostic(
            setting="optimizer.micro_batch_tokens",
            value=config.micro_batch_tokens,
            why=f"a conversation may have {config.data.max_tokens} tokens (data.max_tokens)",
            fix="set auto, or at least data.max_tokens",
        )
    try:
        node_rank(config.resources.nodes)
    except UserError as error:
        yield Diagnostic(
            setting="resources.nodes", value=config.resources.nodes, why=str(error), fix="set the variables, or 1 node"
        )


def _resources(config: SftConfig, machine: Machine, info: ModelInfo | None) -> Iterator[Diagnostic]:
    platform, local = detect_platform(config), config.resources.accelerators_per_node
    if platform == "cuda" and machine.accelerator_memory and local > len(machine.accelerator_memory):
        yield Diagnostic(
            setting="resources.accelerators_per_node",
            value=local,
            why=f"this machine has {len(machine.accelerator_memory)} accelerators",
            fix="lower it",
        )
    if platform == "cpu" and local > machine.cores:
        yield Diagnostic(
            setting="resources.accelerators_per_node",
            value=local,
            why=f"this machine has {machine.cores} cores, and every rank computes",
            fix="lower it",
            severity="warning",
        )
    if platform == "cpu":
        yield from model.slow_bfloat16(machine, config.model.dtype)
    parameters = info.params_total if info else None
    if parameters is None:
        return
    weights = parameters * TRAINING_BYTES * local // config.ranks
    need = weights + local * config.micro_batch_tokens * info.vocab * LOGIT_BYTES if info else weights
    have = sum(machine.accelerator_memory) if platform == "cuda" else machine.memory
    if have and need > have:
        yield Diagnostic(
            setting="model.path",
            value=config.model.path,
            why=f"{parameters / 1e9:.1f} B parameters over {config.ranks} ranks need about {need / GIB:.0f} GiB on this "
            f"machine, which has {have / GIB:.0f} GiB",
            fix="use more ranks or nodes, a lower optimizer.micro_batch_tokens, or a smaller model",
        )


def _run_dir(config: SftConfig) -> Iterator[Diagnostic]:
    run = run_directory(config)
    found = latest_complete(run.checkpoints)
    if found is None:
        return
    if config.schedule.resume == "never":
        yield Diagnostic(
            setting="name",
            value=config.name,
            why=f"{run.path} holds an earlier run, and schedule.resume=never would write over it",
            fix="choose another name",
        )
        return
    try:
        before = read_yaml(run.config_yaml) if run.config_yaml.exists() else {}
    except UserError:
        before = {}
    now = config.model_dump(mode="json")
    for section in FROZEN:
        for key, value in now[section].items():
            old = (before.get(section) or {}).get(key, value)
            if old != value and (section, key) not in (("data", "validation"), ("optimizer", "micro_batch_tokens")):
                yield Diagnostic(
                    section="resumed-run",
                    setting=f"{section}.{key}",
                    value=value,
                    why=f"the run in {run.path} was started with {old!r:.80}",
                    fix="give the old value, or choose another name",
                )
    shards = len([*found.path.glob("model_world_size_*_rank_*.pt")])
    if shards and shards != config.ranks:
        yield Diagnostic(
            setting="resources.accelerators_per_node",
            value=config.resources.accelerators_per_node,
            why=f"the checkpoint of step {found.step} is of {shards} ranks, and this run has {config.ranks}",
            fix="resume with as many ranks, or choose another name",
        )
