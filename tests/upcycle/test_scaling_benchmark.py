"""The scaling benchmark's order of jobs, its report and the model of twice the width, without training."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import upcycle_scaling
from benchmarks.scaling_jobs import DECAY, DISCIPLINES, QUICK, Study, _doubled, solved
from benchmarks.scaling_report import Difference, difference
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

    def start(_study: Study, job: str, _arguments: object) -> int:
        order.append(job)
        if job == "dense-0" and order.count(job) == 1:
            return 1  # its process ended without a result
        write(study, job)
        return 0

    monkeypatch.setattr(upcycle_scaling, "_start", start)
    assert upcycle_scaling.run_all(study, 2, time.monotonic() + 60, ()) == ["dense-0"]
    place = {job: number for number, job in enumerate(order)}
    assert all(place[before] < place[job] for job, needed in study.names.items() for before in needed)
    assert sorted(order) == sorted(study.names)
    assert upcycle_scaling.run_all(study, 2, time.monotonic() - 1, ()) == ["dense-0"], "no time is left"
    assert upcycle_scaling.run_all(study, 2, time.monotonic() + 60, ()) == []
    assert order[-1] == "dense-0"
    assert len(order) == len(study.names) + 1


def figures(science: float, general: float, tasks: float = 0.75) -> dict[str, Any]:
    """Return figures with 64 sequences of each text, which differ among themselves but alike in every model."""
    sequences = {name: [science + 0.1 * (n % 2 - 0.5) for n in range(64)] for name in DISCIPLINES}
    sequences["general"] = [general + 0.1 * (n % 2 - 0.5) for n in range(64)]
    shares = {"tasks/science": 0.5, "tasks/general": tasks, "items/science": 400, "items/general": 100}
    return {"val/loss/science": science, "val/loss/general": general, "sequences": sequences, **shares}


def test_the_report_gives_each_claim_its_verdict_at_each_sides_best_rate(study: Study) -> None:
    for side, better in (("mixture", 0.004), ("dense", 0.008)):
        for rate in QUICK.rates:
            write(study, f"tune-{side}-{rate:g}", figures(2.0 if rate == better else 2.5, 3.0))
    assert (study.best_rate("mixture"), study.best_rate("dense")) == (0.004, 0.008)
    for job, tokens, science, general, tasks in (
        ("base", 0, 3.0, 2.9, 0.75),
        ("mixture-0", QUICK.main, 2.4, 2.905, 0.74),
        ("dense-0", QUICK.main, 2.45, 3.1, 0.4),
    ):
        write(study, job, {"rows": [{"tokens": tokens, "flops": 1e15, **figures(science, general, tasks)}]})
    ways = {"dense": 2.6, "innovator": 2.5, "equal-total-1": 2.45, "printed-2": 2.55}
    write(study, "table-0", {"rows": {name: figures(science, 3.0) for name, science in ways.items()}})
    text = upcycle_scaling.report(study)
    verdicts = {
        line.split("|")[1].strip()[:36].strip(): line
        for line in text.splitlines()
        if line.endswith((" holds |", "fails |", "undecided |"))
    }
    assert text.index("Verdicts") < text.index("General ability after") < text.index("Losses over tokens")
    for claim, said in {
        "The mixture keeps general ability (lo": "-0.005 ± 0.000 | 1 | holds |",
        "Dense training loses it (loss more th": "+0.200 ± 0.000 | 1 | holds |",
        "The mixture keeps general tasks (at m": "| undecided |",
        "Dense training loses general tasks": "+0.350 ± 0.128 | 1 | holds |",
        "Science: better by 0.1 nat": "+0.050 ± 0.000 | 1 | fails |",
        "Table 4: the finest split is better th": "+0.050 ± 0.000 | 1 | holds |",
    }.items():
        assert said in verdicts[claim[:36].strip()], claim
    assert "| equal-total-1 |" in text
    assert "chosen, at the edge of those tried" in text


def test_an_interval_covers_the_spread_of_sequences_and_of_seeds() -> None:
    base, better = figures(3.0, 3.0), figures(2.9, 2.9)
    better["sequences"]["general"] = [3.0 - (0.3 if n % 2 else -0.1) for n in range(64)]
    one = difference([(base, better)], "general")
    assert one.value == pytest.approx(0.1)
    assert one.half == pytest.approx(1.96 * 0.252 / 8, rel=1e-3)  # differences of -0.15 and 0.35 in turns
    assert one.verdict(0.0) == "holds"
    worse = figures(3.0, 2.8)
    three = difference([(base, better), (base, figures(3.0, 2.9)), (base, worse)], "general")
    assert three.half > 4.30 * 0.0577 / 3**0.5 * 0.99, "the seeds' own spread"
    assert Difference(0.01, 0.02).verdict(0.0) == "undecided"


def test_changed_settings_find_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Study.of(tmp_path, QUICK)
    assert Study.of(tmp_path, QUICK).folder == one.folder
    assert Study.of(tmp_path, replace(QUICK, tune=2 * QUICK.tune)).folder != one.folder
    monkeypatch.setenv("INNOVATOR_DATA", "/other")
    assert Study.of(tmp_path, QUICK).folder != one.folder


def test_a_second_process_of_a_job_waits_and_finds_the_result(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    began, found = threading.Event(), []

    def text(_study: Study) -> dict[str, Any]:
        found.append(1)
        began.set()
        time.sleep(0.05)
        return {"tokens": {}}

    monkeypatch.setattr(Study, "text", text)
    first = threading.Thread(target=study.run, args=("text",))
    first.start()
    assert began.wait(10)
    study.run("text")
    first.join(10)
    assert found == [1]


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

    assert solved(Counter(), Held(), "physics", 6) == (share, 6)
