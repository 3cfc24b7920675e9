"""What a person reads while a run trains, on a terminal and in a log file."""

import io

import pytest
from rich.console import Console

from innovator_rl.runs.files import duration
from innovator_rl.runs.progress import Progress, render

SUMMARY = {
    "reward": 0.4125,
    "accuracy": 0.38,
    "domains": {"physics": {"accuracy": 0.42, "reward": 0.5}, "math": {"accuracy": 0.31, "reward": 0.3}},
    "groups_kept": 48,
    "groups_dropped": {"all_correct": 4, "all_wrong": 12, "failed": 0},
    "tokens_per_second": 1234.4,
    "response_tokens": 310,
    "weight_version": 3,
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def screen(progress: Progress, clock: Clock) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(render(progress.state, clock()))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_log_gets_one_line_a_step() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("demo", 100, stream=stream, clock=clock) as progress:
        assert progress.mode == "lines"
        progress.phase("starting", detail="Ray and 2 workers")
        clock.now += 90
        progress.validation(0, {"accuracy": 0.25, "domains": {"physics": {"accuracy": 0.25}}})
        progress.phase("generating", step=1, total=512)
        progress.advance(128)
        clock.now += 41
        progress.phase("updating")
        progress.step(1, SUMMARY)
        progress.validation(1, {"accuracy": 0.5})
        progress.note("checkpoint [step 1] written")
    assert stream.getvalue().splitlines() == [
        "demo: starting: Ray and 2 workers",
        "validation at step 0 | correct 25% | physics 25%",
        "step 1/100 | reward 0.412 | correct 38% | math 31%  physics 42% | "
        "groups 48 kept, 16 dropped (all_wrong 12, all_correct 4) | 1,234 tokens/s | 41 s | 1 h 07 min left",
        "validation at step 1 | correct 50% (+25.0 points since the start)",
        "checkpoint [step 1] written",
    ]


def test_the_panel_shows_the_phase_from_the_first_second() -> None:
    clock = Clock()
    progress = Progress("demo", 3, live=False, clock=clock)
    progress.phase("starting", detail="loading the model into the generator")
    clock.now += 75
    shown = screen(progress, clock)
    assert "starting: loading the model into the generator, 1 min 15 s" in shown
    assert "step 0/3" in shown


def test_the_panel_shows_groups_domains_and_time_left() -> None:
    clock = Clock()
    progress = Progress("demo", 3, live=False, clock=clock)
    progress.phase("generating", step=1, total=512)
    clock.now += 10
    progress.step(1, SUMMARY)
    progress.validation(1, {"accuracy": 0.4, "domains": {"stem": {"accuracy": 0.4}}})
    progress.phase("generating", step=2, total=512)
    progress.advance(130)
    clock.now += 5
    shown = screen(progress, clock)
    for text in (
        "generating 130/512 responses, 5 s",
        "48 kept, 16 dropped (all_wrong 12, all_correct 4)",
        "20 s left",
        "0.412, correct 38%",
        "weights of update 3",
        "step 1 | correct 40%",
    ):
        assert text in shown
    cells = [line.strip("│ ").split() for line in shown.splitlines()]
    assert ["physics", "42%", "0.500"] in cells
    assert ["stem", "40%"] in cells


def test_a_resumed_run_counts_on_and_estimates_from_its_own_steps() -> None:
    clock = Clock()
    progress = Progress("demo", 20, live=False, clock=clock)
    progress.resume(10)
    progress.phase("generating", step=11)
    clock.now += 30
    progress.step(11, {})
    assert progress.state.seconds_left() == 270


def test_a_terminal_gets_the_panel() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Progress("demo", 2, stream=stream) as progress:
        assert progress.mode == "panel"
        progress.step(1, SUMMARY)
        progress.note("checkpoint written")
    assert "checkpoint written" in stream.getvalue()
    assert "demo" in stream.getvalue()


def test_lengths_of_time_and_bad_modes() -> None:
    assert [duration(s) for s in (0.4, 59.4, 61, 7800)] == ["0 s", "59 s", "1 min 01 s", "2 h 10 min"]
    assert [duration(s) for s in (172_800, 27_106_407, float("inf"))] == [
        "2 days 0 h",
        "313 days 17 h",
        "an unknown time",
    ]
    with pytest.raises(ValueError, match=r"logging\.progress='fancy'"):
        Progress("demo", 1, live="fancy")


def test_the_engines_flat_metrics_and_dynamic_sampling_are_understood() -> None:
    clock = Clock()
    progress = Progress("demo", 3, live=False, clock=clock)
    progress.phase("generating", step=1)
    progress.sampling(kept=12, wanted=64, in_flight=30, dropped={"all_wrong": 5, "failed": 0})
    assert "generating 12/64 groups, 30 in flight, 5 dropped as all_wrong, 0 s" in screen(progress, clock)
    metrics = {
        "critic/score/mean": 0.25,
        "perf/throughput": 80.0,
        "timing_s/step": 33.0,
        "sampling/kept_groups": 8.0,
        "sampling/dropped_all_wrong": 3.0,
        "actor/entropy": 1.0,
    }
    domains = {
        "physics": {"accuracy": 0.5, "responses": 14, "scored": 10, "correct": 5},
        "math": {"accuracy": 0.1, "responses": 30, "scored": 30, "correct": 3},
    }
    progress.step(1, metrics, domains)
    assert progress.state.last["accuracy"] == 0.2
    assert progress.state.durations[-1] == 33.0
    assert "8 kept, 3 dropped (all_wrong 3)" in screen(progress, clock)
    progress.validation(1, {"val-core/gsm8k/acc/mean@4": 0.5, "val-core/gsm8k/acc/best@4/mean": 0.9, "val-aux/x": 1.0})
    assert progress.state.validation["accuracy"] == 0.5
    assert "gsm8k" in screen(progress, clock)
