"""The pool under rewarders that hang, die, leak, lie and flood: every response gets its score, and no process
stays.
"""

import asyncio
import os
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool


def ask(response: str, rewarder: str = "faulty", answer: str = "yes") -> ScoreRequest:
    return ScoreRequest(rewarder=rewarder, response=response, answer=answer)


FAULTS = {
    "hang": "timeout",
    "segfault": "crashed",
    "leak": "memory",
    "creep": "memory",
    "raise": "raised",
    "sys.exit": "raised",
    "exit0": "crashed",
    "exit7": "crashed",
    "nan": "bad_result",
    "text": "bad_result",
}


def test_each_fault_has_its_own_reason_and_the_next_sample_is_right(plugin: Path) -> None:
    with ScoringPool(workers=1, timeout_seconds=6, memory_mb=512) as pool:
        for response, reason in FAULTS.items():
            score = pool.score(ask(response))
            assert (score.outcome, score.reason, score.value, score.correct) == ("error", reason, 0.0, False), response
            assert pool.score(ask("yes")).correct
            assert pool.score(ask("no")).reason == "wrong"


def test_two_hundred_scores_with_a_tenth_faulty(plugin: Path) -> None:
    faults = ["hang", "segfault", "leak", "raise", "exit0"]
    responses = [faults[i // 10 % 5] if i % 10 == 3 else ("yes" if i % 2 else "no") for i in range(200)]
    with ScoringPool(workers=2, timeout_seconds=1.5, memory_mb=512) as pool:
        scores = list(pool.map([ask(response) for response in responses]))
    for response, score in zip(responses, scores, strict=True):
        assert score.reason == FAULTS.get(response, "correct" if response == "yes" else "wrong")


def test_a_flood_is_cut(plugin: Path) -> None:
    with ScoringPool(workers=1, timeout_seconds=10, memory_mb=1024) as pool:
        score = pool.score(ask("flood"))
        assert score.correct
        assert score.extracted is not None
        assert len(score.extracted) == 2000
        assert pool.score(ask("x" * 2_000_000)).reason == "too_long"
        assert pool.score(ask("\ud800 lone surrogate")).reason == "wrong"


def test_neither_queue_nor_import_is_charged(plugin: Path) -> None:
    """The import takes longer than the deadline, and so does the queue. Two workers: the shared one and a reserve."""
    with ScoringPool(workers=1, timeout_seconds=1.4, memory_mb=512) as pool:
        started = time.monotonic()
        scores = list(pool.map([ask("x", "slow_import"), *[ask("sleep0.4")] * 5]))
        taken = time.monotonic() - started
    assert [score.reason for score in scores] == ["correct"] * 6
    assert all(score.seconds >= 0.4 for score in scores[1:])
    assert sum(score.seconds for score in scores) < 2 * taken, "no score counts another's time"


def test_unknown_and_broken_rewarders(plugin: Path) -> None:
    with ScoringPool(workers=1, timeout_seconds=2, memory_mb=512) as pool:
        assert pool.score(ask("x", "no_such")).reason == "unknown_rewarder"
        for name in ("broken_import", "absent", "greedy"):
            assert pool.score(ask("x", name)).reason == "load_failed", name
        assert pool.score(ask("yes", "later")).correct
        assert pool.score(ask("none")).outcome == "abstained"


def test_settings_reach_the_constructor(plugin: Path) -> None:
    with ScoringPool(workers=1, timeout_seconds=3, memory_mb=512, code_isolation="strict") as pool:
        request = ScoreRequest("configured", "r", info={"a": [1]}, data_source="d", prompt="p")
        assert pool.score(request).extracted == repr([("strict", 3.0), {"a": [1]}, "d", "p"])


def test_asyncio_streams_and_workers_are_recycled(plugin: Path) -> None:
    async def main() -> list[Score]:
        with ScoringPool(workers=2, timeout_seconds=2, memory_mb=512, max_tasks=7) as pool:
            return await asyncio.gather(*(pool.ascore(ask("yes" if i % 2 else "no")) for i in range(60)))

    assert [score.correct for score in asyncio.run(main())] == [bool(i % 2) for i in range(60)]


def _descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_close_leaves_no_process(plugin: Path) -> None:
    before = _descendants()
    pool = ScoringPool(workers=2, timeout_seconds=30, memory_mb=512)
    futures = [pool.submit(ask("sleep0.2")) for _ in range(4)]
    assert all(future.result().correct for future in futures)
    new = _descendants() - before
    assert len(new) == 4  # two fork servers, two workers
    pool.close()
    deadline = time.monotonic() + 5
    while any(psutil.pid_exists(pid) for pid in new) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in new)


def test_a_killed_caller_leaves_no_process(plugin: Path) -> None:
    child = os.fork()
    if child == 0:  # a stand-in for a Ray actor that is killed while its worker hangs
        pool = ScoringPool(workers=1, timeout_seconds=60, memory_mb=512)
        pool.submit(ask("hang"))
        time.sleep(60)
        os._exit(0)
    try:
        family: list[psutil.Process] = []
        for _ in range(100):
            family = psutil.Process(child).children(recursive=True)
            if len(family) == 2:
                break
            time.sleep(0.1)
        assert len(family) == 2
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive


def test_a_fork_server_that_is_killed_is_replaced(plugin: Path) -> None:
    before = _descendants()  # not ours to kill: another test may have started Ray in this process
    with ScoringPool(workers=1, timeout_seconds=5, memory_mb=512) as pool:
        assert pool.score(ask("yes")).correct
        ours = _descendants() - before
        assert ours
        for pid in ours:
            psutil.Process(pid).kill()
        assert pool.score(ask("yes")).correct


def test_settings_that_cannot_work() -> None:
    with pytest.raises(UserError, match="workers"):
        ScoringPool(workers=0)
    with pytest.raises(UserError, match="memory_mb"):
        ScoringPool(memory_mb=16)


def test_an_error_is_tried_again_elsewhere_and_a_score_is_not(plugin: Path, tmp_path: Path) -> None:
    """`flaky` fails wherever its response has not been seen by another process."""
    with ScoringPool(workers=2, timeout_seconds=5, memory_mb=512) as pool:
        note = tmp_path / "seen"
        assert pool.score(ask(str(note), "flaky")).correct
        first, second = note.read_text().split()
        assert first != second, "the second try was another process"
        assert pool.score(ask("raise")).reason == "raised"
        score = pool.score(ask("unavailable"))
        assert (score.outcome, score.reason) == ("error", "sandbox_failure"), "a rewarder's own error keeps its reason"


def test_a_slow_domain_does_not_starve_a_fast_one(plugin: Path) -> None:
    gate = plugin / "open"
    with ScoringPool(workers=2, timeout_seconds=100, memory_mb=512) as pool:
        slow = [pool.submit(ask(f"until {gate}")) for _ in range(8)]
        assert all(score.correct for score in pool.map([ask("yes", "later")] * 5))
        assert not any(future.done() for future in slow), "the fast ones did not wait for the slow line"
        gate.touch()
        assert all(future.result().correct for future in slow)


def test_the_queue_is_bounded_and_pushes_back(plugin: Path) -> None:
    async def burst(pool: ScoringPool) -> list[Score]:
        return await asyncio.gather(*(pool.ascore(ask("yes")) for _ in range(40)))

    gate = plugin / "open"
    wait = f"until {gate}"
    with ScoringPool(workers=1, timeout_seconds=60, memory_mb=512, max_waiting=2) as pool:
        futures: list[Future[Score]] = []
        submitter = threading.Thread(target=lambda: futures.extend(pool.submit(held) for held in [ask(wait)] * 10))
        submitter.start()
        submitter.join(1)
        assert submitter.is_alive(), "submit waits while the queue is full"
        gate.touch()
        submitter.join(60)
        assert [future.result().correct for future in futures] == [True] * 10
        assert all(score.correct for score in asyncio.run(burst(pool)))


def test_closing_ends_every_wait(plugin: Path) -> None:
    pool = ScoringPool(workers=1, timeout_seconds=1, memory_mb=512)
    futures = [pool.submit(ask("hang" if i == 0 else "yes")) for i in range(4)]
    time.sleep(0.2)
    pool.close()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(ask("yes"))


def test_info_that_is_no_json_abstains(plugin: Path) -> None:
    with ScoringPool(workers=1, timeout_seconds=3, memory_mb=512) as pool:
        score = pool.score(ScoreRequest("faulty", "yes", info={"a": object()}))
        assert (score.outcome, score.reason) == ("abstained", "bad_info")
        assert pool.score(ask("yes")).correct


def test_both_tries_share_one_deadline(plugin: Path) -> None:
    """A response that dies after most of its deadline cannot take two deadlines of a worker."""
    note = plugin / "tries"
    with ScoringPool(workers=1, timeout_seconds=4.0, memory_mb=512) as pool:
        assert pool.score(ask("yes")).correct
        score = pool.score(ask(f"late exit {note}"))
        assert (score.outcome, score.reason) == ("error", "crashed")
        assert note.read_text().split() == ["begun", "ended", "begun"], "the second try had what was left"
        assert pool.score(ask("yes")).correct
