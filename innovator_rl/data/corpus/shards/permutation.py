"""Permute the numbers below n by a key, without a table.

A table of all windows takes memory on every rank and time at every restart. A Feistel network with a keyed round function
maps each number to its place directly. Numbers outside [0, n) are mapped again until they fall inside (cycle walking),
which takes fewer than four rounds on average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 6


class Permutation:
    """A keyed permutation of [0, size).

    Args:
        size: Numbers to permute, at most 2**62.
        key: Any integers; each combination gives another permutation.
    """

    def __init__(self, size: int, *key: int) -> None:
        if not 0 < size <= 2**62:
            raise ValueError(f"size must be in [1, 2**62], found {size}")
        self.size = size
        self._half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
        self._low = (np.uint64(1) << self._half) - np.uint64(1)
        state = np.array([size], np.uint64)
        for part in key:
            state = _mix(state ^ np.uint64(part & 0xFFFFFFFFFFFFFFFF))
        self._keys = [_mix(state + np.uint64(i + 1)) for i in range(ROUNDS)]

    def __call__(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Return the image of each number.

        Args:
            numbers: Integers in [0, size), any shape.

        Returns:
            int64 of the same shape.
        """
        return self._walk(numbers, self._forward)

    def inverse(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Return the number whose image each of `numbers` is."""
        return self._walk(numbers, self._backward)

    def _walk(self, numbers: ArrayLike, step: object) -> NDArray[np.int64]:
        assert callable(step)
        values = np.asarray(numbers, np.int64)
        if values.size and (values.min() < 0 or values.max() >= self.size):
            raise ValueError(f"numbers must be in [0, {self.size})")
        flat = step(values.astype(np.uint64).reshape(-1))
        while len(outside := np.flatnonzero(flat >= self.size)):
            flat[outside] = step(flat[outside])
        return flat.astype(np.int64).reshape(values.shape)

    def _forward(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> self._half, values & self._low
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & self._low)
        return (left << self._half) | right

    def _backward(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> self._half, values & self._low
        for key in reversed(self._keys):
            left, right = right ^ (_mix(left ^ key) & self._low), left
        return (left << self._half) | right


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers (the finalizer of SplitMix64)."""
    mixed = np.atleast_1d(value) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
