"""Writes the made-up runs, with the files and the schema of real ones.

`science` shows everything: two attempts, dropped and failed groups, a reward that is being gamed, damaged files. `baseline` is the same
task under other settings, for comparisons. `crashed` ends in the middle of a step without a word.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from innovator_rl.dashboard.demo.problems import Problem, pool
from innovator_rl.dashboard.demo.responses import CLIP_HIGH, CLIP_LOW, Mood, Vocabulary, clip_side, respond, series
from innovator_rl.rollouts.schema import SCHEMA_VERSION, SCHEMAS, segment_name, step_directory
from innovator_rl.rollouts.segments import write_segment
from innovator_rl.runs.files import dump_json, write_atomic

SAMPLES = 8
GROUPS = 14
START = datetime.fromisoformat("2026-01-15T09:00:00")  # UTC, as the record keeps times
STEP_TIME = timedelta(seconds=95)

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One made-up run."""

    name: str
    steps: int
    seed: int
    gamed: float  # how far the policy learns to please one reward term
    status: str
    total_steps: int
    attempts: tuple[tuple[int, int], ...]  # first and last step of each
    learning_rate: float = 1e-6
    clip_high: float = CLIP_HIGH
    damaged: bool = False


PLANS = (
    Plan("demo-science", 24, 1, 1.0, "finished", 24, ((1, 15), (13, 24)), damaged=True),
    Plan("demo-baseline", 18, 2, 0.0, "stopped", 24, ((1, 18),), learning_rate=5e-7, clip_high=0.2),
    Plan("demo-crashed", 6, 3, 0.2, "running", 24, ((1, 6),)),
)


def write_demo(root: Path) -> list[Path]:
    """Write the made-up runs below `root`; returns their directories. Takes about two seconds."""
    problems = pool(Random(0), each=9)
    return [write_run(root / plan.name, plan, problems) for plan in PLANS]


def write_run(path: Path, plan: Plan, problems: list[Problem]) -> Path:
    """Write one run."""
    path.mkdir(parents=True, exist_ok=True)
    vocabulary, random, generator = Vocabulary(), Random(plan.seed), np.random.default_rng(plan.seed)
    metrics: list[str] = []
    for attempt, (first, last) in enumerate(plan.attempts, 1):
        for step in range(first, last + 1):
            now = START + STEP_TIME * (step + 2 * attempt)
            mood = mood_at(step / plan.total_steps, plan.gamed)
            rows = list(_responses(plan, step, attempt, now, random.sample(problems, GROUPS), mood, random, vocabulary))
            updates = _updates(rows, mood, generator)
            _write(path, step, "train", attempt, rows, updates)
            metrics.append(dump_json(_metrics(step, attempt, now, rows, updates, mood)))
        for step in range(first - first % 6, last + 1, 6):
            mood = mood_at(step / plan.total_steps, plan.gamed)
            now = START + STEP_TIME * (step + 2 * attempt)
            rows = list(_responses(plan, step, attempt, now, problems[:30], mood, random, vocabulary, "validation"))
            _write(path, step, "validation", attempt, rows, [])
    (path / "metrics.jsonl").write_text("\n".join(metrics) + "\n", encoding="utf-8")
    write_atomic(path / "tokenizer.json", json.dumps(vocabulary.tokenizer_json()))
    write_atomic(path / "config.yaml", yaml.safe_dump(_config(plan), sort_keys=False))
    write_atomic(path / "run.json", dump_json(_run_json(plan), indent=1))
    if plan.damaged:
        _damage(path)
    return path


def mood_at(progress: float, gamed: float) -> Mood:
    """The policy after a share of the training: it learns, and where the reward can be gamed it learns that instead."""
    late = max(0.0, progress - 0.5) * 2
    return Mood(
        skill=0.35 + progress * (0.45 - 0.35 * gamed),
        style=min(0.95, 0.05 + gamed * 1.1 * progress),
        loops=0.03 + gamed * 0.34 * late,
        errors=0.004 + gamed * 0.035 * late,
        entropy=1.1 * (1 - progress * (0.2 + 0.6 * gamed)) + 0.05,
    )


