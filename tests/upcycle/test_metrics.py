"""Router figures on tables whose answers are known, and the losses against their definitions."""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from upcycle.data.packing import NO_LABEL
from upcycle.model.modeling import ModelOutput
from upcycle.model.moe_layers import Routing
from upcycle.training.losses import (
    balance_loss,
    classification_sum,
    count_chosen,
    cross_entropy,
    expert_targets,
    summed_probability,
    z_sum,
)
from upcycle.training.objectives import LossWeights, MixtureObjective
from upcycle.training.router_metrics import count_choices, router_figures
from upcycle.training.trainer import BatchTotals

LONG_NAME = ("physics", "chemistry")
SPLIT, EXPERTS, NULL = 2, 4, 1


def table(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.float64)


def test_a_perfect_router() -> None:
    figures = router_figures(table([[5, 5, 0, 0, 0], [0, 0, 5, 5, 0], [0, 0, 0, 0, 10]]), LONG_NAME, SPLIT)
    assert figures["router/accuracy"] == 1
    assert figures["router/specialization"] == pytest.approx(1)
    assert figures["router/max_violation"] == 0
    assert figures["router/entropy"] == pytest.approx(1)
    assert figures["router/dead_experts"] == 0
    assert (figures["router/null_science"], figures["router/null_general"]) == (0, 1)


def test_a_router_that_knows_nothing() -> None:
    figures = router_figures(table([[3, 3, 3, 3], [3, 3, 3, 3], [1, 1, 1, 1]]), LONG_NAME, SPLIT)
    assert figures["router/accuracy/physics"] == pytest.approx(SPLIT / EXPERTS)
    assert figures["router/specialization"] == pytest.approx(0, abs=1e-12)
    assert "router/null_science" not in figures


def test_a_collapsed_router() -> None:
    figures = router_figures(table([[8, 0, 0, 0], [8, 0, 0, 0], [0, 0, 0, 0]]), LONG_NAME, SPLIT)
    assert figures["router/max_violation"] == pytest.approx(EXPERTS - 1)
    assert figures["router/dead_experts"] == 3
    assert figures["router/entropy"] == pytest.approx(0)
    assert figures["router/accuracy/chemistry"] == 0


def test_choices_are_counted_by_discipline_with_general_text_last() -> None:
    counts = count_choices(torch.tensor([[0, 1], [2, 4], [4, 4]]), torch.tensor([0, 1, -1]), 2, 5)
    assert counts.tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 2]]


@given(st.lists(st.lists(st.integers(0, 50), min_size=5, max_size=5), min_size=3, max_size=3))
def test_every_figure_stays_in_its_range(rows: list[list[int]]) -> None:
    figures = router_figures(table([[float(n) for n in row] for row in rows]), LONG_NAME, SPLIT)
    for name, value in figures.items():
        assert math.isfinite(value), name
        top = {"router/max_violation": EXPERTS - 1, "router/dead_experts": EXPERTS}.get(name, 1)
        assert -1e-9 <= value <= top + 1e-9, name


def test_targets_of_equation_3() -> None:
    discipline = torch.tensor([0, 1, -1])
    assert expert_targets(discipline, 5, 2, 2, null=True).tolist() == [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert expert_targets(discipline, 5, 2, 2, null=False)[2].tolist() == [0] * 5
    logits = torch.tensor([[9.0, 9.0, -9.0, -9.0, -9.0]])
    all_kept = torch.ones(3)
    assert float(classification_sum(logits, expert_targets(discipline[:1], 5, 2, 2, null=True), all_kept[:1])) < 1e-3
    assert float(classification_sum(torch.zeros(3, 5), torch.zeros(3, 5), all_kept)) == pytest.approx(3 * math.log(2))
    two = torch.tensor([True, False, True])
    assert float(classification_sum(torch.zeros(3, 5), torch.zeros(3, 5), two)) == pytest.approx(2 * math.log(2))


def test_balance_is_one_when_even_and_all_experts_when_collapsed() -> None:
    tokens = torch.tensor(6.0)
    even = balance_loss(torch.full((2, 4), 3.0), torch.full((2, 4), 1.5), tokens)
    assert float(even) == pytest.approx(1)
    collapsed = torch.tensor([[6.0, 0, 0, 0]])
    assert float(balance_loss(collapsed, collapsed, tokens)) == pytest.approx(4)


@given(st.integers(1, 5), st.integers(0, 99))
def test_parts_of_a_batch_add_up_to_its_balance_loss(cut: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 5, generator=generator)
    selected = logits.topk(2).indices
    kept = torch.ones(6, dtype=torch.bool)
    counts = count_chosen(selected, kept, EXPERTS)[None]

    def loss(part: slice) -> torch.Tensor:
        return balance_loss(counts, summed_probability(logits[part], kept[part], EXPERTS)[None], torch.tensor(6.0))

    whole, parts = loss(slice(None)), [loss(slice(0, cut)), loss(slice(cut, 6))]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)


