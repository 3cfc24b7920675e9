"""Queues are bounded and fair: first come first served within a rewarder, the least served rewarder first."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.errors import WorkerError
from innovator_rl.scoring.fair_queue import FairRequestQueue, QueuedRequest

WORKER, OTHER = object(), object()


def queue_of(*names: str, workers: int = 2, limit: int = 100) -> tuple[FairRequestQueue, list[QueuedRequest]]:
    queue, items = FairRequestQueue(limit, workers), [QueuedRequest(name, None) for name in names]
    for item in items:
        assert queue.put(item, 0)
    return queue, items


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_every_request_is_served_once_and_queues_keep_their_order(names: list[str]) -> None:
    queue, items = queue_of(*names)
    served = []
    for _ in items:
        item = queue.take(WORKER)
        assert item is not None
        served.append(item)
        queue.finish(item)
    for name in "abc":
        assert [item for item in served if item.rewarder == name] == [item for item in items if item.rewarder == name]


def test_the_rewarder_with_the_fewest_in_flight_comes_first() -> None:
    queue, _ = queue_of("slow", "slow", "slow", "fast", "fast")
    taken = [queue.take(WORKER) for _ in range(4)]
    assert [item.rewarder for item in taken if item] == ["slow", "fast", "slow", "fast"]


def test_taking_turns_is_not_enough() -> None:
    """The slow rewarder is the one served longest ago, yet it still has a request in flight and the fast one has none."""
    queue, _ = queue_of("slow", "slow", "slow", "fast", "fast", "fast")
    first, second = queue.take(WORKER), queue.take(WORKER)
    assert first is not None
    assert second is not None
    assert (first.rewarder, second.rewarder) == ("slow", "fast")
    queue.finish(second)
    third = queue.take(WORKER)
    assert third is not None
    assert third.rewarder == "fast"
    queue.finish(third)
    queue.finish(first)
    fourth = queue.take(WORKER)
    assert fourth is not None
    assert fourth.rewarder == "slow", "among equals the one served longest ago"


def test_a_failed_request_goes_to_another_worker_first_in_its_queue() -> None:
    queue, (first, second) = queue_of("a", "a")
    assert queue.take(WORKER) is first
    queue.finish(first, failed_on=WORKER)
    assert queue.take(WORKER) is second
    assert queue.take(OTHER) is first
    alone, (only,) = queue_of("a", workers=1)
    assert alone.take(WORKER) is only
    alone.finish(only, failed_on=WORKER)
    assert alone.take(WORKER) is only, "where there is no other worker, the same one tries again"


def test_a_reserved_worker_takes_over_when_all_others_are_busy_with_others() -> None:
    queue, _ = queue_of("slow", "slow", "fast", workers=2)
    queue.take(WORKER)
    found: list[QueuedRequest | None] = []
    reserve = threading.Thread(target=lambda: found.append(queue.take(OTHER, "fast")), daemon=True)
    reserve.start()
    time.sleep(0.05)
    assert not found, "one shared worker is idle"
    blocked, _ = queue_of("slow", "slow", "fast", workers=1)
    blocked.take(WORKER)
    item = blocked.take(OTHER, "fast")
    assert item is not None
    assert item.rewarder == "fast"
    queue.close()
    reserve.join(2)
    assert found == [None]


def test_the_queue_is_bounded_and_closes() -> None:
    queue, items = queue_of("a", "a", limit=2)
    assert not queue.put(QueuedRequest("a", None), 0.01)
    queue.close()
    assert all(item.future.canceled() for item in items)
    assert queue.take(WORKER) is None
    with pytest.raises(WorkerError, match="closed"):
        queue.put(QueuedRequest("a", None))
