"""Shared rows compute what one sequence a response computes: log-probabilities and gradients, dense and mixture of experts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2MoeConfig

from innovator_rl.integrations.verl.router_load import RouterLoad
from innovator_rl.integrations.verl.shared_prefix import KeptPositions, pack_shared_prefix, spread

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
CONFIGS = [
    Qwen2Config(**SIZES),
    Qwen2MoeConfig(
        **SIZES, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, shared_expert_intermediate_size=32
    ),
]


def build(config: Qwen2Config | Qwen2MoeConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)


def sequences() -> tuple[list[torch.Tensor], list[int]]:
    """Two groups of three, one lone sequence, one sequence without a response."""
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(0, 64, (n,), generator=generator) for n in (5, 9, 4, 3)]
    rows, lengths = [], []
    for prompt, responses in zip(prompts, ((3, 7, 1), (4, 4, 6), (5,), (0,)), strict=True):
        for size in responses:
            rows.append(torch.cat([prompt, torch.randint(0, 64, (size,), generator=generator)]))
            lengths.append(len(prompt))
    order = torch.randperm(len(rows), generator=generator).tolist()  # members of a group need not be neighbors
    return [rows[i] for i in order], [lengths[i] for i in order]


def one_by_one(model: torch.nn.Module, rows: list[torch.Tensor], lengths: list[int]) -> torch.Tensor:
    """Packed log-probabilities from one forward pass a sequence; position t holds token t + 1's, prompts hold 0."""
    packed = []
    for row, prompt in zip(rows, lengths, strict=True):
        log_p = torch.log_softmax(model(row[None]).logits[0], -1)
        values = log_p[:-1].gather(-1, row[1:, None]).squeeze(-1)
        packed.append(torch.cat([torch.zeros(prompt - 1), values[prompt - 1 :], torch.zeros(1)]))
    return torch.cat(packed)


def shared(model: torch.nn.Module, rows: list[torch.Tensor], lengths: list[int]) -> torch.Tensor:
    packed = pack_shared_prefix(rows, lengths)
    kept = KeptPositions(model)
    kept.positions = packed.logits_to_keep
    logits = model(
        packed.input_ids,
        position_ids=packed.position_ids,
        attention_mask=packed.attention_mask,
        use_cache=False,
    ).logits
    assert logits.shape == (len(packed.labels), 64)  # the head saw response tokens alone
    kept.positions = None
    return spread(torch.log_softmax(logits, -1).gather(-1, packed.labels[:, None]).squeeze(-1), packed)


@pytest.mark.parametrize("config", CONFIGS, ids=["dense", "moe"])
def test_log_probabilities_and_gradients_equal_one_sequence_a_response(config: Qwen2Config | Qwen2MoeConfig) -> None:
    model = build(config)
    rows, lengths = sequences()
    expected, actual = one_by_one(model, rows, lengths), shared(model, rows, lengths)
    torch.testing.assert_close(actual, expected, atol=2e-6, rtol=1e-5)
    weights = torch.linspace(-1, 1, expected.numel())
    gradients = []
    for values in (expected, actual):
        model.zero_grad()
        (values * weights).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[1], gradients[0], atol=2e-5, rtol=1e-4)


def test_a_group_is_a_row_and_its_prompt_is_laid_out_once() -> None:
    rows, lengths = sequences()
    packed = pack_shared_prefix(rows, lengths)
    tokens = sorted([5 + 3 + 7 + 1, 9 + 4 + 4 + 6, 4 + 5, 3])
    assert sorted(packed.real.sum(-1).tolist()) == tokens
    assert packed.input_ids.shape == (4, max(tokens))
    assert packed.total == sum(len(r) for r in rows)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=6))
def test_a_token_sees_its_own_sequence_and_nothing_else(shapes: list[tuple[int, int, int]]) -> None:
    rows = [torch.cat([torch.full((prompt,), kind), torch.full((response,), 9)]) for kind, prompt, response in shapes]
    packed = pack_shared_prefix(rows, [prompt for _, prompt, _ in shapes])
    seen = packed.attention_mask[:, 0].sum(-1)
    # exactly the tokens before it in its own sequence, and itself; padding sees itself alone
    assert torch.equal(seen, torch.where(packed.real, packed.position_ids + 1, 1))
    assert packed.attention_mask[:, 0].diagonal(dim1=-2, dim2=-1).all()
    assert torch.equal(packed.labels, torch.cat([r[p:] for r, (_, p, _) in zip(rows, shapes, strict=True)]))


@pytest.mark.parametrize("prompt", [0, 4])
def test_a_prompt_of_impossible_length_is_refused(prompt: int) -> None:
    with pytest.raises(ValueError, match=f"sequence 0 has 3 tokens and a prompt of {prompt}"):
        pack_shared_prefix([torch.tensor([1, 2, 3])], [prompt])


def test_padding_is_not_counted_as_routed() -> None:
    model = build(CONFIGS[1])
    load = RouterLoad.attach(model)
    assert load is not None
    packed = pack_shared_prefix(*sequences())
    load.real = packed.real
    model(packed.input_ids, position_ids=packed.position_ids, attention_mask=packed.attention_mask)
    tokens = int(packed.real.sum())
    assert {layer: (seen[:4].sum().item(), seen[-1].item()) for layer, seen in load._seen.items()} == {
        0: (2 * tokens, tokens),
        1: (2 * tokens, tokens),
    }
    assert packed.real.sum() < packed.real.numel()
