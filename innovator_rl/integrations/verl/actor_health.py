"""Notice a dead worker while waiting for something it should have done.

Ray reports an actor's death to whoever calls it, and a trainer that waits for a queue calls nobody. One outstanding
readiness call per actor, renewed when it returns, turns a death into an exception at the next check. A busy actor
answers late and costs nothing. An actor that Ray is starting again is not dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from innovator_rl.errors import WorkerError


class ActorDied(WorkerError):
    """A dead actor of the run; the message has its role and Ray's cause."""


class ActorHealth:
    """Monitor of actors by role (`vLLM server 0`, `reward worker 1`, ...)."""

    def __init__(self, actors: Mapping[str, Any]) -> None:
        self._actors = dict(actors)
        self._calls = {name: actor.__ray_ready__.remote() for name, actor in self._actors.items()}

    def check(self) -> None:
        """Raise `ActorDied` for the first dead actor; returns at once otherwise, also while one is restarted."""
        if not self._calls:  # Ray would start a cluster to wait for nothing
            return
        names = {call: name for name, call in self._calls.items()}
        done, _ = ray.wait(list(names), num_returns=len(names), timeout=0)
        for call in done:
            name = names[call]
            try:
                ray.get(call)
            except ray.exceptions.ActorUnavailableError:
                pass  # Ray is starting it again; asked once more below
            except ray.exceptions.RayError as error:
                raise ActorDied(f"{name} died: {str(error).strip().splitlines()[0]}") from error
            self._calls[name] = self._actors[name].__ray_ready__.remote()
