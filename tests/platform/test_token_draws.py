"""Tokens are drawn from the right distribution, each by its own generator, and stock vLLM still needs the correction."""

import pytest
import torch
from fresh_process import run_python
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.platform.token_draws import invert, sample

pytestmark = pytest.mark.xdist_group("platform")

COUNT = """
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from vllm.platforms import current_platform
from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler
{install}
drawn = 0
class Counting(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        global drawn
        out = function(*args, **(kwargs or {{}}))
        if function.overloadpacket.__name__ in ("exponential_", "rand"):
            drawn += out.numel()
        return out
generators = {{row: torch.Generator().manual_seed(row) for row in range(4)}}
with Counting():
    tokens, _ = TopKTopPSampler().forward(torch.zeros(4, 1000), generators, None, None)
print("drawn", drawn, "tokens", len(tokens))
"""
INSTALL = "from innovator_rl.platform.vllm_plugin import register; register(); register()"


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_stock_still_draws_a_number_per_entry_of_the_vocabulary() -> None:
    out = run_python(COUNT.format(install=""))
    assert "drawn 8000 " in out, (
        "vLLM's CPU sampler draws less now: compare the speeds, then delete platform/token_draws.py"
    )


def test_the_plugin_draws_one_number_per_response_and_one_per_seed() -> None:
    assert "drawn 8 tokens 4" in run_python(COUNT.format(install=INSTALL))


def test_tokens_have_the_probabilities_of_the_model() -> None:
    probs = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05, 0.0])
    draws = 20_000
    torch.manual_seed(3)
    counts = torch.bincount(sample(probs.expand(draws, -1), {}), minlength=6)
    assert counts[1] == counts[5] == 0
    kept = probs > 0
    expected = probs[kept] * draws
    assert float(((counts[kept] - expected) ** 2 / expected).sum()) < 16.3  # chi-square, 3 degrees: 99.9 %


def test_a_seed_decides_its_row_alone() -> None:
    torch.manual_seed(0)
    probs = torch.rand(6, 500)
    together = sample(probs, {row: generator(row) for row in range(6)})
    mixed = sample(probs, {row: generator(row) for row in (1, 4)})  # the others have none
    alone = sample(probs[4:5], {0: generator(4)})
    assert mixed[1] == together[1]
    assert mixed[4] == together[4] == alone[0]


def test_the_next_token_of_a_seed_is_another_draw() -> None:
    probs, own = torch.ones(1, 10_000), generator(5)
    first, second = (int(sample(probs, {0: own})) for _ in range(2))
    assert first != second


@given(
    weights=st.lists(st.sampled_from([0.0, 1e-30, 1e-8, 0.1, 0.25, 1.0, 3.0]), min_size=1, max_size=40),
    number=st.one_of(st.just(0.0), st.just(1 - 2.0**-53), st.floats(0, 1, exclude_max=True)),
)
def test_the_chosen_token_is_where_the_sum_passes_the_number(weights: list[float], number: float) -> None:
    row = torch.tensor([weights if any(weights) else [*weights, 1.0]])
    token = int(invert(row, torch.tensor([number], dtype=torch.float64)))
    shares = row.double().cumsum(-1)[0] / row.double().sum()
    rounding = 1e-6  # blocks are summed in float32
    assert row[0, token] > 0
    assert shares[token] >= number - rounding
    assert token == 0 or shares[token - 1] <= number + rounding


def test_a_vocabulary_that_blocks_do_not_divide_is_drawn_whole() -> None:
    size = 1_003
    numbers = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    assert invert(torch.ones(size, size), numbers).tolist() == list(range(size))
