"""Model the rollout replicas and the reward workers of a simulated run: who generates, waits, and is scored when.

A replica gives its slots to answers in order of arrival and generates one token of each at a time. The time of a token
depends on how many answers share it, so it is computed again whenever an answer starts or ends; in between, progress is
linear. Everything is ordered by time and serial number, so that equal input gives equal output.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from innovator_rl.planning.costs import Costs
from innovator_rl.planning.workload import Group


@dataclass
class Flight:
    """A group that is generated or scored: the step it was started for, and its answers that are not scored yet."""

    group: Group
    step: int
    serial: int
    left: int


@dataclass(order=True)
class Answer:
    """An answer on a replica, ordered by the progress of the replica at which it ends."""

    ends: float
    serial: int
    flight: Flight = field(compare=False)
    length: int = field(compare=False)
    scoring: float = field(compare=False)


@dataclass
class Replica:
    """One rollout replica; `progress` counts tokens since its start, the same for all its answers."""

    costs: Costs
    slowness: float = 1.0
    progress: float = 0.0
    cached: float = 0.0
    begins: float = 0.0
    seconds_per_token: float = 1.0
    version: int = 0
    running: list[Answer] = field(default_factory=list)
    waiting: deque[Answer] = field(default_factory=deque)

    @property
    def load(self) -> int:
        """Answers here, running or waiting."""
        return len(self.running) + len(self.waiting)

    def advance(self, now: float) -> None:
        """Generate until `now`."""
        tokens = max(0.0, now - self.begins) / self.seconds_per_token if self.running else 0.0
        self.progress += tokens
        self.cached += tokens * len(self.running)
        self.begins = max(self.begins, now)

    def admit(self) -> None:
        """Give free slots to waiting answers; a prompt is computed once for the answers of its group."""
        while self.waiting and len(self.running) < self.costs.slots:
            answer = self.waiting.popleft()
            answer.ends = self.progress + answer.length
            prompt = answer.flight.group.prompt
            self.cached += prompt
            self.begins += self.slowness * self.costs.prefill(prompt / len(answer.flight.group.lengths))
            heapq.heappush(self.running, answer)

    def finish(self, now: float) -> Answer:
        """Take the answer that ends at `now`, and let the next one start."""
        tokens = self.running[0].ends - self.progress
        self.cached += tokens * len(self.running)
        answer = heapq.heappop(self.running)
        self.progress, self.begins = answer.ends, max(self.begins, now)
        self.cached = max(0.0, self.cached - answer.length - answer.flight.group.prompt)
        return answer

    def next_end(self) -> float | None:
        """Return when the next answer ends, from the answers that run now; None where none does."""
        if not self.running:
            return None
        count, tokens = len(self.running), max(0.0, self.running[0].ends - self.progress)
        self.seconds_per_token = self.slowness * self.costs.decode(count, self.cached + count * tokens / 2)
        return self.begins + tokens * self.seconds_per_token

    def resume(self, now: float) -> None:
        """Continue after a pause: the tokens so far are computed again with the new weights."""
        self.begins = now + self.slowness * self.costs.prefill(self.cached)


class Rollouts:
    """All replicas and reward workers, and what they do over time."""

    def __init__(self, costs: Costs, workers: int, timeout: float) -> None:
        self.costs = costs
        self.timeout = timeout
        self.replicas = [Replica(costs) for _ in range(costs.replicas)]
        self.now = 0.0
        self.generating = self.idle = self.scoring = self.slot_seconds = 0.0
        self._workers = [0.0] * workers
        self._events: list[tuple[float, int, int, int, Flight | None]] = []
        self._serial = 0
        self._running = self._active = 0

    def free_slots(self) -> int:
        """Return the answers that could start at once."""
        return max(0, sum(self.costs.slots - replica.load for replica in self.replicas))

    def start(self, flights: Sequence[Flight]) -> None:
        """Send the answers of groups to the replicas that have the fewest."""
        loads = [(replica.load, number) for number, replica in enumerate(self.replicas)]
        heapq.heapify(loads)
        touched = set()
        for flight in flights:
            for length, scoring in zip(flight.group.lengths, flight.group.scoring, strict=True):
                load, number = heapq.heappop(loads)
                self._serial += 1
                self.replicas[number].waiting.append(Answer(0.0, self._serial, flight, length, scoring))
                heapq.heappush(loads, (load + 1, number))
                touched.add(number)
        for number in sorted(touched):
            self.replicas[number].advance(self.now)
            self._refill(number)

    def next_scored(self) -> Flight | None:
        """Advance to the next answer that is scored and return its group; None where nothing is in flight."""
        while self._events:
            time, _, number, version, flight = heapq.heappop(self._events)
            if flight is None and version != self.replicas[number].version:
                continue
            self._pass(max(time, self.now))
            if flight is not None:
                flight.left -= 1
                return flight
            self._score(self.replicas[number].finish(self.now))
            self._refill(number, ended=1)
        return None

    def pause(self) -> None:
        """Stop all replicas where they are."""
        for replica in self.replicas:
            replica.advance(self.now)
            replica.version += 1

    def resume(self, now: float, slowness: Sequence[float]) -> None:
        """Begin a step: replicas continue at `now`, each with its slowness in this step.

        Args:
            now: The time.
            slowness: One factor per replica; 1 where it is as fast as the others.
        """
        self.now = max(self.now, now)
        for number, (replica, factor) in enumerate(zip(self.replicas, slowness, strict=True)):
            replica.slowness = factor
            replica.resume(self.now)
            self._refill(number)

    def _refill(self, number: int, ended: int = 0) -> None:
        replica = self.replicas[number]
        before = len(replica.running) + ended
        replica.admit()
        self._running += len(replica.running) - before
        self._active += bool(replica.running) - bool(before)
        replica.version += 1
        end = replica.next_end()
        if end is not None:
            self._push(end, number, replica.version, None)

    def _score(self, answer: Answer) -> None:
        begin = max(self.now, heapq.heappop(self._workers))
        end = begin + min(answer.scoring, self.timeout)
        heapq.heappush(self._workers, end)
        self._push(end, 0, 0, answer.flight)

    def _push(self, time: float, number: int, version: int, flight: Flight | None) -> None:
        self._serial += 1
        heapq.heappush(self._events, (time, self._serial, number, version, flight))

    def _pass(self, now: float) -> None:
        """Account for the time until `now`: generating, replicas idle, or only scores awaited."""
        seconds = now - self.now
        share = self._active / len(self.replicas)
        if self._active:
            self.generating += seconds * share
            self.idle += seconds * (1 - share)
        else:
            self.scoring += seconds
        self.slot_seconds += seconds * self._running
        self.now = now
