"""Order the sequences of a run: which discipline a place of a batch has, and which of its windows.

The sequences of a step are a function of (seed, step) alone: a resumed run, a run on other ranks and a rerun use the same
global batch. Disciplines are interleaved in their shares by a low-discrepancy sequence; within a discipline, windows come in
a new random order every epoch. Nothing is laid out ahead, so neither memory nor the time to resume grows with the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xxhash

from innovator_rl.data.corpus.shards import Permutation
from innovator_rl.errors import UserError

GENERAL = "general"  # name of general text among the corpora; its number is -1
_MODULUS = 2**64
_GOLDEN = 11400714819323198485  # 2**64 / the golden ratio


class BatchSchedule:
    """Order of the sequences in a run; it is the same on every rank."""

    def __init__(self, sizes: Mapping[str, int], shares: Mapping[str, float], batch: int, seed: int) -> None:
        """Divide the unit interval among the disciplines.

        Args:
            sizes: Windows of each discipline.
            shares: Share of each discipline in the batches.
            batch: Sequences of a global batch.
            seed: Chooses the order within each discipline.
        """
        self._names = [name for name, share in shares.items() if share > 0]
        total, edge, edges = sum(shares[name] for name in self._names), 0.0, [0]
        for name in self._names:
            edge += shares[name]
            edges.append(round(edge / total * _MODULUS))
        edges[-1] = _MODULUS
        self._edges, self._batch, self._seed = edges, batch, seed
        self._sizes = {name: sizes[name] for name in self._names}
        self._order: dict[str, tuple[int, Permutation]] = {}

    def picks(self, step: int) -> list[tuple[str, int]]:
        """Return (discipline, window) of every sequence of a step's global batch, in order."""
        first = step * self._batch
        ranks = [self._before(domain, first) for domain in range(len(self._names))]
        picks = []
        for slot in range(first, first + self._batch):
            place = _place(slot)
            domain = next(number for number, edge in enumerate(self._edges[1:]) if place < edge)
            picks.append(self._pick(self._names[domain], ranks[domain]))
            ranks[domain] += 1
        return picks

    def _before(self, domain: int, slot: int) -> int:
        """Return how many of the slots before this one have a discipline."""
        low, high = self._edges[domain], self._edges[domain + 1]
        start = _place(0)
        return _floor_sum(slot, _MODULUS, _GOLDEN, start - low + _MODULUS) - _floor_sum(
            slot, _MODULUS, _GOLDEN, start - high + _MODULUS
        )

    def _pick(self, name: str, rank: int) -> tuple[str, int]:
        epoch, place = divmod(rank, self._sizes[name])
        known, order = self._order.get(name, (-1, None))
        if order is None or known != epoch:
            order = Permutation(self._sizes[name], self._seed, xxhash.xxh3_64_intdigest(name.encode()), epoch)
            self._order[name] = epoch, order
        return name, int(order(place))


def _place(slot: int) -> int:
    return ((slot + 1) * _GOLDEN + _MODULUS // 2) % _MODULUS


def _floor_sum(count: int, modulus: int, factor: int, start: int) -> int:
    """Return the sum of floor((factor * i + start) / modulus) over i < count, in logarithmic time (as Euclid's algorithm)."""
    total = 0
    while count:
        total += (factor // modulus) * (count * (count - 1) // 2) + (start // modulus) * count
        factor, start = factor % modulus, start % modulus
        reach = factor * count + start
        count, start = divmod(reach, modulus)
        modulus, factor = factor, modulus
        if not modulus:
            break
    return total


def shares_of(
    disciplines: Sequence[str], general: float, weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the share of each discipline, next to the share `general` of general text.

    Args:
        disciplines: The disciplines.
        general: Share of general text, 0 to 1.
        weights: Weight of a discipline among the others; 1 where none is given.

    Raises:
        UserError: If a weight is of no discipline.
    """
    weights = weights or {}
    for name in weights:
        if name not in disciplines:
            raise UserError(f"data.weights.{name}: unknown discipline; expected one of {', '.join(disciplines)}")
    own = {name: weights.get(name, 1.0) for name in disciplines}
    total = sum(own.values())
    if total <= 0:
        raise UserError("data.weights: at least one weight must be above 0")
    shares = {name: (1 - general) * weight / total for name, weight in own.items()}
    return {**shares, GENERAL: general} if general else shares
