"""Order a run's prompts: endless, shuffled per epoch, resumed from one integer.

Stock verl checkpoints a dataloader whose iterator is rebuilt at the end of every epoch. A resume at that border exits
having trained nothing, or shuffles differently from the run it continues. Here prompt number k of a run is a pure
function of (seed, k): epoch k // N, place k % N in that epoch's permutation. A checkpoint holds k alone, and no prompt
is skipped or repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.curriculum import Curriculum
from innovator_rl.integrations.verl.sample_key import prompt_row, prompt_uid
from innovator_rl.integrations.verl.sampling_policy import PassRates


def allot(slots: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Share out `slots` in proportion to `weights`, at least one each.

    The rest goes by largest remainder.
    """
    total = sum(weights.values())
    exact = {name: slots * weight / total for name, weight in weights.items()}
    shares = {name: max(1, int(value)) for name, value in exact.items()}
    neediest = sorted(exact, key=lambda name: exact[name] - shares[name], reverse=True)
    for name in neediest[: max(0, slots - sum(shares.values()))]:
        shares[name] += 1
    return shares


class Rows(Protocol):
    """Data with a length and rows by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class ResumableSampler:
    """An endless iterator of single-row batches in the place of verl's dataloader.

    Args:
        rows: the training rows, N > 0.
        collate: makes a batch of a list of rows (verl's `collate_fn`).
        seed: of the permutations; ignored without `shuffle`.
        shuffle: False streams the rows in their order, epoch after epoch.
        sources: the data source of every row, needed with a mixture.
        mixture: weight of each source. An epoch's N places are shared out by weight, and each source goes through its own
            rows in its own shuffled epochs. Sources without a weight are left out. Empty: every row once per epoch.
        curriculum: whether rows that taught nothing are skipped for a while (curriculum.py).

    Raises:
        UserError: no rows, or a mixture names a source without rows.
    """

    def __init__(
        self,
        rows: Rows,
        collate: Callable[[list[Any]], dict[str, Any]],
        seed: int,
        shuffle: bool,
        sources: Sequence[str] = (),
        mixture: Mapping[str, float] | None = None,
        curriculum: bool = False,
    ) -> None:
        if len(rows) == 0:
            raise UserError("data.train holds 0 rows after filtering: raise data.max_prompt_tokens or give other files")
        self.rows, self.collate, self.seed, self.shuffle = rows, collate, seed, shuffle
        self.position = 0
        self.rates = PassRates()  # what was observed of the prompts, which the next step's number depends on
        self.carried: list[str] = []  # groups that finished before the checkpoint and train after it, for a resume
        self.curriculum = Curriculum() if curriculum else None
        self._sources = list(sources)
        self._members = {name: np.flatnonzero(np.asarray(sources) == name) for name in mixture or {}}
        for name, members in self._members.items():
            if not len(members):
                raise UserError(
                    f"data.mixture names {name!r}, of which data.train has no row; it has {sorted(set(sources))}"
                )
        self._shares = allot(len(rows), mixture) if mixture else {}
        self._size = sum(self._shares.values()) or len(rows)
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        """Return the number of prompts in an epoch."""
        return self._size

    def index(self, position: int) -> tuple[int, int]:
        """Return (epoch, row number) of the prompt at `position` of the run."""
        epoch, place = divmod(position, self._size)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self._mixed(epoch) if self._shares else self._permutation(len(self.rows), epoch))
        return epoch, int(self._order[1][place])

    def _permutation(self, size: int, *key: int) -> np.ndarray:
        return np.random.default_rng((self.seed, *key)).permutation(size) if self.shuffle else np.arange(size)

    def _mixed(self, epoch: int) -> np.ndarray:
        """Order the row numbers of a mixture's epoch.

        Each source continues where it was at the end of the last epoch.
        """
        chosen = []
        for number, (name, share) in enumerate(self._shares.items()):
            members = self._members[name]
            walk = np.arange(epoch * share, (epoch + 1) * share)
            turns = {
                turn: self._permutation(len(members), turn, number + 1)
                for turn in np.unique(walk // len(members)).tolist()
            }
            chosen.append(np.array([members[turns[q // len(members)][q % len(members)]] for q in walk.tolist()]))
        return np.concatenate(chosen)[self._permutation(self._size, epoch)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        epoch, row = self.index(self.position)
        for _ in range(self._size if self.curriculum is not None else 0):  # where all rest, the last one is drawn
            if self.curriculum is None or not self.curriculum.skips(row):
                break
            self.position += 1
            epoch, row = self.index(self.position)
        batch = self.collate([self.rows[row]])
        # The group's uid in every record is unique in the run, and the same where a resume repeats a step.
        batch["uid"] = np.array([prompt_uid(epoch, row, self.position)], dtype=object)
        self.position += 1
        return batch

    def source(self, uid: str) -> str:
        """Return the data source of a prompt group; empty where it is not known."""
        row = prompt_row(uid)
        return str(self._sources[row]) if row is not None and row < len(self._sources) else ""

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resume needs."""
        return {
            "position": self.position,
            "rows": len(self.rows),
            "seed": self.seed,
            "mixture": dict(self._shares),
            "rates": self.rates.state_dict(),
            "carried": list(self.carried),
            "curriculum": self.curriculum.state_dict() if self.curriculum is not None else None,
        }

    def observe(self, uid: str, reason: str) -> None:
        """Learn what became of a prompt group: `reason` is why it was dropped, empty where it trained."""
        row = prompt_row(uid)
        if self.curriculum is not None and row is not None:
            self.curriculum.observe(row, reason)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at the position of `state`.

        Raises:
            UserError: the data or the seed changed, so that the position means other prompts.
        """
        for key, now in (("rows", len(self.rows)), ("seed", self.seed), ("mixture", dict(self._shares))):
            if state[key] != now:
                raise UserError(
                    f"data: the checkpoint was made with {key}={state[key]}, this run has {key}={now}; its position would mean "
                    "other prompts. Restore the data and data.seed, or start again under another name"
                )
        self.position = state["position"]
        if "rates" in state:  # checkpoints of earlier releases have none
            self.rates.load_state_dict(state["rates"])
        self.carried = list(state.get("carried", ()))
        if self.curriculum is not None and state.get("curriculum"):
            self.curriculum.load_state_dict(state["curriculum"])
