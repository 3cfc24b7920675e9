"""Simulate a run's sampling: idle slots, step time and started groups of the policy next to one-for-one refills.

Replays lengths of answers (a lognormal law with a long tail by default, or the recorded lengths of a run) through the same
`RefillPolicy` that trains. An engine has a fixed number of slots, all answers in them advance at the same speed, and time
stops while weights are updated. A group trains with probability p. Prints, per policy, means over the warm steps:

    in flight   answers being generated / slots, over the time of generation
    step time   generation of a step / the longest answer
    started     groups started / groups trained, times p: 1 is the least possible
    carried     answers that were unfinished at the end of a step and continue in the next one, share of all
    surplus     finished groups that no step trains, share of the trained ones

    python -m benchmarks.sampling [--prompts 512] [--samples 8] [--rate 0.5] [--steps 12] [--run RUN]

`--engine RUN` simulates nothing: it prints what the engine of a recorded run did, as medians over its warm steps.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from innovator_rl.integrations.verl.sampling_policy import PassRates, RefillPolicy, View
from innovator_rl.runs.run_dir import RunDir

LONGEST = 16384.0


@dataclass
class Group:
    """A prompt's answers: their lengths, whether the group teaches, and when it started."""

    lengths: list[float]
    useful: bool
    step: int
    left: int = 0


@dataclass
class Engine:
    """Slots that work on answers in order of arrival; the clock advances from one end of an answer to the next."""

    slots: int
    now: float = 0.0
    busy_time: float = 0.0
    running: list[tuple[float, int, Group]] = field(default_factory=list)
    waiting: list[tuple[float, Group]] = field(default_factory=list)
    serial: int = 0

    def submit(self, group: Group) -> None:
        """Take a group's answers; what finds no slot waits."""
        group.left = len(group.lengths)
        self.waiting += [(length, group) for length in group.lengths]
        self.fill()

    def fill(self) -> None:
        """Give free slots to waiting answers."""
        while self.waiting and len(self.running) < self.slots:
            length, group = self.waiting.pop(0)
            self.serial += 1
            heapq.heappush(self.running, (self.now + length, self.serial, group))

    def next_end(self) -> Group:
        """Advance to the end of the next answer and return its group."""
        end, _, group = heapq.heappop(self.running)
        self.busy_time += (len(self.running) + 1) * (end - self.now)
        self.now = end
        group.left -= 1
        self.fill()
        return group


@dataclass
class Figures:
    """What one simulated run did, over its warm steps."""

    in_flight: float
    step_time: float
    started: float
    carried: float
    surplus: float


class OneForOne(RefillPolicy):
    """The policy of earlier releases: a batch at once, then one prompt for every group without a signal."""

    def to_start(self, view: View) -> int:
        """Return what the groups in flight would leave missing if all of them were kept."""
        return max(0, view.wanted - view.kept - sum(view.in_flight.values()))


