"""Does upcycling beat dense training of a small donor? The same tokens on both, several seeds.

    python -m benchmarks.upcycle_capacity [--seeds 0,1,2] [--config configs/upcycle/capacity.yaml] [--out docs/results] [key=value ...]

1. A donor of 0.4 M parameters with a tokenizer of its own, pre-trained here on general text, then on general and scientific text.
2. For every seed (data order, router; one donor, one set of held-out documents): the donor trained on, and the donor upcycled in the
   four stages, on as many tokens of the same texts, general text having the same share over all stages.

The mixture has 3.1 times the weights and twice the feed-forward width a token, and its router learns from the texts' labels, which dense
training has no use for. Learning rates are equal in the last stage and in dense training, and at neither's best: the distance
depends on them (docs/results/upcycle.md).

Prints a row a seed with both of the aims, writes `upcycle-capacity.json` and `upcycle-capacity.png` (loss over tokens). What is done
is not done again, and an interrupted stage goes on. An hour of one core from nothing, 17 minutes a seed of it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from innovator_rl.runs.metrics import read_metrics
from innovator_rl.runs.run_dir import resolve_runs_dir
from upcycle.checkpoint import convert
from upcycle.checkpoint.readers import donor_config
from upcycle.config.schema import UpcycleConfig, load
from upcycle.data.documents import documents
from upcycle.stages.common import artefacts, check_sources
from upcycle.stages.dense_baseline import continue_dense
from upcycle.stages.pipeline import here
from upcycle.stages.report import LOSS

VOCABULARY = 2048
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
PRETRAINING = (  # tokens, learning rate, share of general text
    (6_000_000, 4e-3, 1.0),
    (4_000_000, 3e-3, 0.6),
)
SCIENCE_AIM, GENERAL_AIM = 0.1, 0.01  # nat a token: better than dense by, worse than the donor by at most


def make_donor(config: UpcycleConfig) -> Path:
    """The pre-trained donor's checkpoint, made once."""
    target = Path(config.donor)
    if target.is_dir():
        return target
    start = target.with_name("random")
    if not start.is_dir():
        _random(config, start)
    for number, (tokens, rate, general) in enumerate(PRETRAINING):
        finished = target if number == len(PRETRAINING) - 1 else target.with_name(f"after-{number}")
        if finished.is_dir():
            start = finished
            continue
        told = {"tokens": tokens, "learning_rate": rate, "general_share": general, "weight_decay": 0.1}
        dense = config.dense.model_copy(update=told)
        name = f"{target.parent.name}-{number}"
        trained = continue_dense(config.model_copy(update={"name": name, "donor": str(start), "dense": dense}))
        start = _checkpoint(trained, start, finished)
    return target


def _random(config: UpcycleConfig, folder: Path) -> None:
    """A random Qwen2 of the shape above with a byte-pair tokenizer learned from the configuration's texts."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    hf: Any = transformers  # its classes carry no constructor types
    pieces: Any = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (text for name, sources in check_sources(config).items() for text in documents(sources, name))
    pieces.train_from_iterator(texts, trainer)
    end = "<|endoftext|>"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = hf.AutoModelForCausalLM.from_config(hf.Qwen2Config(**SHAPE), dtype=torch.float32)
    aside = folder.with_name(f".{folder.name}")
    model.save_pretrained(aside)
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token=end, bos_token=end, pad_token=end)
    tokenizer.save_pretrained(aside)
    aside.rename(folder)


def _checkpoint(trained: Path, before: Path, folder: Path) -> Path:
    """The weights of a native dense folder, which have Hugging Face's names, with the configuration they started from."""
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(before, aside, ignore=shutil.ignore_patterns("*.safetensors*"))
    for weights in trained.glob("*.safetensors*"):
        shutil.copy(weights, aside)
    return aside.rename(folder)


