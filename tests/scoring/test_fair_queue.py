"""Lines are bounded and fair: first come first served within a rewarder, the least served rewarder first."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.scoring.fair_queue import FairRequestQueue, Task

LANE, OTHER = object(), object()


def room(*names: str, lanes: int = 2, limit: int = 100) -> tuple[FairRequestQueue, list[Task]]:
    waiting, tasks = FairRequestQueue(limit, lanes), [Task(name, None) for name in names]
    for task in tasks:
        assert waiting.put(task, 0)
    return waiting, tasks


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_everybody_is_served_once_and_lines_keep_their_order(names: list[str]) -> None:
    waiting, tasks = room(*names)
    served = []
    for _ in tasks:
        task = waiting.take(LANE)
        assert task is not None
        served.append(task)
        waiting.finish(task)
    for name in "abc":
        assert [task for task in served if task.rewarder == name] == [task for task in tasks if task.rewarder == name]


def test_the_rewarder_with_the_fewest_in_flight_comes_first() -> None:
    waiting, _ = room("slow", "slow", "slow", "fast", "fast")
    taken = [waiting.take(LANE) for _ in range(4)]
    assert [task.rewarder for task in taken if task] == ["slow", "fast", "slow", "fast"]


def test_a_failed_task_goes_to_another_lane_first_in_line() -> None:
    waiting, (first, second) = room("a", "a")
    assert waiting.take(LANE) is first
    waiting.finish(first, failed_on=LANE)
    assert waiting.take(LANE) is second
    assert waiting.take(OTHER) is first
    alone, (only,) = room("a", lanes=1)
    assert alone.take(LANE) is only
    alone.finish(only, failed_on=LANE)
    assert alone.take(LANE) is only, "where there is no other lane, the same one tries again"


def test_a_reserved_lane_opens_when_all_others_are_busy_with_others() -> None:
    waiting, _ = room("slow", "slow", "fast", lanes=2)
    waiting.take(LANE)
    found: list[Task | None] = []
    reserve = threading.Thread(target=lambda: found.append(waiting.take(OTHER, "fast")), daemon=True)
    reserve.start()
    time.sleep(0.05)
    assert not found, "one shared lane is idle"
    blocked, _ = room("slow", "slow", "fast", lanes=1)
    blocked.take(LANE)
    task = blocked.take(OTHER, "fast")
    assert task is not None
    assert task.rewarder == "fast"
    waiting.close()
    reserve.join(2)
    assert found == [None]


def test_the_room_is_bounded_and_closes() -> None:
    waiting, tasks = room("a", "a", limit=2)
    assert not waiting.put(Task("a", None), 0.01)
    waiting.close()
    assert all(task.future.cancelled() for task in tasks)
    assert waiting.take(LANE) is None
    with pytest.raises(RuntimeError, match="closed"):
        waiting.put(Task("a", None))
