"""Measure a training run next to stock verl and a bare engine, in one run.

Trains the same model on the same data twice, one after the other: through `innovator train`, and through verl's own
`main_ppo` (its sync trainer, replay buffer, agent loop and reward manager; only the CPU platform of this project,
without which it does not start). Then a bare `vllm.LLM` answers the prompts of one recorded step. Prints:

    start          command to the end of step 1, ours / stock
    step           a warm step, ours / stock
    unnamed share  of a warm step that is in none of generate, log-probabilities, advantage, update, sync
    rollout        tokens/s inside the run / tokens/s of the bare engine, same prompts, sampling and machine
    update         seconds of an isolated update by layout and precision (benchmarks/training_update.py)
    peak memory    of all processes of a run together, ours and stock (proportional set size: shared pages count once)

    python -m benchmarks.training [--config configs/train/demo.yaml] [--steps 5] [--only ours,stock,bare,update] [--json FILE]
    [key=value ...]

Figures of a busy machine are wrong: the load average is printed with them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from omegaconf import OmegaConf

from benchmarks import training_update

PARTS = ("gen", "old_log_prob", "ref", "values", "adv", "update_actor", "update_weights", "save_checkpoint", "testing")
WAIT_SECONDS = 1800

STOCK_REWARD = '''"""Score the stock run: 1 if the response contains the reference."""


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return float(str(ground_truth).lower() in solution_str.lower())
'''


class PeakMemory(threading.Thread):
    """A thread that samples the memory of a process and its descendants every 2 s."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.bytes, self._over = psutil.Process(root), 0, threading.Event()

    def run(self) -> None:
        """Sample until the thread is asked to end."""
        while not self._over.wait(2.0):
            total = 0
            try:
                family = [self.root, *self.root.children(recursive=True)]
            except psutil.Error:
                return
            for process in family:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.bytes = max(self.bytes, total)

    def stop(self) -> None:
        """No more samples."""
        self._over.set()


def run(command: list[str], log: Path, environment: dict[str, str], rows: Callable[[], list[dict[str, Any]]]) -> dict:
    """Run a training command to its end.

    Seconds to the end of step 1, its metrics by step, its peak memory.
    """
    started, first = time.monotonic(), None
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        memory = PeakMemory(process.pid)
        memory.start()
        while process.poll() is None and time.monotonic() - started < WAIT_SECONDS:
            if first is None and any(int(row["step"]) >= 1 for row in rows()):
                first = time.monotonic() - started
            time.sleep(0.5)
        memory.stop()
        if process.poll() is None:
            process.kill()
    if process.returncode:
        raise SystemExit(
            f"{' '.join(command[:4])} ended with {process.returncode}; see {log}\n{log.read_text()[-2000:]}"
        )
    return {"start_seconds": first, "rows": rows(), "peak_gib": memory.bytes / 2**30}


def jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows {step, metric: number} of a metrics file, ours or verl's."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # being written
        rows.append({"step": row["step"], **row.get("data", row)})
    return rows


def warm(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps after the first that neither validate nor save."""
    rows = [row for row in rows if int(row["step"]) >= 2 and "timing_s/step" in row]
    quiet = [row for row in rows if "timing_s/testing" not in row and "timing_s/save_checkpoint" not in row]
    return quiet or rows


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """Medians over warm steps."""
    rows = warm(result["rows"])

    def median(value: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(value(row) for row in rows)

    def named(row: dict[str, Any]) -> float:
        return sum(row.get(f"timing_s/{part}") or 0.0 for part in PARTS)

    return {
        "start_seconds": result["start_seconds"],
        "step_seconds": median(lambda row: row["timing_s/step"]),
        "unnamed_share": median(lambda row: max(0.0, 1 - named(row) / row["timing_s/step"])),
        "peak_gib": result["peak_gib"],
        "parts": {
            part: statistics.median(row.get(f"timing_s/{part}") or 0.0 for row in rows)
            for part in PARTS
            if any(f"timing_s/{part}" in row for row in rows)
        },
    }


def ours(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """`innovator train`."""
    command = [sys.executable, "-m", "innovator_rl.cli.main", "train", options.config, *settings(options, folder)]
    metrics = folder / "runs/ours/metrics.jsonl"
    return run(command, folder / "ours.log", {}, lambda: jsonl(metrics))


def settings(options: argparse.Namespace, folder: Path) -> list[str]:
    """Return what both runs change in the configuration."""
    ours = [
        "name=ours",
        f"logging.runs_dir={folder / 'runs'}",
        f"schedule.steps={options.steps}",
        "schedule.validate_every=0",
        "schedule.validate_before=false",
        "schedule.save_every=0",
        "algorithm.dynamic_sampling.enabled=false",
    ]
    return list({word.partition("=")[0]: word for word in (*ours, *options.overrides)}.values())


def stock(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """`verl.trainer.main_ppo` with the same sizes: our verl.yaml without our hooks."""
    command = [sys.executable, "-m", "innovator_rl.cli.main", "train", options.config, "--dry-run"]
    subprocess.run([*command, *settings(options, folder)], check=True, stdout=subprocess.DEVNULL)
    config = OmegaConf.load(folder / "runs/ours/verl.yaml")
    samples = int(config.actor_rollout_ref.rollout.n)
    reward = folder / "stock_reward.py"
    reward.write_text(STOCK_REWARD)
    changes: dict[str, Any] = {
        "trainer.v1.trainer_mode": "sync",
        "trainer.v1.sampler.custom_sampler.path": None,
        "trainer.v1.sampler.custom_sampler.name": None,
        "trainer.v1.sampler.sampler_kwargs": {},
        "trainer.logger": ["file"],
        "trainer.default_local_dir": str(folder / "stock"),
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class": None,
        "actor_rollout_ref.rollout.engine_kwargs.vllm": {},
        "actor_rollout_ref.model.external_lib": None,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": samples,
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": samples,
        "reward.reward_manager.source": "register",
        "reward.reward_manager.name": "naive",
        "reward.reward_kwargs": {},
        "reward.custom_reward_function.path": str(reward),
        "reward.custom_reward_function.name": "compute_score",
        "algorithm.rollout_correction.bypass_mode": False,
    }
    for key, value in changes.items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    OmegaConf.save(config, folder / "stock.yaml")
    metrics = folder / "stock.jsonl"
    environment = {
        "VERL_FILE_LOGGER_PATH": str(metrics),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TRANSFER_QUEUE_ENABLE": "1",
    }
    command = [sys.executable, "-m", "verl.trainer.main_ppo", "--config-path", str(folder), "--config-name", "stock"]
    command.append(f"hydra.run.dir={folder / 'hydra'}")
    return run(command, folder / "stock.log", environment, lambda: jsonl(metrics))


def rollout_ratio(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Measure generation in tokens per second, in the run and in a bare engine.

    Both generate for the prompts of the run's last step.
    """
    from innovator_rl.rollouts.store import Store

    step = int(jsonl(folder / "runs/ours/metrics.jsonl")[-1]["step"])
    rows = Store(str(folder / "runs/ours")).rollouts(step, with_text=True, limit=100_000)
    seconds = next(r["timing_s/gen"] for r in jsonl(folder / "runs/ours/metrics.jsonl") if int(r["step"]) == step)
    inside = sum(int(row["response_tokens"]) for row in rows) / seconds
    job = folder / "bare.json"
    job.write_text(
        json.dumps({"messages": [json.loads(row["messages"]) for row in rows], "run": str(folder / "runs/ours")})
    )
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", "--bare", str(job)], check=True, stdout=subprocess.PIPE, text=True
    )
    bare = json.loads(answer.stdout.splitlines()[-1])
    return {"inside": inside, "bare": bare["tokens_per_second"], "step": step}


