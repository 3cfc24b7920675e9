"""Export the 53-billion-parameter checkpoint on a small machine.

Its first layers are read with both libraries.

Processes run one after another, each with its own figures:

1. `dry`: all layers of configs/upcycle/innovator-53b.yaml, from a synthetic base model into checksums.
2. `write`: the first `--layers` layers at their full widths as a checkpoint on disk.
3. `training` and `transformers`: the same tokens through the training format and through the checkpoint, in bfloat16.
4. `vllm`: greedy continuations of the checkpoint and their log-probabilities against transformers.

    python benchmarks/upcycle_assembly.py FOLDER [--layers 2] [--only dry,write,...]

FOLDER needs 11 GB for two layers and is removed at the end; steps 3 and 4 take about 10 GiB of memory each.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs/upcycle/innovator-53b.yaml"
# With the default initialization all experts are nearly equal, and rounding would choose among them.
SETTINGS = ["mixture.router_std=0.05"]
PROMPT_TOKENS = 64
STEPS = ("dry", "write", "training", "transformers", "vllm")
SECONDS = 1500


def dry(folder: Path, layers: int) -> dict[str, Any]:
    """Compute every file of the full model without writing any."""
    from upcycle.checkpoint.convert import dry_run, synthetic_export
    from upcycle.config.schema import load

    config = load(CONFIG)
    exported, _ = synthetic_export(config, config.base_config)
    sums = dry_run(exported, config.export.shard_bytes, lambda _line: None)
    return {"files": len(sums), **_rate(sum(entry.bytes for entry in exported.entries.values()))}


def write(folder: Path, layers: int) -> dict[str, Any]:
    """Write the first layers as a checkpoint."""
    from upcycle.checkpoint.convert import synthetic_export, write_synthetic
    from upcycle.config.schema import load

    config = load(CONFIG, SETTINGS)
    exported, identity = synthetic_export(config, config.base_config, layers)
    write_synthetic(exported, identity, folder, config.export.shard_bytes, lambda line: print(line, file=sys.stderr))
    return {"tensors": len(exported.entries), **_rate(sum(entry.bytes for entry in exported.entries.values()))}


def training(folder: Path, layers: int) -> dict[str, Any]:
    """Compute logits from the training format."""
    import torch

    from upcycle.checkpoint.convert import synthetic_export
    from upcycle.checkpoint.torch_io import load_weights
    from upcycle.config.schema import load
    from upcycle.model.modeling import InnovatorForCausalLM

    config = load(CONFIG, SETTINGS)
    exported, _ = synthetic_export(config, config.base_config, layers)
    with torch.device("meta"):
        model = InnovatorForCausalLM(exported.spec).bfloat16()
    model.to_empty(device="cpu")
    load_weights(model, exported.training)
    with torch.no_grad():
        torch.save(model(_tokens()).logits.float(), folder / "training.pt")
    return {}


def transformers(folder: Path, layers: int) -> dict[str, Any]:
    """Compare logits of transformers with those of the training format."""
    import torch
    from transformers import AutoModelForCausalLM

    started = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    seconds = time.perf_counter() - started
    with torch.no_grad():
        theirs = model(_tokens()).logits.float()
    ours = torch.load(folder / "training.pt", weights_only=True)
    difference = (ours.log_softmax(-1) - theirs.log_softmax(-1)).abs()
    return {
        "load_seconds": seconds,
        "same_first_choice": float((ours.argmax(-1) == theirs.argmax(-1)).float().mean()),
        "logprob_difference_mean": float(difference.mean()),
        "logprob_difference_max": float(difference.max()),
    }


def vllm(folder: Path, layers: int) -> dict[str, Any]:
    """Compare vLLM with transformers."""
    from innovator_rl import platform
    from upcycle.checkpoint.verify_vllm import compare

    environment = {**platform.environment(2, kv_cache_gb=1), "VLLM_PLUGINS": "none"}
    check = compare(folder, "bfloat16", SECONDS, environment)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"ok": check.ok, "figure": check.figure, "engine_peak_mib": children}


def _tokens() -> Any:
    import torch

    return torch.randint(0, 150_000, (1, PROMPT_TOKENS), generator=torch.Generator().manual_seed(0))


def _rate(size: int) -> dict[str, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    processor = usage.ru_utime + usage.ru_stime
    return {"gb": size / 1e9, "processor_seconds": processor, "gb_per_processor_second": size / 1e9 / processor}


def one(step: str, folder: Path, layers: int) -> None:
    """Run one step in this process and print its figures as JSON."""
    started = time.perf_counter()
    figures = globals()[step](folder, layers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"step": step, **figures, "seconds": time.perf_counter() - started, "peak_mib": peak}), flush=True)


def main() -> None:
    """Run the chosen steps, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--only", default=",".join(STEPS))
    parser.add_argument("--one", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.folder, options.layers)
        return
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        for step in options.only.split(","):
            command = [sys.executable, __file__, str(options.folder), "--layers", str(options.layers), "--one", step]
            subprocess.run(command, env=environment, timeout=SECONDS, check=True)
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
