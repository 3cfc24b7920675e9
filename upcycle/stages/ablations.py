"""Ablations: one file names the variants, one command runs them all on the same token budget and prints the table.

    base: tiny.yaml                 # an upcycling configuration, beside this file
    variants:
      innovator: {}
      coarse-2: {groups: 2, settings: {mixture.split: 2, mixture.top_k: 2}}
      donor-copy: {experts: copied, settings: {mixture.form: half}}

A variant is the base with other settings and, where it says so, with other coarse experts: `groups` merges neighbouring
disciplines into that many experts; `experts` takes the donor's copy (as is, or partly drawn anew) or shuffles channels
before the split. What is not spent on induction is spent on integration, and what is not spent on the router's start on its
training, so every variant sees as many tokens, and the dense baseline as many again. Experts that two variants would induce
alike are induced once; finished stages are not run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from innovator_rl.config.load import apply_overrides, read_yaml
from innovator_rl.models.resolver import resolve
from upcycle.checkpoint.convert import digest
from upcycle.checkpoint.expert_init import Copied, Dropped, Shuffled
from upcycle.checkpoint.expert_split import Split
from upcycle.checkpoint.readers import EXPERT, Donor, donor_config, donor_fingerprint, native_source, open_experts
from upcycle.checkpoint.sharded_writer import finish, write
from upcycle.checkpoint.tensor_source import Source
from upcycle.config.base import PositiveInt, Section
from upcycle.config.schema import UpcycleConfig, validate
from upcycle.data.packing import GENERAL
from upcycle.model.architecture import FILE, Spec, write_json
from upcycle.planning.flops import active_weights
from upcycle.stages.common import artefacts, build, prepare
from upcycle.stages.induction import induct
from upcycle.stages.pipeline import here
from upcycle.stages.report import LOSS, rows
from upcycle.training.evaluation import evaluate

Say = Callable[[str], object]
INDUCED = ("induced", "shuffled")  # kinds of experts that stage 1 trains
DROPPED_SHARE = 0.5  # the share that drop-upcycling found best


class Variant(Section):
    """One ablation."""

    experts: Literal["induced", "shuffled", "copied", "dropped"] = Field(
        default="induced",
        description="Where coarse experts come from: induced; shuffled: induced, channels in random order before the split; "
        "copied: the donor's network; dropped: that with half of its channels drawn anew.",
    )
    groups: PositiveInt | None = Field(default=None, description="Merge the disciplines into so many experts.")
    settings: dict[str, Any] = Field(default={}, description="Dotted keys of the base's configuration to change.")


class Ablations(Section):
    """A file of variants."""

    base: str = Field(min_length=1, description="The upcycling configuration they change, beside this file.")
    variants: dict[str, Variant] = Field(min_length=1, description="Name to variant.")


@dataclass(frozen=True)
class Plan:
    """A checked file: the base's configuration, and each variant with its own."""

    base: UpcycleConfig
    configs: dict[str, UpcycleConfig]
    variants: dict[str, Variant]


