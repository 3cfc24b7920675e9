"""Splitting is exact: under oracle routing the fine experts together are the coarse one."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from base_models import make_base_model, make_experts, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from upcycle.checkpoint.convert import export
from upcycle.checkpoint.dtypes import STORAGE, from_float32, not_finite, scaled, to_float32
from upcycle.checkpoint.expert_split import SplitSource, expert_shapes
from upcycle.checkpoint.readers import BaseModelSource, base_model_fingerprint, open_experts
from upcycle.checkpoint.sharded_writer import write
from upcycle.checkpoint.tensor_source import SyntheticSource
from upcycle.checkpoint.torch_io import as_tensor, load_weights
from upcycle.model.architecture import FILE, PROJECTIONS, ModelSpec, tensor_shapes
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.model.moe_layers import InducedBlock, MixtureBlock

TOKENS = torch.arange(2 * 24).reshape(2, 24) * 7 % 96


@settings(max_examples=30, deadline=None)
@given(
    split=st.sampled_from([1, 2, 3, 4, 8]),
    disciplines=st.integers(1, 4),
    slice_width=st.sampled_from([4, 5, 8]),
    form=st.sampled_from(["literal", "zero_down", "half"]),
    routed_scale=st.sampled_from(["m", "learned"]),
    null_experts=st.integers(0, 2),
    spread=st.sampled_from([0.05, 0.3, 1.5]),
    seed=st.integers(0, 1000),
)
def test_oracle_routing_gives_the_induced_block_back(
    split: int,
    disciplines: int,
    slice_width: int,
    form: str,
    routed_scale: str,
    null_experts: int,
    spread: float,
    seed: int,
) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": split * slice_width,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 8,
    }
    names = tuple(f"d{i}" for i in range(disciplines))
    spec = ModelSpec(config, "mixture", names, split, 1, "topk_softmax", routed_scale, null_experts, form)  # type: ignore[arg-type]
    base_model = SyntheticSource(dict(tensor_shapes(spec.of_kind("dense"))), "F32", seed, pool=1009)
    coarse = {
        name: SyntheticSource(expert_shapes(spec), "F32", seed + 1 + i, pool=1009) for i, name in enumerate(names)
    }
    training = SplitSource(spec, base_model, coarse)
    mixture, root = MixtureBlock(spec), "model.layers.0.mlp"
    with torch.no_grad():
        for name, tensor in mixture.state_dict(keep_vars=True).items():
            full = training.rows(f"{root}.{name}", 0, training.entries[f"{root}.{name}"].rows)
            tensor.copy_(as_tensor(full, "F32").view_as(tensor))
        x = torch.randn(6, 16, generator=torch.Generator().manual_seed(seed)) * spread / 0.02
        for number, name in enumerate(names):
            induced = InducedBlock(spec)
            for projection in PROJECTIONS:
                source = f"{root}.{projection}.weight"
                shape = (16, spec.intermediate) if projection == "down_proj" else (spec.intermediate, 16)
                shared = as_tensor(base_model.rows(source, 0, shape[0]), "F32")
                getattr(induced.shared_expert, projection).weight.copy_(shared)
                expert = as_tensor(coarse[name].rows(f"{root}.expert.{projection}.weight", 0, shape[0]), "F32")
                getattr(induced.expert, projection).weight.copy_(expert)
            mixture.oracle = torch.full((6,), number)
            wanted = induced(x)
            assert (mixture(x) - wanted).abs().max() <= 1e-6 * max(1.0, float(wanted.abs().max()))
        mixture.oracle = torch.full((6,), -1)
        assert torch.equal(mixture(x), spec.shared_weight * mixture.shared_expert(x))


@pytest.mark.parametrize("form", ["literal", "zero_down", "half"])
def test_the_whole_split_model_is_the_induced_model(tmp_path: Path, form: str) -> None:
    base_model = make_base_model(tmp_path / "base_model", "llama")
    spec = spec_of(base_model, form=form)
    coarse = open_experts(
        make_experts(tmp_path / "experts", base_model, spec), spec, base_model_fingerprint(base_model)
    )
    mixture = InnovatorForCausalLM(spec)
    load_weights(mixture, SplitSource(spec, BaseModelSource(spec.of_kind("dense"), base_model), coarse))
    induced = InnovatorForCausalLM(spec.of_kind("induced"))
    load_weights(induced, BaseModelSource(spec.of_kind("induced"), base_model))
    with torch.no_grad():
        for number, name in enumerate(spec.disciplines):
            expert = {
                key: as_tensor(coarse[name].rows(key, 0, e.rows), e.dtype) for key, e in coarse[name].entries.items()
            }
            induced.load_state_dict(expert, strict=False)
            wanted = induced(TOKENS).logits
            got = mixture(TOKENS, route=torch.tensor([number, number])).logits
            assert (got - wanted).abs().max() <= 1e-6 * wanted.abs().max()
            assert (mixture(TOKENS, route=torch.tensor([1 - number, -1])).logits - wanted).abs().max() > 1e-2


def test_slices_are_contiguous_and_the_router_has_no_ties(tmp_path: Path) -> None:
    base_model = make_base_model(tmp_path / "base_model")
    spec = spec_of(base_model)
    coarse = open_experts(
        make_experts(tmp_path / "experts", base_model, spec), spec, base_model_fingerprint(base_model)
    )
    training = SplitSource(spec, BaseModelSource(spec.of_kind("dense"), base_model), coarse)
    root, f = "model.layers.1.mlp", spec.fine
    fused = training.rows(f"{root}.experts.gate_up_proj", 0, spec.experts * 2 * f).reshape(
        spec.experts, 2 * f, spec.hidden
    )
    down = training.rows(f"{root}.experts.down_proj", 0, spec.experts * spec.hidden).reshape(
        spec.experts, spec.hidden, f
    )
    for number, name in enumerate(spec.disciplines):
        gate, up, columns = (
            coarse[name].rows(f"{root}.expert.{p}.weight", 0, spec.hidden if p == "down_proj" else spec.intermediate)
            for p in PROJECTIONS
        )
        mine = slice(number * spec.split, (number + 1) * spec.split)
        assert np.array_equal(fused[mine, :f].reshape(-1, spec.hidden), gate)
        assert np.array_equal(fused[mine, f:].reshape(-1, spec.hidden), up)
        assert np.array_equal(np.concatenate(list(down[mine]), axis=1), columns)
    router = training.rows(f"{root}.gate.weight", 0, spec.slots)
    assert len({row.tobytes() for row in router}) == spec.slots


def test_tensors_of_several_types_keep_their_numbers(tmp_path: Path) -> None:
    """A base model with bfloat16 weights and float32 norms, and experts of which one is float32."""
    base_model = make_base_model(tmp_path / "base_model", dtype=torch.bfloat16)
    wanted = load_file(base_model / "model.safetensors")
    wanted |= {name: value.float() * 1.001 for name, value in wanted.items() if "norm" in name}
    save_file(wanted, base_model / "model.safetensors", {"format": "pt"})
    spec = spec_of(base_model)
    experts = make_experts(tmp_path / "experts", base_model, spec, torch.bfloat16)
    coarse = {name: load_file(experts / name / "model.safetensors") for name in spec.disciplines}
    up = "model.layers.1.mlp.expert.up_proj.weight"
    coarse["biology"][up] = coarse["biology"][up].float() * 1.001
    save_file(coarse["biology"], experts / "biology/model.safetensors", {"format": "pt"})
    opened = open_experts(experts, spec, base_model_fingerprint(base_model))
    source = SplitSource(spec, BaseModelSource(spec.of_kind("dense"), base_model), opened)
    write(source, tmp_path / "split", 10**9, "test", lambda _line: None)
    found = load_file(tmp_path / "split/model.safetensors")
    for name, value in wanted.items():
        kept = found[name.replace(".mlp.", ".mlp.shared_expert.")]
        assert kept.dtype == value.dtype, name
        assert torch.equal(kept, value), name
    for layer, dtype in ((0, torch.bfloat16), (1, torch.float32)):
        fused = found[f"model.layers.{layer}.mlp.experts.gate_up_proj"].unflatten(1, (2, spec.fine))
        assert fused.dtype == dtype
        assert found[f"model.layers.{layer}.mlp.experts.down_proj"].dtype == torch.bfloat16
        for number, name in enumerate(spec.disciplines):
            for part, projection in enumerate(("gate_proj", "up_proj")):
                slices = fused[number * spec.split : (number + 1) * spec.split, part].flatten(0, 1)
                assert torch.equal(
                    slices, coarse[name][f"model.layers.{layer}.mlp.expert.{projection}.weight"].to(dtype)
                )
    (tmp_path / "split" / FILE).write_text(json.dumps(asdict(spec)))
    checkpoint = export(tmp_path / "split", tmp_path / "export", "float32", 10**9, lambda _line: None)
    norm = "model.layers.1.input_layernorm.weight"
    assert torch.equal(load_file(checkpoint / "model.safetensors")[norm], wanted[norm])


@pytest.mark.parametrize("factor", [2.0, 8.0, 0.5, 0.25, 3.7, 1.0])
@pytest.mark.parametrize("dtype", list(STORAGE))
def test_scaling_equals_torch_for_every_number(dtype: str, factor: float) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)[None]
    values = bits if dtype == "BF16" else bits.view(np.float16)
    if dtype == "F32":
        values = (bits.astype(np.uint32) << 16 | 0x1234).view(np.float32)
    finite = np.isfinite(to_float32(values, dtype))
    limit = float(torch.finfo(as_tensor(values, dtype).dtype).max)
    safe = np.abs(np.where(finite, to_float32(values, dtype), np.inf).astype(np.float64)) * max(factor, 1) <= limit
    values = values[safe][None]
    tensor = as_tensor(values, dtype)
    wanted = (tensor.double() * float(np.float32(factor))).to(tensor.dtype)
    assert torch.equal(as_tensor(scaled(values, dtype, factor), dtype), wanted)


def test_a_weight_that_would_leave_the_range_is_an_error() -> None:
    large = from_float32(np.array([[3e38, 1.0]], np.float32), "BF16")
    assert not_finite(large, "BF16") == 0
    for factor in (2.0, 8.0, 3.7):
        with pytest.raises(OverflowError, match="bfloat16"):
            scaled(large, "BF16", factor)
    assert not_finite(scaled(large, "BF16", 0.5), "BF16") == 0


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_another_byte_anywhere_in_the_base_model_is_noticed(tmp_path: Path, place: float) -> None:
    base_model = make_base_model(tmp_path / "base")
    before = base_model_fingerprint(base_model)
    file = base_model / "model.safetensors"
    state, content = file.stat(), bytearray(file.read_bytes())
    content[int(len(content) * place)] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert base_model_fingerprint(base_model) != before
