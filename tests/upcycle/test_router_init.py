"""The router's closed-form start: it tells disciplines apart, does not depend on how text is cut, and leaves what it should."""

from typing import Any

import pytest
import torch
from base_models import SHAPE, mixture_of

from upcycle.data.packing import Batch
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.training.router_init import init_router
from upcycle.training.router_metrics import count_choices, router_figures

CONFIG = {**SHAPE, "model_type": "qwen2", "rms_norm_eps": 1e-6, "tie_word_embeddings": False}


def mixture(**settings: Any) -> Any:
    """A random mixture of two disciplines with one null expert, its router as after the split."""
    spec = mixture_of(CONFIG, **{"top_k": 4, "null_experts": 1, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = InnovatorForCausalLM(spec)
        for name, parameter in model.named_parameters():
            ones = 1.0 if parameter.dim() == 1 and "norm" in name else 0.0
            torch.nn.init.normal_(parameter, ones, 1e-3 if ".mlp.gate." in name else 0.1)
    model.set_routed_scale(spec.routed_weight)
    return model


def text(sequences: int = 12, length: int = 24, seed: int = 0) -> Batch:
    """Sequences of physics (0), biology (1) and general text (-1) in turn, each with six tokens of its own."""
    generator = torch.Generator().manual_seed(seed)
    discipline = torch.arange(sequences) % 3
    tokens = torch.randint(0, 6, (sequences, length), generator=generator) + 32 * discipline[:, None]
    discipline = torch.where(discipline == 2, -1, discipline)
    return Batch(tokens, tokens, torch.arange(length).expand(sequences, length), discipline)


def part(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(*(field[start:stop] for field in batch))


def started(*slices: Batch, general: Any = "null", **settings: Any) -> Any:
    model = mixture(**settings)
    init_router(model, slices, general, lambda _tokens: None)
    return model


@torch.no_grad()
def figures(model: Any, batch: Batch) -> dict[str, float]:
    out = model(batch.tokens, position_ids=batch.positions)
    discipline = batch.discipline[:, None].expand_as(batch.tokens).flatten()
    slots = model.spec.experts + model.spec.null_experts
    tables = [count_choices(layer.selected, discipline, 2, slots) for layer in out.routing]
    return router_figures(torch.stack(tables), model.spec.disciplines, model.spec.split)


def rows(model: Any) -> list[torch.Tensor]:
    return [block.gate.weight.detach() for block in model.blocks()]


def test_one_pass_routes_unseen_text_and_general_text_to_the_null_expert() -> None:
    unseen = text(seed=1)
    before, after = figures(mixture(), unseen), figures(started(text(30)), unseen)
    assert after["router/accuracy"] > 0.9 > 0.6 > before["router/accuracy"]
    assert after["router/null_general"] == pytest.approx(0.25, abs=0.02), "one of four choices can be the null expert"
    assert after["router/null_science"] < 0.05


def test_the_experts_of_a_discipline_start_alike() -> None:
    for found, random in zip(rows(started(text())), rows(mixture()), strict=True):
        added = found - random
        assert torch.allclose(added[0], added[3], atol=1e-6)
        assert torch.allclose(added[4], added[7], atol=1e-6)
        assert float((added[0] - added[4]).abs().max()) > 0.01


def test_how_the_text_is_cut_changes_nothing() -> None:
    batch = text()
    for whole, cut in zip(rows(started(batch)), rows(started(part(batch, 0, 5), part(batch, 5, 12))), strict=True):
        assert torch.allclose(whole, cut, atol=1e-5)


def test_general_text_can_be_left_out() -> None:
    batch = text()
    science = Batch(*(field[batch.discipline >= 0] for field in batch))
    without = started(batch, general="skip")
    for a, b, random in zip(rows(without), rows(started(science)), rows(mixture()), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
        assert torch.equal(a[-1], random[-1]), "nothing is known of the null expert"


def test_general_text_can_be_a_class_that_no_slot_belongs_to() -> None:
    for none, null, random in zip(
        rows(started(text(), general="none")), rows(started(text())), rows(mixture()), strict=True
    ):
        assert torch.equal(none[:-1], null[:-1])
        assert torch.equal(none[-1], random[-1])
