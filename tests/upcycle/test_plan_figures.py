"""The plan's figures: the paper's parameter counts, torch's own count of operations, FSDP2's own cut."""

from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from base_models import SHAPE, mixture_of
from torch.utils.flop_counter import FlopCounterMode

from innovator_rl.errors import UserError
from upcycle.checkpoint.vllm_limits import serving_notes, tensor_parallel_degrees
from upcycle.config.schema import UpcycleConfig, load
from upcycle.model.architecture import ModelSpec, tensor_shapes
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.planning.batches import batch_sizes
from upcycle.planning.costs import Speed
from upcycle.planning.flops import active_weights, flops_per_token, utilization
from upcycle.planning.memory import layout_of
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
    assert counted.expert_bytes == 4 * 5_703_204_864, "stages write float32"
    assert counted.training_bytes == 212_990_711_920
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


@pytest.mark.parametrize(
    ("gpus", "settings", "millions"),
    [
        (48, (), 1585),  # no width has the factor 3, so whole experts are cut and padded
        (64, (), 832),
        (128, (), 416),
        (64, ("trainer.replicas=2",), 1664),
        (64, ("trainer.expert_parallel=8",), 832),
        (128, ("trainer.replicas=2", "trainer.expert_parallel=8"), 832),
    ],
)
def test_the_whole_model_is_cut_as_planned(gpus: int, settings: tuple[str, ...], millions: int) -> None:
    """All 53 billion parameters, on the meta device, by the calls with which training shards them."""
    config = load(FULL_SIZE, settings)
    spec = ModelSpec.from_config(config, config.base_config, "mixture")
    memory = plan(config, config.base_config, gpus).stages[-1].memory
    whole, local = local_parameters(spec, layout_of(config, spec, gpus))
    assert whole == sum(prod(shape) for _, shape in tensor_shapes(spec) if shape != (1,))
    assert memory.parameters == memory.gradients == memory.optimizer // 2 == 4 * local
    assert round(local / 1e6) == millions


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


def test_a_gathered_layer_is_padded_and_a_rank_gets_whole_sequences(full: UpcycleConfig) -> None:
    memory = {gpus: plan(full, full.base_config, gpus).stages[-1].memory for gpus in (48, 64)}
    assert memory[48].gathered > 1.3 * memory[64].gathered
    assert round(memory[48].activations / 1e9, 1) == 10.9
    assert memory[48].activations == 2 * memory[64].activations


def test_offloaded_weights_are_in_host_memory(full: UpcycleConfig) -> None:
    offload = full.model_copy(update={"trainer": full.trainer.model_copy(update={"cpu_offload": True})})
    one_node, two = (plan(offload, full.base_config, gpus).stages[-1].host_bytes for gpus in (8, 16))
    assert round(one_node / 1e9) == 852
    assert two == pytest.approx(one_node / 2, rel=0.01)
    assert plan(full, full.base_config, 8).stages[-1].host_bytes == 0


@pytest.mark.parametrize(("gpus", "refused"), [(64, False), (48, False), (96, True), (128, True)])
def test_the_plan_refuses_what_the_run_refuses(full: UpcycleConfig, gpus: int, refused: bool) -> None:
    counted = plan(full, full.base_config, gpus)
    assert bool(counted.refusals) == refused
    for stage in ("train_experts", "train_router", "train_joint"):
        try:
            batch_sizes(full, getattr(full, stage), gpus)
        except UserError:
            assert refused
    for line in counted.refusals:
        stage, fix = line.partition(":")[0].partition(",")[0], line.rpartition("; set ")[2]
        changes = dict(word.rsplit(".", 1)[1].split("=") for word in fix.split(" and "))
        trainer = full.trainer.model_copy(update={"micro_batch_tokens": int(changes["micro_batch_tokens"])})
        settings = getattr(full, stage).model_copy(
            update={k: int(v) for k, v in changes.items() if k == "batch_tokens"}
        )
        batch_sizes(full.model_copy(update={"trainer": trainer}), settings, gpus)


def test_the_largest_micro_batch_that_fits_is_the_largest(full: UpcycleConfig) -> None:
    stage = plan(full, full.base_config, 64).stages[-1]
    best = stage.largest_micro_batch(45e9)
    assert best is not None
    assert stage.micro_batches[best] <= 45e9
    assert all(size > 45e9 for tokens, size in stage.micro_batches.items() if tokens > best)
    assert stage.largest_micro_batch(1e9) is None


def test_hours_follow_from_operations_and_the_stated_speed(full: UpcycleConfig) -> None:
    counted = plan(full, full.base_config, 64, speed=Speed(1000, 0.5, "test"))
    joint = counted.stages[-1]
    assert joint.hours == pytest.approx(joint.total_flops / (64 * 1000e12 * 0.5) / 3600)
    assert counted.disk["checkpoints"] == 12 * 3 * joint.parameters, "two are kept while the third is written"
    assert counted.disk["checkpoints of other stages"] == 12 * 2 * (8 * 5_703_204_864 + 28 * 64 * 3584)


def test_the_literal_form_is_the_papers() -> None:
    literal = load(FULL_SIZE.with_name("innovator-53b-literal.yaml"))
    mixture = literal.mixture
    assert (mixture.form, mixture.routed_scale, mixture.null_experts) == ("literal", "one", 0)
    assert literal.train_router.init_tokens == 0
    full = load(FULL_SIZE)
    assert full.general, "stage 4 is general and scientific text"
    assert literal.train_joint == full.train_joint
    assert plan(literal, literal.base_config, 64).total == plan(full, full.base_config, 64).total