def run_seed(config: UpcycleConfig) -> dict[str, Any]:
    """Both ways for one seed; held-out figures of the donor, dense and mixture, and their curves."""
    donor, folder, train = Path(config.donor), artefacts(config), here(config)
    train("dense", "")
    for discipline in config.disciplines:
        train("induct", discipline)
    convert.split(config, donor_config(donor), donor, folder / "experts", folder / "split", lambda _line: None)
    train("route", "")
    train("integrate", "")
    induction = len(config.disciplines) * config.induct.tokens
    before = induction + config.route.budget
    dense = _curve(config, "dense", config.dense.batch_tokens, 0)
    mixture = _curve(config, "integrate", config.integrate.batch_tokens, before)
    return {"donor": dense[0], "dense": dense, "mixture": mixture}


def _curve(config: UpcycleConfig, stage: str, batch: int, before: int) -> list[dict[str, float]]:
    """Every evaluation of a stage, with the training tokens up to it."""
    run = resolve_runs_dir(config.runs_dir) / f"{config.name}.{stage}"
    rows = [row for row in read_metrics(run / "metrics.jsonl") if f"{LOSS}science" in row]
    kept = {int(row["step"]): {key: value for key, value in row.items() if key.startswith("val/")} for row in rows}
    return [{"tokens": before + step * batch, **kept[step]} for step in sorted(kept)]


def table(results: dict[int, dict[str, Any]]) -> str:
    """A row a seed: where both ended, and how far each aim was met."""
    lines = [
        "| seed | donor general | donor science | dense general | dense science | mixture general | mixture science "
        "| science, better than dense by | general, worse than the donor by | routed right |",
        "|---:|" + "---:|" * 9,
    ]
    for seed, found in results.items():
        ends = [found["donor"], found["dense"][-1], found["mixture"][-1]]
        figures = [f"{end[LOSS + name]:.3f}" for end in ends for name in ("general", "science")]
        gain = ends[1][f"{LOSS}science"] - ends[2][f"{LOSS}science"]
        cost = ends[2][f"{LOSS}general"] - ends[0][f"{LOSS}general"]
        verdicts = [
            f"{gain:.3f} ({'met' if gain >= SCIENCE_AIM else 'missed'})",
            f"{cost:+.3f} ({'met' if cost <= GENERAL_AIM else 'missed'})",
        ]
        right = f"{ends[2]['val/router/accuracy']:.0%}"
        lines.append(f"| {seed} | {' | '.join([*figures, *verdicts, right])} |")
    return "\n".join(lines)


def draw(results: dict[int, dict[str, Any]], target: Path) -> None:
    """Held-out loss over training tokens: general and science, dense and mixture, a line a seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for axis, name in zip(axes, ("science", "general"), strict=True):
        donor = sum(found["donor"][LOSS + name] for found in results.values()) / len(results)
        axis.axhline(donor, color="0.6", linestyle=":", label="donor")
        for way, colour in (("dense", "tab:orange"), ("mixture", "tab:blue")):
            for number, found in enumerate(results.values()):
                points = [(row["tokens"] / 1e6, row[LOSS + name]) for row in found[way]]
                label = way if number == 0 else None
                axis.plot(*zip(*points, strict=True), color=colour, alpha=0.8, label=label)
        axis.set_title(f"{name}, held out")
        axis.set_xlabel("training tokens, all stages (millions)")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("loss (nat a token)")
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(target, dpi=150)


def main(words: Sequence[str] | None = None) -> None:
    """Run what is missing of every seed, print the table, write figures and curve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--config", type=Path, default=Path("configs/upcycle/capacity.yaml"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args(words)
    base = load(arguments.config, arguments.overrides)
    make_donor(base)
    results = {}
    for seed in [int(word) for word in arguments.seeds.split(",")]:
        results[seed] = run_seed(
            load(arguments.config, [*arguments.overrides, f"name={base.name}-{seed}", f"seed={seed}"])
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "upcycle-capacity.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, arguments.out / "upcycle-capacity.png")
    print(table(results))


if __name__ == "__main__":
    main()