def simulate(
    policy: RefillPolicy, prompts: int, samples: int, rate: float, steps: int, draw: Callable[[], float], seed: int
) -> Figures:
    """Run `steps` steps and return the figures of the second half."""
    luck = random.Random(seed)
    engine = Engine(slots=prompts * samples)
    in_flight: list[Group] = []
    ready: list[Group] = []
    started = surplus = carried = 0
    times: list[float] = []
    busy = 0.0
    warm = steps // 2
    for step in range(steps):
        policy.rates.forget()
        if step == warm:
            started = surplus = carried = 0
            busy = engine.busy_time
        begin, started_now = engine.now, 0
        while True:
            oldest = min((group.step for group in in_flight), default=None)
            if policy.complete(prompts, len(ready), None if oldest is None else step - oldest):
                break
            free = max(0, engine.slots - len(engine.running) - len(engine.waiting))
            view = View(prompts, len(ready), {"all": len(in_flight)} if in_flight else {}, started_now, free // samples)
            for _ in range(policy.to_start(view)):
                group = Group([draw() for _ in range(samples)], luck.random() < rate, step)
                in_flight.append(group)
                engine.submit(group)
                started_now += 1
            group = engine.next_end()
            if group.left == 0:
                in_flight.remove(group)
                policy.rates.add("all", group.useful)
                if group.useful:
                    ready.append(group)
        started += started_now
        ready.sort(key=lambda group: group.step)
        rest = ready[prompts:]
        if policy.max_staleness == 0:
            surplus, rest = surplus + len(rest), []
        ready = rest
        carried += sum(group.left for group in in_flight)
        if step >= warm:
            times.append(engine.now - begin)
    trained = prompts * (steps - warm)
    return Figures(
        in_flight=(engine.busy_time - busy) / (sum(times) * engine.slots),
        step_time=statistics.mean(times) / LONGEST,
        started=started / trained * rate,
        carried=carried / max(1, started * samples),
        surplus=surplus / trained,
    )


def lognormal(seed: int) -> Callable[[], float]:
    """Return lengths with median 2,000 and a tail that is cut at 16,384 tokens."""
    source = random.Random(seed)
    return lambda: min(LONGEST, source.lognormvariate(7.6, 1.0))


def recorded(run: Path, seed: int) -> Callable[[], float]:
    """Return lengths drawn from a run's recorded responses, the longest of which becomes 16,384."""
    from innovator_rl.rollouts.store import Store

    lengths = [float(row["response_tokens"]) for row in Store(run).rollouts() if row["kind"] == "train"]
    longest, source = max(lengths), random.Random(seed)
    return lambda: source.choice(lengths) * LONGEST / longest


def engine_figures(run: RunDir) -> dict[str, float]:
    """Return what a run's own engine did, as medians over the steps after the first one.

    Returns:
        `in flight`: answers asked for at once / slots of the engine, waiting ones included; `step time`: generation /
        the longest answer of the step; `started`: groups started / groups trained; `pass rate`: groups with a signal /
        groups that ended.

    Raises:
        SystemExit: The run has fewer than two steps.
    """
    from innovator_rl.rollouts.store import Store

    slots = yaml.safe_load(run.verl_yaml.read_text(encoding="utf-8"))["trainer"]["v1"]["sampler"]["sampler_kwargs"][
        "slots"
    ]
    longest: dict[int, float] = {}
    for row in Store(run.path).rollouts():
        if row["generate_seconds"]:
            longest[row["step"]] = max(longest.get(row["step"], 0.0), row["generate_seconds"])
    steps = [row for row in run.metrics() if row.get("timing_s/gen") and row["step"] > 1 and row["step"] in longest]
    if not steps:
        raise SystemExit(f"{run.path}: no step after the first one has been recorded")
    found = {
        "in flight": [row["sampling/responses_in_flight"] / slots for row in steps],
        "step time": [row["timing_s/gen"] / longest[row["step"]] for row in steps],
        "started": [row["sampling/started_groups"] / row["sampling/kept_groups"] for row in steps],
        "pass rate": [
            (row["sampling/kept_groups"] + row.get("sampling/dropped_surplus", 0)) / row["sampling/generated_groups"]
            for row in steps
        ],
    }
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--run", type=Path, help="a run directory whose response lengths are replayed")
    parser.add_argument("--engine", type=Path, help="a run directory; prints what its engine did")
    words = parser.parse_args()
    if words.engine:
        print("  ".join(f"{name} {value:.2f}" for name, value in engine_figures(RunDir(words.engine)).items()))
        return
    print(f"{words.prompts} prompts x {words.samples} answers, p = {words.rate}, {words.steps} steps")
    print(f"{'policy':32}{'in flight':>10}{'step time':>11}{'started':>9}{'carried':>9}{'surplus':>9}")
    policies = {
        "one for one": OneForOne(PassRates()),
        "by rate, max_staleness 0": RefillPolicy(PassRates()),
        "by rate, max_staleness 1": RefillPolicy(PassRates(), max_staleness=1),
        "by rate, max_staleness 2": RefillPolicy(PassRates(), max_staleness=2),
    }
    for name, policy in policies.items():
        draw = recorded(words.run, 0) if words.run else lognormal(0)
        f = simulate(policy, words.prompts, words.samples, words.rate, words.steps, draw, seed=1)
        print(
            f"{name:32}{f.in_flight:10.2f}{f.step_time:11.2f}{f.started:9.2f}{f.carried:9.2f}{f.surplus:9.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
