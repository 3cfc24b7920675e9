"""The 53-billion-parameter checkpoint on a small machine: a full-size dry assembly, and real layers through both readers.

Four processes, one after another, each with its own figures:

1. `dry`: all layers of configs/upcycle/innovator-53b.yaml from a generated donor into a checksum.
2. `write`: the first `--layers` layers at their true widths as a checkpoint on disk.
3. `native` and `transformers`: the same tokens through the native model and through the checkpoint, in bfloat16.
4. `vllm`: greedy continuations of the checkpoint and their log-probabilities against transformers.

    python benchmarks/upcycle_assembly.py FOLDER [--layers 2] [--only dry,write,...]

FOLDER must have 11 GB free for two layers and is emptied at the end; the readers take about 10 GiB of memory each.
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
# A router that decides: with the default start all experts are nearly equal and rounding chooses among them.
SETTINGS = ["mixture.router_std=0.05"]
PROMPT_TOKENS = 64
STEPS = ("dry", "write", "native", "transformers", "vllm")
SECONDS = 1500


def dry(folder: Path, layers: int) -> dict[str, Any]:
    from upcycle.checkpoint.convert import rehearsal, rehearse_dry
    from upcycle.config.schema import load

    config = load(CONFIG)
    exported, _ = rehearsal(config, config.donor_config)
    sums = rehearse_dry(exported, config.export.shard_bytes, lambda _line: None)
    return {"files": len(sums), **_rate(sum(entry.bytes for entry in exported.entries.values()))}


def write(folder: Path, layers: int) -> dict[str, Any]:
    from upcycle.checkpoint.convert import rehearsal, rehearse_kept
    from upcycle.config.schema import load

    config = load(CONFIG, SETTINGS)
    exported, identity = rehearsal(config, config.donor_config, layers)
    rehearse_kept(exported, identity, folder, config.export.shard_bytes, lambda line: print(line, file=sys.stderr))
    return {"tensors": len(exported.entries), **_rate(sum(entry.bytes for entry in exported.entries.values()))}


def native(folder: Path, layers: int) -> dict[str, Any]:
    import torch

    from upcycle.checkpoint.convert import rehearsal
    from upcycle.checkpoint.torch_io import load_weights
    from upcycle.config.schema import load
    from upcycle.model.modeling import InnovatorForCausalLM

    config = load(CONFIG, SETTINGS)
    exported, _ = rehearsal(config, config.donor_config, layers)
    with torch.device("meta"):
        model = InnovatorForCausalLM(exported.spec).bfloat16()
    model.to_empty(device="cpu")
    load_weights(model, exported.native)
    with torch.no_grad():
        torch.save(model(_tokens()).logits.float(), folder / "native.pt")
    return {}


def transformers(folder: Path, layers: int) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM

    started = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    seconds = time.perf_counter() - started
    with torch.no_grad():
        theirs = model(_tokens()).logits.float()
    ours = torch.load(folder / "native.pt", weights_only=True)
    difference = (ours.log_softmax(-1) - theirs.log_softmax(-1)).abs()
    return {
        "load_seconds": seconds,
        "same_first_choice": float((ours.argmax(-1) == theirs.argmax(-1)).float().mean()),
        "logprob_difference_mean": float(difference.mean()),
        "logprob_difference_max": float(difference.max()),
    }


def vllm(folder: Path, layers: int) -> dict[str, Any]:
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
    started = time.perf_counter()
    figures = globals()[step](folder, layers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"step": step, **figures, "seconds": time.perf_counter() - started, "peak_mib": peak}), flush=True)


def main() -> None:
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
