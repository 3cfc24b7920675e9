"""Build the training engine of a run in this process, without Ray, queue or rollout engine.

Tests and benchmarks of an update use the engine, the loss and the batch layout that a run uses:

    with process_group():
        engine = training_engine(load(None, ["model.path=tiny-qwen2"]), model_path)
        metrics = update(engine, ppo_batch(sequences, prompt_lengths, advantages, old_log_probs), config)

Several ranks are several processes, each with its own rank.
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, open_dict
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine.base import EngineRegistry
from verl.workers.utils.losses import ppo_loss

from innovator_rl.config.load import load
from innovator_rl.config.resolve import RuntimeContext
from innovator_rl.integrations.verl import fsdp_engine  # noqa: F401  (registers the engines)
from innovator_rl.integrations.verl.compose import to_verl
from innovator_rl.models import inspect_model


@contextlib.contextmanager
def process_group(rank: int = 0, ranks: int = 1, store: Path | None = None) -> Iterator[None]:
    """Join a gloo process group for the time of the block.

    Args:
        rank: this process.
        ranks: processes that will join.
        store: a file that all of them can open; may be left out with one rank.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = store or Path(folder) / "store"
        torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=ranks)
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()


def verl_config(model_path: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose verl's configuration of a CPU run that trains the checkpoint folder `model_path`."""
    context = RuntimeContext(
        model_path=model_path,
        is_moe=inspect_model(model_path).is_moe,
        train_files=("train.parquet",),
        validation_files=(),
        checkpoint_dir="",
        platform="cpu",
        threads=torch.get_num_threads(),
    )
    return to_verl(load(None, list(overrides)), context)


def training_engine(config: DictConfig) -> Any:
    """Build and initialize the actor's engine as verl's worker does; a process group must exist."""
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    return _engine(config, actor)


def reference_engine(config: DictConfig) -> Any:
    """Build and initialize the engine of the reference model, which a KL term needs."""
    section = copy.deepcopy(config)
    reference = section.actor_rollout_ref.ref
    with open_dict(reference):  # verl's worker renames these keys
        reference.ppo_mini_batch_size = section.actor_rollout_ref.actor.ppo_mini_batch_size
        for name in ("micro_batch_size", "micro_batch_size_per_gpu", "max_token_len_per_gpu"):
            reference[f"ppo_{name}"] = reference.pop(f"log_prob_{name}")
        reference.use_dynamic_bsz = reference.pop("log_prob_use_dynamic_bsz")
    return _engine(config, omega_conf_to_dataclass(section.actor_rollout_ref.ref))


def _engine(config: DictConfig, role: Any) -> Any:
    engine_config = role.engine
    engine_config.use_dynamic_bsz = False
    engine_config.use_remove_padding = False
    engine_config.micro_batch_size_per_gpu = role.ppo_micro_batch_size_per_gpu
    engine = EngineRegistry.new(
        model_type="language_model",
        backend=engine_config.strategy,
        model_config=omega_conf_to_dataclass(config.actor_rollout_ref.model),
        engine_config=engine_config,
        optimizer_config=role.optim,
        checkpoint_config=role.checkpoint,
    )
    engine.initialize()
    return engine


def ppo_batch(
    sequences: Sequence[torch.Tensor],
    prompt_lengths: Sequence[int],
    advantages: Sequence[float],
    old_log_probs: Sequence[torch.Tensor],
    micro_batch: int,
    temperature: float = 1.0,
) -> TensorDict:
    """Lay out B sequences as verl's update receives them.

    Args:
        sequences: B one-dimensional integer tensors, prompt followed by response.
        prompt_lengths: B lengths of the prompts.
        advantages: B advantages, one per response.
        old_log_probs: B tensors with an entry per response token.
        micro_batch: sequences in one pass.
        temperature: sampling temperature of the responses.
    """

    def nested(rows: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)

    responses = [sequence[prompt:] for sequence, prompt in zip(sequences, prompt_lengths, strict=True)]
    ones = [torch.ones(len(response), dtype=torch.int64) for response in responses]
    batch: dict[str, Any] = {
        "input_ids": nested(sequences),
        "position_ids": nested([torch.arange(len(sequence)) for sequence in sequences]),
        "prompts": nested([sequence[:prompt] for sequence, prompt in zip(sequences, prompt_lengths, strict=True)]),
        "responses": nested(responses),
        "response_mask": nested(ones),
        "loss_mask": nested(ones),
        "advantages": nested([torch.full((len(r),), value) for r, value in zip(responses, advantages, strict=True)]),
        "old_log_probs": nested([values.float() for values in old_log_probs]),
    }
    facts: dict[str, Any] = {
        "temperature": temperature,
        "global_batch_size": len(sequences) * torch.distributed.get_world_size(),
        "use_dynamic_bsz": False,
        "use_remove_padding": False,
        "micro_batch_size_per_gpu": micro_batch,
    }
    return tu.get_tensordict(batch, facts)


def loss_function(config: DictConfig) -> Any:
    """Return verl's PPO loss with the run's clip range and aggregation."""
    return partial(ppo_loss, config=omega_conf_to_dataclass(config.actor_rollout_ref.actor))


def gradients(engine: Any, batch: TensorDict, config: DictConfig) -> torch.Tensor:
    """Return the gradient of the PPO loss over a batch as one vector, all ranks' shards gathered."""
    with engine.train_mode():
        engine.optimizer_zero_grad()
        engine.forward_backward_batch(batch, loss_function(config), forward_only=False)
        found = [parameter.grad for parameter in engine.module.parameters() if parameter.grad is not None]
        return torch.cat([_whole(gradient).flatten() for gradient in found])


def _whole(tensor: Any) -> torch.Tensor:
    return tensor.full_tensor().detach().clone() if hasattr(tensor, "full_tensor") else tensor.detach().clone()
