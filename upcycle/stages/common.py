"""Prepare and run one training stage.

Ranks, base model, token files, folders and the trainer are prepared.

A stage whose result is complete is not run again. An interrupted stage continues from its last checkpoint, provided
that the settings which affect its result are unchanged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from innovator_rl.errors import UserError
from innovator_rl.models.resolver import resolve
from innovator_rl.runs.run_dir import RunDir
from upcycle.checkpoint.readers import read_base_config
from upcycle.checkpoint.sharded_writer import finish
from upcycle.checkpoint.tensor_source import TensorSource
from upcycle.checkpoint.torch_io import load_weights
from upcycle.config.aliases import current_document, current_stage
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import (
    STAGE_FOLDERS,
    DataConfig,
    Stage,
    StageConfig,
    TextSources,
    TrainDenseConfig,
    TrainJointConfig,
    TrainRouterConfig,
)
from upcycle.data.loading import Ahead
from upcycle.data.order import GENERAL, BatchSchedule, shares_of
from upcycle.data.packing import Batch, Corpora, open_corpora
from upcycle.data.tokens import check_text, load_tokenizer, tokenize
from upcycle.model.architecture import FILE, Kind, ModelSpec, tensor_shapes
from upcycle.model.layout import Layout
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.model.sharding import shard
from upcycle.planning.batches import batch_sizes
from upcycle.planning.flops import flops_per_token
from upcycle.planning.preconditions import require_kernel, sources
from upcycle.stages.folders import artifacts, stage_folder, stage_run
from upcycle.training.consolidate import save_folder
from upcycle.training.distributed import DistributedContext, join
from upcycle.training.evaluation import AT_ONCE, HeldOut, evaluate
from upcycle.training.trainer import Initializer, Objective, Trainer, slices_of

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "vocab.json", "merges.txt",
    "generation_config.json",
)  # fmt: skip
AFFECTS_RESULT = ("seed", "base_model", "disciplines", "general", "mixture", "data")
"""Sections of the configuration that affect a stage's result, besides the stage's own."""


STARTS_FROM: dict[Stage, tuple[str, str]] = {
    "train_router": ("split", "split"),
    "train_joint": (STAGE_FOLDERS["train_router"], "train-router"),
}
"""Folder of the model from which a stage goes on, and the command that makes it."""

NUMERICS = ("dtype", "micro_batch_tokens", "attention", "compile", "expert_capacity")
"""Settings of the trainer that change the numbers: types, kernels and the order of sums. Ranks and their mesh may change."""


@dataclass(frozen=True)
class StageContext:
    """What a training stage works with on this machine.

    Attributes:
        config: The run's configuration.
        distributed: This process among the ranks.
        base_model: Folder of the dense checkpoint.
        base_config: Its config.json.
        train: Token files of the training split.
        held_out: Token files of the held-out split.
        ids: Number of each discipline; general text is -1.
    """

    config: UpcycleConfig
    distributed: DistributedContext
    base_model: Path
    base_config: dict[str, Any]
    train: Corpora
    held_out: Corpora
    ids: dict[str, int]

    @property
    def folder(self) -> Path:
        """Folder with the results of all stages."""
        return artifacts(self.config)

    @property
    def disciplines(self) -> tuple[str, ...]:
        """The disciplines in the order of their experts."""
        return tuple(self.config.disciplines)

    def shares(self, stage: TrainRouterConfig | TrainJointConfig | TrainDenseConfig) -> dict[str, float]:
        """Return the share of each text in a stage's batches.

        The disciplines' shares are equal unless `data.weights` says otherwise.
        """
        if stage.general_share and not self.config.general:
            raise UserError(
                f"general_share = {stage.general_share:g}, but `general` lists no text: list general text under `general`, or "
                "set the stage's general_share=0"
            )
        return shares_of(self.disciplines, stage.general_share, self.config.data.weights)


def build(context: StageContext, kind: Kind, source: TensorSource, trains: Callable[[str], bool]) -> Any:
    """Build a model, fill it from `source` and spread it over the ranks.

    Args:
        context: The stage's context.
        kind: Kind of the model.
        source: Weights in the training format.
        trains: Returns whether a parameter of this name learns; the others are frozen.
    """
    spec = ModelSpec.from_config(context.config, context.base_config, kind)
    settings = context.config.trainer
    with torch.device("meta"):
        model = InnovatorForCausalLM(spec, settings.attention)
    layout = Layout.of(settings, context.distributed.world_size, spec.experts if kind == "mixture" else 0)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name))
    shard(model.float(), settings, layout, context.distributed.device.type)
    model.to_empty(device="cpu" if settings.cpu_offload else context.distributed.device)
    load_weights(model, source)
    model.set_checkpointing(settings.checkpointing)
    return model


def train_once(config: UpcycleConfig, stage: Stage, build_trainer: Callable[[StageContext], Trainer]) -> Path:
    """Train a stage whose result is a whole model, unless it is complete.

    Args:
        config: The configuration of the run.
        stage: The stage to train.
        build_trainer: Builds the stage's trainer from the joined ranks and the tokenized text.

    Returns:
        The stage's folder of weights in the training format.
    """
    target = stage_folder(config, stage)
    if (target / FILE).is_file():
        note_other_settings(config, stage, target)
        return target
    require_input(config, stage)
    context = prepare(config)
    trainer = build_trainer(context)
    trainer.fit()
    started_from = [artifacts(config) / STARTS_FROM[stage][0]] if stage in STARTS_FROM else []
    save_training_folder(context, trainer.model, target, [trainer.checkpoint, *started_from])
    return target


def require_input(config: UpcycleConfig, stage: Stage) -> None:
    """Check that the model from which a stage goes on is there.

    Raises:
        UserError: With the command that makes it.
    """
    folder, command = STARTS_FROM.get(stage, ("", ""))
    if folder and not (artifacts(config) / folder / FILE).is_file():
        raise UserError(
            f"{artifacts(config) / folder}: not found or not complete; run `innovator upcycle {command} CONFIG` first, or "
            "`innovator upcycle run CONFIG` for all stages"
        )


def save_training_folder(context: StageContext, model: Any, folder: Path, inputs: Sequence[Path]) -> None:
    """Write a model in the training format, next to the base model's tokenizer; see `save_folder`."""
    names = [name for name, _ in tensor_shapes(model.spec)]
    tokenizer = [context.base_model / name for name in TOKENIZER_FILES]

    def complete(aside: Path) -> None:
        finish(aside, [file for file in tokenizer if file.is_file()], {})
        model.spec.save(aside)

    save_folder(model, names, folder, context.distributed, complete, inputs)


