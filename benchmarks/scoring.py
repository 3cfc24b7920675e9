"""Measure the scoring engine under faults.

It scores 2,000 responses of which a tenth hang, crash, leak, raise or flood, and then 20,000 more.

    python benchmarks/scoring.py [--scores 2000] [--workers 2] [--timeout 2] [--steady 20000]

Prints whether every healthy sample was scored right, the wall time that the faults added next to its bound (time-out x
ceil(bad / workers)), whether the workers are all alive, and the memory of the pool's processes along the steady run.
Next to it, the same load on `concurrent.futures.ProcessPoolExecutor` with a time limit on the result, which is what
verl's math_verify uses: how many healthy samples still get their score there. At last, 40 calls of an async rewarder
that waits 0.5 s with a client of its event loop, next to one call at a time with a new loop each, and `asyncio.gather`
without any pool. Exit code 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import Any

import psutil

from innovator_rl.scoring import Score, ScoreRequest, ScoringPool

REWARDER = '''
"""Right where response and answer agree; misbehaves on demand."""
import ctypes, sys, time

def score(response, answer):
    if response == "hang":
        while True:
            time.sleep(0.01)
    if response == "segfault":
        ctypes.string_at(0)
    if response == "leak":
        heap = [bytearray(2**26) for _ in range(160)]
    if response == "raise":
        raise RuntimeError("no")
    if response == "flood":
        sys.stdout.write("x" * 100_000_000)
        return "x" * 100_000_000
    return response == answer
'''
WAITING = '''
"""Waits, as for a service, with a client that serves the event loop of its first call only."""
import asyncio

class Waits:
    def __init__(self):
        self.loop = None

    async def __call__(self, response):
        loop = asyncio.get_running_loop()
        self.loop = self.loop or loop
        if loop is not self.loop:
            raise RuntimeError("Event loop is closed")
        await asyncio.sleep(0.5)
        return 1.0
'''
ASYNC_CALLS = 40
FAULTS = {  # what each may be scored with: on a busy machine 10 GB and 100 MB can also take too long
    "hang": ("timeout",),
    "segfault": ("crashed",),
    "leak": ("memory", "timeout"),
    "raise": ("raised",),
    "flood": ("bad_result", "timeout"),
}


def workload(scores: int, seed: int = 0) -> list[str]:
    """Responses, one in ten a fault, each kind equally often, in random order.

    The right answer is always `yes`.
    """
    kinds = list(FAULTS)
    responses = [kinds[i // 10 % len(kinds)] if i % 10 == 0 else ("yes", "no")[i % 2] for i in range(scores)]
    random.Random(seed).shuffle(responses)
    return responses


def expected(response: str) -> tuple[str, ...]:
    """Return the reasons that a response may be scored with."""
    return FAULTS.get(response, ("correct",) if response == "yes" else ("wrong",))


def memory_mb() -> float:
    """Memory of this process's descendants, shared pages counted once (MiB)."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_full_info().pss / 2**20
        except psutil.Error:
            continue
    return total


def timed(pool: ScoringPool, rewarder: str, responses: list[str]) -> tuple[list[Score], float]:
    """Scores and wall seconds."""
    started = time.perf_counter()
    scores = list(pool.map(ScoreRequest(rewarder, response, "yes") for response in responses))
    return scores, time.perf_counter() - started


def with_faults(pool: ScoringPool, rewarder: str, scores: int, timeout: float, workers: int) -> bool:
    """Score the same healthy samples without and with faults among them."""
    responses = workload(scores)
    healthy = [response for response in responses if response not in FAULTS]
    _, alone = timed(pool, rewarder, healthy)
    results, together = timed(pool, rewarder, responses)
    bad = len(responses) - len(healthy)
    bound = timeout * math.ceil(bad / workers)
    wrong = [(r, s.reason) for r, s in zip(responses, results, strict=True) if s.reason not in expected(r)]
    alive = len(psutil.Process().children(recursive=True))
    print(f"healthy samples scored right  {len(healthy) - sum(r not in FAULTS for r, _ in wrong)} of {len(healthy)}")
    print(f"faults with their reason  {bad - sum(r in FAULTS for r, _ in wrong)} of {bad}  {wrong[:3] or ''}")
    print(
        f"wall time  {alone:.2f} s alone, {together:.2f} s with faults: {together - alone:.2f} s added, bound {bound:.0f} s"
    )
    print(f"workers  {workers}, processes alive {alive}")
    return not wrong and together - alone <= bound


