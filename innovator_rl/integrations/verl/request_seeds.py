"""Give every request to the rollout engine its own seed, so that two runs of one seed sample the same responses.

An engine with one random state hands out random numbers in the order in which requests happen to be served. A seed per
request, from the run's seed, the place of the prompt, the number of the sample and the weights that answer, makes a response
independent of what else is in the batch. On a CPU vLLM then computes the same tokens and log-probabilities bit for bit;
on CUDA its kernels round differently with the size of the batch, so seeds alone do not repeat a run there.

verl's own `full_determinism` gives every request one seed, which makes all answers of a group equal.
"""

from __future__ import annotations

import hashlib


def request_seed(run_seed: int, prompt: str, sample: int, step: int) -> int:
    """Return the seed of one response.

    Args:
        run_seed: `data.seed` of the run.
        prompt: the prompt group's uid, which names its place in the run, or the row's id in validation.
        sample: number of the response in its group.
        step: training step whose weights answer.

    Returns:
        A number of 62 bits, which every engine's generator accepts.
    """
    text = f"{run_seed}|{prompt}|{sample}|{step}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 2
