"""Draw each token on a CPU from one random number, instead of one per entry of the vocabulary.

vLLM's sampler fills a matrix of exponential noise, responses x vocabulary, and takes the largest ratio of probability and
noise. On a GPU that avoids a synchronization. On a CPU the noise is what a step waits for: with SmolLM2-135M in bfloat16,
96 responses in a batch, two cores with AMX instructions, it was two thirds of the time of a decoding step (1.2 ms of
processor time per row of 49,152 entries, and rows with a seed are drawn twice). Here the cumulative probabilities are
searched for one uniform number per response. The distribution is the same, and the number of a response with a seed
depends on its own generator alone; vLLM's version ignores all seeds of a batch in which one response has none.

    python benchmarks/rollout_engine.py --only bfloat16+seeds,bfloat16-stock+seeds

The replaced method is `TopKTopPSampler.forward_cpu`, by the native one of the same class, which ends in `random_sample`; that
function is replaced by `sample`. Speculative decoding has a sampler of its own and is left as it is.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from innovator_rl.platform.shims.base import require_parameters

_NAME = "token_draws"


def install() -> None:
    """Put the sampler in place in this process; a second call changes nothing."""
    from vllm.v1.sample.ops import topk_topp_sampler as stock

    if stock.random_sample is sample:
        return
    require_parameters(_NAME, stock.random_sample, ("probs", "generators", "use_fp64_gumbel"))
    sampler: Any = stock.TopKTopPSampler
    require_parameters(_NAME, sampler.forward_cpu, ("logits", "generators", "k", "p"))
    require_parameters(_NAME, sampler.forward_native, ("logits", "generators", "k", "p"))
    stock.random_sample = sample
    sampler.forward_cpu = sampler.forward_native


def sample(probs: torch.Tensor, generators: dict[int, torch.Generator], use_fp64_gumbel: bool = False) -> torch.Tensor:
    """Draw one token per response.

    Args:
        probs: Probabilities, float32, shape (responses, vocabulary).
        generators: The generators of the responses that have a seed, by row.
        use_fp64_gumbel: vLLM's wish for noise in float64; sums are in float64 either way.

    Returns:
        Token ids, int64, shape (responses,).
    """
    del use_fp64_gumbel
    numbers = torch.rand(len(probs), dtype=torch.float64)
    for row, generator in generators.items():
        numbers[row] = torch.rand((), dtype=torch.float64, generator=generator)
    return invert(probs, numbers)


def invert(probs: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Return the tokens whose share of the cumulative probability contains the numbers.

    A number first chooses a block of neighboring tokens by the sums of the blocks, then a token of it, so that the
    vocabulary is read once and nothing of its size is written.

    Args:
        probs: Weights of at least 0, shape (rows, vocabulary); a row need not sum to 1. Weights of 0 are never chosen.
        numbers: Uniform numbers in [0, 1), float64, shape (rows,).

    Returns:
        Token ids, int64, shape (rows,).
    """
    size = probs.shape[-1]
    width = math.isqrt(size)
    whole = size - size % width
    sums = probs[:, :whole].unflatten(-1, (-1, width)).sum(-1)
    if whole < size:
        sums = torch.cat((sums, probs[:, whole:].sum(-1, keepdim=True)), dim=-1)
    block, rest = _choose(sums, numbers)
    places = block.unsqueeze(-1) * width + torch.arange(width)
    weights = probs.gather(-1, places.clamp(max=size - 1)).masked_fill(places >= size, 0.0)
    token, _ = _choose(weights, rest)
    return block * width + token


def _choose(weights: torch.Tensor, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first places at which the cumulative weight exceeds the numbers' share, and how far into them (in [0, 1))."""
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    total = cumulative[:, -1]
    # A product that rounds up to the total would point behind the last place.
    wanted = torch.minimum(numbers * total, torch.nextafter(total, torch.zeros_like(total))).unsqueeze(-1)
    place = torch.searchsorted(cumulative, wanted, right=True)
    before = cumulative.gather(-1, (place - 1).clamp(min=0)) * (place > 0)
    own = cumulative.gather(-1, place) - before
    return place.squeeze(-1), ((wanted - before) / own).clamp(0.0, 1.0 - 2.0**-53).squeeze(-1)
