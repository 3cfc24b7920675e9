"""Compose the verl configuration of supervised fine-tuning.

The layers are verl's own `sft_trainer_engine` configuration from the installed package, the settings of the run, and
the keys under `verl:`. A key that verl renamed stops the run here.
"""

from __future__ import annotations

import copy
from difflib import get_close_matches
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from innovator_rl.config.resolve import Platform
from innovator_rl.config.sft import SftConfig
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.stock import config_dir, flatten

ENGINE = "innovator_rl.integrations.verl.sft_engine"
OPEN = (
    "engine.mixed_precision",
    "model.override_config",
    "optim.override_optimizer_config",
    "data.apply_chat_template_kwargs",
)
"""Sections whose content belongs to another library."""


@cache
def _composed() -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base=None):
        return compose("sft_trainer_engine")


def stock_sft() -> DictConfig:
    """Compose verl's own configuration, as the caller's own copy."""
    config = copy.deepcopy(_composed())
    OmegaConf.set_struct(config, False)
    return config


def sft_settings(
    config: SftConfig, platform: Platform, model_path: str, train: str, validation: str | None, steps: int
) -> dict[str, tuple[Any, str]]:
    """Return verl's keys as the run sets them.

    Args:
        config: the run.
        platform: the resolved platform.
        model_path: folder of the model.
        train: the prepared training rows (Parquet).
        validation: the prepared validation rows; None validates nothing.
        steps: updates of the whole run.

    Returns:
        Key of verl -> (value, setting that owns it; empty where `verl:` may change it).
    """
    cpu = platform == "cpu"
    dtype = ("float32" if cpu else "bfloat16") if config.model.dtype == "auto" else config.model.dtype
    precision = {"float32": "fp32", "bfloat16": "bf16"}[dtype]
    optimizer, schedule = config.optimizer, config.schedule
    found: dict[str, tuple[Any, str]] = {
        "model.path": (model_path, "model.path"),
        "model.trust_remote_code": (config.model.trust_remote_code, "model.trust_remote_code"),
        "model.enable_gradient_checkpointing": (config.model.gradient_checkpointing, "model.gradient_checkpointing"),
        "model.lora_rank": (config.model.lora.rank, "model.lora.rank"),
        "model.lora_alpha": (config.model.lora.alpha, "model.lora.alpha"),
        "model.target_modules": (list(config.model.lora.target_modules) or "all-linear", "model.lora.target_modules"),
        "model.lora_adapter_path": (None, "model.path, the folder of a whole model"),
        "model.external_lib": (ENGINE, "the engine of this project"),
        "model.use_remove_padding": (not cpu, ""),
        "engine.strategy": ("fsdp2", ""),
        "engine.model_dtype": ("fp32", ""),
        "engine.mixed_precision": (
            {"param_dtype": precision, "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
            "model.dtype",
        ),
        "engine.use_torch_compile": (not cpu, ""),
        "optim.lr": (optimizer.learning_rate, "optimizer.learning_rate"),
        "optim.lr_scheduler_type": (optimizer.decay, "optimizer.decay"),
        "optim.min_lr_ratio": (optimizer.min_learning_rate_share, "optimizer.min_learning_rate_share"),
        "optim.lr_warmup_steps": (optimizer.warmup_steps, "optimizer.warmup_steps"),
        "optim.weight_decay": (optimizer.weight_decay, "optimizer.weight_decay"),
        "optim.clip_grad": (optimizer.gradient_clip, "optimizer.gradient_clip"),
        "data.train_batch_size": (optimizer.batch_rows, "optimizer.batch_rows"),
        "data.use_dynamic_bsz": (True, "optimizer.micro_batch_tokens"),
        "data.max_token_len_per_gpu": (config.micro_batch_tokens, "optimizer.micro_batch_tokens"),
        "data.train_files": ([train], "data.train"),
        "data.val_files": ([validation] if validation else None, "data.validation"),
        "data.max_length": (config.data.max_tokens, "data.max_tokens"),
        "data.truncation": ("error", "data.too_long"),
        "data.pad_mode": ("no_padding", "the engine of this project"),
        "data.num_workers": (0, "the exact resume of the order of rows"),
        "data.seed": (config.data.seed, "data.seed"),
        "trainer.total_epochs": (
            steps,
            "schedule.steps",
        ),  # at most one epoch per step; the number of steps ends the run
        "trainer.total_training_steps": (steps, "schedule.steps"),
        "trainer.seed": (config.data.seed, "data.seed"),
        "trainer.project_name": ("innovator-rl", ""),
        "trainer.experiment_name": (config.name, "name"),
        "trainer.logger": (["console"], "the run directory, which is always written"),
        "trainer.save_freq": (schedule.save_every or -1, "schedule.save_every"),
        "trainer.test_freq": (schedule.validate_every or -1, "schedule.validate_every"),
        "trainer.max_ckpt_to_keep": (None, "schedule.keep_checkpoints"),
        "trainer.device": ("cpu" if cpu else "cuda", "resources.platform"),
        "trainer.nnodes": (config.resources.nodes, "resources.nodes"),
        "trainer.n_gpus_per_node": (config.resources.accelerators_per_node, "resources.accelerators_per_node"),
        "innovator": ({"keep_checkpoints": schedule.keep_checkpoints, "export_dtype": config.export.dtype}, "export"),
    }
    if cpu:
        found["model.override_config.attn_implementation"] = ("sdpa", "")
    return found


def override_problems(config: SftConfig) -> list[str]:
    """Say what is wrong with the keys under `verl:`, one sentence each."""
    owned = {key: owner for key, (_, owner) in sft_settings(config, "cpu", "", "", None, 1).items() if owner}
    container = OmegaConf.to_container(_composed(), resolve=False)
    assert isinstance(container, dict)
    known = {**flatten(container), **dict.fromkeys(OPEN)}
    found = []
    for key in flatten(config.verl):
        owner = next((name for own, name in owned.items() if key == own or key.startswith(f"{own}.")), None)
        if owner is not None:
            found.append(f"verl.{key}: decided by {owner}; set that instead")
        elif key not in known and not key.startswith(tuple(f"{name}." for name in OPEN)):
            near = get_close_matches(key, known, 3, 0.6)
            hint = f"did you mean {' or '.join(near)}?" if near else "see verl/trainer/config/sft_trainer_engine.yaml"
            found.append(f"verl.{key}: unknown key of verl; {hint}")
    return found


def to_verl_sft(
    config: SftConfig,
    platform: Platform,
    model_path: str,
    train: str,
    validation: str | None,
    steps: int,
    checkpoints: str,
    resume_from: str = "",
) -> DictConfig:
    """Compose verl's complete configuration of a run.

    Args:
        config: the run.
        platform: the resolved platform.
        model_path: folder of the model.
        train: the prepared training rows (Parquet).
        validation: the prepared validation rows; None validates nothing.
        steps: updates of the whole run.
        checkpoints: folder of checkpoints.
        resume_from: the checkpoint to continue from; empty starts at step 0.

    Raises:
        UserError: keys under `verl:` that verl does not know or that a setting of the run owns.
    """
    wrong = override_problems(config)
    if wrong:
        raise UserError("\n".join(wrong))
    result = stock_sft()
    with open_dict(result):
        for key, (value, _) in sft_settings(config, platform, model_path, train, validation, steps).items():
            OmegaConf.update(result, key, value, merge=False, force_add=True)
        for key, value in flatten(config.verl).items():
            OmegaConf.update(result, key, value, merge=False, force_add=True)
        result.trainer.default_local_dir = checkpoints
        result.trainer.resume_mode = "resume_path" if resume_from else "disable"
        result.trainer.resume_from_path = resume_from or None
    return result