def steady(pool: ScoringPool, rewarder: str, scores: int) -> bool:
    """Measure memory along a long run of healthy samples.

    The second half must not stand above the first.
    """
    seen: list[float] = []
    chunk = max(1, scores // 10)
    for _ in range(10):
        _, seconds = timed(pool, rewarder, ["yes"] * chunk)
        seen.append(memory_mb())
        print(f"  {chunk} scores in {seconds:.2f} s, {chunk / seconds:.0f}/s, pool's memory {seen[-1]:.1f} MiB")
    return max(seen[5:]) <= 1.1 * max(seen[:5])


def waiting(rewarder: str, workers: int) -> bool:
    """Score with an async rewarder, and next to it in the two ways without a pool."""
    with ScoringPool(workers, 30, warm=[rewarder]) as pool:
        timed(pool, rewarder, ["yes"] * 4 * workers)  # start the processes
        scores, seconds = timed(pool, rewarder, ["yes"] * ASYNC_CALLS)
    scope: dict[str, Any] = {}
    exec(WAITING, scope)

    async def together() -> list[float]:
        client = scope["Waits"]()
        return await asyncio.gather(*(client("yes") for _ in range(ASYNC_CALLS)))

    started = time.perf_counter()
    asyncio.run(together())
    gathered = time.perf_counter() - started
    client, lost = scope["Waits"](), 0
    started = time.perf_counter()
    for _ in range(ASYNC_CALLS):
        try:
            asyncio.run(client("yes"))
        except RuntimeError:
            lost += 1
    alone = time.perf_counter() - started
    right = sum(score.correct for score in scores)
    print(f"async  {right} of {ASYNC_CALLS} calls of 0.5 s in {seconds:.2f} s, asyncio.gather {gathered:.2f} s")
    print(f"async, a new loop for each call  {ASYNC_CALLS - lost} of {ASYNC_CALLS} in {alone:.2f} s")
    return right == ASYNC_CALLS


def _library(response: str) -> bool:
    scope: dict[str, object] = {}
    exec(REWARDER, scope)
    return bool(scope["score"](response, "yes"))  # type: ignore[operator]


def library(responses: list[str], timeout: float, workers: int) -> None:
    """Run the load, without leaks and floods, on the standard library's pool."""
    tame = [response for response in responses if response not in ("leak", "flood")]
    right = 0
    pool = ProcessPoolExecutor(workers)
    for response in tame:
        try:
            result = pool.submit(_library, response).result(timeout)
        except (Late, Exception):
            continue
        right += response not in FAULTS and result == (response == "yes")
    processes = list(pool._processes.values()) if pool._processes else []
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    healthy = sum(response not in FAULTS for response in tame)
    print(f"concurrent.futures: {right} of {healthy} healthy samples scored right ({len(tame)} scores)")


def main() -> int:
    """Run the benchmark, print the figures and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scores", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--steady", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "faulty.py")
        file.write_text(REWARDER)
        rewarder = f"{file}:score"
        with ScoringPool(options.workers, options.timeout, 512, warm=[rewarder]) as pool:
            timed(pool, rewarder, ["yes"] * 10 * options.workers)  # start the processes
            kept = with_faults(pool, rewarder, options.scores, options.timeout, options.workers)
            flat = steady(pool, rewarder, options.steady)
        waits = Path(folder, "waits.py")
        waits.write_text(WAITING)
        whole = waiting(f"{waits}:Waits", options.workers)
    library(workload(min(options.scores, 200)), min(options.timeout, 0.5), options.workers)
    print("every promise kept" if kept and flat and whole else "a promise is BROKEN")
    return 0 if kept and flat and whole else 1


if __name__ == "__main__":
    sys.exit(main())
