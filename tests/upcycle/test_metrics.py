"""Router figures on tables whose answers are known, and the losses against their definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from upcycle.data.packing import NO_LABEL
from upcycle.model.moe_layers import Routing
from upcycle.training.losses import (
    balance_loss,
    balance_terms,
    classification_sum,
    cross_entropy,
    expert_targets,
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
    assert float(classification_sum(logits, expert_targets(discipline[:1], 5, 2, 2, null=True))) < 1e-3
    assert float(classification_sum(torch.zeros(3, 5), torch.zeros(3, 5))) == pytest.approx(3 * math.log(2))


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
    counts, probability = balance_terms(logits, selected, EXPERTS)
    whole = balance_loss(counts[None], probability[None], torch.tensor(6.0))
    parts = [
        balance_loss(counts[None], balance_terms(logits[part], selected[part], EXPERTS)[1][None], torch.tensor(6.0))
        for part in (slice(0, cut), slice(cut, 6))
    ]
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
    counts = balance_terms(logits[discipline >= 0], selected[discipline >= 0], EXPERTS)[0][None]
    monkeypatch.setattr("upcycle.training.objectives.add_over_ranks", lambda _own: counts)
    assert share(slice(0, 3)) + share(slice(3, 8)) == pytest.approx(whole, rel=1e-5)


def test_null_experts_carry_no_balance() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0, 50.0]])
    counts, probability = balance_terms(logits, torch.tensor([[4, 0]]), EXPERTS)
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
