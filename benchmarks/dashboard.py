"""Measure the dashboard on runs of recorded responses, and print ratios against reading the files without an index.

    python -m benchmarks.dashboard                        10,000 and 100,000 responses, about two minutes on idle cores
    python -m benchmarks.dashboard --sizes 1000000        a million (2 GB free in the temporary folder), some minutes
    python -m benchmarks.dashboard --aggregates 10000000  the pages of a run of ten million responses
    python -m benchmarks.dashboard --runs 300             the list of 300 finished runs of 500 steps

One process writes each run and another measures it, so that the memory is the server's. The requests call the application in
the same process. Wall times are what a user waits for; CPU times (of all threads) do not depend on a busy machine. Nothing is
asserted.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

STEP_ROWS, SAMPLES = 8_000, 16
PARAGRAPHS, PARAGRAPH_WORDS, PARAGRAPHS_EACH = 4_000, 60, 11  # about 4,200 characters per response
LONG_ROWS, LONG_TOKENS = 256, 8_000
REPEATS = 40
FILL_STEPS = 50  # steps that one statement fills: one statement per step takes most of the time of the benchmark


def write_run(run: Path, rows: int, each: int) -> None:
    """Write a run of `rows` responses of `each` paragraphs, 8,000 per step.

    The last step has 8,000-token series.
    """
    generator = random.Random(0)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    paragraphs = [" ".join(generator.choices(words, weights, k=PARAGRAPH_WORDS)) for _ in range(PARAGRAPHS)]
    steps = max(1, rows // STEP_ROWS)
    for step in range(1, steps + 1):
        write_step(run, step, min(STEP_ROWS, rows), paragraphs, each, tokens=step == steps)
    (run / "run.json").write_text(json.dumps({"name": run.name, "status": "finished", "step": steps}))


def write_step(
    run: Path, step: int, rows: int, paragraphs: list[str], each: int = PARAGRAPHS_EACH, tokens: bool = False
) -> None:
    """Write one step's segments with random columns."""
    from innovator_rl.rollouts.schema import SCHEMAS, step_directory
    from innovator_rl.rollouts.segments import write_segment

    pick = np.random.default_rng(step)
    groups = np.arange(rows) // SAMPLES
    correct = pick.random(rows) < 0.4
    chosen = pick.integers(0, len(paragraphs), (rows, each))
    texts = [f"answer{step}x{i} " + "\n".join(paragraphs[j] for j in row) for i, row in enumerate(chosen)]
    uids = [f"{step:06d}-{group:08x}-0000-0000-000000000000" for group in groups]
    key: dict[str, Any] = {
        "schema_version": [1] * rows,
        "run": [run.name] * rows,
        "attempt": [1] * rows,
        "step": [step] * rows,
        "kind": ["train"] * rows,
        "prompt_uid": uids,
        "sample": (np.arange(rows) % SAMPLES).tolist(),
    }
    columns: dict[str, Any] = {
        **key,
        "prompt_id": [f"p{(step * 500 + group) % 20_000}" for group in groups],
        "domain": [("physics", "math", "chemistry", "code")[group % 4] for group in groups],
        "rewarder": ["math"] * rows,
        "status": ["ok"] * rows,
        "finish_reason": ["stop"] * rows,
        "truncated": (pick.random(rows) < 0.05).tolist(),
        "response_tokens": pick.integers(100, 2_000, rows).tolist(),
        "reward": correct.astype(float).tolist(),
        "score_value": correct.astype(float).tolist(),
        "correct": correct.tolist(),
        "outcome": ["scored"] * rows,
        "reason": ["correct" if c else "wrong" for c in correct],
        "extracted": [str(i % 97) for i in range(rows)],
        "reward_seconds": pick.random(rows).tolist(),
        "written_at": [datetime.fromisoformat("2026-01-01")] * rows,
        "answer": ["42"] * rows,
        "info": ["{}"] * rows,
        "prompt": [f"question {group} of step {step}: {paragraphs[group % 100]}" for group in groups],
        "response": texts,
    }
    updates = {**key, "kept": [True] * rows, "drop_reason": [""] * rows, "advantage": pick.normal(size=rows).tolist()}
    tables = {"rollouts": columns, "updates": updates}
    if tokens:
        count = min(rows, LONG_ROWS)
        series = [pick.random(LONG_TOKENS).astype(np.float32) for _ in range(count)]
        nothing = [None] * (rows - count)
        for name in ("old_logprobs", "rollout_logprobs", "entropy", "ratio"):
            updates[name] = [*series, *nothing]
        updates["clip_side"] = [*([np.zeros(LONG_TOKENS, np.int8)] * count), *nothing]
        ids = [pick.integers(0, 50_000, LONG_TOKENS).astype(np.int32) for _ in range(count)]
        short = {name: values[:count] for name, values in key.items()}
        tables["tokens"] = {**short, "token_ids": ids, "rollout_logprobs": series}
    for dataset, values in tables.items():
        schema = SCHEMAS[dataset]
        arrays = [
            pa.array(values[f.name], f.type) if f.name in values else pa.nulls(len(values["step"]), f.type)
            for f in schema
        ]
        table = pa.Table.from_arrays(arrays, schema=schema)
        write_segment(
            run / dataset / step_directory(step), f"train-a001-bench-{step:08x}-000000.parquet", [table], schema
        )


