"""The event stream announces what changed, and carries none of it."""

import asyncio
import json
from pathlib import Path

from dashboard_runs import record

from innovator_rl.dashboard.runs.events import events
from innovator_rl.dashboard.runs.registry import Runs


def test_a_new_step_and_a_new_run_are_announced(tmp_path: Path) -> None:
    record(tmp_path / "r", 1)
    runs = Runs([tmp_path])
    session = runs.open("r")
    assert session.wait_read()

    async def listen() -> list[tuple[str, dict[str, object]]]:
        heard: list[tuple[str, dict[str, object]]] = []
        written = False
        async for text in events(runs, None):
            if text.startswith("event: "):
                head, data = text.strip().split("\n")
                heard.append((head.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
            elif not written:
                written = True
                asyncio.get_running_loop().call_later(1.5, record, tmp_path / "r", 2)
                asyncio.get_running_loop().call_later(1.5, record, tmp_path / "new", 1)
            names = {event for event, _ in heard}
            if {"run", "runs"} <= names and any("rollouts" in data.get("what", []) for _, data in heard):  # type: ignore[operator]
                break
        return heard

    heard = asyncio.run(asyncio.wait_for(listen(), 60))
    assert all(set(data) <= {"run", "what"} for _, data in heard)
    runs.close()
