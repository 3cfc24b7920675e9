"""The reason why a run cannot be placed is named: too few slots, spread over nodes, or taken, and by whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.errors import UserError
from innovator_rl.platform.slots import Need, NodeSlots, shortage
from innovator_rl.training.cluster import require_slots


def nodes(*accelerators: int, free: tuple[int, ...] | None = None) -> list[NodeSlots]:
    left = free or accelerators
    return [NodeSlots(f"n{i}", 64, total, 64, left[i]) for i, total in enumerate(accelerators)]


@pytest.mark.parametrize(
    ("there", "need", "kind", "words"),
    [
        (nodes(8, 8), Need(20, 8, 2), None, ""),
        (nodes(8), Need(20, 8, 2), "small", "offers 8 GPU slots on 1 node and this run places 16"),
        (nodes(8), Need(200, 8), "small", "offers 64 CPU slots"),
        (
            nodes(2, 2, 2, 2),
            Need(20, 8),
            "spread",
            "n0 2, n1 2, n2 2, n3 2); set resources.nodes=4 resources.accelerators_per_node=2",
        ),
        (nodes(3, 3), Need(20, 6), "spread", "resources.nodes=2 resources.accelerators_per_node=3"),
        (nodes(1, free=(0,)), Need(20, 1), "taken", "0 GPU slots of the cluster are free and this run places 1"),
        (nodes(8, 8, free=(4, 4)), Need(20, 8), "taken", "8 GPU slots are free on 0 nodes"),
    ],
)
def test_the_reason(there: list[NodeSlots], need: Need, kind: str | None, words: str) -> None:
    found = shortage(need, there)
    assert (found.kind if found else None) == kind
    assert words in (found.why if found else "")


@given(st.lists(st.integers(0, 8), min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 3))
def test_an_empty_cluster_is_never_called_taken(sizes: list[int], each: int, count: int) -> None:
    found = shortage(Need(1, each, count), nodes(*sizes))
    fits = sum(size >= each for size in sizes) >= count
    assert (found is None) == fits
    assert found is None or found.kind != "taken"


def test_a_run_waits_for_taken_slots_and_says_who_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innovator_rl.training.cluster.SLOT_POLL_SECONDS", 0.0)
    states, notes = [nodes(1, free=(0,)), nodes(1, free=(0,)), nodes(1)], []
    require_slots(
        Need(20, 1), "head", 60.0, notes.append, lambda: states.pop(0), lambda: ["1 GPU: run other (job other-1)"]
    )
    assert notes == [
        "waiting for slots: 0 GPU slots of the cluster are free and this run places 1 (1 GPU: run other (job other-1))"
    ]
    with pytest.raises(UserError, match=r"is taken: .*run other \(job other-1\).*resources\.wait_minutes=60"):
        require_slots(
            Need(20, 1),
            "head",
            0.0,
            notes.append,
            lambda: nodes(1, free=(0,)),
            lambda: ["1 GPU: run other (job other-1)"],
        )


def test_waiting_never_helps_a_cluster_that_is_too_small() -> None:
    with pytest.raises(UserError, match="cannot place this run"):
        require_slots(Need(20, 2), "head", 3600.0, lambda line: None, lambda: nodes(1), list)
