"""The shim of packed weights fits the kernel of vLLM 0.28 and the one of 0.31, whose `apply` begins with `output`."""

from types import SimpleNamespace
from typing import Any

import pytest

from innovator_rl.platform import packed_weights, smallest_cpu_block
from innovator_rl.platform.shims.base import ShimMisfit


class Before:
    packed_weights = ("packed 1", "packed 2")

    def apply(self, hidden_states: str, w1: str, w2: str, top_k: int = 2) -> tuple[Any, ...]:
        return hidden_states, w1, w2, top_k


class Since:
    packed_weights = ("packed 1", "packed 2")

    def apply(self, output: str, hidden_states: str, w1: str, w2: str, top_k: int = 2) -> tuple[Any, ...]:
        return output, hidden_states, w1, w2, top_k


def test_both_kernels_multiply_with_the_packed_weights() -> None:
    for kind in (Before, Since):
        packed_weights._multiply_with_the_packed(kind)
    assert Before().apply("x", "plain 1", "plain 2", 4) == ("x", "packed 1", "packed 2", 4)
    assert Since().apply("y", "x", "plain 1", w2="plain 2") == ("y", "x", "packed 1", "packed 2", 2)
    named = {"hidden_states": "x", "w1": "plain 1", "w2": "plain 2", "output": "y", "top_k": 1}
    assert Since().apply(**named) == ("y", "x", "packed 1", "packed 2", 1)


def test_another_kernel_is_refused() -> None:
    kind = SimpleNamespace(apply=lambda self, hidden_states, weights: None)
    with pytest.raises(ShimMisfit, match=r"takes \('hidden_states', 'weights'\)"):
        packed_weights._multiply_with_the_packed(kind)


def test_the_smallest_cache_block_follows_the_version() -> None:
    versions = {"0.28.0": 16, "0.30.1": 16, "0.31.0": 32, "0.32.0rc1": 32, "1.0.0": 32}
    assert {version: smallest_cpu_block(version) for version in versions} == versions