def check_sources(config: UpcycleConfig) -> dict[str, TextSources]:
    """Return the sources of all disciplines and general text.

    Their files are checked to exist.

    Raises:
        UserError: For a text without files, or a discipline with the name of general text.
    """
    if GENERAL in config.disciplines:
        raise UserError(f"disciplines.{GENERAL}: this name means general text; list its sources under `general`")
    found = sources(config)
    for name, listed in found.items():
        check_text(name, listed)
    return found


def prepare_text(config: UpcycleConfig, base_model: Path) -> None:
    """Tokenize new text before any rank starts, so that no GPU is held meanwhile."""
    _tokenize(config, load_tokenizer(base_model, read_base_config(base_model)))


def _tokenize(config: UpcycleConfig, tokenizer: Any) -> None:
    data, folder = config.data, artifacts(config) / "data"
    tokenize(check_sources(config), tokenizer, folder, data.held_out, data.split_seed, print)


def prepare(config: UpcycleConfig) -> StageContext:
    """Join the ranks, find the base model and tokenize new text.

    Raises:
        UserError: For a base model, tokenizer or source that cannot be used.
    """
    base_model = Path(resolve(config.base_model, "base_model"))
    base_config = read_base_config(base_model)
    listed = check_sources(config)
    require_kernel(config.trainer.attention)
    distributed = join(config.trainer.threads)
    folder = artifacts(config) / "data"
    tokenizer = load_tokenizer(base_model, base_config)
    distributed.on_main(lambda: _tokenize(config, tokenizer))
    ids = {name: -1 if name == GENERAL else number for number, name in enumerate(listed)}
    corpora = open_corpora(listed, tokenizer, folder, config.data)
    return StageContext(config, distributed, base_model, base_config, corpora["train"], corpora["held_out"], ids)


def make_trainer(
    context: StageContext,
    stage: Stage,
    model: Any,
    objective: Objective,
    shares: Mapping[str, float],
    *,
    discipline: str = "",
    base_model: str = "",
    initialize: Initializer | None = None,
) -> Trainer:
    """Build the trainer of a stage; its run directory is runs/NAME.STAGE.

    The trainer's batches go on past its last step, for what the stage's budget holds besides training.

    Args:
        context: The stage's context.
        stage: The stage.
        model: The model to train, from `build`.
        objective: What the stage minimizes.
        shares: Share of each text in the batches.
        discipline: The discipline of an expert of stage 1.
        base_model: Fingerprint of the base model, where its frozen weights come from it and not from a checkpoint.
        initialize: Prepares the model before step 0.
    """
    config: UpcycleConfig = context.config
    settings: StageConfig = getattr(config, stage)
    run = RunDir(stage_run(config, stage, discipline))
    inputs = {"text": {name: context.train.text(name) for name in shares}, "base_model": base_model}
    _require_same_settings(context, settings, inputs, run)
    batch, micro, steps = batch_sizes(config, settings, context.distributed.world_size)
    available = {key: context.train.size(key) for key in shares}
    schedule = BatchSchedule(available, shares, batch, config.seed)

    def batches(step: int) -> list[Batch]:
        picks = schedule.picks(step)
        return slices_of(partial(context.train.batch, ids=context.ids), picks, context.distributed, micro)

    return Trainer(
        model,
        settings,
        config.trainer,
        objective,
        Ahead(batches, steps),
        steps=steps,
        flops=flops_per_token(model.spec, stage, config.data.sequence_length).training,
        distributed=context.distributed,
        run=run,
        evaluate=evaluation(context, model, shares),
        initialize=initialize,
    )


