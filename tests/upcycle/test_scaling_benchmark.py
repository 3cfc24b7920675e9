"""The scaling benchmark's order of jobs, its report and the model of twice the width, without training."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import upcycle_scaling
from benchmarks.scaling_jobs import DECAY, QUICK, Study, _doubled, solved
from innovator_rl.runs.files import write_atomic
from upcycle.data.batch import Batch
from upcycle.model.modeling import ModelOutput
from upcycle.model.moe_layers import SwiGLU
from upcycle.training.trainer import learning_rate


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "results").mkdir()
    return Study(tmp_path, QUICK)


def write(study: Study, job: str, found: Any = None) -> None:
    write_atomic(study.folder / "results" / f"{job}.json", json.dumps(found or {}))


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


def figures(science: float, general: float) -> dict[str, float]:
    return {"val/loss/science": science, "val/loss/general": general, "tasks/science": 0.5, "tasks/general": 0.75}


def test_the_report_judges_each_side_at_its_best_rate(study: Study) -> None:
    for side, better in (("mixture", 0.004), ("dense", 0.008)):
        for rate in QUICK.rates:
            write(study, f"tune-{side}-{rate:g}", figures(2.0 if rate == better else 2.5, 3.0))
    assert (study.best_rate("mixture"), study.best_rate("dense")) == (0.004, 0.008)
    for job, tokens, science, general in (
        ("base", 0, 3.0, 2.9),
        ("mixture-0", QUICK.main, 2.4, 2.905),
        ("dense-0", QUICK.main, 2.45, 3.1),
    ):
        write(study, job, {"rows": [{"tokens": tokens, "flops": 1e15, **figures(science, general)}]})
    text = upcycle_scaling.report(study)
    assert text.index("General ability") < text.index("Losses over tokens") < text.index("Rates, tried")
    assert "| mixture | 0 | 2.905 | +0.005 | 75% | 2.400 | 50% |" in text
    assert "science +0.050 nat better than dense training (aim 0.1: missed)" in text
    assert "general +0.005 nat worse than the base model (aim at most 0.01: met)" in text


def test_every_budget_ends_in_a_decay_of_the_same_run(study: Study) -> None:
    stage = study.configuration("one", train_dense={"tokens": QUICK.main}).train_dense
    steps = QUICK.main // 4096
    begin = round(steps * (1 - DECAY) / QUICK.grid) * QUICK.grid
    branch = stage.model_copy(update={"decay_share": 1 - begin / steps})
    rates = [learning_rate(step, steps, branch) for step in range(steps)]
    assert rates[begin - 1] == stage.learning_rate > rates[begin]
    assert rates[-1] == pytest.approx(0.1 * stage.learning_rate)


def test_twice_the_width_computes_the_same_at_first() -> None:
    torch.manual_seed(0)
    one, two = SwiGLU(8, 6), SwiGLU(8, 12)
    two.load_state_dict({name: _doubled(value, down="down" in name) for name, value in one.state_dict().items()})
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
