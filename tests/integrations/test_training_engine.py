"""The engine of a run computes the gradient of PPO's loss: against one sequence per response and a loss written here."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2MoeConfig
from verl.utils import tensordict_utils as tu
from verl.utils.torch_functional import entropy_from_logits

from innovator_rl.integrations.verl.fsdp_engine import InstrumentedFSDPEngine
from innovator_rl.integrations.verl.standalone_engine import (
    gradients,
    loss_function,
    ppo_batch,
    process_group,
    reference_engine,
    training_engine,
    verl_config,
)
from innovator_rl.models.byte_tokenizer import byte_tokenizer

SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": True,
}
MODELS = {
    "dense": Qwen2Config(**SIZES),
    "moe": Qwen2MoeConfig(
        **SIZES, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, shared_expert_intermediate_size=32
    ),
}
LOW, HIGH, DUAL = 0.2, 0.28, 3.0
LIMIT = 12  # rollout.max_response_tokens: what Dr. GRPO divides by


@pytest.fixture(scope="module", autouse=True)
def _group() -> Iterator[None]:
    with process_group():
        yield


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(MODELS[request.param]).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def batch() -> tuple[list[torch.Tensor], list[int], list[float], list[torch.Tensor]]:
    """Four groups of four with uneven prompts and responses; old probabilities far enough away for every clip."""
    generator = torch.Generator().manual_seed(1)
    sequences, lengths = [], []
    for group in range(4):
        prompt = torch.randint(3, 299, (3 + 4 * group,), generator=generator)
        for sample in range(4):
            response = torch.randint(3, 299, (1 + (5 * sample + 3 * group) % 11,), generator=generator)
            sequences.append(torch.cat([prompt, response]))
            lengths.append(len(prompt))
    advantages = torch.randn(len(sequences), generator=generator).tolist()
    old = [-5.7 + 1.5 * torch.randn(len(s) - n, generator=generator) for s, n in zip(sequences, lengths, strict=True)]
    return sequences, lengths, advantages, old


def aggregate(losses: Sequence[torch.Tensor], mode: str) -> torch.Tensor:
    sums, means = torch.stack([x.sum() for x in losses]), torch.stack([x.mean() for x in losses])
    return {
        "token-mean": torch.cat(list(losses)).mean(),
        "seq-mean-token-sum": sums.mean(),
        "seq-mean-token-mean": means.mean(),
        "seq-mean-token-sum-norm": sums.mean() / LIMIT,
    }[mode]


def reference(folder: Path, mode: str) -> torch.Tensor:
    """Gradient with a pass per response, in float64."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager"
    )
    losses = []
    for sequence, prompt, advantage, old in zip(*batch(), strict=True):
        log_p = torch.log_softmax(model(sequence[None]).logits[0, prompt - 1 : -1], -1)
        ratio = torch.exp(log_p.gather(-1, sequence[prompt:, None])[:, 0] - old.double())
        loss = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - LOW, 1 + HIGH))
        losses.append(torch.minimum(loss, torch.tensor(-advantage * DUAL)) if advantage < 0 else loss)
    aggregate(losses, mode).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def settings(mode: str) -> list[str]:
    return [
        f"algorithm.clip_low={LOW}",
        f"algorithm.clip_high={HIGH}",
        f"algorithm.dual_clip={DUAL}",
        f"algorithm.loss_aggregation={mode}",
        f"rollout.max_response_tokens={LIMIT}",
    ]


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-sum-norm"])
def test_gradients_equal_one_sequence_per_response_whatever_the_micro_batch(model: Path, mode: str) -> None:
    config = verl_config(str(model), settings(mode))
    engine, expected = training_engine(config), reference(model, mode)
    sequences, lengths, advantages, old = batch()
    for micro in (1, 4, 16):
        found = gradients(engine, ppo_batch(sequences, lengths, advantages, old, micro), config)
        assert distance(found, expected) < 2e-6


def test_bfloat16_is_autocast_over_float32_parameters(model: Path) -> None:
    config = verl_config(str(model), [*settings("token-mean"), "model.dtype=bfloat16"])
    engine = training_engine(config)
    assert {p.dtype for p in engine.module.parameters()} == {torch.float32}
    assert engine.optimizer.defaults["fused"]
    sequences, lengths, advantages, old = batch()
    found = gradients(engine, ppo_batch(sequences, lengths, advantages, old, 16), config)
    off = distance(found, reference(model, "token-mean"))
    assert 1e-5 < off < 0.05, "rounded to bfloat16 somewhere, and nowhere badly"


def test_a_reference_model_computes_on_a_cpu(model: Path) -> None:
    config = verl_config(str(model), ["algorithm.kl_coefficient=0.01", "rollout.samples_per_prompt=4"])
    reference_model, engine = reference_engine(config), training_engine(config)
    data = ppo_batch(*batch(), int(config.actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu))
    with reference_model.eval_mode():
        frozen = reference_model.infer_batch(data)["model_output"]["log_probs"]
    with engine.eval_mode():
        trained = engine.infer_batch(data)["model_output"]["log_probs"]
    assert torch.equal(frozen.values(), trained.values())
    assert reference_model.optimizer is None


def test_entropy_that_nothing_rewards_is_outside_the_graph() -> None:
    engine: Any = InstrumentedFSDPEngine.__new__(InstrumentedFSDPEngine)
    engine.engine_config = SimpleNamespace(entropy_checkpointing=False, entropy_from_logits_with_chunking=False)
    engine.compute_entropy_from_logits, engine.use_ulysses_sp = entropy_from_logits, False
    ids = torch.nested.nested_tensor([torch.arange(5), torch.arange(3)], layout=torch.jagged)
    logits = torch.randn(1, 8, 11, generator=torch.Generator().manual_seed(0))

    def outputs(coefficient: float) -> dict[str, torch.Tensor]:
        micro_batch = TensorDict({"input_ids": ids}, batch_size=[2])
        tu.assign_non_tensor(micro_batch, calculate_entropy=True, use_remove_padding=True)
        packed = {
            "input_ids_rmpad_rolled": ids.values().roll(-1),
            "temperature_rmpad": torch.full((8,), 0.7),
            "pad_size": 0,
        }
        loss = partial(lambda config: None, config=SimpleNamespace(entropy_coeff=coefficient))
        model = SimpleNamespace(logits=logits.clone().requires_grad_())
        found = engine.prepare_model_outputs(model, packed, micro_batch, loss)
        assert tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False)
        return found

    rewarded, measured = outputs(0.01), outputs(0.0)
    assert rewarded["entropy"].requires_grad
    assert not measured["entropy"].requires_grad
    assert measured["log_probs"].requires_grad
    for name in ("entropy", "log_probs"):
        torch.testing.assert_close(measured[name].values(), rewarded[name].values())


def test_a_window_shorter_than_a_sequence_is_refused(tmp_path: Path) -> None:
    from innovator_rl.errors import EngineError

    windowed = Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=8, max_window_layers=0)
    AutoModelForCausalLM.from_config(windowed).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    config = verl_config(str(tmp_path))
    engine = training_engine(config)
    sequences, lengths, advantages, old = batch()
    short = [i for i, sequence in enumerate(sequences) if len(sequence) <= 8][:2]

    def pick(*columns: list[Any]) -> list[list[Any]]:
        return [[column[i] for i in short] for column in columns]

    assert gradients(engine, ppo_batch(*pick(sequences, lengths, advantages, old), 2), config).norm() > 0
    with pytest.raises(EngineError, match="sees 8 tokens, and a sequence has"):
        engine.forward_backward_batch(ppo_batch(sequences, lengths, advantages, old, 16), loss_function(config))