def bare(job: Path) -> None:
    """Run the prompts of `job` through `vllm.LLM` in a process of its own.

    The first pass warms up, the second is timed.
    """
    asked = json.loads(job.read_text())
    config = OmegaConf.load(Path(asked["run"]) / "verl.yaml").actor_rollout_ref
    from innovator_rl import platform

    os.environ.update(platform.environment(len(os.sched_getaffinity(0)), 1))
    from vllm import LLM, SamplingParams

    rollout = config.rollout
    engine = LLM(
        config.model.path,
        dtype=rollout.dtype,
        enforce_eager=rollout.enforce_eager,
        max_model_len=rollout.max_model_len,
        max_num_seqs=rollout.max_num_seqs,
        **{key: value for key, value in rollout.engine_kwargs.vllm.items() if key != "distributed_executor_backend"},
    )
    sampling = SamplingParams(
        temperature=rollout.temperature, top_p=rollout.top_p, max_tokens=rollout.response_length, logprobs=0
    )
    for _ in range(2):
        engine.llm_engine.reset_prefix_cache()
        started = time.perf_counter()
        answers = engine.chat(asked["messages"], sampling, use_tqdm=False)
        seconds = time.perf_counter() - started
    tokens = sum(len(answer.outputs[0].token_ids) for answer in answers)
    print(json.dumps({"tokens_per_second": tokens / seconds}))


def report(found: dict[str, Any]) -> list[str]:
    """Format the figures as lines."""
    lines = [f"load average {os.getloadavg()[0]:.1f} at the end"]
    for who in ("ours", "stock"):
        if who in found:
            f = found[who]
            parts = "  ".join(f"{name} {seconds:.1f}" for name, seconds in f["parts"].items())
            lines.append(
                f"{who:5}  start {f['start_seconds']:.0f} s  warm step {f['step_seconds']:.1f} s ({parts})  "
                f"unnamed {f['unnamed_share']:.1%}  peak {f['peak_gib']:.1f} GiB"
            )
    if {"ours", "stock"} <= found.keys():
        a, b = found["ours"], found["stock"]
        lines.append(
            f"ours / stock: start {a['start_seconds'] / b['start_seconds']:.2f}, step {a['step_seconds'] / b['step_seconds']:.2f}, "
            f"peak memory {a['peak_gib'] / b['peak_gib']:.2f}"
        )
    if "rollout" in found:
        r = found["rollout"]
        lines.append(
            f"rollout: {r['inside']:.0f} tokens/s in the run, {r['bare']:.0f} bare, ratio {r['inside'] / r['bare']:.2f}"
        )
    if "update" in found:
        lines += training_update.report(found["update"])
    return lines


def main() -> None:
    """Run the chosen parts and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="configs/train/demo.yaml")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--only", default="ours,stock,bare,update")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    if options.bare:
        bare(options.bare)
        return
    wanted = set(options.only.split(","))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="training-benchmark-") as name:
        folder = Path(name)
        if "ours" in wanted:
            found["ours"] = figures(ours(options, folder))
        if "bare" in wanted:
            found["rollout"] = rollout_ratio(options, folder)
        if "stock" in wanted:
            found["stock"] = figures(stock(options, folder))
        if "update" in wanted:
            command = [sys.executable, "-m", "benchmarks.training_update", "--json"]
            found["update"] = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    print("\n".join(report(found)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