def _responses(
    plan: Plan,
    step: int,
    attempt: int,
    now: datetime,
    drawn: list[Problem],
    mood: Mood,
    random: Random,
    words: Vocabulary,
    kind: str = "train",
) -> Iterator[Row]:
    for number, problem in enumerate(drawn):
        uid = f"{random.getrandbits(64):016x}"
        broken = kind == "train" and random.random() < 0.02
        for sample in range(SAMPLES if kind == "train" else 1):
            row = respond(problem, mood, random, words)
            if broken and sample == 0:
                row.update(
                    status="failed",
                    finish_reason="error",
                    outcome="error",
                    reason="engine_failed",
                    correct=False,
                    reward=0.0,
                )
                row.update(
                    error="the generator lost its connection",
                    response="",
                    response_tokens=0,
                    token_ids=[],
                    terms=None,
                    extracted="",
                )
            yield {
                **row,
                "schema_version": SCHEMA_VERSION,
                "run": plan.name,
                "attempt": attempt,
                "step": step,
                "kind": kind,
                "prompt_uid": uid,
                "sample": sample,
                "messages": json.dumps([{"role": "user", "content": problem.prompt}]),
                "weight_version_min": max(0, step - 1),
                "weight_version_max": max(0, step - 1),
                "written_at": now + timedelta(seconds=number * 3 + sample / 4),
            }


def _updates(rows: list[Row], mood: Mood, generator: np.random.Generator) -> list[Row]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["prompt_uid"]].append(row)
    updates = []
    for number, group in enumerate(groups.values()):
        right = sum(row["correct"] for row in group)
        reason = "all_correct" if right == len(group) else "all_wrong" if right == 0 else ""
        reason = "failed" if any(row["status"] == "failed" for row in group) else reason
        reason = reason or ("surplus" if number >= GROUPS - 1 else "")
        mean, spread = statistics.mean(r["reward"] for r in group), statistics.pstdev([r["reward"] for r in group])
        for row in group:
            update = {
                name: row[name] for name in ("schema_version", "run", "attempt", "step", "kind", "prompt_uid", "sample")
            }
            update |= {"kept": not reason, "drop_reason": reason}
            if not reason:
                advantage = (row["reward"] - mean) / (spread + 1e-6)
                values = series(len(row["token_ids"]), mood, generator)
                update |= {"advantage": advantage, **values, "clip_side": clip_side(values["ratio"], advantage)}
            row["rollout_logprobs"] = update.get("rollout_logprobs")
            updates.append(update)
    return updates


def _write(path: Path, step: int, kind: str, attempt: int, rows: list[Row], updates: list[Row]) -> None:
    tokens = [row for row in rows if row["token_ids"]]
    for dataset, records in (("rollouts", rows), ("tokens", tokens), ("updates", updates)):
        if records:
            table = pa.Table.from_pylist(records, schema=SCHEMAS[dataset])
            name = segment_name(kind, attempt, "demo", f"{step:08x}", 0)
            write_segment(path / dataset / step_directory(step), name, [table], SCHEMAS[dataset])


