"""Async rewarders: many requests in flight in one process, on one kept event loop, and nothing lost by a bad one."""

import asyncio
import collections
from pathlib import Path

import psutil
import pytest

from innovator_rl.scoring import Score, ScoreRequest, ScoringPool
from innovator_rl.scoring.invoke import RewardCallable

REWARDERS = '''
import asyncio, os, signal, time
from innovator_rl.scoring import Score

class Service:
    """Keeps a lock of its first event loop, as a client keeps connections, and notes how many calls wait at once."""

    in_flight = 8

    def __init__(self) -> None:
        self.loop, self.now, self.most = None, 0, 0

    async def prepare(self, answer: str) -> str:
        await asyncio.sleep(0)
        return answer.upper()

    async def __call__(self, response: str, gold: str) -> Score:
        loop = asyncio.get_running_loop()
        self.loop = self.loop or loop
        if loop is not self.loop:
            raise RuntimeError("Event loop is closed")
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if response == "wait":
                await asyncio.sleep(60)
            if response == "block":
                time.sleep(60)
            if response == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if response == "raise":
                raise ValueError("no")
            if response == "exit":
                raise SystemExit(3)
            await asyncio.sleep(0.05)
        finally:
            self.now -= 1
        return Score(1.0, response.upper() == gold, "correct", terms={"pid": os.getpid(), "most": self.most})

async def ranked(responses: list[str]) -> list[float]:
    await asyncio.sleep(0.01)
    return [float(sorted(responses).index(response)) for response in responses]

def plain(response: str) -> float:
    return 0.5
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "service.py"
    path.write_text(REWARDERS)
    return path


def scores(pool: ScoringPool, name: str, responses: list[str]) -> list[Score]:
    return list(pool.map(ScoreRequest(name, response, answer="yes") for response in responses))


def test_many_calls_wait_at_the_same_time_in_one_process(file: Path) -> None:
    with ScoringPool(2, 30) as pool:
        found = scores(pool, f"{file}:Service", ["yes"] * 60)
    assert all(score.correct for score in found)
    processes = collections.Counter(score.terms["pid"] for score in found)
    assert max(processes.values()) >= 56  # the first calls showed two workers that the rewarder is async
    assert max(score.terms["most"] for score in found) == 8


def test_a_bad_call_costs_no_other_its_score(file: Path) -> None:
    bad = {"wait": "timeout", "block": "timeout", "die": "crashed", "raise": "raised", "exit": "raised"}
    responses = ["yes", "yes"] + [text for kind in bad for text in (kind, *["yes"] * 6)]
    with ScoringPool(2, 1.5) as pool:
        found = scores(pool, f"{file}:Service", responses)
    for response, score in zip(responses, found, strict=True):
        assert score.reason == bad.get(response, "correct")


def test_a_worn_out_worker_is_replaced_after_its_last_reply(file: Path) -> None:
    with ScoringPool(1, 30, max_tasks=10) as pool:
        found = scores(pool, f"{file}:Service", ["yes"] * 45)
    assert all(score.correct for score in found)
    assert len({score.terms["pid"] for score in found}) >= 4


def test_groups_and_formulas_may_be_async(file: Path) -> None:
    with ScoringPool(1, 30) as pool:
        name = f"{file}:ranked"
        futures = [pool.submit_group(ScoreRequest(name, "", responses=("b", "a"))) for _ in range(5)]
        assert [[score.value for score in future.result()] for future in futures] == [[1.0, 0.0]] * 5
        formula = f"0.5 * {file}:Service + {file}:plain"
        found = scores(pool, formula, ["yes"] * 6)
    assert [(score.value, score.correct) for score in found] == [(1.0, True)] * 6


def test_closing_ends_every_process(file: Path) -> None:
    pool = ScoringPool(1, 30)
    scores(pool, f"{file}:Service", ["yes"] * 4)
    processes = [psutil.Process(pid) for pid in pool.worker_pids()]
    pool.close()
    assert processes
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive), "ended, and perhaps not collected yet"


def test_calls_outside_a_pool_share_one_loop() -> None:
    loops = []

    async def remember(response: str) -> float:
        loops.append(asyncio.get_running_loop())
        return 1.0

    loaded = RewardCallable(remember)
    assert loaded.in_flight == 64
    for _ in range(2):
        assert loaded(ScoreRequest("x", "x"))[0].correct
    assert loops[0] is loops[1]
