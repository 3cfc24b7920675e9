"""Simulate the steps of a run, event by event: where its GPUs spend their time.

    times = Simulation(costs, Settings.of(config), workload, Disturbances(), seed=0).run(steps=6)
    finish = with_failures(times, ...)

Groups start by the `RefillPolicy` that also trains, answers run on replicas and are scored by workers
(`rollout_model.py`), and the update waits for its busiest rank. With `max_staleness` above 0, answers that are not finished
at the end of a step pause and continue in the next one. What one step takes is the sum of the parts of `StepTimes`.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from innovator_rl.config.schema import RunConfig
from innovator_rl.integrations.verl.sampling_policy import PassRates, RefillPolicy, View
from innovator_rl.planning.costs import Costs
from innovator_rl.planning.rollout_model import Flight, Rollouts
from innovator_rl.planning.workload import Group, Workload


@dataclass(frozen=True)
class Settings:
    """What the steps of a run depend on."""

    prompts: int
    prompts_per_update: int
    samples: int
    max_staleness: int = 0
    max_rounds: int = 10
    dynamic_sampling: bool = True
    reward_workers: int = 2
    reward_timeout: float = 10.0
    save_every: int = 0

    @staticmethod
    def of(config: RunConfig, nodes: int = 1) -> Settings:
        """Read a configuration that runs on `nodes` machines."""
        sampling = config.algorithm.dynamic_sampling
        return Settings(
            prompts=config.algorithm.prompts_per_step,
            prompts_per_update=config.prompts_per_update,
            samples=config.rollout.samples_per_prompt,
            max_staleness=config.rollout.max_staleness,
            max_rounds=sampling.max_rounds,
            dynamic_sampling=sampling.enabled,
            reward_workers=config.reward.workers * nodes,
            reward_timeout=config.reward.timeout_seconds,
            save_every=config.schedule.save_every,
        )


@dataclass(frozen=True)
class Disturbances:
    """What goes wrong, all stated.

    Attributes:
        slow_share: Share of GPUs that are slow in a step, drawn again for each.
        slow_factor: How much longer everything takes on them.
        mtbf_hours: Hours of one GPU between failures that end the run (Llama 3: 419 in 54 days on 16,384 GPUs).
        restart_seconds: From a failure until training goes on: detection, processes, checkpoint.
    """

    slow_share: float = 0.01
    slow_factor: float = 1.2
    mtbf_hours: float = 50_700.0
    restart_seconds: float = 900.0


@dataclass(frozen=True)
class StepTimes:
    """Seconds of a step by what the GPUs do; the sum is the step.

    Attributes:
        generate: Replicas generate.
        idle: Replicas without an answer wait for those of others; both weighted by the share of replicas.
        scores: Nothing is generated and scores are awaited.
        log_probs: Passes before the update.
        update: Updates, as if every rank had the mean number of tokens.
        imbalance: Ranks wait for the busiest one.
        network: Communication that the update cannot hide.
        sync: New weights reach the replicas.
        checkpoint: The share of a step in the checkpoint of several.
        rest: Everything else.
    """

    generate: float = 0.0
    idle: float = 0.0
    scores: float = 0.0
    log_probs: float = 0.0
    update: float = 0.0
    imbalance: float = 0.0
    network: float = 0.0
    sync: float = 0.0
    checkpoint: float = 0.0
    rest: float = 0.0

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return sum(asdict(self).values())


def mean(times: Sequence[StepTimes]) -> StepTimes:
    """Return the mean of each part."""
    rows = [asdict(step) for step in times]
    return StepTimes(**{name: sum(row[name] for row in rows) / len(rows) for name in rows[0]})


class Simulation:
    """One simulated run."""

    def __init__(
        self,
        costs: Costs,
        settings: Settings,
        workload: Workload,
        disturbances: Disturbances | None = None,
        seed: int = 0,
    ) -> None:
        self.costs = costs
        self.settings = settings
        self.workload = workload
        self.disturbances = disturbances or Disturbances(slow_share=0.0)
        self.policy = RefillPolicy(PassRates(), settings.max_staleness, settings.max_rounds)
        self.rollouts = Rollouts(costs, settings.reward_workers, settings.reward_timeout)
        self.trained_tokens = 0
        self._luck = random.Random(seed)
        self._in_flight: dict[int, Flight] = {}
        self._ready: list[Flight] = []
        self._serial = 0

    def run(self, steps: int) -> list[StepTimes]:
        """Simulate steps, and return the parts of each."""
        return [self._step(number) for number in range(steps)]

    def _step(self, number: int) -> StepTimes:
        slowness = self._slowness()
        rollouts = self.rollouts
        rollouts.resume(rollouts.now, slowness)
        before = (rollouts.generating, rollouts.idle, rollouts.scoring)
        rounds, dropped = self._generate(number)
        generate, idle, scores = (
            after - was
            for after, was in zip((rollouts.generating, rollouts.idle, rollouts.scoring), before, strict=True)
        )
        self._ready.sort(key=lambda flight: flight.serial)
        prompts = self.settings.prompts
        # Where the rounds did not bring enough groups, the run trains on dropped ones.
        chosen = [flight.group for flight in (*self._ready, *dropped)][:prompts]
        self._ready = self._ready[prompts:] if self.settings.max_staleness else []
        rollouts.pause()
        save = self.settings.save_every
        times = StepTimes(
            generate=generate,
            idle=idle,
            scores=scores,
            **self._train(chosen, max(slowness)),
            sync=self.costs.sync,
            checkpoint=self.costs.checkpoint / save if save else 0.0,
            rest=self.costs.rest + rounds * self.costs.round_seconds,
        )
        rollouts.now += times.total - generate - idle - scores
        return times

    def _generate(self, step: int) -> tuple[int, list[Flight]]:
        """Generate until the step is complete, and return the rounds it took and the groups it dropped."""
        settings, rollouts = self.settings, self.rollouts
        self.policy.rates.forget()
        started = rounds = 0
        dropped: list[Flight] = []
        while True:
            oldest = min((flight.step for flight in self._in_flight.values()), default=None)
            age = None if oldest is None else step - oldest
            if self.policy.complete(settings.prompts, len(self._ready), age):
                return rounds, dropped
            wanted = self.policy.to_start(
                View(
                    settings.prompts,
                    len(self._ready),
                    {"all": len(self._in_flight)} if self._in_flight else {},
                    started,
                    rollouts.free_slots() // settings.samples if settings.max_staleness else 0,
                )
            )
            if wanted:
                flights = [self._flight(step) for _ in range(wanted)]
                rollouts.start(flights)
                started, rounds = started + wanted, rounds + 1
            done = rollouts.next_scored()
            if done is None:
                return rounds, dropped
            if done.left == 0:
                del self._in_flight[done.serial]
                self.policy.rates.add("all", done.group.teaches)
                (self._ready if done.group.teaches else dropped).append(done)

    def _flight(self, step: int) -> Flight:
        self._serial += 1
        group = self.workload.draw()
        if not self.settings.dynamic_sampling:
            group = Group(group.prompt, group.lengths, group.scoring, teaches=True)
        flight = Flight(group, step, self._serial, len(group.lengths))
        self._in_flight[self._serial] = flight
        return flight

    def _train(self, groups: Sequence[Group], slowness: float) -> dict[str, float]:
        """Return the parts of the update over its groups."""
        costs = self.costs
        sizes = [[group.prompt + length for length in group.lengths] for group in groups]
        whole = [size for group in sizes for size in group]
        self.trained_tokens += sum(whole)
        parts = {"update": 0.0, "imbalance": 0.0, "network": 0.0}
        parts["log_probs"] = slowness * costs.log_probs(busiest(whole, costs.ranks))
        for first in range(0, len(sizes), self.settings.prompts_per_update):
            batch = [size for group in sizes[first : first + self.settings.prompts_per_update] for size in group]
            worst, balanced = busiest(batch, costs.ranks), sum(batch) / costs.ranks
            parts["update"] += costs.update(balanced)
            parts["imbalance"] += slowness * costs.update(worst) - costs.update(balanced)
            parts["network"] += costs.network(worst)
        return parts

    def _slowness(self) -> list[float]:
        """Return a factor per replica: the slowest of its GPUs."""
        share, factor = self.disturbances.slow_share, self.disturbances.slow_factor
        each = max(1, self.costs.ranks // self.costs.replicas)
        return [
            factor if share and any(self._luck.random() < share for _ in range(each)) else 1.0
            for _ in range(self.costs.replicas)
        ]


def busiest(sizes: Sequence[int], ranks: int) -> float:
    """Return the tokens of the busiest rank, where the longest sequences are dealt first to the rank that has least."""
    loads = [0] * min(ranks, max(1, len(sizes)))
    for size in sorted(sizes, reverse=True):
        heapq.heapreplace(loads, loads[0] + size)
    return float(max(loads))


@dataclass(frozen=True)
class Finish:
    """A whole run with its failures: seconds in all, those done again, those of restarts, and the number of failures."""

    seconds: float
    redone: float
    restarts: float
    failures: float

    @property
    def lost_share(self) -> float:
        """Share of the time that failures cost."""
        return (self.redone + self.restarts) / self.seconds


def with_failures(
    times: Sequence[StepTimes], steps: int, save_every: int, gpus: int, disturbances: Disturbances, seed: int = 0
) -> Finish:
    """Repeat simulated steps until a run is done, failures included: each goes back to the last checkpoint.

    Args:
        times: Simulated steps; they are repeated in order.
        steps: Steps of the run.
        save_every: Steps between checkpoints; 0: none before the end.
        gpus: GPUs, each of which can fail.
        disturbances: How often, and for how long.
        seed: Seed of the failures.

    Returns:
        The mean of `DRAWS` runs.
    """
    every = save_every or steps
    pieces = [
        sum(times[number % len(times)].total for number in range(first, min(steps, first + every)))
        for first in range(0, steps, every)
    ]
    luck = random.Random(seed)
    drawn = [_one_run(pieces, gpus / (disturbances.mtbf_hours * 3600.0), disturbances, luck) for _ in range(DRAWS)]
    seconds, redone, restarts, failures = (sum(values) / DRAWS for values in zip(*drawn, strict=True))
    return Finish(seconds, redone, restarts, failures)


def _one_run(
    pieces: Sequence[float], rate: float, disturbances: Disturbances, luck: random.Random
) -> tuple[float, float, float, float]:
    """Do pieces of work one after another; a failure, `rate` per second, makes the current one begin again."""
    clock = redone = 0.0
    failures = 0
    next_failure = luck.expovariate(rate)
    for seconds in pieces:
        while next_failure < clock + seconds and failures < LONGEST_SERIES:
            redone += max(0.0, next_failure - clock)
            failures += 1
            clock = max(clock, next_failure) + disturbances.restart_seconds
            next_failure = clock + luck.expovariate(rate)
        clock += seconds
    return clock, redone, failures * disturbances.restart_seconds, float(failures)


DRAWS = 1000
"""Runs whose failures are drawn; the mean is reported."""
LONGEST_SERIES = 10_000
"""Failures after which no more happen: a run that cannot reach its first checkpoint would never end."""