@contextmanager
def timed(into: dict[str, Any], name: str) -> Iterator[None]:
    """Measure wall and CPU seconds of a block."""
    wall, cpu = time.monotonic(), time.process_time()
    yield
    into[name] = {"wall_s": round(time.monotonic() - wall, 3), "cpu_s": round(time.process_time() - cpu, 3)}


def repeated(call: Callable[[int], object], repeats: int = REPEATS) -> dict[str, float]:
    """Return median, 95th percentile and mean CPU time of a call in ms.

    The first two are of the wall time.
    """
    walls, cpu = [], time.process_time()
    for i in range(repeats):
        began = time.monotonic()
        call(i)
        walls.append(1000 * (time.monotonic() - began))
    mean_cpu = 1000 * (time.process_time() - cpu) / repeats
    p95 = statistics.quantiles(walls, n=20)[-1]
    return {"p50_ms": round(statistics.median(walls), 1), "p95_ms": round(p95, 1), "cpu_ms": round(mean_cpu, 1)}


def measure(run: Path, word_seconds: float) -> dict[str, Any]:
    """Measure one run."""
    from fastapi.testclient import TestClient

    from innovator_rl.dashboard.app import create_app
    from innovator_rl.dashboard.runs.run_session import RunSession
    from innovator_rl.rollouts.store import Store

    found: dict[str, Any] = {}
    app = create_app([run.parent])
    runs = app.state.services.runs
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        with timed(found, "index_build"):
            session: RunSession = runs.open(run.name)
            session.wait(600)
        found["rows"] = session.index.query("SELECT count(*) AS n FROM responses")[0]["n"]
        began, cpu = time.monotonic(), time.process_time()
        complete = session.wait_read(word_seconds)
        done, _ = session.indexer.progress()
        spent = time.monotonic() - began, time.process_time() - cpu
        rates = {
            name: round(done / seconds) for name, seconds in zip(("rows_per_s", "rows_per_cpu_s"), spent, strict=True)
        }
        found["words"] = {"complete": complete, "rows": done, **rates}
    session.close()
    found["index_mb"] = round(sum(f.stat().st_size for f in (run / ".index").iterdir()) / 2**20)
    app = create_app([run.parent])
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        api = f"/api/runs/{run.name}"

        def get(path: str, **parameters: Any) -> Any:
            answer = client.get(api + path, params=parameters)
            assert answer.status_code == 200, answer.text
            return answer.json()

        with timed(found, "open_indexed"):
            total = get("/rollouts")["total"]
        assert total == found["rows"]
        session = app.state.services.runs.open(run.name)
        last = session.index.query("SELECT max(step) AS s FROM responses")[0]["s"]
        session.indexer.work = lambda: False  # type: ignore[method-assign]  # requests alone are measured from here on
        found["page"] = repeated(
            lambda i: get("/rollouts", page=1 + 7 * i, sort=("step", "-reward", "response_tokens")[i % 3])
        )
        found["page_new_filter"] = repeated(
            lambda i: get("/rollouts", domain="physics", score_min=i / 1000, sort="-response_tokens")
        )
        uids = [
            r["u"]
            for r in session.index.query(
                "SELECT DISTINCT prompt_uid AS u FROM responses WHERE step = ? ORDER BY u", [last]
            )
        ]
        found["group"] = repeated(lambda i: get("/group", step=last, uid=uids[i % len(uids)]))
        found["response"] = repeated(lambda i: get("/response", step=last, uid=uids[i % 15], sample_index=i % SAMPLES))
        found["tokens_8k"] = repeated(
            lambda i: get("/tokens", step=last, uid=uids[i % 15], sample_index=i % SAMPLES, limit=8_000)
        )

        def new_curves(_: int) -> Any:
            session.changed("words")
            return get("/curves")

        found["words_rare"] = repeated(lambda i: get("/rollouts", word=f"answer{last}x{i}"))
        common = session.index.query("SELECT rid FROM responses LIMIT 1")[0]["rid"]
        text = session.index.fulltext.previews([common]).get(common, "answer word").split()[1]
        found["words_common"] = repeated(lambda i: get("/rollouts", word=text, page=1 + i))
        found["curves_first"] = repeated(new_curves, 5)
        found["new_step"] = _new_step(session, run, last + 1)
        found["rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    found["machine"] = machine_speed()
    with timed(found, "without_index_page"):  # the same page straight from the Parquet files
        Store(run).rollouts(order_by="response_tokens", descending=True, limit=50)
    found["ratios"] = {
        "page_without_index_over_p95": round(1000 * found["without_index_page"]["wall_s"] / found["page"]["p95_ms"], 1),
        "index_seconds_per_million": round(1e6 * found["index_build"]["wall_s"] / found["rows"], 1),
        "index_cpu_seconds_per_million": round(1e6 * found["index_build"]["cpu_s"] / found["rows"], 1),
    }
    return found


def machine_speed() -> dict[str, float]:
    """Return the seconds of two fixed loops: a shared machine can be twice as slow on another day."""
    began = time.monotonic()
    total = 0
    for number in range(10_000_000):
        total += number * number % 7
    interpreter = time.monotonic() - began
    values = np.zeros(32_000_000)
    began = time.monotonic()
    for _ in range(10):
        values += 1
    return {"python_steps_1e7_s": round(interpreter, 2), "memory_passes_10x256mb_s": round(time.monotonic() - began, 2)}


def aggregates(folder: Path, rows: int) -> dict[str, Any]:
    """Measure the pages of a run of `rows` responses whose index is filled without files.

    The alternative to the figures kept for each step, the same figures over all responses at once, is measured on a tenth of
    the rows: at ten million it does not fit into the memory of the index.
    """
    from fastapi.testclient import TestClient

    from innovator_rl.dashboard.app import create_app
    from innovator_rl.rollouts.background_indexer import BackgroundIndexer
    from innovator_rl.rollouts.index import RolloutIndex
    from innovator_rl.rollouts.step_figures import FIGURES

    run, steps = folder / "large", max(1, rows // STEP_ROWS)
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"name": run.name, "status": "finished", "step": steps}))
    found: dict[str, Any] = {"rows": steps * STEP_ROWS}
    index = RolloutIndex(run)
    with timed(found, "fill"):
        fill(index, steps)
    with timed(found, "aggregate_all_steps"):
        index.aggregate()
    with timed(found, "curves_of_a_tenth_without_aggregates"):
        index.query(FIGURES.format(where=f"(step <= {max(1, steps // 10)})"))
    index.close()
    found["index_mb"] = round(sum(f.stat().st_size for f in index.directory.iterdir()) / 2**20)
    RolloutIndex.refresh = lambda self: set()  # type: ignore[method-assign]  # without files, every step would be forgotten
    BackgroundIndexer.work = lambda self: False  # type: ignore[method-assign]
    app = create_app([folder])
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        session = app.state.services.runs.open(run.name)

        def get(path: str, **parameters: Any) -> Any:
            answer = client.get(f"/api/runs/{run.name}{path}", params=parameters)
            assert answer.status_code == 200, answer.text
            return answer.json()

        def new_curves(_: int) -> None:
            session.changed("words")  # so that no figure is one that was kept from the last request
            get("/curves")

        with timed(found, "run_first"):
            get("")
        with timed(found, "curves_first"):
            get("/curves")
        found["curves"] = repeated(new_curves, 10)
        found["page"] = repeated(
            lambda i: get("/rollouts", page=1 + 7 * i, sort=("step", "-reward", "response_tokens")[i % 3])
        )
        found["page_of_a_step"] = repeated(lambda i: get("/rollouts", step=1 + i % steps, sort="-reward"))
    found["rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    slow = found["curves_of_a_tenth_without_aggregates"]["wall_s"]
    found["ratios"] = {"a_tenth_without_aggregates_over_all_with": round(1000 * slow / found["curves"]["p50_ms"], 1)}
    return found


def fill(index: Any, steps: int) -> None:
    """Put synthetic responses of `steps` steps into an index, FILL_STEPS steps per statement."""
    responses = f"""INSERT INTO stored_responses BY NAME
        SELECT i AS rid, (i // {STEP_ROWS} + 1)::INT AS step, 'train' AS kind, 1 AS attempt,
               (i // {SAMPLES})::VARCHAR AS prompt_uid, (i % {SAMPLES})::INT AS sample_index,
               ['math', 'physics', 'code', 'chemistry'][1 + (i // {SAMPLES} % 4)::INT] AS domain, 'ok' AS generation_status,
               'scored' AS outcome, (hash(i) % 2)::FLOAT AS reward, hash(i) % 2 = 1 AS correct, true AS kept,
               (hash(i) % 2000)::INT AS response_tokens, 'kept' AS status,
               'no file' AS segment, (i % 1000000 * 1024)::INT AS position
        FROM range(?, ?) r(i)"""
    groups = """INSERT INTO stored_groups BY NAME SELECT step, kind, attempt, prompt_uid, any_value(domain) AS domain,
            count(*)::INT AS samples, 'kept' AS status, '' AS drop_reason FROM stored_responses WHERE rid >= ? AND rid < ?
            GROUP BY ALL"""
    for first in range(0, steps, FILL_STEPS):
        numbers = [first * STEP_ROWS, min(first + FILL_STEPS, steps) * STEP_ROWS]
        index.cursor().execute(responses, numbers)
        index.cursor().execute(groups, numbers)
    index.cursor().execute("INSERT INTO steps SELECT DISTINCT step, kind, '', '[]', false FROM stored_groups")


def listed(folder: Path, count: int) -> dict[str, Any]:
    """Measure the first and the next list of `count` finished runs of 500 steps with 150 metrics per step."""
    from fastapi.testclient import TestClient

    from innovator_rl.dashboard.app import create_app

    found: dict[str, Any] = {"runs": count}
    pick = np.random.default_rng(0)
    lines = [
        {"step": step, "attempt": 1} | {f"part{i // 10}/metric{i}": float(pick.normal()) for i in range(150)}
        for step in range(1, 501)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    for number in range(count):
        run = folder / f"run-{number:04d}"
        run.mkdir()
        (run / "run.json").write_text(json.dumps({"name": run.name, "status": "finished", "step": 500}))
        (run / "metrics.jsonl").write_text(text)
    found["metrics_mb"] = round(count * len(text) / 2**20)
    with TestClient(create_app([folder]), base_url="http://127.0.0.1:8000") as client:
        client.get("/api/health")
        before = _rss_mb()
        for name in ("first", "next"):
            with timed(found, name):
                answer = client.get("/api/runs")
            assert len(answer.json()["rows"]) == count
        found["added_rss_mb"] = round(_rss_mb() - before)
    return found


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _new_step(session: Any, run: Path, step: int) -> dict[str, float]:
    """Measure the seconds from the arrival of a step's file to its rows in the index."""
    writer = [sys.executable, "-m", "benchmarks.dashboard", "--step", str(run), str(step)]
    landed = float(subprocess.run(writer, check=True, capture_output=True, text=True, timeout=300).stdout)
    deadline = time.time() + 30
    while time.time() < deadline:
        if session.index.query("SELECT count(*) AS n FROM responses WHERE step = ?", [step])[0]["n"]:
            return {"visible_s": round(time.time() - landed, 3)}
        time.sleep(0.01)
    return {"visible_s": float("inf")}


def recorder_cost(folder: Path, rows: int = STEP_ROWS) -> dict[str, float]:
    """Measure what recording one step of `rows` responses costs the training process."""
    from innovator_rl.rollouts.recorder import Recorder
    from innovator_rl.rollouts.schema import RolloutRow

    ids = np.arange(1_000, dtype=np.int32)
    logprobs = np.zeros(1_000, np.float32)
    recorder = Recorder(folder, "bench", 1)
    wall, cpu = time.monotonic(), time.process_time()
    for i in range(rows):
        row = RolloutRow(
            step=1,
            prompt_uid=str(i // 16),
            sample=i % 16,
            response="word " * 800,
            token_ids=ids,
            rollout_logprobs=logprobs,
        )
        recorder.rollout(row)
    caller = time.monotonic() - wall
    recorder.close()
    spent = time.process_time() - cpu
    return {
        "caller_wall_s": round(caller, 3),
        "cpu_s": round(spent, 3),
        "percent_of_a_300_s_step": round(100 * spent / 300, 3),
    }


def main() -> None:
    """Measure every size and print one JSON line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--word-seconds", type=float, default=15.0, help="how long to wait for the full-text index")
    parser.add_argument(
        "--paragraphs", type=int, default=PARAGRAPHS_EACH, help="length of a response, about 380 characters each"
    )
    parser.add_argument("--aggregates", type=int, metavar="ROWS", help="measure only the pages of so many responses")
    parser.add_argument("--runs", type=int, metavar="COUNT", help="measure only the list of so many runs")
    parser.add_argument("--write", nargs=2, metavar=("RUN", "ROWS"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", metavar="RUN", help=argparse.SUPPRESS)
    parser.add_argument("--step", nargs=2, metavar=("RUN", "STEP"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write:
        write_run(Path(chosen.write[0]), int(chosen.write[1]), chosen.paragraphs)
    elif chosen.measure:
        print(json.dumps(measure(Path(chosen.measure), chosen.word_seconds)))
    elif chosen.aggregates:
        with tempfile.TemporaryDirectory(prefix="dashboard-bench-") as folder:
            print(json.dumps(aggregates(Path(folder), chosen.aggregates)))
    elif chosen.runs:
        with tempfile.TemporaryDirectory(prefix="dashboard-bench-") as folder:
            print(json.dumps(listed(Path(folder), chosen.runs)))
    elif chosen.step:
        write_step(Path(chosen.step[0]), int(chosen.step[1]), STEP_ROWS, ["a new paragraph of a few words"] * 100)
        print(time.time())
    else:
        with tempfile.TemporaryDirectory(prefix="dashboard-bench-") as folder:
            print(json.dumps({"recorder": recorder_cost(Path(folder) / "recorded")}), flush=True)
            for size in chosen.sizes:
                run = Path(folder) / f"run-{size}"
                run.mkdir()
                base = [sys.executable, "-m", "benchmarks.dashboard"]
                subprocess.run(
                    [*base, "--write", str(run), str(size), "--paragraphs", str(chosen.paragraphs)],
                    check=True,
                    timeout=3_600,
                )
                subprocess.run(
                    [*base, "--measure", str(run), "--word-seconds", str(chosen.word_seconds)],
                    check=True,
                    timeout=3_600,
                )
                subprocess.run(["rm", "-rf", str(run)], check=True)


if __name__ == "__main__":
    main()
