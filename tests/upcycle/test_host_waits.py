"""Nothing in a layer reads a value on the host: it runs on the meta device, which has none to give.

A count that the host reads (`item`, `tolist`, `nonzero`, `bincount`, a boolean index) raises there.
"""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from base_models import SHAPE, mixture_of
from transformers import AutoModelForCausalLM, Qwen2MoeConfig

from innovator_rl.integrations.verl.router_load import RouterLoad
from upcycle.model.expert_parallel import overflow
from upcycle.model.moe_layers import FineExperts, MixtureBlock
from upcycle.planning.meta_device import fake_process_group
from upcycle.training.losses import balance_loss, count_chosen, summed_probability
from upcycle.training.router_metrics import count_choices

SPEC = mixture_of({**SHAPE, "model_type": "qwen2", "intermediate_size": 64}, null_experts=2)
# On the meta device the grouped product knows bfloat16 alone.


@pytest.fixture
def alone() -> Iterator[None]:
    """A real process group of one rank."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_layer_and_its_losses_wait_for_nothing() -> None:
    with torch.device("meta"):
        block = MixtureBlock(SPEC).to(torch.bfloat16)
        x = torch.randn(2, 16, SPEC.hidden, dtype=torch.bfloat16, requires_grad=True)
        block(x).sum().backward()
        routing, discipline = block.routing, torch.zeros(32, dtype=torch.int64)
        assert routing is not None
        counts = count_chosen(routing.selected, discipline >= 0, SPEC.experts)
        probability = summed_probability(routing.logits, discipline >= 0, SPEC.experts)
        balance_loss(counts[None], probability[None], torch.ones(()))
        count_choices(routing.selected, discipline, 2, SPEC.slots)


def experts(capacity: float) -> FineExperts:
    """The same random experts, as one rank of an expert axis."""
    torch.manual_seed(0)
    made = FineExperts(SPEC)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made.capacity = capacity
    return made


@pytest.mark.parametrize(("capacity", "waits"), [(1.25, False), (0.0, True)])
def test_an_exchange_with_a_capacity_waits_for_nothing(capacity: float, waits: bool) -> None:
    with fake_process_group(4), torch.device("meta"):
        made = experts(capacity).to(torch.bfloat16)
        made.group = dist.group.WORLD
        for name, parameter in list(made.named_parameters()):
            setattr(made, name, torch.nn.Parameter(parameter[: len(parameter) // 4]))
        x = torch.randn(32, SPEC.hidden, dtype=torch.bfloat16, requires_grad=True)
        selected = torch.zeros(32, 2, dtype=torch.int64)
        try:
            made(x, selected, torch.ones(32, 2, dtype=torch.bfloat16)).sum().backward()
            made.dropped(selected)
        except (RuntimeError, NotImplementedError):
            assert waits
        else:
            assert not waits


def routed(null: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states, chosen slots and gates of 24 tokens."""
    torch.manual_seed(1)
    logits = torch.randn(24, SPEC.slots if null else SPEC.experts)
    top, selected = logits.topk(2)
    return torch.randn(24, SPEC.hidden, requires_grad=True), selected, top.softmax(-1)


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("capacity", [0.0, 1.0, 1.5])
def test_without_drops_the_exchange_changes_nothing(capacity: float, null: bool, alone: None) -> None:
    x, selected, gates = routed(null)
    plain, made = experts(0.0), experts(capacity)
    expected = plain(x, selected, gates)
    wanted = torch.autograd.grad(expected.square().sum(), [x, *plain.parameters()])
    made.group = dist.group.WORLD
    found = made(x, selected, gates)
    gradients = torch.autograd.grad(found.square().sum(), [x, *made.parameters()])
    for one, other in zip((expected, *wanted), (found, *gradients), strict=True):
        assert (one - other).abs().max() <= 1e-6 * one.abs().max()
    assert int(made.dropped(selected)) == 0


def test_choices_past_the_capacity_add_nothing_and_are_counted(alone: None) -> None:
    x, selected, gates = routed(null=False)
    made = experts(0.5)
    made.group = dist.group.WORLD
    assert int(made.dropped(selected)) == 24
    order = selected.flatten().argsort(stable=True)
    kept = torch.ones(48).index_fill(0, order[24:], 0.0).view(24, 2)
    expected = experts(0.0)(x, selected, gates * kept)
    assert (made(x, selected, gates) - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_the_overflow_is_counted_by_rank() -> None:
    assert int(overflow(torch.tensor([3, 2, 0, 9]), ranks=2, capacity=4)) == 1 + 5
    assert int(overflow(torch.tensor([3, 2, 0, 9]), ranks=4, capacity=9)) == 0


def test_the_trainers_router_load_waits_for_nothing() -> None:
    sizes = {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = Qwen2MoeConfig(
        **sizes, num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    )  # fmt: skip
    with torch.device("meta"):
        gate = AutoModelForCausalLM.from_config(config).model.layers[0].mlp.gate
        module = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.ModuleDict({"gate": gate})])})
        load = RouterLoad.attach(module)
        assert load is not None
        load.real = torch.ones(1, 10, dtype=torch.bool)
        gate(torch.randn(10, 16))
    assert load._seen[0].shape == (6,)


def test_padding_is_not_counted() -> None:
    class Gate(torch.nn.Module):
        top_k = 1

        def forward(self, logits: torch.Tensor) -> torch.Tensor:
            return logits

    module = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.ModuleDict({"gate": Gate()})])})
    load = RouterLoad.attach(module)
    assert load is not None
    load.real = torch.tensor([True, True, False])
    module["layers"][0]["gate"](torch.tensor([[0.0, 9.0], [0.0, 9.0], [0.0, 0.0]]))
    zero, one, entropy, tokens = load._seen[0].tolist()
    assert (zero, one, tokens) == (0, 2, 2)
    assert entropy == pytest.approx(0.0, abs=0.01), "the padding's is 0.69"
