"""What every training stage needs before it can train: the ranks, the donor, its tokens, and where things lie.

    runs/NAME/             artefacts: data/, experts/DISCIPLINE/, split/, route/, integrate/, export/
    runs/NAME.STAGE/       the run directory of a training stage: run.json, metrics.jsonl, checkpoints/

A stage whose artefact is complete is not run again; one that was interrupted goes on from its last checkpoint, provided
that what decides its numbers is unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from innovator_rl.models.resolver import resolve
from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir
from upcycle.checkpoint.readers import donor_config
from upcycle.checkpoint.sharded_writer import finish
from upcycle.checkpoint.tensor_source import Source
from upcycle.checkpoint.torch_io import load_weights
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import DenseConfig, IntegrateConfig, RouteConfig, Sources, StageConfig
from upcycle.data.documents import require_files
from upcycle.data.packing import GENERAL, Batch, Corpora, Schedule, even_shares, tokenize
from upcycle.model.architecture import FILE, Kind, Spec, native_shapes
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.planning.flops import flops_per_token
from upcycle.training.consolidate import save_folder
from upcycle.training.distributed import World, join
from upcycle.training.evaluation import evaluate
from upcycle.training.trainer import Engine, Objective, shard, slices_of

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "vocab.json", "merges.txt",
    "generation_config.json",
)  # fmt: skip
DECIDES = (
    "seed",
    "donor",
    "disciplines",
    "general",
    "mixture",
    "data",
)  # of the configuration, besides the stage's own


@dataclass(frozen=True)
class Setup:
    """A configuration on this machine: `ids` numbers the disciplines, general text is -1."""

    config: UpcycleConfig
    world: World
    donor: Path
    donor_config: dict[str, Any]
    train: Corpora
    held_out: Corpora
    ids: dict[str, int]

    @property
    def folder(self) -> Path:
        """Where the artefacts of all stages lie."""
        return artefacts(self.config)

    @property
    def disciplines(self) -> tuple[str, ...]:
        """The disciplines in the order of their experts."""
        return tuple(self.config.disciplines)

    def shares(self, stage: RouteConfig | IntegrateConfig | DenseConfig) -> dict[str, float]:
        """The stage's share of general text, the rest evenly over the disciplines; no general text where none is named."""
        return even_shares(self.disciplines, stage.general_share if self.config.general else 0.0)


def build(setup: Setup, kind: Kind, source: Source, trains: Callable[[str], bool]) -> Any:
    """A model of `kind` filled from `source`, spread over the ranks; parameters whose name `trains` refuses are frozen."""
    spec = Spec.from_config(setup.config, setup.donor_config, kind)
    engine = setup.config.engine
    with torch.device("meta"):
        model = InnovatorForCausalLM(spec)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name))
    shard(model.float(), setup.world, engine)
    model.to_empty(device="cpu" if engine.cpu_offload else setup.world.device)
    load_weights(model, source)
    model.set_checkpointing(engine.checkpointing)
    return model


def train_native(config: UpcycleConfig, name: str, engine: Callable[[Setup], Engine]) -> Path:
    """Train a stage whose result is a whole model to its end, once; the native folder runs/NAME/`name`."""
    target = artefacts(config) / name
    if (target / FILE).is_file():
        return target
    setup = prepare(config)
    trained = engine(setup)
    trained.fit()
    save_native_folder(setup, trained.model, target)
    return target


def save_native_folder(setup: Setup, model: Any, folder: Path) -> None:
    """Write a model as a native folder with the donor's tokenizer beside it."""
    names = [name for name, _ in native_shapes(model.spec)]

    def complete(aside: Path) -> None:
        finish(aside, [setup.donor / name for name in TOKENIZER_FILES if (setup.donor / name).is_file()], {})
        model.spec.save(aside)

    save_folder(model, names, folder, setup.world, complete)


def artefacts(config: UpcycleConfig) -> Path:
    """runs/NAME, absolute."""
    return resolve_runs_dir(config.runs_dir) / config.name


def check_sources(config: UpcycleConfig) -> dict[str, Sources]:
    """The sources of every discipline and of general text; `ValueError` for one without files or named as general text is."""
    if GENERAL in config.disciplines:
        raise ValueError(f"disciplines.{GENERAL}: this name means general text; list its sources under `general`")
    sources = {**config.disciplines, **({GENERAL: config.general} if config.general else {})}
    for name, found in sources.items():
        require_files(found, name)
    return sources


