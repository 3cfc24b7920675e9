"""Run ablations.

One file names the variants, and one command trains them all on the same token budget.

    base: tiny.yaml                 # an upcycling configuration, next to this file
    variants:
      innovator: {}
      coarse-2: {groups: 2, settings: {mixture.split: 2, mixture.top_k: 2}}
      base-model-copy: {experts: copied, settings: {mixture.form: half}}

A variant is the base configuration with other settings and, if it asks for them, with other coarse experts. `groups`
merges neighboring disciplines into that many experts. `experts` takes copies of the base model's network (as they are,
or partly redrawn) or shuffles channels before the split. Tokens that a variant does not spend on stage 1 are spent on
stage 4, and tokens that it does not spend on initializing the router are spent on training it, so every variant sees
the same number of tokens, and so does the dense baseline. Experts that two variants would train alike are trained
once, and finished stages are not run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from innovator_rl.config.load import apply_overrides, read_yaml
from innovator_rl.errors import UserError
from innovator_rl.models.resolver import resolve
from upcycle.checkpoint.convert import digest
from upcycle.checkpoint.expert_init import CopiedExpert, PartlyRedrawnExpert, ShuffledExpert
from upcycle.checkpoint.expert_split import SplitSource
from upcycle.checkpoint.readers import (
    EXPERT,
    BaseModelSource,
    base_model_fingerprint,
    open_experts,
    open_training_folder,
    read_base_config,
)
from upcycle.checkpoint.sharded_writer import finish, write
from upcycle.checkpoint.tensor_source import TensorSource
from upcycle.config.aliases import current_overrides
from upcycle.config.base import PositiveInt, Section
from upcycle.config.schema import UpcycleConfig, read_document, validate
from upcycle.data.packing import GENERAL
from upcycle.model.architecture import FILE, ModelSpec, write_json
from upcycle.planning.flops import active_weights
from upcycle.stages.common import build, prepare
from upcycle.stages.folders import artifacts, stage_folder
from upcycle.stages.induction import train_expert
from upcycle.stages.pipeline import in_process
from upcycle.stages.report import LOSS, measured_stages
from upcycle.training.evaluation import evaluate
from upcycle.training.trainer import Log

TRAINED_EXPERTS = ("induced", "shuffled")  # kinds of experts that stage 1 trains
REDRAWN_SHARE = 0.5  # the best share in drop-upcycling (arXiv 2502.19261)


class AblationVariant(Section):
    """One variant of the base configuration."""

    experts: Literal["induced", "shuffled", "copied", "dropped"] = Field(
        default="induced",
        description="Origin of the coarse experts: induced: trained in stage 1; shuffled: the same with channels in random "
        "order before the split; copied: the base model's network; dropped: that network with half of its channels redrawn.",
    )
    groups: PositiveInt | None = Field(
        default=None, description="Number of coarse experts into which the disciplines are merged."
    )
    settings: dict[str, Any] = Field(default={}, description="Dotted keys of the base's configuration to change.")


class AblationConfig(Section):
    """Contents of a file of variants."""

    base: str = Field(min_length=1, description="Upcycling configuration that the variants change, next to this file.")
    variants: dict[str, AblationVariant] = Field(min_length=1, description="Variants by name.")


@dataclass(frozen=True)
class AblationPlan:
    """A checked file: the base configuration, and each variant with its own."""

    base: UpcycleConfig
    configs: dict[str, UpcycleConfig]
    variants: dict[str, AblationVariant]


def load(path: Path, overrides: Sequence[str] = ()) -> AblationPlan:
    """Load a file of variants.

    Raises:
        UserError: With one line per mistake.
    """
    try:
        file = AblationConfig.model_validate(read_yaml(path))
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise UserError("\n".join(lines)) from None
    document = read_document(path.parent / file.base, overrides)
    base = validate(document, str(path.parent / file.base))
    base = _with_tokens(base, train_dense=_total(base))
    configs = {
        name: _configuration(base, document, name, variant, str(path)) for name, variant in file.variants.items()
    }
    return AblationPlan(base, configs, file.variants)


def _configuration(
    base: UpcycleConfig, plain: dict[str, Any], name: str, variant: AblationVariant, origin: str
) -> UpcycleConfig:
    """Return the base with a variant's settings, experts and token budget."""
    changes = [f"{key}={value}" for key, value in variant.settings.items()]
    document = apply_overrides(plain, current_overrides(changes))
    groups = grouped(base, variant, f"{origin}: variants.{name}")
    texts = document["disciplines"]
    merged = {group: [source for one in members for source in texts[one]] for group, members in groups.items()}
    config = validate({**document, "name": f"{base.name}-{name}", "disciplines": merged}, f"{origin}, variant {name}")
    induction = base.train_experts.tokens * len(base.disciplines)
    untrained = variant.experts not in TRAINED_EXPERTS
    routing = base.train_router.budget - config.train_router.init_tokens
    if routing <= 0:
        raise UserError(
            f"{origin}: variants.{name}: train_router.init_tokens = {config.train_router.init_tokens} leaves nothing of "
            f"stage 3's {base.train_router.budget} tokens to train the router on; it must be smaller"
        )
    return _with_tokens(
        config,
        train_experts=induction // len(merged),
        train_router=routing,
        train_joint=base.train_joint.tokens + (induction if untrained else 0),
    )