def evaluation(
    context: StageContext, model: Any, names: Iterable[str] | None = None, route: Literal["router", "oracle"] = "router"
) -> Callable[[], HeldOut]:
    """Return a function that measures `model` on held-out text of `names`.

    By default it covers all disciplines and general text.
    """
    ids = {name: number for name, number in context.ids.items() if names is None or name in names}
    config = context.config
    slice_tokens = config.trainer.micro_batch_tokens // context.distributed.world_size
    most = (
        max(1, slice_tokens // config.data.sequence_length) if slice_tokens else AT_ONCE
    )  # so it needs no more memory
    return partial(
        evaluate, model, context.held_out, ids, context.distributed,
        sequences=config.data.evaluation_sequences, at_once=min(AT_ONCE, most), route=route,
    )  # fmt: skip


def _require_same_settings(context: StageContext, stage: StageConfig, inputs: Mapping[str, Any], run: RunDir) -> None:
    """Write config.yaml, or refuse to resume with other settings, another text or another base model."""
    whole = context.config.model_dump(mode="json")
    affects = {key: whole[key] for key in AFFECTS_RESULT} | {"stage": stage.model_dump(mode="json")}
    if context.distributed.is_main:
        run.create()
        if run.config_yaml.is_file() and any(run.checkpoints.glob("step=*")):
            recorded = _recorded(run, stage)
            changed = [key for key in affects if _plain(recorded.get(key)) != _plain(affects[key])]
            earlier = {"attention": "sdpa", "compile": False, "expert_capacity": 0.0}  # releases without these settings
            trainer = earlier | recorded.get("trainer", {})
            changed += [
                f"trainer.{key}" for key in NUMERICS if key in trainer and trainer[key] != whole["trainer"][key]
            ]
            if not changed:
                changed = _changed_inputs(recorded.get("inputs", {}), inputs)
            if changed:
                raise UserError(
                    f"{run.path}: its checkpoints were trained with another {' and '.join(changed)}; give the new run "
                    "another name, or remove the folder to start again"
                )
        recorded_now = affects | {"trainer": whole["trainer"], "inputs": dict(inputs)}
        run.config_yaml.write_text(yaml.safe_dump(recorded_now, sort_keys=False))
    context.distributed.barrier()


def note_other_settings(config: UpcycleConfig, stage: Stage, target: Path, discipline: str = "") -> None:
    """Print which of a stage's settings have changed since it was completed; a complete stage is not trained again."""
    run, settings = RunDir(stage_run(config, stage, discipline)), getattr(config, stage)
    if os.environ.get("RANK", "0") != "0" or not run.config_yaml.is_file():
        return
    try:
        then, now = _recorded(run, settings)["stage"], settings.model_dump(mode="json")
    except UserError:
        return
    changed = [f"{key} = {then[key]} (now {now[key]})" for key in now if key in then and then[key] != now[key]]
    if changed:
        print(f"{target}: complete, trained with {', '.join(changed)}; remove it and {run.path} to train again")


def _recorded(run: RunDir, stage: StageConfig) -> dict[str, Any]:
    """Return the settings that a stage recorded, under today's keys and with the defaults of settings that came later."""
    try:
        recorded = current_document(yaml.safe_load(run.config_yaml.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError):
        recorded = {}
    if not recorded:
        raise UserError(
            f"{run.config_yaml}: cannot be read, so it is unknown how the checkpoints next to it were trained; restore it, "
            f"or remove {run.path} to start again"
        )
    defaults = {name: field.default for name, field in type(stage).model_fields.items() if not field.is_required()}
    recorded["stage"] = defaults | current_stage(recorded.get("stage", {}))
    # A setting that the recording release did not have was then at its default.
    recorded["data"] = DataConfig().model_dump(mode="json") | recorded.get("data", {})
    return recorded


def _changed_inputs(recorded: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return what was read at first and is another today; earlier releases recorded nothing."""
    known = recorded.get("text", {})
    changed = [f"text of {name}" for name, text in inputs["text"].items() if known.get(name, text) != text]
    base_model = recorded.get("base_model") or inputs["base_model"]
    return (
        [*changed, "base model (its weights, configuration or tokenizer)"]
        if base_model != inputs["base_model"]
        else changed
    )


def _plain(value: Any) -> str:
    """Return settings without the text sources' options that are at their defaults, which earlier releases did not have."""
    unset = {"corpus": "", "label": "", "reader": ""}

    def strip(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: strip(inner) for key, inner in item.items() if unset.get(key) != inner or key not in unset}
        return [strip(inner) for inner in item] if isinstance(item, list) else item

    return json.dumps(strip(value))