def test_the_ranks_add_up_to_the_balance_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank knows its own tokens; what sums over ranks is replaced by the counts of the whole batch."""
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(3))
    selected, discipline = logits.topk(2).indices, torch.tensor([0, 1, 0, -1, 1, 1, 0, 0])
    objective = MixtureObjective(LossWeights(balance=1.0), LONG_NAME, SPLIT, "null")
    count = torch.tensor(8.0)
    totals = BatchTotals(labels=count, tokens=count, science=torch.tensor(7.0))

    def share(part: slice) -> float:
        routing = [Routing(logits[part], selected[part], torch.zeros(0))]
        return float(objective._router_terms(routing, discipline[part], totals)["balance"])

    whole = share(slice(None))
    counts = count_chosen(selected[discipline >= 0], torch.ones(7, dtype=torch.bool), EXPERTS)[None]
    monkeypatch.setattr("upcycle.training.objectives.add_over_ranks", lambda _own: counts)
    objective.prepare(None, [slice_of(0, 8, logits)])
    first = share(slice(0, 3))
    objective.prepare(None, [slice_of(0, 8, logits)])  # the other rank begins with its own sums
    assert first + share(slice(3, 8)) == pytest.approx(whole, rel=1e-5)


class Slice(NamedTuple):
    """One slice of a batch and the logits that a layer's router gives its tokens."""

    tokens: torch.Tensor
    positions: torch.Tensor
    discipline: torch.Tensor
    logits: torch.Tensor


def slice_of(start: int, stop: int, logits: torch.Tensor) -> Any:
    place = torch.arange(start, stop)[:, None]
    return Slice(place, place, place[:, 0] % 3 - 1, logits[start:stop])


@pytest.mark.parametrize(("counted", "same"), [("batch", True), ("running", False)])
def test_slices_of_a_batch_share_its_counts(counted: Any, same: bool) -> None:
    """The load balance and its gradient do not depend on the micro batches, unless they are counted as they come."""
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(5)).requires_grad_()
    totals = BatchTotals(labels=torch.tensor(8.0), tokens=torch.tensor(8.0), science=torch.tensor(5.0))
    objective = MixtureObjective(LossWeights(balance=1.0), LONG_NAME, SPLIT, "null", counted)

    def routing(part: torch.Tensor) -> list[Routing]:
        return [Routing(part, part.topk(2).indices, torch.zeros(0))]

    def model(tokens: torch.Tensor, **_: Any) -> ModelOutput:
        return ModelOutput(tokens, None, routing(logits[tokens[:, 0]]))

    def loss_and_gradient(*cuts: int) -> tuple[float, torch.Tensor]:
        edges = [0, *cuts, 8]
        slices = [slice_of(start, stop, logits) for start, stop in pairwise(edges)]
        objective.prepare(model, slices)
        terms = [objective._router_terms(routing(part.logits), part.discipline, totals)["balance"] for part in slices]
        total = torch.stack(terms).sum()
        return float(total.detach()), torch.autograd.grad(total, logits)[0]

    (whole, gradient), (cut, other) = loss_and_gradient(), loss_and_gradient(2, 5)
    assert (whole == pytest.approx(cut, rel=1e-6)) == same
    assert torch.allclose(gradient, other, rtol=1e-5, atol=1e-7) == same


def test_null_experts_carry_no_balance() -> None:
    logits, kept = torch.tensor([[0.0, 0.0, 0.0, 0.0, 50.0]]), torch.ones(1, dtype=torch.bool)
    counts, probability = count_chosen(torch.tensor([[4, 0]]), kept, EXPERTS), summed_probability(logits, kept, EXPERTS)
    assert counts.tolist() == [1, 0, 0, 0]
    assert probability.tolist() == pytest.approx([0.25] * 4)


def test_cross_entropy_counts_labels_only_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 11, bias=False)
    hidden = torch.randn(2, 5, 8, requires_grad=True)
    labels = torch.randint(0, 11, (2, 5))
    labels[0, 2] = NO_LABEL
    values = cross_entropy(head, hidden, labels)
    expected = torch.nn.functional.cross_entropy(
        head(hidden).flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL, reduction="none"
    )
    assert torch.allclose(values.flatten(), expected)
    (whole,) = torch.autograd.grad(values.sum(), hidden, retain_graph=True)
    monkeypatch.setattr("upcycle.training.losses.LOGITS_AT_ONCE", 22)
    parts = cross_entropy(head, hidden, labels)
    (cut,) = torch.autograd.grad(parts.sum(), hidden)
    assert torch.allclose(parts, values)
    assert torch.allclose(cut, whole, atol=1e-7)


def test_z_loss_is_the_squared_log_of_the_sum() -> None:
    assert float(z_sum(torch.zeros(2, 4))) == pytest.approx(2 * math.log(4) ** 2)


def test_a_batch_without_a_discipline_says_nothing_about_it() -> None:
    right = torch.tensor([[0, 1], [0, 1]])
    counts = count_choices(right, torch.tensor([0, 0]), disciplines=2, slots=4)[None]
    figures = router_figures(counts, ("physics", "biology"), split=2)
    assert figures["router/accuracy"] == figures["router/accuracy/physics"] == 1
    assert "router/accuracy/biology" not in figures
    general = count_choices(right, torch.tensor([-1, -1]), disciplines=2, slots=4)[None]
    assert not any("accuracy" in name for name in router_figures(general, ("physics", "biology"), split=2))
