"""The engine as Ray actors: results come back in order, from every node."""

import pytest

from rewards.code.actors import SandboxActor, SandboxNodes
from rewards.code.sandbox.limits import Limits

TESTS = {"type": "stdio", "inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
GOOD, BAD = "print(sum(map(int, input().split())))", "print(3)"


def test_an_actor_is_the_engine() -> None:
    actor = SandboxActor(1)
    found = actor.grade([(GOOD, TESTS), (BAD, TESTS)], 20.0, Limits())
    actor.close()
    assert [plain["result"] for plain in found] == ["accepted", "wrong_answer"]
    assert found[1]["failed_test"] == 2


@pytest.mark.slow
def test_programs_are_spread_over_the_nodes() -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        nodes = SandboxNodes(workers_per_node=1)
        results = nodes.grade([(GOOD, TESTS), (BAD, TESTS)] * 5, budget=20.0, batch=3, timeout=120)
        nodes.close()
    finally:
        ray.shutdown()
    assert [graded.result for graded in results] == ["accepted", "wrong_answer"] * 5