def grouped(base: UpcycleConfig, variant: AblationVariant, where: str) -> dict[str, list[str]]:
    """Return the disciplines of each coarse expert of a variant.

    Raises:
        UserError: If the number of experts does not divide the number of disciplines.
    """
    names = list(base.disciplines)
    groups = variant.groups or len(names)
    if len(names) % groups:
        raise UserError(f"{where}.groups = {groups}: must divide the number of disciplines, {len(names)}")
    size = len(names) // groups
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    return {"-".join(part): part for part in parts}


def _total(config: UpcycleConfig) -> int:
    return (
        config.train_experts.tokens * len(config.disciplines) + config.train_router.budget + config.train_joint.tokens
    )


def _with_tokens(config: UpcycleConfig, **tokens: int) -> UpcycleConfig:
    """Return the configuration with other token budgets of its stages."""
    changed = {stage: getattr(config, stage).model_copy(update={"tokens": count}) for stage, count in tokens.items()}
    return config.model_copy(update=changed)


def run(path: Path, overrides: Sequence[str], log: Log) -> str:
    """Train the dense baseline and every variant, and measure them on the same text.

    Returns:
        The table, as Markdown.
    """
    plan = load(path, overrides)
    log(f"dense baseline, {plan.base.train_dense.tokens:,} tokens")
    in_process(plan.base)("train_dense", "")
    for number, (name, config) in enumerate(plan.configs.items(), 1):
        log(f"variant {number} of {len(plan.configs)}: {name}")
        if plan.variants[name].experts in TRAINED_EXPERTS:
            _share_experts(plan, name)
        _train(config, plan.variants[name])
        _measure(plan, name)
    return table(plan)


def _share_experts(plan: AblationPlan, name: str) -> None:
    """Reuse the experts of an earlier variant that stage 1 would train alike."""
    config, target = plan.configs[name], artifacts(plan.configs[name]) / "experts"
    if target.is_symlink() and not target.exists():
        target.unlink()  # its target was removed
    for earlier, other in plan.configs.items():
        if earlier == name or target.exists():
            return
        experts = artifacts(other) / "experts"
        if _induction(other) == _induction(config) and all(
            (experts / d / EXPERT).is_file() for d in config.disciplines
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.path.relpath(experts, target.parent), target_is_directory=True)


def _induction(config: UpcycleConfig) -> dict[str, Any]:
    """Return the settings that affect the result of stage 1."""
    return {
        **config.model_dump(include={"seed", "base_model", "disciplines", "data", "train_experts", "trainer"}),
        "form": config.mixture.form,
    }


