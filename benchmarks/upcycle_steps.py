"""Build a stage's trainer on random weights and text, for benchmarks that time or measure its steps.

It needs torch, transformers and pydantic in addition to the package, and no files.

    trainer = random_trainer(configuration(shape), "train_joint")
    trainer.update()
"""

from __future__ import annotations

from typing import Any

import torch

from upcycle.config.schema import UpcycleConfig, validate
from upcycle.config.stages import Stage
from upcycle.data.batch import Batch
from upcycle.model.architecture import Kind, ModelSpec
from upcycle.model.layout import Layout
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.model.sharding import shard
from upcycle.planning.memory import learns
from upcycle.training.distributed import join
from upcycle.training.objectives import LanguageObjective, LossWeights, MixtureObjective
from upcycle.training.trainer import Trainer, optimizer

FULL_WIDTH: dict[str, Any] = {  # Qwen2.5-7B
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 1, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
    "rope_theta": 1e6, "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip
SMALL_WIDTH: dict[str, Any] = {
    **FULL_WIDTH, "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 512,
}  # fmt: skip


def configuration(length: int, sequences: int, *, disciplines: int = 8, **sections: Any) -> UpcycleConfig:
    """Return a configuration whose batches are two slices of so many sequences.

    Args:
        length: Tokens of a sequence.
        sequences: Sequences of a slice.
        disciplines: Number of disciplines.
        sections: Sections of the configuration.
    """
    tokens = length * sequences
    budget = {"tokens": 4 * tokens, "batch_tokens": 2 * tokens}
    document: dict[str, Any] = {
        "base_model": "random",
        "disciplines": dict.fromkeys(f"discipline-{n}" for n in range(disciplines)),
        "data": {"sequence_length": length},
        "train_experts": budget,
        "train_router": {**budget, "init_tokens": 0},
        "train_joint": budget,
        **sections,
    }
    document["trainer"] = {"micro_batch_tokens": tokens, **sections.get("trainer", {})}
    return validate(document)


def random_trainer(config: UpcycleConfig, shape: dict[str, Any], stage: Stage) -> Trainer:
    """Build a stage's trainer on random weights, on this machine's first device.

    Its run directory is missing, so only `update` may be called.

    Args:
        config: From `configuration`.
        shape: The base model's config.json.
        stage: The stage.
    """
    context = join(config.trainer.threads)
    kind: Kind = {"train_experts": "induced", "train_dense": "dense"}.get(stage, "mixture")  # type: ignore[assignment]
    spec, settings = ModelSpec.from_config(config, shape, kind), getattr(config, stage)
    trains = learns(spec, settings)
    with torch.device("meta"):
        model: Any = InnovatorForCausalLM(spec, config.trainer.attention)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name))
    layout = Layout.of(config.trainer, context.world_size, spec.experts if kind == "mixture" else 0)
    shard(model.float(), config.trainer, layout, context.device.type)
    model.to_empty(device="cpu" if config.trainer.cpu_offload else context.device)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.02)
    model.set_checkpointing(config.trainer.checkpointing)
    model.set_gates_constant(stage == "train_router")
    trainer = object.__new__(Trainer)
    trainer.__dict__.update(
        model=model, stage=settings, config=config.trainer, objective=_objective(config, stage), steps=100, step=0,
        distributed=context, _phase=lambda _name: None, batches=_batches(config, spec), optimizer=optimizer(model, settings),
    )  # fmt: skip
    return trainer


def _objective(config: UpcycleConfig, stage: Stage) -> Any:
    if stage in ("train_experts", "train_dense"):
        return LanguageObjective()
    weights = LossWeights(1.0, 0.1, 0.01, 0.0) if stage == "train_joint" else LossWeights(0.0, 1.0, 0.01, 0.0)
    counts = getattr(config, stage).balance_counts
    return MixtureObjective(weights, tuple(config.disciplines), config.mixture.split, "null", counts)


def _batches(config: UpcycleConfig, spec: ModelSpec) -> Any:
    length = config.data.sequence_length
    sequences = max(1, config.trainer.micro_batch_tokens // length)
    slices = config.train_joint.batch_tokens // config.trainer.micro_batch_tokens
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(spec.vocabulary, (sequences, length), generator=generator)
    places = torch.arange(length).expand(sequences, -1).contiguous()
    batch = Batch(ids, ids, places, torch.arange(sequences) % len(config.disciplines))
    return lambda _step: [batch] * slices
