"""The parts of `benchmarks.upcycle_scaling`: text, base models, rates, ladders of budgets and the table of splits.

Each job has the folder `NAME.KEY`, with its runs and, when it is done, `result.json`. The key is a checksum of everything that
decides the result: its settings, the rates chosen for it and the keys of the jobs before it. So changed settings never meet
old results, unchanged jobs are not run again, and a training stage that was interrupted continues from its last checkpoint.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.scaling_measures import documents, doubled, sequence_losses, solved
from benchmarks.upcycle_capacity import make_base_model, random_model
from upcycle.checkpoint import convert
from upcycle.checkpoint.convert import digest
from upcycle.checkpoint.readers import BaseModelSource, open_training_folder, read_base_config
from upcycle.config.schema import UpcycleConfig, validate
from upcycle.config.stages import STAGE_FOLDERS, Stage
from upcycle.data.order import GENERAL
from upcycle.model.architecture import ModelSpec, write_json
from upcycle.planning.batches import batch_sizes
from upcycle.planning.flops import flops_per_token
from upcycle.stages import induction
from upcycle.stages.common import build, evaluation, prepare
from upcycle.stages.folders import artifacts, stage_folder, stage_run
from upcycle.stages.pipeline import in_process
from upcycle.training.evaluation import spread

DISCIPLINES = ("physics", "chemistry", "biology", "mathematics")
GENERAL_SHARE = 0.4  # of stage 4; dense training gets what that is over all stages
DECAY = 0.2  # share of a budget over which its rate decays


@dataclass(frozen=True)
class Size:
    """How much is trained, in tokens.

    Attributes:
        phases: Tokens, learning rate and share of general text of each phase of pre-training.
        induction: Tokens of each discipline's expert.
        route: Tokens of the router's start, and as many of its training.
        tune: Tokens of stage 4, or of dense training, with which a rate is tried.
        rates: Learning rates that both sides try.
        expert_rates: Learning rates that stage 1 tries, on one discipline.
        budgets: Token budgets over all stages, ascending.
        main: The budget of the seeds and of the dense model of twice the width.
        table: The budget of every way to split.
        seeds: Seeds of the main row.
        grid: Steps between checkpoints, at which a decay may begin.
        sequences: Held-out sequences of each text.
        books: Sources of the recipe; all if empty.
    """

    phases: tuple[tuple[int, float, float], ...]
    induction: int
    route: int
    tune: int
    rates: tuple[float, ...]
    expert_rates: tuple[float, ...]
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
    phases=((4_194_304, 4e-3, 1.0), (2_097_152, 3e-3, 0.6)),
    induction=196_608,
    route=65_536,
    tune=1_474_560,
    rates=(5e-4, 1e-3, 2e-3, 4e-3, 8e-3),
    expert_rates=(1e-3, 3e-3, 1e-2),
    budgets=(2_949_120, 5_898_240, 11_796_480, 23_592_960),
    main=5_898_240,
    table=1_966_080,
    seeds=3,
    grid=128,
    sequences=32,
)
QUICK = Size(
    phases=((262_144, 4e-3, 1.0), (131_072, 3e-3, 0.6)),
    induction=16_384,
    route=16_384,
    tune=65_536,
    rates=(4e-3, 8e-3),
    expert_rates=(3e-3, 1e-2),
    budgets=(196_608, 393_216),
    main=393_216,
    table=196_608,
    seeds=1,
    grid=8,
    sequences=8,
    books=("astronomy", "organic-chemistry", "microbiology", "calculus", "introduction-philosophy"),
)


@dataclass(frozen=True)
class Study:
    """A folder and a size; the methods are the jobs."""

    folder: Path
    size: Size

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The jobs by name, with those that each one waits for."""
        tune = {side: tuple(self.rate_jobs(side)) for side in ("experts", "dense", "mixture")}
        seeds, both = range(self.size.seeds), (*tune["mixture"], *tune["dense"])
        first = {
            "text": (),
            "base": ("text",),
            **dict.fromkeys(tune["experts"], ("base",)),
            "start-0": ("base", *tune["experts"]),
            **dict.fromkeys(tune["dense"], ("base",)),
            **dict.fromkeys(tune["mixture"], ("start-0",)),
            "mixture-0": ("start-0", *tune["mixture"]),
            "dense-0": ("base", *tune["dense"]),
            "table-0": ("base", *tune["experts"], *both),
            "wide-0": ("base", *tune["dense"]),
        }
        for seed in seeds[1:]:
            first |= {
                f"start-{seed}": ("base", *tune["experts"]),
                f"mixture-{seed}": (f"start-{seed}", *tune["mixture"]),
                f"dense-{seed}": ("base", *tune["dense"]),
                f"table-{seed}": ("base", *tune["experts"], *both),
            }
        return first

    def rate_jobs(self, side: str) -> dict[str, float]:
        """Return the jobs that try a side's rates, with their rates."""
        rates = self.size.expert_rates if side == "experts" else self.size.rates
        return {f"tune-{side}-{rate:g}": rate for rate in rates}

    @cached_property
    def _keys(self) -> dict[str, str]:
        return {}

    def place(self, job: str) -> Path:
        """Return the folder of a job whose predecessors are done."""
        if job not in self._keys:
            before = [one for one in self.names[job] if not one.startswith("tune-")]  # rates count by what was chosen
            self._keys[job] = digest(self._settings(job), [self.place(one).name for one in before])[:8]
        return self.folder / f"{job}.{self._keys[job]}"

    def _settings(self, job: str) -> dict[str, Any]:
        """Return what decides a job's result, besides the jobs before it."""
        kind, _, rest = job.partition("-")
        size = self.size
        if kind == "text":
            return {"books": size.books, "disciplines": DISCIPLINES}
        if kind == "base":
            return {"phases": size.phases, "sequences": size.sequences}
        if kind == "tune":
            side, _, rate = rest.partition("-")
            tokens = size.induction if side == "experts" else size.tune
            own: dict[str, Any] = {"tokens": tokens, "rate": float(rate), "dense": [size.before, size.main]}
            return own | {"sequences": size.sequences, "general": GENERAL_SHARE, "decay": DECAY}
        rates = {side: self.best_rate(side) for side in RATES_OF[kind]}
        own = {"rates": rates, "before": [size.induction, size.route], "sequences": size.sequences}
        if kind == "start":
            return own
        return (
            own
            | {"main": size.main, "general": GENERAL_SHARE, "decay": DECAY, "grid": size.grid}
            | (
                {"tokens": size.table, "ways": list(self._ways(int(rest)))}
                if kind == "table"
                else {"budgets": self._budgets(kind, int(rest))}
            )
        )

    def result(self, job: str) -> Any:
        """Return what a finished job wrote, or None, also for a job that the study has not."""
        if job not in self.names or any(self.result(one) is None for one in self.names[job]):
            return None
        path = self.place(job) / "result.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def run(self, job: str) -> None:
        """Run a job whose predecessors are done, and write its result."""
        kind, _, rest = job.partition("-")
        self.place(job).mkdir(parents=True, exist_ok=True)
        if kind == "tune":
            side, _, rate = rest.partition("-")
            found = self.tune_experts(job, float(rate)) if side == "experts" else self.tune(job, side, float(rate))
        elif kind in ("mixture", "dense", "wide"):
            found = self.ladder(job, kind, int(rest))
        elif kind in ("start", "table"):
            found = self.start(job, int(rest)) if kind == "start" else self.table(job, int(rest))
        else:
            found = self.text() if kind == "text" else self.base()
        write_json(self.place(job) / "result.json", found)

    def configuration(self, job: str, name: str, **sections: Any) -> UpcycleConfig:
        """Return the configuration of one run of a job, with other sections."""
        size, batch = self.size, {"batch_tokens": 4096}
        shape = {**batch, "decay_share": DECAY}
        document: dict[str, Any] = {
            "name": name,
            "runs_dir": str(self.place(job)),
            "base_model": str(self.place("base") / "checkpoint"),
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
        return {"corpus": str(self.place("text") / "textbooks"), "label": name}

    def text(self) -> dict[str, Any]:
        """Build the corpus of the textbooks, learn a tokenizer on it, and build the token shards."""
        from innovator_rl.data.corpus.build import build_corpus
        from innovator_rl.data.corpus.recipe import Outputs, Tokens, load_corpus_recipe
        from innovator_rl.packaged_files import find_config

        recipe = load_corpus_recipe(find_config("corpus-textbooks", "data"))
        books = tuple(source for source in recipe.sources if source.name in self.size.books or not self.size.books)
        recipe = recipe.model_copy(update={"sources": books, "outputs": Outputs()})
        out = self.place("text")
        build_corpus(recipe, out)
        random = out / "random"
        if not random.is_dir():
            random_model(documents(out / recipe.name), random)
        tokens = Tokens.model_validate({"tokenizer": str(random), "end_token": "<|endoftext|>"})
        manifest = build_corpus(recipe.model_copy(update={"outputs": Outputs(tokens=tokens)}), out)
        assert manifest.tokens is not None
        return {"tokens": manifest.tokens.by_discipline()}

    def base(self) -> dict[str, Any]:
        """Pre-train the base model and measure it."""
        config = self.configuration("base", "base")
        random = self.place("base") / "random"
        if not random.is_dir():
            aside = random.with_name(".random")
            shutil.copytree(self.place("text") / "random", aside, dirs_exist_ok=True)
            aside.rename(random)
        make_base_model(config, self.size.phases)
        return {"rows": [{"tokens": 0, "flops": 0.0, **self.measure(config, "dense", None)}]}

    def start(self, job: str, seed: int) -> dict[str, Any]:
        """Run a mixture's stages before stage 4."""
        config = self.configuration(job, "start", seed=seed, train_experts={"learning_rate": self.best_rate("experts")})
        base_model, folder, train = Path(config.base_model), artifacts(config), in_process(config)
        for discipline in config.disciplines:
            train("train_experts", discipline)
        how = (read_base_config(base_model), base_model, folder / "experts", folder / "split", lambda _line: None)
        convert.split(config, *how)
        train("train_router", "")
        return {"figures": self.measure(config, "mixture", stage_folder(config, "train_router"))}

    def tune_experts(self, job: str, rate: float) -> dict[str, Any]:
        """Train the expert of the first discipline with a rate."""
        name = DISCIPLINES[0]
        context = prepare(self.configuration(job, "tune", train_experts={"learning_rate": rate}))
        trainer = induction.build_trainer(context, name)
        trainer.fit()
        losses = sequence_losses(trainer.model, context.held_out, name, self._choosing(context.held_out, name))
        return {"choose": sum(losses) / len(losses)}

    def tune(self, job: str, side: str, rate: float) -> dict[str, Any]:
        """Train one side a little with a rate."""
        stage: Stage = "train_joint" if side == "mixture" else "train_dense"
        settings = {"tokens": self.size.tune, "learning_rate": rate}
        return self._train(self.configuration(job, "tune", **{stage: settings}), stage, "start-0")

    def best_rate(self, side: str) -> float:
        """Return the rate with the lowest mean of science and general loss on the sequences kept for choosing."""

        def loss(job: str) -> float:
            return float(self.result(job)["choose"])

        jobs = self.rate_jobs(side)
        return jobs[min(jobs, key=loss)]

    def _choosing(self, held_out: Any, name: str) -> list[int]:
        """Return held-out sequences for choosing rates: none that a reported loss or task reads."""
        reported = set(spread(held_out.size(name), self.size.sequences)) | set(range(8 * self.size.sequences))
        rest = [index for index in range(held_out.size(name)) if index not in reported]
        return [rest[place] for place in spread(len(rest), self.size.sequences)]

    def _budgets(self, kind: str, seed: int) -> tuple[int, ...]:
        return self.size.budgets if seed == 0 and kind != "wide" else (self.size.main,)

    def ladder(self, job: str, kind: str, seed: int) -> dict[str, Any]:
        """Train one side at its best rate: seed 0 of mixture and dense at every budget, the others at the main one.

        The rate is constant on the way to the largest budget; each budget is a decay from a checkpoint on that way.
        """
        side = "mixture" if kind == "mixture" else "dense"
        stage: Stage = "train_joint" if kind == "mixture" else "train_dense"
        budgets = self._budgets(kind, seed)
        spent = self.size.before if kind == "mixture" else 0
        changes = {"base_model": str(self._wide_base())} if kind == "wide" else {}
        rows = []

        def config_of(name: str, tokens: int, decay: float) -> UpcycleConfig:
            settings = {"tokens": tokens, "learning_rate": self.best_rate(side), "decay_share": decay}
            return self.configuration(job, name, seed=seed, **changes, **{stage: settings})

        begins = {}
        for budget in budgets:  # the decay of each begins at a checkpoint
            steps = (budget - spent) // 4096
            begins[budget] = (steps, round(steps * (1 - DECAY) / self.size.grid) * self.size.grid)
        way = config_of("trunk", begins[budgets[-1]][1] * 4096, 0.0)
        self._train(way, stage, f"start-{seed}")
        for budget, (steps, begin) in begins.items():
            config = config_of(f"budget-{budget}", steps * 4096, 1 - begin / steps)
            source = stage_run(way, stage) / "checkpoints" / f"step={begin:06d}"
            target = stage_run(config, stage) / "checkpoints" / source.name
            if not target.is_dir():
                aside = self.place(job) / ".copy"  # an interrupted copy is no checkpoint
                shutil.rmtree(aside, ignore_errors=True)
                shutil.copytree(source, aside)
                target.parent.mkdir(parents=True, exist_ok=True)
                aside.rename(target)
            figures = self._train(config, stage, f"start-{seed}")
            rows.append({"tokens": budget, "flops": self.flops(config, stage), **figures})
        return {"rate": self.best_rate(side), "rows": rows}

    def _train(self, config: UpcycleConfig, stage: Stage, start: str) -> dict[str, Any]:
        """Train a stage from the results before it, and measure the result."""
        folder = artifacts(config)
        folder.mkdir(parents=True, exist_ok=True)
        before = folder / STAGE_FOLDERS["train_router"]
        if stage == "train_joint" and not before.exists():
            before.symlink_to(self.place(start) / "start" / before.name, target_is_directory=True)
        in_process(config)(stage, "")
        return self.measure(config, "mixture" if stage == "train_joint" else "dense", stage_folder(config, stage))

    def measure(self, config: UpcycleConfig, kind: Any, weights: Path | None) -> dict[str, Any]:
        """Measure a model or, without weights, the base model.

        Returns:
            Held-out losses, their sequences one by one, the share of tasks solved, the router's figures, and `choose`: the
            mean of science and general loss on other sequences, by which rates are chosen.
        """
        context = prepare(config)
        spec = ModelSpec.from_config(config, context.base_config, kind)
        source = open_training_folder(weights)[1] if weights else BaseModelSource(spec, context.base_model)
        model = build(context, kind, source, lambda _: False)
        figures: dict[str, Any] = {
            key: value for key, value in evaluation(context, model)().figures.items() if "/loss/" in key or "acc" in key
        }
        held, choose = context.held_out, {}
        for name in (*DISCIPLINES, GENERAL):
            reported = spread(held.size(name), self.size.sequences)
            figures[f"sequences/{name}"] = sequence_losses(model, held, name, reported)
            losses = sequence_losses(model, held, name, self._choosing(held, name))
            choose[name] = sum(losses) / len(losses)
            figures[f"tasks/{name}"] = solved(model, held, name, 8 * self.size.sequences)
        figures["tasks/science"] = sum(figures[f"tasks/{name}"] for name in DISCIPLINES) / len(DISCIPLINES)
        figures["tasks/count"] = {name: min(8 * self.size.sequences, held.size(name)) for name in choose}
        figures["choose"] = sum(choose[name] for name in DISCIPLINES) / len(DISCIPLINES) / 2 + choose[GENERAL] / 2
        return figures

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

        source, target = self.place("base") / "checkpoint", self.place("base") / "wide"
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
                tensors[name] = doubled(value, down="down_proj" in name)
        save_file(tensors, aside / "model.safetensors", {"format": "pt"})
        return aside.rename(target)

    def _ways(self, seed: int) -> dict[str, dict[str, Any]]:
        """Return the ways to split of a seed: all for seed 0, two that show how far seeds differ for the others."""
        half = {"mixture.form": "half"}
        copies = {name: {"experts": kind, "settings": half} for name, kind in COPIES.items()}
        if seed:
            return {"innovator": {}, "base-model-copy": copies["base-model-copy"]}
        ways: dict[str, dict[str, Any]] = {"innovator": {}}
        for split in (1, 2, 4):
            few = {"mixture.split": split, "mixture.top_k": split, "mixture.null_experts": split}
            ways[f"equal-total-{split}"] = {"settings": few}
            if split > 1:
                ways[f"printed-{split}"] = {"settings": few, "groups": split // 2}
        return ways | copies

    def table(self, job: str, seed: int) -> dict[str, Any]:
        """Train every way to split on the same tokens: the paper's Table 4 as printed and with equal totals, and copies."""
        from upcycle.stages import ablations

        joint = {"tokens": self.size.table - self.size.before, "learning_rate": self.best_rate("mixture")}
        share = GENERAL_SHARE * (1 - self.size.before / self.size.table)
        dense = {"learning_rate": self.best_rate("dense"), "general_share": share}
        experts = {"learning_rate": self.best_rate("experts")}
        config = self.configuration(
            job, "table", seed=seed, train_joint=joint, train_dense=dense, train_experts=experts
        )
        base, variants = self.place(job) / "base.yaml", self.place(job) / "table.yaml"
        write_json(base, json.loads(config.model_dump_json()))
        ways = self._ways(seed)
        write_json(variants, {"base": base.name, "variants": ways})
        markdown = ablations.run(variants, (), print)
        kept = {name: self.place(job) / f"table-{name}" / "ablation.json" for name in ways}
        return {"markdown": markdown, "rows": {name: json.loads(path.read_text()) for name, path in kept.items()}}


RATES_OF = {
    "start": ("experts",), "mixture": ("experts", "mixture"), "dense": ("dense",), "wide": ("dense",),
    "table": ("experts", "mixture", "dense"),
}  # fmt: skip
"""Sides whose chosen rates decide a job's result."""
COPIES = {"base-model-copy": "copied", "drop-upcycling": "dropped"}