def prepare(config: UpcycleConfig) -> Setup:
    """Join the ranks, find the donor, tokenize what is not yet tokenized. `ValueError` for what people can correct."""
    donor = Path(resolve(config.donor))
    shape = donor_config(donor)
    sources = check_sources(config)
    world = join(config.engine.threads)
    folder = artefacts(config) / "data"
    tokenize(sources, _tokenizer(donor, shape), folder, config.data.held_out, config.data.split_seed)
    ids = {name: -1 if name == GENERAL else number for number, name in enumerate(sources)}
    length = config.data.sequence_length
    train, held_out = (Corpora(folder, split, list(ids), length) for split in ("train", "held_out"))
    return Setup(config, world, donor, shape, train, held_out, ids)


def _tokenizer(donor: Path, shape: Mapping[str, Any]) -> Any:
    import transformers

    hf: Any = transformers  # its classes carry no constructor types
    try:
        tokenizer = hf.AutoTokenizer.from_pretrained(donor)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"donor {donor} has no readable tokenizer ({str(error).splitlines()[0]}): add its files"
        ) from None
    if len(tokenizer) > int(shape["vocab_size"]):
        raise ValueError(
            f"donor's tokenizer has {len(tokenizer)} tokens, its embedding {shape['vocab_size']} rows: "
            "they belong to different models; put the donor's own tokenizer beside its weights"
        )
    return tokenizer


def engine_of(
    setup: Setup, name: str, stage: StageConfig, model: Any, objective: Objective, shares: Mapping[str, float]
) -> Engine:
    """The engine that trains `model` through one stage on text in these `shares`; runs/NAME.`name` is its run directory.

    Its batches go on past the last step for what the stage's budget holds beside training.
    """
    run = RunDir(resolve_runs_dir(setup.config.runs_dir) / f"{setup.config.name}.{name}")
    _same_as_before(setup, stage, run)
    batch, micro, steps = sizes(setup, stage)
    kind: Any = name.partition("-")[0]
    available = {key: setup.train.size(key) for key in shares}
    beside = (stage.budget - stage.tokens) // stage.batch_tokens
    schedule = Schedule(available, shares, batch, steps + beside, setup.config.seed)

    def batches(step: int) -> list[Batch]:
        picks = schedule.picks(step)
        return slices_of(partial(setup.train.batch, ids=setup.ids), picks, setup.world, micro)

    return Engine(
        model,
        stage,
        setup.config.engine,
        objective,
        batches,
        steps=steps,
        flops=flops_per_token(model.spec, kind, setup.config.data.sequence_length).training,
        world=setup.world,
        run=run,
        evaluate=evaluation(setup, model, shares),
    )


def evaluation(
    setup: Setup, model: Any, names: Iterable[str] | None = None, route: Literal["router", "oracle"] = "router"
) -> Callable[[], dict[str, float]]:
    """The held-out figures of `model` on `names` (all texts by default), computed when called."""
    ids = {name: number for name, number in setup.ids.items() if names is None or name in names}
    return partial(
        evaluate, model, setup.held_out, ids, setup.world,
        sequences=setup.config.data.evaluation_sequences, route=route,
    )  # fmt: skip


def sizes(setup: Setup, stage: StageConfig) -> tuple[int, int, int]:
    """(sequences of a batch, of a slice of it, steps) of a stage's budget; every rank must have a part of every slice."""
    length, ranks = setup.config.data.sequence_length, setup.world.size
    batch = stage.batch_tokens // length
    micro = min(batch, setup.config.engine.micro_batch_tokens // length) or batch
    smallest = (batch % micro or micro) if batch else 0
    if smallest < ranks:
        raise ValueError(
            f"batch_tokens = {stage.batch_tokens} in slices of engine.micro_batch_tokens = "
            f"{setup.config.engine.micro_batch_tokens} leaves a slice of {smallest} sequences of {length} tokens "
            f"for {ranks} ranks: let both be multiples of {ranks * length}"
        )
    return batch, micro, max(1, round(stage.tokens / (batch * length)))


def _same_as_before(setup: Setup, stage: StageConfig, run: RunDir) -> None:
    """Write config.yaml, or refuse to go on from checkpoints that another configuration made."""
    whole = setup.config.model_dump(mode="json")
    decides = {key: whole[key] for key in DECIDES} | {"stage": stage.model_dump(mode="json")}
    if setup.world.first:
        run.create()
        known = yaml.safe_load(run.config_yaml.read_text()) if run.config_yaml.is_file() else None
        if known is not None and any(run.checkpoints.glob("step=*")):
            changed = [key for key in decides if json.dumps(known.get(key)) != json.dumps(decides[key])]
            if changed:
                raise ValueError(
                    f"{run.path} was trained with another {' and '.join(changed)}: give the new run another name, "
                    "or remove the folder to start anew"
                )
        run.config_yaml.write_text(yaml.safe_dump(decides | {"engine": whole["engine"]}, sort_keys=False))
    setup.world.wait()
