"""The scaling benchmark's order of jobs, its report and the model of twice the width, without training."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import upcycle_scaling
from benchmarks.scaling_jobs import DECAY, DISCIPLINES, QUICK, Study
from benchmarks.scaling_measures import doubled, solved
from benchmarks.scaling_report import paired
from innovator_rl.runs.files import write_atomic
from upcycle.data.batch import Batch
from upcycle.model.modeling import ModelOutput
from upcycle.model.moe_layers import SwiGLU
from upcycle.training.trainer import learning_rate

EMPTY: dict[str, Any] = {"choose": 1.0, "rows": [], "tokens": {}}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path, QUICK)


def write(study: Study, job: str, found: Any = None) -> None:
    for before in study.names[job]:
        if study.result(before) is None:
            write(study, before, EMPTY)
    study.place(job).mkdir(parents=True, exist_ok=True)
    write_atomic(study.place(job) / "result.json", json.dumps(found or EMPTY))


def test_jobs_wait_for_those_before_them_and_a_second_command_goes_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def start(_study: Study, job: str, _quick: bool) -> int:
        order.append(job)
        if job == "dense-0" and order.count(job) == 1:
            return 1  # its process ended without a result
        write(study, job)
        return 0

    monkeypatch.setattr(upcycle_scaling, "_start", start)
    assert upcycle_scaling.run_all(study, 2, time.monotonic() + 60, quick=True) == ["dense-0"]
    place = {job: number for number, job in enumerate(order)}
    assert all(place[before] < place[job] for job, needed in study.names.items() for before in needed)
    assert sorted(order) == sorted(study.names)
    assert upcycle_scaling.run_all(study, 2, time.monotonic() - 1, quick=True) == ["dense-0"], "no time is left"
    assert upcycle_scaling.run_all(study, 2, time.monotonic() + 60, quick=True) == []
    assert order[-1] == "dense-0"
    assert len(order) == len(study.names) + 1


def figures(science: float, general: float) -> dict[str, Any]:
    """Return figures of a model whose losses differ by 0.002 from sequence to sequence."""
    losses = {**dict.fromkeys(DISCIPLINES, science), "general": general}
    return {
        "val/loss/science": science,
        "val/loss/general": general,
        "tasks/science": 0.5,
        "tasks/general": 0.75,
        "tasks/count": dict.fromkeys(losses, 256),
        **{f"sequences/{name}": [loss - 0.002, loss, loss + 0.002] for name, loss in losses.items()},
    }


def test_the_report_judges_each_side_at_its_best_rate(study: Study) -> None:
    for side, better in (("mixture", 0.004), ("dense", 0.008)):
        for rate in QUICK.rates:
            found = figures(2.0, 3.0) | {"choose": 2.0 if rate == better else 2.5}
            write(study, f"tune-{side}-{rate:g}", found)
    assert (study.best_rate("mixture"), study.best_rate("dense")) == (0.004, 0.008)
    for job, tokens, science, general in (
        ("base", 0, 3.0, 2.9),
        ("mixture-0", QUICK.main, 2.4, 2.905),
        ("dense-0", QUICK.main, 2.45, 3.1),
    ):
        write(study, job, {"rows": [{"tokens": tokens, "flops": 1e15, **figures(science, general)}]})
    text = upcycle_scaling.report(study)
    assert text.index("General ability") < text.index("Losses over tokens") < text.index("Rates, chosen")
    assert "| mixture | 0 | 2.905 | +0.005 | 75% | 2.400 | 50% |" in text
    assert "better in science by 0.1 nat than dense, continued on as many tokens: **does not hold**; +0.050" in text
    assert "better in science than dense, continued on as many tokens: **holds**" in text
    assert "loses at most 0.01 nat of general ability (general loss minus the base model's): **holds**; +0.005" in text
    assert "small tasks lost: **undecided**" in text
    assert "0.004 (chosen), the edge of the rates tried" in text
    assert upcycle_scaling.report(Study(study.folder, replace(QUICK, seeds=3))) == text, "more seeds wait"


def test_an_interval_is_of_the_differences_between_paired_sequences() -> None:
    one = {"sequences/a": [1.0, 2.0, 6.0], "sequences/b": [2.0, 4.0]}
    other = {"sequences/a": [0.9, 1.9, 5.9], "sequences/b": [1.7, 3.5]}
    found = paired([(one, other)], ("a", "b"))
    assert found.value == pytest.approx((0.1 + 0.4) / 2)
    assert found.half == pytest.approx(1.96 * (0.02 / 2 / 4) ** 0.5), "the first text's sequences differ alike"
    assert (found.outcome(0.05, above=True), found.outcome(0.2, above=True)) == ("holds", "undecided")
    assert found.outcome(0.05, above=False) == "does not hold"


def test_a_changed_setting_never_meets_an_old_result_and_leaves_other_jobs_alone(study: Study) -> None:
    for job in study.names:
        write(study, job)
    assert all(study.result(job) is not None for job in study.names)

    def lost(**changes: Any) -> set[str]:
        other = Study(study.folder, replace(QUICK, **changes))
        return {job.split("-")[0] for job in other.names if other.result(job) is None}

    everything = {job.split("-")[0] for job in study.names}
    assert lost(books=()) == everything
    assert lost(phases=QUICK.phases[:1]) == everything - {"text"}
    assert lost(table=2 * QUICK.table) == {"table"}
    assert lost(budgets=(*QUICK.budgets, 2 * QUICK.main)) == {"mixture", "dense"}
    write(study, "tune-dense-0.008", {"choose": 0.5})
    assert Study(study.folder, QUICK).best_rate("dense") == 0.008
    assert {job for job in study.names if Study(study.folder, QUICK).result(job) is None} == {
        "dense-0",
        "wide-0",
        "table-0",
    }


def test_every_budget_ends_in_a_decay_of_the_same_run(study: Study) -> None:
    write(study, "dense-0")
    stage = study.configuration("dense-0", "one", train_dense={"tokens": QUICK.main}).train_dense
    steps = QUICK.main // 4096
    begin = round(steps * (1 - DECAY) / QUICK.grid) * QUICK.grid
    branch = stage.model_copy(update={"decay_share": 1 - begin / steps})
    rates = [learning_rate(step, steps, branch) for step in range(steps)]
    assert rates[begin - 1] == stage.learning_rate > rates[begin]
    assert rates[-1] == pytest.approx(0.1 * stage.learning_rate)


def test_twice_the_width_computes_the_same_at_first() -> None:
    torch.manual_seed(0)
    one, two = SwiGLU(8, 6), SwiGLU(8, 12)
    two.load_state_dict({name: doubled(value, down="down" in name) for name, value in one.state_dict().items()})
    x = torch.randn(5, 8)
    assert torch.allclose(one(x), two(x), atol=1e-6)
    two(x).sum().backward()
    assert two.down_proj.weight.grad is not None
    assert two.down_proj.weight.grad[:, 6:].abs().min() > 0, "the new half learns"


@pytest.mark.parametrize(("knows", "share"), [(True, 1.0), (False, 0.0)])
def test_a_task_is_solved_by_the_ending_that_follows(knows: bool, share: float) -> None:
    """Passages count upwards from their own beginning, so what follows is the next number (or, to the ignorant, is not)."""
    passages = torch.arange(96)[None] + 3 * torch.arange(6)[:, None]

    class Held:
        def size(self, _name: str) -> int:
            return len(passages)

        def batch(self, picks: list, _ids: dict) -> Batch:
            rows = passages[[index for _, index in picks]]
            return Batch(rows, rows, torch.arange(96).expand_as(rows), torch.zeros(len(rows)))

    class Counter(torch.nn.Module):
        def forward(self, tokens: torch.Tensor, **_: Any) -> ModelOutput:
            sure = torch.nn.functional.one_hot(tokens + 1, 128).float() * (10 if knows else -10)
            return ModelOutput(sure, sure, [])

    assert solved(Counter(), Held(), "physics", 6) == share
