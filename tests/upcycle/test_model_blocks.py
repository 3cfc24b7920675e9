"""The training-format model: the base model it starts from, and the mixture block against equation 4 written out token by token."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from base_models import SHAPE, make_base_model, mixture_of, spec_of
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from upcycle.checkpoint.readers import BaseModelSource
from upcycle.checkpoint.torch_io import StateDictSource, load_weights
from upcycle.model import moe_layers
from upcycle.model.architecture import tensor_shapes
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.model.moe_layers import MixtureBlock, _fits_grouped
from upcycle.planning.meta_device import fake_process_group

TOKENS = torch.arange(2 * 24).reshape(2, 24) * 7 % 96


def loaded(base_model: Path, kind: str, **settings: Any) -> InnovatorForCausalLM:
    spec = spec_of(base_model, **settings)
    model = InnovatorForCausalLM(spec.of_kind(kind))  # type: ignore[arg-type]
    load_weights(model, BaseModelSource(spec.of_kind(kind), base_model))  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("family", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_dense_kind_is_the_base_model(tmp_path: Path, family: str, tied: bool) -> None:
    base_model = make_base_model(tmp_path, family, tie_word_embeddings=tied)
    reference = transformers.AutoModelForCausalLM.from_pretrained(base_model)
    with torch.no_grad():
        assert torch.equal(loaded(base_model, "dense")(TOKENS).logits, reference(TOKENS).logits)


@pytest.mark.parametrize(("form", "same"), [("zero_down", True), ("half", False), ("literal", False)])
def test_a_silent_copy_starts_as_the_base_model_and_only_the_expert_learns(
    tmp_path: Path, form: str, same: bool
) -> None:
    base_model = make_base_model(tmp_path)
    model, dense = loaded(base_model, "induced", form=form), loaded(base_model, "dense")
    with torch.no_grad():
        difference = (model(TOKENS).logits - dense(TOKENS).logits).abs().max()
    # The mean of a network and its copy is the network, up to rounding; the sum is not.
    assert (difference == 0) if same else (difference < 1e-4) if form == "half" else (difference > 0.1)
    model(TOKENS).logits.sum().backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learned == {name for name, _ in tensor_shapes(model.spec) if ".mlp.expert." in name}


def equation_4(block: MixtureBlock, x: torch.Tensor) -> torch.Tensor:
    """Shared expert + scale x sum of gate x expert, one token at a time."""
    rows = []
    for token in x:
        logits = block.gate.weight @ token
        if block.gate.gating == "topk_softmax":
            chosen = logits.topk(block.gate.top_k).indices
            gates = logits[chosen].softmax(-1)
        else:
            gates, chosen = logits.softmax(-1).topk(block.gate.top_k)
        total = block.shared_weight * block.shared_expert(token)
        for gate, e in zip(gates, chosen.tolist(), strict=True):
            if e < len(block.experts.down_proj):
                a, b = linear(token, block.experts.gate_up_proj[e]).chunk(2)
                total = total + block.routed_scale * gate * linear(silu(a) * b, block.experts.down_proj[e])
        rows.append(total)
    return torch.stack(rows)


@pytest.mark.parametrize("gating", ["topk_softmax", "softmax_topk"])
@pytest.mark.parametrize("null_experts", [0, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["grouped", "each"])
@pytest.mark.parametrize("settings", [{}, {"form": "half"}, {"routed_scale": "learned"}, {"routed_scale": "one"}])
def test_a_mixture_block_is_equation_4(
    gating: str, null_experts: int, dtype: torch.dtype, settings: dict[str, Any]
) -> None:
    spec = mixture_of({**SHAPE, "model_type": "qwen2"}, gating=gating, null_experts=null_experts, **settings)
    torch.manual_seed(0)
    block = MixtureBlock(spec).to(dtype)
    for parameter in block.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(17, spec.hidden, dtype=dtype)
    fused = block.experts.gate_up_proj, block.experts.down_proj
    assert _fits_grouped(x, *fused) == (dtype == torch.float32)
    assert torch.allclose(block(x), equation_4(block, x), rtol=1e-5, atol=1e-5)
    assert block.routing is not None
    if null_experts:
        assert (block.routing.selected >= spec.experts).any(), "the case must reach a null expert"


def test_what_a_product_leaves_undefined_never_gets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of null experts are in no group, so their results and gradients are whatever lay in memory: NaN at worst."""
    product = moe_layers.grouped_product

    def undefined(rows: torch.Tensor, weights: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        inside = torch.arange(len(rows))[:, None] < ends[-1]
        rows = rows * 1
        rows.register_hook(lambda gradient: torch.where(inside, gradient, torch.nan))
        return torch.where(inside, product(rows, weights, ends), torch.nan)

    spec = mixture_of({**SHAPE, "model_type": "qwen2"}, null_experts=2)
    torch.manual_seed(0)
    block = MixtureBlock(spec)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(17, spec.hidden, requires_grad=True)
    expected = block(x)
    gradients = torch.autograd.grad(expected.square().sum(), [x, *block.parameters()])
    monkeypatch.setattr(moe_layers, "grouped_product", undefined)
    found = block(x)
    assert torch.equal(found, expected)
    for one, other in zip(gradients, torch.autograd.grad(found.square().sum(), [x, *block.parameters()]), strict=True):
        assert torch.allclose(one, other)


def test_documents_in_one_row_do_not_see_each_other(tmp_path: Path) -> None:
    model = loaded(make_base_model(tmp_path), "dense")
    first, second = TOKENS[:1, :10], TOKENS[1:, :14]
    positions = torch.cat([torch.arange(10), torch.arange(14)])[None]
    with torch.no_grad():
        packed = model(torch.cat([first, second], 1), position_ids=positions).logits
        alone = torch.cat([model(first).logits, model(second).logits], 1)
    assert torch.allclose(packed, alone, atol=1e-5)


def test_flash_attention_stops_at_documents_in_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel with flash attention's contract: it knows the limits that it is given and nothing of positions."""

    def by_limits(module: Any, q: Any, k: Any, v: Any, _mask: Any, **given: Any) -> tuple[torch.Tensor, None]:
        groups = module.num_key_value_groups
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        limits = given["cu_seq_lens_q"].tolist() if len(q) == 1 else [0, q.shape[2]]
        spans = [slice(low, high) for low, high in pairwise(limits)]
        parts = [scaled_dot_product_attention(q[:, :, s], k[:, :, s], v[:, :, s], is_causal=True) for s in spans]
        assert all(span.stop - span.start <= given["max_length_q"] for span in spans)
        return torch.cat(parts, 2).transpose(1, 2).contiguous(), None

    transformers.AttentionInterface.register("by_limits", by_limits)
    model = loaded(make_base_model(tmp_path), "dense")
    tokens = TOKENS[:, :12]
    positions = torch.tensor([[*range(5), *range(7)], [*range(9), *range(3)]])
    expected = model(tokens, position_ids=positions).logits
    model.attention = "flash_attention_2"
    monkeypatch.setattr(model.model.config, "_attn_implementation", "by_limits")
    assert torch.allclose(model(tokens, position_ids=positions).logits, expected, atol=1e-5)


def test_constant_gates_keep_the_trunk_out_of_the_backward_pass(tmp_path: Path) -> None:
    model = InnovatorForCausalLM(spec_of(make_base_model(tmp_path)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.requires_grad_(False)
    for block in model.blocks():
        block.gate.requires_grad_(True)
    assert model(TOKENS).logits.requires_grad
    model.set_gates_constant(True)
    out = model(TOKENS)
    assert not out.logits.requires_grad
    assert all(routing.logits.requires_grad for routing in out.routing)


def test_recomputation_leaves_no_layer_behind(tmp_path: Path) -> None:
    """The decision that a layer takes again in the backward pass holds its activations, so a block must not keep it."""
    model = InnovatorForCausalLM(spec_of(make_base_model(tmp_path)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.train()
    model.set_checkpointing(True)
    again = [0]
    for block in model.blocks():
        block.gate.register_forward_hook(lambda *_: again.__setitem__(0, again[0] + 1))
    out = model(TOKENS)
    assert len(out.routing) == len(model.blocks()) == again[0]
    out.logits.sum().backward()
    assert again[0] == 2 * len(model.blocks()), "each layer computed again"
    assert all(block.routing is None for block in model.blocks())


def test_a_rank_reads_only_its_own_rows(tmp_path: Path) -> None:
    spec = spec_of(make_base_model(tmp_path), null_experts=1)
    torch.manual_seed(0)
    whole = {name: torch.randn(shape) for name, shape in tensor_shapes(spec)}
    asked: dict[str, int] = {}

    class Counting(StateDictSource):
        def rows(self, name: str, start: int, stop: int) -> Any:
            asked[name] = asked.get(name, 0) + stop - start
            return super().rows(name, start, stop)

    with torch.device("meta"):
        model = InnovatorForCausalLM(spec)
    with fake_process_group(3):
        mesh = init_device_mesh("cpu", (3,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        model.to_empty(device="cpu")
        load_weights(model, Counting(whole))
        for name, parameter in model.named_parameters():
            local = parameter.to_local()  # type: ignore[attr-defined]
            assert torch.equal(local, whole[name][: len(local)]), name
            assert len(local) <= -(-len(whole[name]) // 3)
    experts = "model.layers.0.mlp.experts.gate_up_proj"
    assert asked[experts] == 3 * 2 * spec.fine, "three of eight experts on the first of three ranks"
