"""Compare upcycling with dense training of a small base model.

Both train on the same tokens, over several seeds.

    python -m benchmarks.upcycle_capacity [--seeds 0,1,2] [--config configs/upcycle/capacity.yaml] [--out docs/results] [key=value ...]

1. Pre-train a base model of 0.4 M parameters with its own tokenizer, first on general text, then on general and
   scientific text.
2. For every seed (data order and router; base model and held-out documents stay the same), continue the base model as a
   dense model, and upcycle it in the four stages, on as many tokens of the same text. General text has the same share
   over all stages.

The mixture has 3.1 times the weights and twice the feed-forward width per token, and its router learns from the text's
labels, which dense training cannot use. Learning rates are equal in the last stage and in dense training, and the best
for neither; the difference depends on them (docs/results/upcycle.md).

Prints one row per seed with both of the aims, and writes `upcycle-capacity.json` and `upcycle-capacity.png` (loss over
tokens). Finished parts are skipped and interrupted stages continue. One core takes an hour from nothing, 17 minutes of
it per seed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from innovator_rl.runs.metrics import read_metrics
from upcycle.checkpoint import convert
from upcycle.checkpoint.readers import read_base_config
from upcycle.config.schema import UpcycleConfig, load
from upcycle.config.stages import Stage
from upcycle.data.documents import documents
from upcycle.stages.common import check_sources
from upcycle.stages.dense_baseline import train_dense
from upcycle.stages.folders import artifacts, stage_run
from upcycle.stages.pipeline import in_process
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
SCIENCE_AIM, GENERAL_AIM = 0.1, 0.01  # nats per token: better than dense by, worse than the base model by at most


def make_base_model(config: UpcycleConfig, phases: Sequence[tuple[int, float, float]] = PRETRAINING) -> Path:
    """Pre-train the base model, unless its checkpoint is there already.

    Args:
        config: The base model's path, and the text.
        phases: Tokens, learning rate and share of general text of each phase.
    """
    target = Path(config.base_model)
    if target.is_dir():
        return target
    start = target.with_name("random")
    if not start.is_dir():
        texts = (text for name, sources in check_sources(config).items() for text in documents(sources, name))
        random_model(texts, start)
    for number, (tokens, rate, general) in enumerate(phases):
        finished = target if number == len(phases) - 1 else target.with_name(f"after-{number}")
        if finished.is_dir():
            start = finished
            continue
        changes = {"tokens": tokens, "learning_rate": rate, "general_share": general, "weight_decay": 0.1}
        dense = config.train_dense.model_copy(update=changes)
        name = f"{target.parent.name}-{number}"
        trained = train_dense(config.model_copy(update={"name": name, "base_model": str(start), "train_dense": dense}))
        start = _checkpoint(trained, start, finished)
    return target


def random_model(texts: Iterable[str], folder: Path) -> None:
    """Write a random Qwen2 of the shape above with a byte-pair tokenizer that is learned from some text."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    hf: Any = transformers  # its classes carry no constructor types
    recipes: Any = Tokenizer(models.BPE())
    recipes.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    recipes.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    recipes.train_from_iterator(texts, trainer)
    end = "<|endoftext|>"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = hf.AutoModelForCausalLM.from_config(hf.Qwen2Config(**SHAPE), dtype=torch.float32)
    aside = folder.with_name(f".{folder.name}")
    model.save_pretrained(aside)
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=recipes, eos_token=end, bos_token=end, pad_token=end)
    tokenizer.save_pretrained(aside)
    aside.rename(folder)


def _checkpoint(trained: Path, before: Path, folder: Path) -> Path:
    """Write a dense folder of the training format as a checkpoint.

    Its tensors already have Hugging Face's names.
    """
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(before, aside, ignore=shutil.ignore_patterns("*.safetensors*"))
    for weights in trained.glob("*.safetensors*"):
        shutil.copy(weights, aside)
    return aside.rename(folder)


def run_seed(config: UpcycleConfig) -> dict[str, Any]:
    """Train both models for one seed.

    Return the held-out metrics of the base model and both curves.
    """
    base_model, folder, train = Path(config.base_model), artifacts(config), in_process(config)
    train("train_dense", "")
    for discipline in config.disciplines:
        train("train_experts", discipline)
    convert.split(
        config, read_base_config(base_model), base_model, folder / "experts", folder / "split", lambda _line: None
    )
    train("train_router", "")
    train("train_joint", "")
    induction = len(config.disciplines) * config.train_experts.tokens
    before = induction + config.train_router.budget
    dense = _curve(config, "train_dense", config.train_dense.batch_tokens, 0)
    mixture = _curve(config, "train_joint", config.train_joint.batch_tokens, before)
    return {"base_model": dense[0], "dense": dense, "mixture": mixture}


def _curve(config: UpcycleConfig, stage: Stage, batch: int, before: int) -> list[dict[str, float]]:
    """Return every evaluation of a stage, with the training tokens up to it."""
    run = stage_run(config, stage)
    rows = [row for row in read_metrics(run / "metrics.jsonl") if f"{LOSS}science" in row]
    kept = {int(row["step"]): {key: value for key, value in row.items() if key.startswith("val/")} for row in rows}
    return [{"tokens": before + step * batch, **kept[step]} for step in sorted(kept)]


def table(results: dict[int, dict[str, Any]]) -> str:
    """Return a table of the final losses, one row per seed.

    A column tells whether each aim was met.
    """
    lines = [
        "| seed | base model general | base model science | dense general | dense science | mixture general | mixture science "
        "| science, better than dense by | general, worse than the base model by | routed right |",
        "|---:|" + "---:|" * 9,
    ]
    for seed, found in results.items():
        ends = [found["base_model"], found["dense"][-1], found["mixture"][-1]]
        figures = [f"{end[LOSS + name]:.3f}" for end in ends for name in ("general", "science")]
        gain = ends[1][f"{LOSS}science"] - ends[2][f"{LOSS}science"]
        cost = ends[2][f"{LOSS}general"] - ends[0][f"{LOSS}general"]
        outcomes = [
            f"{gain:.3f} ({'met' if gain >= SCIENCE_AIM else 'missed'})",
            f"{cost:+.3f} ({'met' if cost <= GENERAL_AIM else 'missed'})",
        ]
        right = f"{ends[2]['val/router/accuracy']:.0%}"
        lines.append(f"| {seed} | {' | '.join([*figures, *outcomes, right])} |")
    return "\n".join(lines)


def draw(results: dict[int, dict[str, Any]], target: Path) -> None:
    """Draw held-out loss over training tokens, one line per seed and model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for axis, name in zip(axes, ("science", "general"), strict=True):
        base_model = sum(found["base_model"][LOSS + name] for found in results.values()) / len(results)
        axis.axhline(base_model, color="0.6", linestyle=":", label="base_model")
        for way, color in (("dense", "tab:orange"), ("mixture", "tab:blue")):
            for number, found in enumerate(results.values()):
                points = [(row["tokens"] / 1e6, row[LOSS + name]) for row in found[way]]
                label = way if number == 0 else None
                axis.plot(*zip(*points, strict=True), color=color, alpha=0.8, label=label)
        axis.set_title(f"{name}, held out")
        axis.set_xlabel("training tokens, all stages (millions)")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("loss (nats per token)")
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(target, dpi=150)


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Run what is missing of every seed, print the table and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--config", type=Path, default=Path("configs/upcycle/capacity.yaml"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args(arguments_given)
    base = load(arguments.config, arguments.overrides)
    make_base_model(base)
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