def _train(config: UpcycleConfig, variant: AblationVariant) -> None:
    folder, base_model = artifacts(config), Path(resolve(config.base_model, "base_model"))
    spec = ModelSpec.from_config(config, read_base_config(base_model), "mixture")
    if not (folder / "split" / FILE).is_file():
        dense = BaseModelSource(spec.of_kind("dense"), base_model)
        source = SplitSource(spec, dense, _coarse(config, variant, spec, dense), config.seed, config.mixture.router_std)
        identity = digest(spec.fingerprint_facts(), base_model_fingerprint(base_model), variant.experts, config.seed)
        write(source, folder / "split", config.export.shard_bytes, identity, lambda _line: None)
        finish(folder / "split", (), {FILE: asdict(spec)})
    train = in_process(config)
    train("train_router", "")
    train("train_joint", "")


def _coarse(
    config: UpcycleConfig, variant: AblationVariant, spec: ModelSpec, dense: TensorSource
) -> dict[str, TensorSource]:
    """Return the coarse experts that a variant splits."""
    if variant.experts not in TRAINED_EXPERTS:
        copied: dict[str, TensorSource] = {name: CopiedExpert(spec, dense) for name in spec.disciplines}
        if variant.experts == "copied":
            return copied
        return {
            name: PartlyRedrawnExpert(one, REDRAWN_SHARE, config.seed + at)
            for at, (name, one) in enumerate(copied.items())
        }
    for name in spec.disciplines:
        train_expert(config, name)
    fingerprint = base_model_fingerprint(Path(resolve(config.base_model, "base_model")))
    induced: dict[str, TensorSource] = dict(open_experts(artifacts(config) / "experts", spec, fingerprint))
    if variant.experts == "shuffled":
        return {name: ShuffledExpert(one, config.seed) for name, one in induced.items()}
    return induced


def _measure(plan: AblationPlan, name: str) -> dict[str, float]:
    """Measure a variant on the held-out text of the base's disciplines.

    What was measured before is read.
    """
    config = plan.configs[name]
    kept = artifacts(config) / "ablation.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text()))
    context = prepare(plan.base)
    _, source = open_training_folder(stage_folder(config, "train_joint"))
    model = build(replace(context, config=config), "mixture", source, lambda _: False)
    groups = grouped(plan.base, plan.variants[name], name)
    ids = {one: number for number, members in enumerate(groups.values()) for one in members}
    ids |= {GENERAL: -1} if plan.base.general else {}
    sequences = plan.base.data.evaluation_sequences
    figures = evaluate(model, context.held_out, ids, context.distributed, sequences=sequences).figures
    write_json(kept, figures)
    return figures


def table(plan: AblationPlan) -> str:
    """Return a Markdown table with the losses of all variants and baselines.

    The baselines are the base model and the dense baseline.
    """
    lines = [
        "| variant | width of an expert | experts | active | million weights | general | science | routed right | dead |",
        "|---|" + "---:|" * 8,
    ]
    for row in measured_stages(plan.base):
        lines.append(f"| {row.stage} | | | | | {_losses(row.metrics)} | | |")
    for name, config in plan.configs.items():
        spec = ModelSpec.from_config(
            config, read_base_config(Path(resolve(config.base_model, "base_model"))), "mixture"
        )
        figures = _measure(plan, name)
        shape = f"{spec.fine} | {spec.experts} | {spec.top_k} | {_weights(spec) / 1e6:.2f}"
        right, dead = figures["val/router/accuracy"], figures["val/router/dead_experts"]
        lines.append(f"| {name} | {shape} | {_losses(figures)} | {right:.0%} | {dead:.0f} |")
    return "\n".join(lines)


def _losses(figures: dict[str, Any]) -> str:
    general = figures.get(LOSS + GENERAL)
    return f"{'' if general is None else f'{general:.3f}'} | {figures[LOSS + 'science']:.3f}"


def _weights(spec: ModelSpec) -> int:
    """Count the weights that multiply a token, with every expert included."""
    active = active_weights(spec)
    return active.total - active.experts + active.experts // spec.top_k * spec.experts
