"""Write the synthetic runs, with the files and the schema of real ones.

`demo-science` has something for every view: two attempts, dropped and failed groups, reward hacking, damaged files.
`demo-baseline` is the same task with other settings, for comparisons. `demo-crashed` stops in the middle of a step.
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

from innovator_rl.dashboard.demo.prompts import SyntheticPrompt, pool
from innovator_rl.dashboard.demo.responses import (
    CLIP_HIGH,
    CLIP_LOW,
    PolicyState,
    Vocabulary,
    clip_side,
    respond,
    series,
)
from innovator_rl.rollouts.schema import SCHEMA_VERSION, SCHEMAS, segment_name, step_directory
from innovator_rl.rollouts.segments import write_segment
from innovator_rl.runs.files import dump_json, write_atomic

SAMPLES = 8
GROUPS = 14
START = datetime.fromisoformat("2026-01-15T09:00:00")  # UTC, as the record keeps times
STEP_TIME = timedelta(seconds=95)

Row = dict[str, Any]
FAILED_GENERATION: Row = {
    **{"status": "failed", "finish_reason": "error", "outcome": "error", "reason": "generation_failed"},
    **{"error": "the generator lost its connection", "response": "", "response_tokens": 0, "token_ids": []},
    **{"correct": False, "truncated": False, "extracted": "", "terms": None, "prompt_tokens": 0},
    **dict.fromkeys(("reward", "score_value", "overlong_penalty", "reward_seconds"), 0.0),
}
"""What the trainer records of a response that was not generated."""


@dataclass(frozen=True)
class DemoRun:
    """One synthetic run."""

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


DEMO_RUNS = (
    DemoRun("demo-science", 24, 1, 1.0, "finished", 24, ((1, 15), (13, 24)), damaged=True),
    DemoRun("demo-baseline", 18, 2, 0.0, "stopped", 24, ((1, 18),), learning_rate=5e-7, clip_high=0.2),
    DemoRun("demo-crashed", 6, 3, 0.2, "running", 24, ((1, 6),)),
)


def write_demo(root: Path) -> list[Path]:
    """Write the synthetic runs below `root` and return their directories.

    Takes about two seconds.
    """
    prompts = pool(Random(0), each=9)
    return [write_run(root / demo_run.name, demo_run, prompts) for demo_run in DEMO_RUNS]


def write_run(path: Path, demo_run: DemoRun, prompts: list[SyntheticPrompt]) -> Path:
    """Write one run."""
    path.mkdir(parents=True, exist_ok=True)
    vocabulary, random, generator = Vocabulary(), Random(demo_run.seed), np.random.default_rng(demo_run.seed)
    metrics: list[str] = []
    for attempt, (first, last) in enumerate(demo_run.attempts, 1):
        for step in range(first, last + 1):
            now = START + STEP_TIME * (step + 2 * attempt)
            policy = policy_at(step / demo_run.total_steps, demo_run.gamed)
            rows = list(
                _responses(demo_run, step, attempt, now, random.sample(prompts, GROUPS), policy, random, vocabulary)
            )
            updates = _updates(rows, policy, generator)
            _write(path, step, "train", attempt, rows, updates)
            metrics.append(dump_json(_metrics(step, attempt, now, rows, updates, policy)))
        for step in range(first - first % 6, last + 1, 6):
            policy = policy_at(step / demo_run.total_steps, demo_run.gamed)
            now = START + STEP_TIME * (step + 2 * attempt)
            rows = list(
                _responses(demo_run, step, attempt, now, prompts[:30], policy, random, vocabulary, "validation")
            )
            _write(path, step, "validation", attempt, rows, [])
    (path / "metrics.jsonl").write_text("\n".join(metrics) + "\n", encoding="utf-8")
    write_atomic(path / "tokenizer.json", json.dumps(vocabulary.tokenizer_json()))
    write_atomic(path / "config.yaml", yaml.safe_dump(_config(demo_run), sort_keys=False))
    write_atomic(path / "run.json", dump_json(_run_json(demo_run), indent=1))
    if demo_run.damaged:
        _damage(path)
    return path


def policy_at(progress: float, gamed: float) -> PolicyState:
    """Return the policy after a share of the training.

    The more it games the reward, the less it learns.
    """
    late = max(0.0, progress - 0.5) * 2
    return PolicyState(
        skill=0.35 + progress * (0.45 - 0.35 * gamed),
        style=min(0.95, 0.05 + gamed * 1.1 * progress),
        loops=0.03 + gamed * 0.34 * late,
        errors=0.004 + gamed * 0.035 * late,
        entropy=1.1 * (1 - progress * (0.2 + 0.6 * gamed)) + 0.05,
    )


def _responses(
    demo_run: DemoRun,
    step: int,
    attempt: int,
    now: datetime,
    drawn: list[SyntheticPrompt],
    policy: PolicyState,
    random: Random,
    vocabulary: Vocabulary,
    kind: str = "train",
) -> Iterator[Row]:
    for number, prompt in enumerate(drawn):
        uid = f"{random.getrandbits(64):016x}"
        broken = kind == "train" and random.random() < 0.02
        for sample in range(SAMPLES if kind == "train" else 1):
            row = respond(prompt, policy, random, vocabulary)
            if broken and sample == 0:
                row.update(FAILED_GENERATION)
            yield {
                **row,
                "schema_version": SCHEMA_VERSION,
                "run": demo_run.name,
                "attempt": attempt,
                "step": step,
                "kind": kind,
                "prompt_uid": uid,
                "sample": sample,
                "messages": json.dumps([{"role": "user", "content": prompt.prompt}]),
                "weight_version_min": max(0, step - 1),
                "weight_version_max": max(0, step - 1),
                "written_at": now + timedelta(seconds=number * 3 + sample / 4),
            }


def _updates(rows: list[Row], policy: PolicyState, generator: np.random.Generator) -> list[Row]:
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
                values = series(len(row["token_ids"]), policy, generator)
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


def _metrics(step: int, attempt: int, now: datetime, rows: list[Row], updates: list[Row], policy: PolicyState) -> Row:
    kept = [u for u in updates if u["kept"]]
    sides = np.concatenate([u["clip_side"] for u in kept]) if kept else np.zeros(1)
    line: Row = {"step": step, "attempt": attempt, "time": f"{now.isoformat(timespec='milliseconds')}+00:00"}
    seconds = 90 + 10 * np.sin(step)
    line |= {
        "critic/score/mean": statistics.mean(r["reward"] for r in _trained(rows, kept) or rows),
        "response_length/mean": statistics.mean(r["response_tokens"] for r in rows),
        "response_length/clip_ratio": statistics.mean(r["truncated"] for r in rows),
        "actor/entropy": float(np.mean(np.concatenate([u["entropy"] for u in kept]))) if kept else policy.entropy,
        "actor/pg_clipfrac": float(np.mean(sides > 0)),
        "actor/pg_clipfrac_lower": float(np.mean(sides < 0)),
        "actor/grad_norm": 0.4 + 0.1 * float(np.cos(step)),
        "sampling/kept_groups": len(kept) / SAMPLES,
        "timing_s/step": seconds,
        "perf/throughput": sum(r["response_tokens"] for r in rows) / seconds,
    }
    domains: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        domains[row["domain"]].append(row)
    for name, own in domains.items():
        scored = [r for r in own if (r.get("outcome") or "scored") == "scored"]
        line |= {
            f"domain/{name}/correct": statistics.mean([bool(r["correct"]) for r in scored] or [0.0]),
            f"domain/{name}/score": statistics.mean([r["reward"] for r in scored] or [0.0]),
            f"domain/{name}/responses": len(own),
            f"domain/{name}/unscored": 1 - len(scored) / len(own),
        }
    return line


def _trained(rows: list[Row], kept: list[Row]) -> list[Row]:
    """Return the scored responses that the update was computed from."""
    keys = {(u["prompt_uid"], u["sample"]) for u in kept}
    return [r for r in rows if (r["prompt_uid"], r["sample"]) in keys and (r.get("outcome") or "scored") == "scored"]


def _config(demo_run: DemoRun) -> Row:
    return {
        "name": demo_run.name,
        "model": {"path": "smollm2-135m"},
        "data": {"train": ["physics", "math", "caption2mol", "mol2caption", "chemistry", "code"]},
        "rollout": {"samples_per_prompt": SAMPLES, "max_response_tokens": 192},
        "algorithm": {
            "prompts_per_step": 8,
            "learning_rate": demo_run.learning_rate,
            "clip_low": CLIP_LOW,
            "clip_high": demo_run.clip_high,
            "dynamic_sampling": {"enabled": True, "metric": "correct"},
        },
        "schedule": {"steps": demo_run.total_steps, "validate_every": 6},
    }


def _run_json(demo_run: DemoRun) -> Row:
    def stamp(step: int, attempt: int) -> str:
        return f"{(START + STEP_TIME * (step + 2 * attempt)).isoformat(timespec='milliseconds')}+00:00"

    count = len(demo_run.attempts)
    attempts = []
    for attempt, (first, last) in enumerate(demo_run.attempts, 1):
        ended = attempt < count or demo_run.status != "running"
        status = demo_run.status if attempt == count else "dead"
        attempts.append(
            {
                "attempt": attempt,
                "started": stamp(first - 1, attempt),
                "ended": stamp(last, attempt) if ended else None,
                "resumed_from_step": first - 1,
                "status": status,
                "cause": "the process ended without a final status" if status == "dead" else "",
                "step": last,
            }
        )
    last = demo_run.attempts[-1][1]
    return {
        "schema_version": 1,
        "name": demo_run.name,
        "created": stamp(-demo_run.seed, 0),
        "status": demo_run.status,
        "cause": "",
        "step": last,
        "total_steps": demo_run.total_steps,
        "phase": "updating",
        "phase_since": stamp(last, count),
        "heartbeat": stamp(last, count),
        "host": "demo",
        "machine": "demo",
        "pid": 4000 + demo_run.seed,
        "command": ["innovator", "train", f"configs/train/{demo_run.name}.yaml"],
        "git": {"revision": "0" * 39 + str(demo_run.seed), "dirty": False},
        "packages": {"python": "3.11.7", "verl": "0.9.1", "vllm": "0.28.0" if demo_run.seed == 1 else "0.27.1"},
        "ray_job_id": "03000000",
        "ray_submission_id": f"{demo_run.name}-20260115-090000",
        "ray_dashboard": "http://127.0.0.1:8265",
        "attempts": attempts,
    }


def _damage(path: Path) -> None:
    """Add files that no reader can use: a truncated segment and a foreign file."""
    whole = next((path / "rollouts" / step_directory(3)).glob("*.parquet"))
    cut = whole.with_name(segment_name("train", 1, "cut", "dead", 1))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (path / "rollouts" / step_directory(5) / "notes.txt").write_text("not a segment\n", encoding="utf-8")
