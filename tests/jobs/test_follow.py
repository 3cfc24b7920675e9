"""A follower prints each piece of output once, whatever happens to its connection."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.errors import UserError
from innovator_rl.jobs.follow import ConnectionGone, follow


class Cluster:
    """A cluster that plays a list of connections: how many characters each delivers, and how it ends."""

    def __init__(self, output: str, breaks: list[tuple[int, bool]]) -> None:
        self.output, self.breaks, self.connections = output, list(breaks), 0

    def connect(self, address: str) -> "Cluster":
        self.connections += 1
        return self

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        size, fails = self.breaks.pop(0) if self.breaks else (len(self.output), False)
        for start in range(0, min(size, len(self.output)), 3):
            yield self.output[start : min(start + 3, size)]
        if fails:
            raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")

    def get_job_logs(self, job_id: str) -> str:
        return self.output

    def get_job_status(self, job_id: str) -> Any:
        return "RUNNING" if self.breaks else "SUCCEEDED"


@settings(max_examples=40, deadline=None)
@given(
    output=st.text(max_size=40),
    breaks=st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=5),
)
def test_every_character_is_shown_once_across_lost_connections(output: str, breaks: list[tuple[int, bool]]) -> None:
    cluster, shown = Cluster(output, breaks), []
    assert follow("head", "job", shown.append, connect=cluster.connect, pause=0.0) == "SUCCEEDED"
    assert "".join(shown) == output


def test_a_lost_connection_and_its_return_are_said_once() -> None:
    cluster, notes = Cluster("abcdef", [(3, True), (3, True), (4, False)]), []
    follow("head", "job", lambda text: None, notes.append, connect=cluster.connect, pause=0.0)
    assert len(notes) == 2
    assert "connection lost (WebSocket" in notes[0]
    assert notes[1] == "connected again"


def test_a_cluster_that_stays_away_ends_the_command_with_what_to_do() -> None:
    cluster = Cluster("abc", [(0, True)] * 100)
    with pytest.raises(ConnectionGone, match="job j-1 may still run: `innovator runs show j-1 --address head`"):
        follow("head", "j-1", lambda text: None, connect=cluster.connect, pause=0.0, patience=0.0)


def test_a_first_connection_that_fails_is_the_users_mistake() -> None:
    def refuse(address: str) -> Cluster:
        raise UserError("no Ray dashboard answers there")

    with pytest.raises(UserError):
        follow("head", "job", lambda text: None, connect=refuse)