def load(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Read a file of variants. `ValueError` with a line for each mistake."""
    try:
        file = Ablations.model_validate(read_yaml(path))
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ValueError("\n".join(lines)) from None
    document = apply_overrides(read_yaml(path.parent / file.base), overrides)
    base = validate(document, str(path.parent / file.base))
    base = _with_tokens(base, dense=_total(base))
    configs = {
        name: _configuration(base, document, name, variant, str(path)) for name, variant in file.variants.items()
    }
    return Plan(base, configs, file.variants)


def _configuration(
    base: UpcycleConfig, plain: dict[str, Any], name: str, variant: Variant, origin: str
) -> UpcycleConfig:
    """The base with the variant's settings, experts and split of the token budget."""
    document = apply_overrides(plain, [f"{key}={value}" for key, value in variant.settings.items()])
    groups = grouped(base, variant, f"{origin}: variants.{name}")
    texts = document["disciplines"]
    merged = {group: [source for one in members for source in texts[one]] for group, members in groups.items()}
    config = validate({**document, "name": f"{base.name}-{name}", "disciplines": merged}, f"{origin}, variant {name}")
    induction = base.induct.tokens * len(base.disciplines)
    untrained = variant.experts not in INDUCED
    routing = base.route.budget - config.route.start_tokens
    if routing <= 0:
        raise ValueError(
            f"{origin}: variants.{name}: route.start_tokens = {config.route.start_tokens} leaves nothing of stage 3's "
            f"{base.route.budget} tokens to train the router on; set it below that"
        )
    return _with_tokens(
        config,
        induct=induction // len(merged),
        route=routing,
        integrate=base.integrate.tokens + (induction if untrained else 0),
    )


def grouped(base: UpcycleConfig, variant: Variant, where: str) -> dict[str, list[str]]:
    """The disciplines behind each coarse expert of a variant."""
    names = list(base.disciplines)
    groups = variant.groups or len(names)
    if len(names) % groups:
        raise ValueError(f"{where}.groups = {groups}: does not divide {len(names)} disciplines evenly")
    size = len(names) // groups
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    return {"-".join(part): part for part in parts}


def _total(config: UpcycleConfig) -> int:
    return config.induct.tokens * len(config.disciplines) + config.route.budget + config.integrate.tokens


def _with_tokens(config: UpcycleConfig, **tokens: int) -> UpcycleConfig:
    """The configuration with other token budgets of its stages."""
    changed = {stage: getattr(config, stage).model_copy(update={"tokens": count}) for stage, count in tokens.items()}
    return config.model_copy(update=changed)


def run(path: Path, overrides: Sequence[str], say: Say) -> str:
    """Run the dense baseline and every variant, measure them on the same text; the table as Markdown."""
    plan = load(path, overrides)
    say(f"dense baseline, {plan.base.dense.tokens:,} tokens")
    here(plan.base)("dense", "")
    for number, (name, config) in enumerate(plan.configs.items(), 1):
        say(f"variant {number} of {len(plan.configs)}: {name}")
        if plan.variants[name].experts in INDUCED:
            _share_experts(plan, name)
        _train(config, plan.variants[name])
        _measure(plan, name)
    return table(plan)


def _share_experts(plan: Plan, name: str) -> None:
    """Take the experts of an earlier variant that were induced alike, instead of training the same ones again."""
    config, target = plan.configs[name], artefacts(plan.configs[name]) / "experts"
    if target.is_symlink() and not target.exists():
        target.unlink()  # what it led to was removed
    for earlier, other in plan.configs.items():
        if earlier == name or target.exists():
            return
        experts = artefacts(other) / "experts"
        if _induction(other) == _induction(config) and all(
            (experts / d / EXPERT).is_file() for d in config.disciplines
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.path.relpath(experts, target.parent), target_is_directory=True)


def _induction(config: UpcycleConfig) -> dict[str, Any]:
    """What decides the numbers of stage 1."""
    return {
        **config.model_dump(include={"seed", "donor", "disciplines", "data", "induct", "engine"}),
        "form": config.mixture.form,
    }


def _train(config: UpcycleConfig, variant: Variant) -> None:
    folder, donor = artefacts(config), Path(resolve(config.donor))
    spec = Spec.from_config(config, donor_config(donor), "mixture")
    if not (folder / "split" / FILE).is_file():
        dense = Donor(spec.of_kind("dense"), donor)
        source = Split(spec, dense, _coarse(config, variant, spec, dense), config.seed, config.mixture.router_std)
        identity = digest(asdict(spec), donor_fingerprint(donor), variant.experts, config.seed)
        write(source, folder / "split", config.export.shard_bytes, identity, lambda _line: None)
        finish(folder / "split", (), {FILE: asdict(spec)})
    train = here(config)
    train("route", "")
    train("integrate", "")


def _coarse(config: UpcycleConfig, variant: Variant, spec: Spec, dense: Source) -> dict[str, Source]:
    """The coarse experts that a variant splits."""
    if variant.experts not in INDUCED:
        copied: dict[str, Source] = {name: Copied(spec, dense) for name in spec.disciplines}
        if variant.experts == "copied":
            return copied
        return {name: Dropped(one, DROPPED_SHARE, config.seed + at) for at, (name, one) in enumerate(copied.items())}
    for name in spec.disciplines:
        induct(config, name)
    fingerprint = donor_fingerprint(Path(resolve(config.donor)))
    induced: dict[str, Source] = dict(open_experts(artefacts(config) / "experts", spec, fingerprint))
    if variant.experts == "shuffled":
        return {name: Shuffled(one, config.seed) for name, one in induced.items()}
    return induced


def _measure(plan: Plan, name: str) -> dict[str, float]:
    """A variant's held-out figures on the base's disciplines, whatever experts it has for them; kept in its folder."""
    config = plan.configs[name]
    kept = artefacts(config) / "ablation.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    setup = prepare(plan.base)
    _, source = native_source(artefacts(config) / "integrate")
    model = build(replace(setup, config=config), "mixture", source, lambda _: False)
    groups = grouped(plan.base, plan.variants[name], name)
    ids = {one: number for number, members in enumerate(groups.values()) for one in members}
    ids |= {GENERAL: -1} if plan.base.general else {}
    sequences = plan.base.data.evaluation_sequences
    figures = evaluate(model, setup.held_out, ids, setup.world, sequences=sequences)
    write_json(kept, figures)
    return figures


def table(plan: Plan) -> str:
    """General and science loss of every variant after integration, beside the donor and the dense baseline."""
    lines = [
        "| variant | width of an expert | experts | active | million weights | general | science | routed right | dead |",
        "|---|" + "---:|" * 8,
    ]
    for row in rows(plan.base):
        lines.append(f"| {row.stage} | | | | | {_losses(row.figures)} | | |")
    for name, config in plan.configs.items():
        spec = Spec.from_config(config, donor_config(Path(resolve(config.donor))), "mixture")
        figures = _measure(plan, name)
        shape = f"{spec.fine} | {spec.experts} | {spec.top_k} | {_weights(spec) / 1e6:.2f}"
        right, dead = figures["val/router/accuracy"], figures["val/router/dead_experts"]
        lines.append(f"| {name} | {shape} | {_losses(figures)} | {right:.0%} | {dead:.0f} |")
    return "\n".join(lines)


def _losses(figures: dict[str, Any]) -> str:
    general = figures.get(LOSS + GENERAL)
    return f"{'' if general is None else f'{general:.3f}'} | {figures[LOSS + 'science']:.3f}"


def _weights(spec: Spec) -> int:
    """All weights that multiply a token, with every expert counted."""
    active = active_weights(spec)
    return active.total - active.experts + active.experts // spec.top_k * spec.experts
