"""Meshes of ranks: replicas, shards and expert-parallel groups compute what one rank computes, and hold what the plan counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from base_models import SHAPE, mixture_of

from innovator_rl.errors import UserError
from upcycle.config.stages import TrainerConfig
from upcycle.model.architecture import layer_shapes, tensor_shapes
from upcycle.model.layout import Layout, shard_dimension
from upcycle.planning.meta_device import local_parameters

ROOT = Path(__file__).resolve().parents[2]
QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768,
}  # fmt: skip
FULL = mixture_of(QWEN_7B, disciplines=tuple("abcdefgh"), split=8, top_k=8)


@pytest.mark.slow
def test_two_by_two_ranks_compute_what_one_computes(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/upcycle'}", "OMP_NUM_THREADS": "1"}
    script = ROOT / "tests/upcycle/mesh_ranks.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=240, env=environment, capture_output=True)
    alone = torch.load(  # the whole batch at once; the meshes take it in two slices
        tmp_path / "alone.pt"
    )
    meshes = ("shard-4", "replicate-2-shard-2", "shard-2-expert-2", "shard-2-expert-2-capacity", "replicate-2-expert-2")
    for mesh in meshes:
        found = torch.load(tmp_path / f"{mesh}.pt")
        for one, other in zip(alone["figures"], found["figures"], strict=True):
            assert {k: v for k, v in other.items() if k.startswith(("train/", "router/"))} == pytest.approx(
                {k: v for k, v in one.items() if k.startswith(("train/", "router/"))}, abs=1e-6
            )
        for name, (gradient, weight) in alone["tensors"].items():
            assert (gradient - found["tensors"][name][0]).abs().max() <= 1e-7, name
            apart = (weight - found["tensors"][name][1]).abs()
            assert torch.where(gradient.abs() > 1e-5, apart, 0).max() <= 1e-6, name
            # AdamW divides a gradient by its own size: where that is near zero, its rounding error moves the weight
            assert apart.max() <= 1e-5, name
    again = torch.load(tmp_path / "resumed.pt")
    assert again["step"] == 2
    assert again["resumed"]["train/loss"] == pytest.approx(again["on"]["train/loss"], abs=2e-6)


@pytest.mark.parametrize(
    ("ranks", "replicas", "parallel"),
    [(48, 1, 1), (128, 1, 1), (64, 2, 1), (64, 1, 8), (128, 2, 8), (256, 1, 8)],
)
def test_a_full_size_layer_is_cut_as_the_plan_counts(ranks: int, replicas: int, parallel: int) -> None:
    """One layer of the 53 billion parameters; `plan --meta` does the same with all 28."""
    spec = mixture_of({**QWEN_7B, "num_hidden_layers": 1}, disciplines=tuple("abcdefgh"), split=8, top_k=8)
    layout = Layout.of(TrainerConfig(replicas=replicas, expert_parallel=parallel), ranks, spec.experts)
    assert layout.ranks == ranks
    shapes = [(name, shape) for name, shape in tensor_shapes(spec) if shape != (1,)]
    assert local_parameters(spec, layout)[1] == layout.held(shapes)


def test_memory_shrinks_with_the_ranks_past_the_number_of_experts() -> None:
    layer = [(name, shape) for name, shape in layer_shapes(FULL, 0) if shape != (1,)]
    held = {ranks: Layout(1, ranks).held(layer) for ranks in (32, 64, 128, 256, 512)}
    for ranks in (64, 128, 256, 512):
        assert held[ranks] == pytest.approx(held[32] * 32 / ranks, rel=2e-3)
    assert Layout(1, 16, 8).held(layer) == pytest.approx(held[128], rel=1e-3), "the expert axis cuts as finely"
    assert Layout(2, 8, 8).held(layer) == pytest.approx(2 * held[128], rel=1e-3), "a replica holds a whole model"
    dense = Layout(1, 64).gathered(layer), Layout(1, 8, 8).gathered(layer)
    assert dense[1] < 0.25 * dense[0], "an expert-parallel rank gathers its own experts only"


def test_experts_are_cut_where_the_ranks_divide() -> None:
    assert [shard_dimension((64, 4736, 3584), ranks) for ranks in (8, 64, 128, 256, 48)] == [0, 0, 1, 2, 0]
    assert shard_dimension((151, 32), 4) == 0, "FSDP2 pads a matrix's rows"


@pytest.mark.parametrize(
    ("settings", "ranks", "experts", "told"),
    [
        ({"expert_parallel": 3}, 8, 64, "multiple of 3"),
        ({"replicas": 3}, 8, 64, "multiple of 3"),
        ({"expert_parallel": 4}, 8, 6, "set one of 1, 2, 3, 6"),
    ],
)
def test_a_mesh_that_does_not_divide_is_refused(settings: dict, ranks: int, experts: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Layout.of(TrainerConfig(**settings), ranks, experts)


def test_an_expert_axis_whose_shards_divide_no_width_is_refused() -> None:
    layout = Layout.of(TrainerConfig(expert_parallel=2), 10, 8)
    with pytest.raises(UserError, match="5 ranks of the shard axis"):
        layout.held(layer_shapes(mixture_of({"model_type": "qwen2", **SHAPE}), 0))
