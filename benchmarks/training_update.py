"""Measure a training update alone: layouts and precisions side by side, without rollouts, Ray or other processes.

The engine is the one of a run (FSDP of one rank, verl's PPO loss, gradient clipping, AdamW). Every variant trains on the
same groups, and the best of the rounds counts. Prints processor seconds (all threads; other work on the machine does not
count), wall seconds, and prompt-once tokens per processor second:

    sequence per response   stock verl on a CPU: every sequence padded to the longest
    one long row            a micro-batch's groups in one row under one dense mask
    row per group           what a run does
    row per group, bf16     the same with model.dtype=bfloat16: autocast over float32 parameters; where the processor has
                            no instructions for it, an update takes minutes and only `--only` measures it

    python -m benchmarks.training_update [--model smollm2-135m] [--groups 6] [--samples 8] [--rounds 2]
        [--only 'one long row;row per group']
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

Batch = tuple[list[torch.Tensor], list[int]]


def groups(count: int, samples: int, vocabulary: int = 250) -> Batch:
    """Return prompts of 50 to 75 tokens with responses of 16 to 24, drawn with a fixed seed."""
    generator = torch.Generator().manual_seed(0)

    def tokens(low: int, high: int) -> torch.Tensor:
        size = int(torch.randint(low, high + 1, (1,), generator=generator))
        return torch.randint(3, vocabulary, (size,), generator=generator)

    sequences, lengths = [], []
    for _ in range(count):
        prompt = tokens(50, 75)
        for _ in range(samples):
            sequences.append(torch.cat([prompt, tokens(16, 24)]))
            lengths.append(len(prompt))
    return sequences, lengths


def variants() -> dict[str, tuple[str, type]]:
    """Return name -> (dtype, engine class)."""
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

    from innovator_rl.integrations.verl.fsdp_engine import SharedPrefixEngine

    class LongRowEngine(SharedPrefixEngine):
        """All groups of a micro-batch in one row."""

        def prepare_model_inputs(self, micro_batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            inputs, facts = super().prepare_model_inputs(micro_batch)
            real = facts["rows"].real.flatten()
            place = real.long().cumsum(0) - 1
            assert self.kept is not None
            self.kept.positions = place[facts["rows"].logits_to_keep]
            mask = torch.block_diag(*[row[0].long() for row in inputs["attention_mask"]]).bool()  # type: ignore[no-untyped-call]
            inputs = {
                "input_ids": inputs["input_ids"].flatten()[real][None],
                "position_ids": inputs["position_ids"].flatten()[real][None],
                "attention_mask": mask[real][:, real][None, None],
            }
            return inputs, facts

    return {
        "sequence per response": ("float32", FSDPEngineWithLMHead),
        "one long row": ("float32", LongRowEngine),
        "row per group": ("float32", SharedPrefixEngine),
        "row per group, bf16": ("bfloat16", SharedPrefixEngine),
    }


def updater(name: str, model: str, batch: Batch, samples: int) -> Callable[[], float]:
    """Build a variant's engine and return a function that updates once and returns the gradient's norm."""
    from verl.workers.engine.base import EngineRegistry

    from innovator_rl.integrations.verl import standalone_engine as standalone

    dtype, kind = variants()[name]
    for backend in ("fsdp", "fsdp2"):
        EngineRegistry._engines["language_model"][backend]["cpu"] = kind
    config = standalone.verl_config(model, [f"model.dtype={dtype}"])
    engine = standalone.training_engine(config)
    sequences, lengths = batch
    advantages = [(-1.0) ** i for i in range(len(sequences))]
    old = [torch.full((len(s) - n,), -3.0) for s, n in zip(sequences, lengths, strict=True)]
    # A sequence per response takes the micro-batch of stock verl's defaults here: one group.
    micro = samples if name == "sequence per response" else len(sequences)

    def update() -> float:
        data = standalone.ppo_batch(sequences, lengths, advantages, old, micro)
        with engine.train_mode():
            return float(engine.train_batch(data, standalone.loss_function(config))["metrics"]["grad_norm"])

    return update


def measure(model: str, count: int, samples: int, rounds: int, chosen: Sequence[str]) -> dict[str, dict[str, float]]:
    """Time the chosen variants; one at a time lives in memory."""
    from innovator_rl.integrations.verl.standalone_engine import process_group
    from innovator_rl.models import resolve

    batch = groups(count, samples)
    sequences, lengths = batch
    unique = sum(lengths[::samples]) + sum(len(s) - n for s, n in zip(sequences, lengths, strict=True))
    found: dict[str, dict[str, float]] = {}
    with process_group():
        for name in chosen:
            update = updater(name, str(resolve(model)), batch, samples)
            norm = update()  # the first one warms up
            taken = []
            for _ in range(rounds):
                wall, processor = time.perf_counter(), time.process_time()
                update()
                taken.append((time.process_time() - processor, time.perf_counter() - wall))
            seconds, wall = min(taken)
            found[name] = {"seconds": seconds, "wall": wall, "tokens_per_second": unique / seconds, "grad_norm": norm}
            del update
    return found


def report(found: dict[str, dict[str, float]]) -> list[str]:
    """Format the figures with their ratio to the first variant."""
    base = next(iter(found.values()))["seconds"]
    return [
        f"{name:22} {f['seconds']:7.2f} s ({f['wall']:.1f} s wall)  {f['tokens_per_second']:6.0f} tokens/s  {base / f['seconds']:5.2f}x  "
        f"first gradient norm {f['grad_norm']:.4f}"
        for name, f in found.items()
    ]


def main() -> None:
    """Run all variants and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--groups", type=int, default=6)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", help="variants, separated by semicolons")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    if "GOMP_SPINCOUNT" not in os.environ:  # threads compute as in a run's worker; OpenMP reads this when it loads
        from innovator_rl import platform

        environment = {**os.environ, **platform.environment(len(os.sched_getaffinity(0)), 1)}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.training_update", *sys.argv[1:]], environment)
    import verl  # noqa: F401  (sets up the platform)

    from innovator_rl.preflight.machine import Machine

    native = Machine.here().native_bfloat16
    chosen = options.only.split(";") if options.only else [name for name in variants() if native or "bf16" not in name]
    found = measure(options.model, options.groups, options.samples, options.rounds, chosen)
    print(json.dumps(found) if options.json else "\n".join(report(found)))
    print(f"load average {os.getloadavg()[0]:.1f}") if not options.json else None


if __name__ == "__main__":
    main()
