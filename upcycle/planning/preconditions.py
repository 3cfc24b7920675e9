"""List what would stop a run, before its first stage; `plan` and `run` share it, so both refuse the same.

`settings_problems` needs the configuration alone. `machine_problems` looks at what the run would read and use here: the base
model's files and tokenizer, the text, the attention kernel and the disk. Only headers, names and as much text as fills
one window are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from upcycle.checkpoint.readers import BaseModelSource
from upcycle.checkpoint.vllm_limits import require_servable
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import Stage, StageConfig, TextSources
from upcycle.data.first_window import require_windows
from upcycle.data.order import GENERAL, shares_of
from upcycle.data.tokens import TokenizerFile, check_text, load_tokenizer, require_vocabulary
from upcycle.model.architecture import ModelSpec, layer_shapes
from upcycle.model.layout import Layout
from upcycle.planning.batches import batch_sizes, even_micro_batches
from upcycle.planning.costs import TRAINED, require_disk


def trained_stages(dense: bool) -> tuple[Stage, ...]:
    """Return the stages that train, with or without the dense baseline."""
    return (*TRAINED, "train_dense") if dense else TRAINED


def settings_problems(
    config: UpcycleConfig, base_config: Mapping[str, Any], ranks: int, stages: Sequence[Stage] = TRAINED
) -> list[str]:
    """Return what the stages would refuse about the settings, one line each.

    Args:
        config: The run's configuration.
        base_config: The base model's config.json.
        ranks: Ranks that train.
        stages: The stages that train.
    """
    spec = ModelSpec.from_config(config, dict(base_config), "mixture")
    found = _refusals(partial(require_servable, spec), partial(_require_mesh, config, spec, ranks))
    found += _refusals(partial(shares_of, tuple(config.disciplines), 0.0, config.data.weights))
    found += [*_names(config), *_held_out(config)]
    return [*found, *missing_general(config, stages), *batch_problems(config, ranks, stages)]


def machine_problems(
    config: UpcycleConfig,
    base_config: Mapping[str, Any],
    base_model: Path,
    *,
    dense: bool = False,
    windows: bool = True,
) -> list[str]:
    """Return what the run would refuse on this machine, one line each.

    Args:
        config: The run's configuration.
        base_config: The base model's config.json.
        base_model: Folder of the base model.
        dense: Whether the dense baseline is trained, too.
        windows: Also read as much of the text as fills a window of each split. `run` tokenizes all of it anyway.
    """
    spec = ModelSpec.from_config(config, dict(base_config), "mixture")
    found = _refusals(
        partial(require_kernel, config.trainer.attention),
        partial(require_disk, config, spec, dense),
    )
    text = text_problems(config)
    try:
        BaseModelSource(spec.of_kind("dense"), base_model)
        require_vocabulary(base_model)
        fast = (base_model / "tokenizer.json").is_file()
        read: Callable[..., Any] = TokenizerFile if fast else load_tokenizer
        tokenizer = read(base_model, base_config)
    except UserError as error:
        return [*found, str(error), *text]
    if windows and not text and not _held_out(config):
        text = _refusals(
            *(
                partial(require_windows, name, listed, tokenizer, config.data)
                for name, listed in sources(config).items()
            )
        )
    return [*found, *text]


def sources(config: UpcycleConfig) -> dict[str, TextSources]:
    """Return the sources of every discipline, and of general text where there is some."""
    return {**config.disciplines, **({GENERAL: config.general} if config.general else {})}


def text_problems(config: UpcycleConfig) -> list[str]:
    """Return what is wrong with the names of the text: no sources, missing files, unknown formats, corpora without a label."""
    return _refusals(*(partial(check_text, name, found) for name, found in sources(config).items()))


def missing_general(config: UpcycleConfig, stages: Sequence[Stage] = TRAINED) -> list[str]:
    """Return a line if a stage's share of general text has no text."""
    shares = {f"{stage}.general_share": getattr(getattr(config, stage), "general_share", 0) for stage in stages}
    wanted = {key: share for key, share in shares.items() if share}
    if config.general or not wanted:
        return []
    named = " and ".join(f"{key} = {share:g}" for key, share in wanted.items())
    return [
        f"{named}, but `general` lists no text: list general text under `general`, or set {' and '.join(f'{k}=0' for k in wanted)}"
    ]


def batch_problems(config: UpcycleConfig, ranks: int, stages: Sequence[Stage] = TRAINED) -> list[str]:
    """Return the stages whose batches the ranks cannot share, with a setting that works; equal problems are one line."""
    problems: dict[str, list[str]] = {}
    for stage in stages:
        settings: StageConfig = getattr(config, stage)
        try:
            batch_sizes(config, settings, ranks)
        except UserError as error:
            problems.setdefault(f"{error}; {_batch_fix(config, stage, settings, ranks)}", []).append(stage)
    return [f"{', '.join(named)}: {problem}" for problem, named in problems.items()]


def require_kernel(attention: str) -> None:
    """Check that an attention kernel can train on this machine.

    Raises:
        UserError: If flash-attn is not installed, or flex attention has no device.
    """
    if attention == "flash_attention_2" and find_spec("flash_attn") is None:
        raise UserError(
            "trainer.attention = flash_attention_2: the package flash-attn is not installed; install it or set sdpa"
        )
    if attention == "flex_attention":
        import torch

        if not torch.cuda.is_available():
            raise UserError("trainer.attention = flex_attention: it trains on a GPU only, and none is found; set sdpa")


def _refusals(*checks: Callable[[], object]) -> list[str]:
    """Return the messages of the checks that refuse, each once."""

    def messages() -> Iterator[str]:
        for check in checks:
            try:
                check()
            except UserError as error:
                yield str(error)

    return list(dict.fromkeys(messages()))


def _require_mesh(config: UpcycleConfig, spec: ModelSpec, ranks: int) -> None:
    """Check that the ranks form the mesh, for the models with and without fine experts, and divide the experts' tensors."""
    Layout.of(config.trainer, ranks)
    Layout.of(config.trainer, ranks, spec.experts).held(layer_shapes(spec, 0))


def _names(config: UpcycleConfig) -> list[str]:
    if GENERAL not in config.disciplines:
        return []
    return [f"disciplines.{GENERAL}: this name means general text; list its sources under `general`"]


def _held_out(config: UpcycleConfig) -> list[str]:
    if 0 < config.data.held_out < 1:
        return []
    return [
        f"data.held_out = {config.data.held_out:g}: must be above 0 and below 1, because every stage evaluates and trains"
    ]


def _batch_fix(config: UpcycleConfig, stage: Stage, settings: StageConfig, ranks: int) -> str:
    even = even_micro_batches(config, settings, ranks)
    if even:
        return f"set trainer.micro_batch_tokens={even[-1]}"
    unit = ranks * config.data.sequence_length
    batch = max(1, round(settings.batch_tokens / unit)) * unit
    return f"set {stage}.batch_tokens={batch} and trainer.micro_batch_tokens={unit}"