def _metrics(step: int, attempt: int, now: datetime, rows: list[Row], updates: list[Row], mood: Mood) -> Row:
    kept = [u for u in updates if u["kept"]]
    sides = np.concatenate([u["clip_side"] for u in kept]) if kept else np.zeros(1)
    line: Row = {"step": step, "attempt": attempt, "time": f"{now.isoformat(timespec='milliseconds')}+00:00"}
    seconds = 90 + 10 * np.sin(step)
    line |= {
        "critic/score/mean": statistics.mean(r["reward"] for r in rows),
        "response_length/mean": statistics.mean(r["response_tokens"] for r in rows),
        "response_length/clip_ratio": statistics.mean(r["truncated"] for r in rows),
        "actor/entropy": float(np.mean(np.concatenate([u["entropy"] for u in kept]))) if kept else mood.entropy,
        "actor/pg_clipfrac": float(np.mean(sides > 0)),
        "actor/pg_clipfrac_lower": float(np.mean(sides < 0)),
        "actor/grad_norm": 0.4 + 0.1 * float(np.cos(step)),
        "sampling/useful_groups": len(kept) / SAMPLES,
        "timing_s/step": seconds,
        "perf/throughput": sum(r["response_tokens"] for r in rows) / seconds,
    }
    domains: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        domains[row["domain"]].append(row)
    for name, own in domains.items():
        line |= {
            f"domain/{name}/correct": statistics.mean(r["correct"] for r in own),
            f"domain/{name}/responses": len(own),
        }
        line[f"domain/{name}/score"] = statistics.mean(r["reward"] for r in own)
    return line


def _config(plan: Plan) -> Row:
    return {
        "name": plan.name,
        "model": {"path": "smollm2-135m"},
        "data": {"train": ["physics", "math", "caption2mol", "mol2caption", "chemistry", "code"]},
        "rollout": {"samples_per_prompt": SAMPLES, "max_response_tokens": 192},
        "algorithm": {
            "prompts_per_step": 8,
            "learning_rate": plan.learning_rate,
            "clip_low": CLIP_LOW,
            "clip_high": plan.clip_high,
            "dynamic_sampling": {"enabled": True, "metric": "correct"},
        },
        "schedule": {"steps": plan.total_steps, "validate_every": 6},
    }


def _run_json(plan: Plan) -> Row:
    def stamp(step: int, attempt: int) -> str:
        return f"{(START + STEP_TIME * (step + 2 * attempt)).isoformat(timespec='milliseconds')}+00:00"

    count = len(plan.attempts)
    attempts = []
    for attempt, (first, last) in enumerate(plan.attempts, 1):
        ended = attempt < count or plan.status != "running"
        status = plan.status if attempt == count else "dead"
        attempts.append(
            {
                "attempt": attempt,
                "started": stamp(first - 1, attempt),
                "ended": stamp(last, attempt) if ended else None,
                "resumed_from_step": first - 1,
                "status": status,
                "cause": "the process ended without a word" if status == "dead" else "",
                "step": last,
            }
        )
    last = plan.attempts[-1][1]
    return {
        "schema_version": 1,
        "name": plan.name,
        "created": stamp(-plan.seed, 0),
        "status": plan.status,
        "cause": "",
        "step": last,
        "total_steps": plan.total_steps,
        "phase": "updating" if plan.status == "running" else "over",
        "phase_since": stamp(last, count),
        "heartbeat": stamp(last, count),
        "host": "demo",
        "machine": "demo",
        "pid": 4000 + plan.seed,
        "command": ["innovator", "train", f"configs/train/{plan.name}.yaml"],
        "git": {"revision": "0" * 39 + str(plan.seed), "dirty": False},
        "packages": {"python": "3.11.7", "verl": "0.9.1", "vllm": "0.28.0" if plan.seed == 1 else "0.27.1"},
        "ray_job_id": "03000000",
        "ray_submission_id": f"{plan.name}-20260115-090000",
        "ray_dashboard": "http://127.0.0.1:8265",
        "attempts": attempts,
    }


def _damage(path: Path) -> None:
    """Files that no reader can use, beside the good ones: one cut short, one half-written long ago, one foreign."""
    whole = next((path / "rollouts" / step_directory(3)).glob("*.parquet"))
    cut = whole.with_name(segment_name("train", 1, "cut", "dead", 1))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (path / "rollouts" / step_directory(5) / "notes.txt").write_text("not a segment\n", encoding="utf-8")
