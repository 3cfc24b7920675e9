"""The plan's figures: the paper's parameter counts, torch's own count of operations, FSDP2's own cut."""

from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from base_models import SHAPE, mixture_of
from torch.utils.flop_counter import FlopCounterMode

from upcycle.checkpoint.vllm_limits import serving_notes, tensor_parallel_degrees
from upcycle.config.schema import UpcycleConfig, load
from upcycle.model.architecture import ModelSpec, tensor_shapes
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.planning.flops import active_weights, flops_per_token, utilization
from upcycle.planning.meta_device import local_parameters
from upcycle.planning.plan import plan

FULL_SIZE = Path(__file__).parents[2] / "configs/upcycle/innovator-53b.yaml"


@pytest.fixture(scope="module")
def full() -> UpcycleConfig:
    return load(FULL_SIZE)


def test_the_full_size_is_the_papers(full: UpcycleConfig) -> None:
    counted = plan(full, full.base_config, gpus=64)
    assert (counted.total, counted.active, counted.dense) == (53_247_778_304, 13_325_344_256, 7_615_616_512)
    assert counted.export_bytes == 106_495_556_608 == 2 * counted.total
    assert sum(len(shard.entries) for shard in counted.shards) == 5771
    assert max(shard.bytes for shard in counted.shards) < 5.01e9
    assert counted.expert_bytes == 2 * 5_703_204_864
    written = counted.as_dict()
    assert sum(t["bytes"] for s in written["shards"] for t in s["tensors"].values()) == counted.export_bytes


@pytest.mark.parametrize(
    ("split", "top_k", "disciplines", "billions"),
    [(1, 1, 8, 53.2), (2, 2, 2, 19.0), (4, 4, 4, 30.4), (8, 8, 8, 53.2), (2, 2, 8, 53.2), (4, 4, 8, 53.2)],
)
def test_the_ablations_share_the_active_budget_and_not_the_total(
    full: UpcycleConfig, split: int, top_k: int, disciplines: int, billions: float
) -> None:
    """Table 4 as printed, and the two columns at equal totals."""
    mixture = full.mixture.model_copy(update={"split": split, "top_k": top_k})
    names = dict(list(full.disciplines.items())[:disciplines])
    counted = plan(full.model_copy(update={"mixture": mixture, "disciplines": names}), full.base_config, 64)
    assert round(counted.total / 1e9, 1) == billions
    assert round(counted.active / 1e9, 1) == 13.3


def test_null_experts_are_in_the_file_and_do_no_work(full: UpcycleConfig) -> None:
    one = full.model_copy(update={"mixture": full.mixture.model_copy(update={"null_experts": 1})})
    more = plan(one, full.base_config, 64).total - plan(full, full.base_config, 64).total
    assert more == 28 * (3 * 3584 * 2368 + 3584)


@pytest.mark.parametrize("kind", ["dense", "induced", "mixture"])
def test_the_forward_pass_is_counted_as_torch_counts_it(kind: str) -> None:
    spec = mixture_of({**SHAPE, "model_type": "qwen2"}, kind=kind)
    torch.manual_seed(0)
    model = InnovatorForCausalLM(spec, attention="eager").double()  # float64: the experts' products are plain ones
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    length = 16
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.arange(length)[None])
    # Eager attention computes the masked half as well; rotary positions are a small product that is left out here.
    per_token = flops_per_token(spec, "train_joint", 2 * length - 1).forward
    assert counter.get_total_flops() / length == pytest.approx(per_token, rel=0.01)


def test_the_shared_expert_is_43_percent_of_the_active_parameters(full: UpcycleConfig) -> None:
    spec = ModelSpec.from_config(full, full.base_config, "mixture")
    assert active_weights(spec).shared / plan(full, full.base_config, 64).active == pytest.approx(0.428, abs=0.001)
    flops = flops_per_token(spec, "train_joint", 8192)
    assert flops.training == pytest.approx(3 * flops.forward)
    assert flops.training < flops.hardware < 4 * flops.forward
    assert utilization(flops, tokens_per_second=1000, peak_flops=1e15) == pytest.approx(flops.training * 1e-12)
    induced = flops_per_token(spec.of_kind("induced"), "train_experts", 8192)
    assert 2 * induced.forward < induced.training < 3 * induced.forward


@pytest.mark.parametrize("gpus", [2, 3, 64])
def test_fsdp2_cuts_the_full_model_as_planned(full: UpcycleConfig, gpus: int) -> None:
    spec = ModelSpec.from_config(full, full.base_config, "mixture")
    whole, local = local_parameters(spec, gpus)
    assert whole == sum(prod(shape) for _, shape in tensor_shapes(spec) if shape != (1,))
    assert local >= -(-whole // gpus)
    assert local == sum(-(-shape[0] // gpus) * prod(shape[1:]) for _, shape in tensor_shapes(spec) if shape != (1,))


def test_limits_of_serving(full: UpcycleConfig) -> None:
    spec = ModelSpec.from_config(full, full.base_config, "mixture")
    assert tensor_parallel_degrees(spec) == [1, 2, 4]
    tiny: dict[str, Any] = {**SHAPE, "model_type": "llama"}
    notes = " ".join(serving_notes(mixture_of(tiny)))
    assert "head_dim 8: vLLM's CPU attention has no kernel" in notes
    assert "fine expert width 12: not a multiple of 32" in notes


@pytest.mark.parametrize(("offload", "smaller"), [(True, True), (False, False)])
def test_memory_follows_the_trainer(full: UpcycleConfig, offload: bool, smaller: bool) -> None:
    changed = full.model_copy(update={"trainer": full.trainer.model_copy(update={"cpu_offload": offload})})
    one, other = (plan(config, full.base_config, 64).stages[-1].memory for config in (full, changed))
    assert (other.total < one.total) == smaller
    twice = plan(full, full.base_config, 128).stages[-1].memory
    assert twice.optimizer == pytest.approx(one.optimizer / 2, rel=1e-6)
    assert twice.gathered == one.gathered
