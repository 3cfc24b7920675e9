"""The parts of `benchmarks.upcycle_scaling`: text, base models, rates, ladders of budgets and the table of splits.

Each is a function of the folder and the size, writes `results/NAME.json` when it is done and is skipped from then on. A
training stage that was interrupted continues from its last checkpoint. A job holds a lock while it runs, so a second command
waits for what a killed one left running. The folder's name contains a digest of all settings: changed ones find nothing old.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.upcycle_capacity import SHAPE, make_base_model, random_model
from upcycle.checkpoint import convert
from upcycle.checkpoint.readers import BaseModelSource, open_training_folder, read_base_config
from upcycle.config.schema import UpcycleConfig, validate
from upcycle.config.stages import STAGE_FOLDERS, Stage
from upcycle.data.batch import NO_LABEL
from upcycle.data.order import GENERAL
from upcycle.model.architecture import ModelSpec, write_json
from upcycle.planning.batches import batch_sizes
from upcycle.planning.flops import flops_per_token
from upcycle.stages.common import artifacts, build, evaluation, prepare, stage_folder, stage_run
from upcycle.stages.pipeline import in_process
from upcycle.training.evaluation import spread
from upcycle.training.losses import cross_entropy

DISCIPLINES = ("physics", "chemistry", "biology", "mathematics")
GENERAL_SHARE = 0.4  # of stage 4; dense training gets what that is over all stages
DECAY = 0.2  # share of a budget over which its rate decays
CONTEXT, CONTINUATION, CANDIDATES = 64, 32, 4  # tokens, tokens and endings of a task
BATCH = 4096  # tokens of a step
MEASURED = 4  # times as many held-out sequences are measured after a run as during it
COST = {"dense": 1.0, "wide": 1.4, "mixture": 1.5}  # of a token, for the time left


@dataclass(frozen=True)
class Size:
    """How much is trained, in tokens.

    Attributes:
        phases: Tokens, learning rate and share of general text of each phase of pre-training.
        induction: Tokens of each discipline's expert.
        route: Tokens of the router's start, and as many of its training.
        tune: Tokens of stage 4, or of dense training, with which a rate is tried.
        rates: Learning rates that both sides try.
        budgets: Token budgets over all stages, ascending.
        main: The budget of the seeds and of the dense model of twice the width.
        table: The budget of every way to split.
        seeds: Seeds of the main row.
        grid: Steps between checkpoints, at which a decay may begin.
        sequences: Held-out sequences of each text during a run; four times as many measure its result.
        books: Sources of the recipe; all if empty.
    """

    phases: tuple[tuple[int, float, float], ...]
    induction: int
    route: int
    tune: int
    rates: tuple[float, ...]
    budgets: tuple[int, ...]
    main: int
    table: int
    seeds: int
    grid: int
    sequences: int
    books: tuple[str, ...] = ()

    @property
    def before(self) -> int:
        """Tokens of a mixture before stage 4."""
        return len(DISCIPLINES) * self.induction + 2 * self.route


FULL = Size(
    ((4_194_304, 4e-3, 1.0), (2_097_152, 3e-3, 0.6)), 196_608, 65_536, 524_288, (2e-3, 4e-3, 8e-3, 1.6e-2),
    (2_949_120, 5_898_240, 11_796_480, 23_592_960), 5_898_240, 1_966_080, 3, 128, 32,
)  # fmt: skip
QUICK = Size(
    ((262_144, 4e-3, 1.0), (131_072, 3e-3, 0.6)), 16_384, 16_384, 65_536, (4e-3, 8e-3), (196_608, 393_216),
    393_216, 196_608, 1, 8, 8, ("astronomy", "organic-chemistry", "microbiology", "calculus", "introduction-philosophy"),
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """A folder and a size; the methods are the jobs."""

    folder: Path
    size: Size

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The jobs by name, with those that each one waits for."""
        rates = [f"{rate:g}" for rate in self.size.rates]
        dense, mixture = [f"tune-dense-{rate}" for rate in rates], [f"tune-mixture-{rate}" for rate in rates]
        seeds = range(self.size.seeds)
        return {
            "text": (),
            "base": ("text",),
            "start-0": ("base",),
            **dict.fromkeys(dense, ("base",)),
            **dict.fromkeys(mixture, ("start-0",)),
            "mixture-0": tuple(mixture),
            "dense-0": tuple(dense),
            "wide-0": tuple(dense),
            "table-0": (*mixture, *dense),
            **{f"start-{seed}": ("base",) for seed in seeds if seed},
            **{f"mixture-{seed}": (*mixture, f"start-{seed}") for seed in seeds if seed},
            **{f"dense-{seed}": tuple(dense) for seed in seeds if seed},
            **{f"table-{seed}": (*mixture, *dense) for seed in seeds if seed},
        }

    @classmethod
    def of(cls, folder: Path, size: Size) -> Study:
        """Return the study of a size, in the subfolder of its settings."""
        facts = [asdict(size), SHAPE, MEASURED, CONTEXT, CONTINUATION, CANDIDATES, os.environ.get("INNOVATOR_DATA", "")]
        plain = cls(Path("/"), size).configuration("digest").model_dump(mode="json")
        text = json.dumps([facts, plain], sort_keys=True)
        return cls((folder / hashlib.sha256(text.encode()).hexdigest()[:8]).resolve(), size)

    def work(self, job: str) -> float:
        """Return a job's training tokens, weighted by what one costs."""
        size, (kind, _, rest) = self.size, job.partition("-")
        before = COST["mixture"] * size.before
        if kind == "base":
            return float(sum(tokens for tokens, _, _ in size.phases))
        if kind == "start":
            return before
        if kind == "tune":
            return COST[rest.partition("-")[0]] * size.tune
        if kind == "table":
            return size.table * (COST["dense"] + COST["mixture"] * len(self.ways(int(rest))))
        if kind not in COST:
            return 0.0
        spent = size.before if kind == "mixture" else 0
        budgets = [budget - spent for budget in self.budgets(kind, int(rest))]
        return COST[kind] * ((1 - DECAY) * budgets[-1] + DECAY * sum(budgets))

    def budgets(self, kind: str, seed: int) -> tuple[int, ...]:
        """Return the budgets that one side trains for: seed 0 of mixture and dense every one, the others the main one."""
        return self.size.budgets if seed == 0 and kind != "wide" else (self.size.main,)

    @contextmanager
    def held(self, job: str) -> Iterator[None]:
        """Hold a job's lock; a process of the same job that still runs is waited for."""
        path = self.folder / "locks" / job
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def result(self, job: str) -> Any:
        """Return what a finished job wrote, or None."""
        path = self.folder / "results" / f"{job}.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def run(self, job: str) -> None:
        """Run a job whose predecessors are done, and write its result."""
        with self.held(job):
            if self.result(job) is not None:
                return
            started = time.monotonic()
            found = {**self._found(*job.split("-", 1)), "seconds": time.monotonic() - started}
            (self.folder / "results").mkdir(parents=True, exist_ok=True)
            write_json(self.folder / "results" / f"{job}.json", found)

    def _found(self, kind: str, rest: str = "") -> dict[str, Any]:
        if kind == "tune":
            side, _, rate = rest.partition("-")
            return self.tune(side, float(rate))
        if kind in COST:
            return self.ladder(kind, int(rest))
        if kind == "table":
            return self.table(int(rest))
        return self.text() if kind == "text" else self.base() if kind == "base" else self.start(int(rest))

    def configuration(self, name: str, **sections: Any) -> UpcycleConfig:
        """Return the configuration of one run, with other sections."""
        size, batch = self.size, {"batch_tokens": BATCH}
        shape = {**batch, "decay_share": DECAY}
        document: dict[str, Any] = {
            "name": name,
            "runs_dir": str(self.folder / "runs"),
            "base_model": str(self.folder / "base" / "checkpoint"),
            "disciplines": {name: [self._corpus(name)] for name in DISCIPLINES},
            "general": [self._corpus(GENERAL)],
            "mixture": {"null_experts": 8},
            "data": {"sequence_length": 256, "held_out": 0.1, "evaluation_sequences": size.sequences},
            "train_experts": {**batch, "tokens": size.induction, "learning_rate": 3e-3},
            "train_router": {
                **batch,
                "tokens": size.route,
                "init_tokens": size.route,
                "learning_rate": 1e-3,
                "balance": 0.003,
            },
            "train_joint": {
                **shape,
                "tokens": size.main - size.before,
                "general_share": GENERAL_SHARE,
                "balance": 0.003,
                "classification": 0.1,
            },
            "train_dense": {
                **shape,
                "tokens": size.main,
                "general_share": GENERAL_SHARE * (1 - size.before / size.main),
            },
            "trainer": {
                "dtype": "float32",
                "checkpointing": False,
                "save_every": size.grid,
                "keep": 9999,
                "threads": 1,
            },
        }
        for key, value in sections.items():
            document[key] = {**document[key], **value} if isinstance(value, dict) else value
        return validate(document)

    def _corpus(self, name: str) -> dict[str, str]:
        return {"corpus": str(self.folder / "corpus" / "textbooks"), "label": name}

    def text(self) -> dict[str, Any]:
        """Build the corpus of the textbooks, learn a tokenizer on it, and build the token shards."""
        from innovator_rl.data.corpus.build import build_corpus
        from innovator_rl.data.corpus.recipe import Outputs, Tokens, load_corpus_recipe
        from innovator_rl.packaged_files import find_config

        recipe = load_corpus_recipe(find_config("corpus-textbooks", "data"))
        books = tuple(source for source in recipe.sources if source.name in self.size.books or not self.size.books)
        recipe = recipe.model_copy(update={"sources": books, "outputs": Outputs()})
        out = self.folder / "corpus"
        build_corpus(recipe, out)
        random = self.folder / "base" / "random"
        if not random.is_dir():
            random.parent.mkdir(parents=True, exist_ok=True)
            random_model(_documents(out / recipe.name), random)
        tokens = Tokens.model_validate({"tokenizer": str(random), "end_token": "<|endoftext|>"})
        manifest = build_corpus(recipe.model_copy(update={"outputs": Outputs(tokens=tokens)}), out)
        assert manifest.tokens is not None
        return {"tokens": manifest.tokens.by_discipline()}

    def base(self) -> dict[str, Any]:
        """Pre-train the base model and measure it."""
        config = self.configuration("base")
        make_base_model(config, self.size.phases)
        return {"rows": [{"tokens": 0, "flops": 0.0, **self.measure(config, "dense", None)}]}

    def start(self, seed: int) -> dict[str, Any]:
        """Run a mixture's stages before stage 4."""
        config = self.configuration(f"start-{seed}", seed=seed)
        base_model, folder, train = Path(config.base_model), artifacts(config), in_process(config)
        for discipline in config.disciplines:
            train("train_experts", discipline)
        how = (read_base_config(base_model), base_model, folder / "experts", folder / "split", lambda _line: None)
        convert.split(config, *how)
        train("train_router", "")
        return {}

    def tune(self, side: str, rate: float) -> dict[str, Any]:
        """Train one side a little with a rate."""
        stage: Stage = "train_joint" if side == "mixture" else "train_dense"
        settings = {"tokens": self.size.tune, "learning_rate": rate}
        return self._train(self.configuration(f"tune-{side}-{rate:g}", **{stage: settings}), stage, "start-0")

    def best_rate(self, side: str) -> float:
        """Return the rate with the lowest mean of science and general loss."""

        def loss(rate: float) -> float:
            found = self.result(f"tune-{side}-{rate:g}")
            return float(found["val/loss/science"] + found["val/loss/general"])

        return min(self.size.rates, key=loss)

    def ladder(self, kind: str, seed: int) -> dict[str, Any]:
        """Train one side at its best rate.

        The rate is constant on the way to the largest budget; each budget is a decay from a checkpoint on that way.
        """
        side = "mixture" if kind == "mixture" else "dense"
        stage: Stage = "train_joint" if kind == "mixture" else "train_dense"
        budgets = self.budgets(kind, seed)
        spent = self.size.before if kind == "mixture" else 0
        changes = {"base_model": str(self._wide_base())} if kind == "wide" else {}
        rows, trunk = [], f"{kind}-{seed}-trunk"

        def config_of(name: str, tokens: int, decay: float) -> UpcycleConfig:
            settings = {"tokens": tokens, "learning_rate": self.best_rate(side), "decay_share": decay}
            return self.configuration(name, seed=seed, **changes, **{stage: settings})

        begins = {}
        for budget in budgets:  # the decay of each begins at a checkpoint
            steps = (budget - spent) // BATCH
            begins[budget] = (steps, round(steps * (1 - DECAY) / self.size.grid) * self.size.grid)
        way = config_of(trunk, begins[budgets[-1]][1] * BATCH, 0.0)
        self._train(way, stage, f"start-{seed}")
        for budget, (steps, begin) in begins.items():
            config = config_of(f"{kind}-{seed}-{budget}", steps * BATCH, 1 - begin / steps)
            source = stage_run(way, stage) / "checkpoints" / f"step={begin:06d}"
            target = stage_run(config, stage) / "checkpoints" / source.name
            if not target.parent.is_dir():  # else it is on its way already
                aside = target.parent.with_name(".checkpoints")
                shutil.rmtree(aside, ignore_errors=True)
                shutil.copytree(source, aside / source.name)
                aside.rename(target.parent)
            figures = self._train(config, stage, f"start-{seed}")
            rows.append({"tokens": budget, "flops": self.flops(config, stage), **figures})
        return {"rate": self.best_rate(side), "rows": rows}

    def _train(self, config: UpcycleConfig, stage: Stage, start: str) -> dict[str, Any]:
        """Train a stage from the results before it, and measure the result."""
        folder = artifacts(config)
        folder.mkdir(parents=True, exist_ok=True)
        before = folder / STAGE_FOLDERS["train_router"]
        if stage == "train_joint" and not before.exists():
            before.symlink_to(self.folder / "runs" / start / before.name, target_is_directory=True)
        in_process(config)(stage, "")
        return self.measure(config, "mixture" if stage == "train_joint" else "dense", stage_folder(config, stage))

    def measure(
        self, config: UpcycleConfig, kind: Any, weights: Path | None, text: UpcycleConfig | None = None
    ) -> dict[str, Any]:
        """Return held-out losses and the share of tasks solved, of a model or, without weights, of the base model.

        `sequences` holds the loss of every held-out sequence, so that differences between models have intervals. A model
        whose experts share disciplines is measured on the `text` of the configuration that has them apart.
        """
        context = replace(prepare(text or config), config=config)
        spec = ModelSpec.from_config(config, context.base_config, kind)
        source = open_training_folder(weights)[1] if weights else BaseModelSource(spec, context.base_model)
        model = build(context, kind, source, lambda _: False)
        routed = {} if text or kind == "dense" else evaluation(context, model)()
        figures: dict[str, Any] = {key: value for key, value in routed.items() if "router" in key}
        losses = {
            name: losses_of(model, context.held_out, name, MEASURED * self.size.sequences)
            for name in (*DISCIPLINES, GENERAL)
        }
        for name, values in losses.items():
            figures[f"val/loss/{name}"] = sum(values) / len(values)
            figures[f"tasks/{name}"], figures[f"items/{name}"] = solved(
                model, context.held_out, name, 8 * self.size.sequences
            )
        for what in ("val/loss", "tasks"):
            figures[f"{what}/science"] = sum(figures[f"{what}/{name}"] for name in DISCIPLINES) / len(DISCIPLINES)
        figures["items/science"] = sum(figures[f"items/{name}"] for name in DISCIPLINES)
        return {**figures, "sequences": losses}

    def flops(self, config: UpcycleConfig, stage: Stage) -> float:
        """Count the operations of a run with all stages before it."""
        base = read_base_config(Path(config.base_model))

        def of(one: Stage, kind: Any, tokens: int) -> float:
            spec = ModelSpec.from_config(config, base, kind)
            return tokens * flops_per_token(spec, one, config.data.sequence_length).training

        batch, _, steps = batch_sizes(config, getattr(config, stage), 1)
        tokens = batch * steps * config.data.sequence_length
        if stage == "train_dense":
            return of("train_dense", "dense", tokens)
        induced = of("train_experts", "induced", len(DISCIPLINES) * self.size.induction)
        return induced + of("train_router", "mixture", 2 * self.size.route) + of("train_joint", "mixture", tokens)

    def _wide_base(self) -> Path:
        """Write the base model with twice the width; the new half adds nothing at first."""
        from safetensors.torch import load_file, save_file

        source, target = self.folder / "base" / "checkpoint", self.folder / "base" / "wide"
        if target.is_dir():
            return target
        aside = target.with_name(".wide")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source, aside, ignore=shutil.ignore_patterns("*.safetensors*"))
        base = read_base_config(source)
        write_json(aside / "config.json", {**base, "intermediate_size": 2 * base["intermediate_size"]})
        tensors = {name: value for path in source.glob("*.safetensors") for name, value in load_file(path).items()}
        for name, value in tensors.items():
            if ".mlp." in name:
                tensors[name] = _doubled(value, down="down_proj" in name)
        save_file(tensors, aside / "model.safetensors", {"format": "pt"})
        return aside.rename(target)

    def ways(self, seed: int) -> dict[str, dict[str, Any]]:
        """Return the ways to split: the paper's Table 4 as printed and with equal totals and, for seed 0, copies."""
        ways: dict[str, dict[str, Any]] = {"innovator": {}}
        for split in (1, 2, 4):
            few = {"mixture.split": split, "mixture.top_k": split, "mixture.null_experts": split}
            ways[f"equal-total-{split}"] = {"settings": few}
            if split > 1:
                ways[f"printed-{split}"] = {"settings": few, "groups": split // 2}
        half = {"mixture.form": "half"}
        return ways | ({} if seed else {name: {"experts": kind, "settings": half} for name, kind in COPIES.items()})

    def table(self, seed: int) -> dict[str, Any]:
        """Train every way to split, and the dense model, on the same tokens."""
        from upcycle.stages import ablations

        joint = {"tokens": self.size.table - self.size.before, "learning_rate": self.best_rate("mixture")}
        share = GENERAL_SHARE * (1 - self.size.before / self.size.table)
        dense = {"tokens": self.size.table, "learning_rate": self.best_rate("dense"), "general_share": share}
        config = self.configuration(
            f"table-{seed}" if seed else "table", seed=seed, train_joint=joint, train_dense=dense
        )
        base = self.folder / f"table-{seed}.base.yaml"
        write_json(base, json.loads(config.model_dump_json()))
        variants = self.folder / f"table-{seed}.yaml"
        write_json(variants, {"base": base.name, "variants": self.ways(seed)})
        ablations.run(variants, (), print)
        plan = ablations.load(variants)
        rows = {"dense": self.measure(plan.base, "dense", stage_folder(plan.base, "train_dense"))}
        for name, way in plan.configs.items():
            spec = ModelSpec.from_config(way, read_base_config(Path(way.base_model)), "mixture")
            routed = json.loads((artifacts(way) / "ablation.json").read_text())
            rows[name] = {
                "shape": [spec.fine, spec.experts, spec.top_k],
                **{key: value for key, value in routed.items() if "router" in key},
                **self.measure(way, "mixture", stage_folder(way, "train_joint"), plan.base),
            }
        return {"rows": rows}


COPIES = {"base-model-copy": "copied", "drop-upcycling": "dropped"}


def losses_of(model: Any, corpora: Any, name: str, sequences: int) -> list[float]:
    """Return the loss of each of some held-out sequences of a text, in nats per token."""
    import torch

    picks = [(name, place) for place in spread(corpora.size(name), sequences)]
    values: list[float] = []
    model.eval()
    with torch.no_grad():
        for start in range(0, len(picks), 8):
            batch = corpora.batch(picks[start : start + 8], {name: -1})
            hidden = model(batch.tokens, position_ids=batch.positions, logits=False).hidden
            losses = cross_entropy(model.lm_head, hidden, batch.labels).double().sum(1)
            values += (losses / (batch.labels != NO_LABEL).sum(1).clamp(min=1)).tolist()
    return [round(value, 5) for value in values]


def solved(model: Any, corpora: Any, name: str, items: int) -> tuple[float, int]:
    """Return the share of small tasks that a model solves, and how many there are: which ending continues a passage?

    The wrong endings come from other passages of the same text; the ending with the highest log-probability is chosen.
    """
    import torch

    count = min(items, corpora.size(name))
    batch = corpora.batch([(name, index) for index in range(count)], {name: 0})
    whole = CONTEXT + CONTINUATION
    inside = (batch.positions[:, 1:whole] > 0).all(1)  # no document begins within
    passages = batch.tokens[inside][:, :whole]
    right = 0
    model.eval()
    for number in range(len(passages)):
        others = [(number + step) % len(passages) for step in range(1, CANDIDATES)]
        endings = passages[[number, *others], CONTEXT:]
        rows = torch.cat([passages[number, :CONTEXT].expand(CANDIDATES, -1), endings], 1)
        with torch.no_grad():
            logits = model(rows, position_ids=torch.arange(whole).expand(CANDIDATES, -1)).logits
        log_p = logits[:, CONTEXT - 1 : -1].float().log_softmax(-1).gather(2, endings[..., None])[..., 0].sum(1)
        right += int(log_p.argmax() == 0)
    return right / max(1, len(passages)), len(passages)


def _doubled(value: Any, down: bool) -> Any:
    """Return a matrix with twice the width: new channels as the old ones shuffled, whose outputs have no weight."""
    import torch

    if down:
        return torch.cat([value, torch.zeros_like(value)], 1)
    order = torch.randperm(len(value), generator=torch.Generator().manual_seed(0))
    return torch.cat([value, value[order]], 0)


def _documents(folder: Path) -> Any:
    """Yield the text of a corpus, one in four: enough for a tokenizer."""
    import pyarrow.parquet as pq

    for file in sorted((folder / "documents").glob("*.parquet")):
        yield from pq.read_table(file, columns=["text"])["text"].to_pylist()[::4]
