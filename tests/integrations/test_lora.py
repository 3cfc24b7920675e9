"""Adapters through the engine of a run: what is trained, what the rollout engine gets, and what is exported."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from innovator_rl.errors import StorageError
from innovator_rl.integrations.verl.checkpoint_export import export_checkpoint
from innovator_rl.integrations.verl.checkpoints import Checkpoint
from innovator_rl.integrations.verl.sft_export import export_model
from innovator_rl.integrations.verl.standalone_engine import (
    loss_function,
    ppo_batch,
    process_group,
    training_engine,
    verl_config,
)
from innovator_rl.models.byte_tokenizer import byte_tokenizer

SIZES = {"vocab_size": 288, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1}
RANK, ALPHA = 4, 8


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = Qwen2Config(**SIZES, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def weights(engine: Any) -> dict[str, torch.Tensor]:
    """Return what a weight sync sends."""
    sent, adapters = engine.get_per_tensor_param()
    assert adapters is None
    return dict(sent)


def test_adapters_train_and_the_rollout_engine_gets_them_merged(model: Path, tmp_path: Path) -> None:
    plain = {name: value.clone() for name, value in AutoModelForCausalLM.from_pretrained(model).state_dict().items()}
    overrides = [f"model={{lora: {{rank: {RANK}, alpha: {ALPHA}}}}}", "algorithm.learning_rate=1e-2"]
    sequences = [torch.arange(10 + i, 22 + i) for i in range(4)]
    with process_group():
        config = verl_config(str(model), [*overrides, "rollout.samples_per_prompt=4"])
        engine = training_engine(config)
        trained = {name for name, parameter in engine.module.named_parameters() if parameter.requires_grad}
        assert trained
        assert all("lora_" in name for name in trained)
        before = weights(engine)
        assert before.keys() | {"lm_head.weight"} == plain.keys()  # which is tied
        assert all(torch.equal(before[name], plain[name]) for name in before)  # float32 as it is, not rounded
        old = [torch.full((6,), -5.0)] * 4
        batch = ppo_batch(sequences, [6] * 4, [1.0, -1.0, 0.5, -0.5], old, micro_batch=4)
        with engine.train_mode():
            for _ in range(2):  # B is zero at first, so A learns from the second update on
                engine.train_batch(batch, loss_function(config))
        after = weights(engine)
        export_model(engine.module, byte_tokenizer(), tmp_path / "sft", "float32")  # what supervised fine-tuning leaves
        state = {name: getattr(v, "full_tensor", lambda v=v: v)() for name, v in engine.module.state_dict().items()}
    moved = {name for name in after if not torch.equal(after[name], plain[name])}
    assert moved == {name for name in after if name.endswith("_proj.weight")}
    layer = "model.layers.0.self_attn.q_proj"
    a, b = (state[f"base_model.model.{layer}.lora_{part}.default.weight"] for part in "AB")
    expected = plain[f"{layer}.weight"] + ALPHA / RANK * b @ a
    torch.testing.assert_close(after[f"{layer}.weight"], expected, rtol=0, atol=1e-6)

    actor = tmp_path / "global_step_2" / "actor"
    (actor / "huggingface").mkdir(parents=True)
    torch.save(state, actor / "model_world_size_1_rank_0.pt")
    AutoModelForCausalLM.from_pretrained(model).config.save_pretrained(actor / "huggingface")
    with pytest.raises(StorageError, match="rank and alpha"):
        export_checkpoint(Checkpoint(step=2, path=actor.parent), tmp_path / "lost")
    (actor / "lora_train_meta.json").write_text(json.dumps({"r": RANK, "lora_alpha": ALPHA}))
    export_checkpoint(Checkpoint(step=2, path=actor.parent), tmp_path / "out")
    for folder in ("out", "sft"):
        exported = AutoModelForCausalLM.from_pretrained(tmp_path / folder).state_dict()
        assert exported.keys() == plain.keys()
        for name, value in after.items():
            torch.testing.assert_close(exported[name], value, rtol=0, atol=1e-6)
