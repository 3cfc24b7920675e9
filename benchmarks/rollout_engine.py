"""Measure how fast vLLM generates on this machine's CPU, in tokens per second.

One run compares the choices of dtype, packing and sampling.

Each configuration is an engine in a process of its own, one after another: the same model, 32 prompts of about 40
tokens, 48 tokens each, no compilation, as in a training run. `float32` uses the project's plugin, which keeps packed
weights loadable; "stock" is vLLM without it (the weights of its packed layers can be loaded once only). Every figure is
the best of `--repeats` passes after a warm-up pass. "cores" is the processor time the engine got per second: below
`--threads`, something else was running on the machine and the figure is too low.

    python benchmarks/rollout_engine.py [--model smollm2-135m] [--threads 2] [--repeats 2] [--only
    float32,bfloat16-stock] [--json FILE]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from innovator_rl import platform

PROMPTS, TOKENS = 32, 48

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32-stock": {"stock": True},
    "bfloat16": {"dtype": "bfloat16"},
    "bfloat16-stock": {"stock": True, "dtype": "bfloat16"},
    "float32+seeds": {"seeds": True},
    "float32-stock+seeds": {"stock": True, "seeds": True},
    "bfloat16+seeds": {"dtype": "bfloat16", "seeds": True},
    "bfloat16-stock+seeds": {"stock": True, "dtype": "bfloat16", "seeds": True},
    "float32+logprobs": {"logprobs": 0},
    "float32+top_p": {"top_p": 0.95},
    "float32+bound-threads": {"bind": "auto"},
    "float32+max_num_seqs=16": {"engine": {"max_num_seqs": 16}},
    "float32+block_size=32": {"engine": {"block_size": 32}},
    "float32+compiled": {"engine": {"enforce_eager": False}},
    "float32+8-per-prompt": {"group": 8},
    "float32+8-per-prompt-no-prefix-cache": {"group": 8, "engine": {"enable_prefix_caching": False}},
}


def prompts(group: int) -> list[list[int]]:
    """Token ids, `group` equal prompts in a row, as GRPO asks for them.

    The same for every configuration.
    """
    return [[(7 * place + 131 * (number // group)) % 20000 + 100 for place in range(40)] for number in range(PROMPTS)]


def measure(model: str, name: str, repeats: int) -> dict[str, Any]:
    """Run one configuration in this process and return its figures."""
    from vllm import LLM, SamplingParams

    from innovator_rl.models import resolve

    settings = CONFIGURATIONS[name]
    engine_settings = {"enforce_eager": True, "max_model_len": 512, **settings.get("engine", {})}
    engine = LLM(str(resolve(model)), dtype=settings.get("dtype", "float32"), **engine_settings)
    asked = [
        SamplingParams(
            max_tokens=TOKENS,
            ignore_eos=True,
            temperature=1.0,
            top_p=settings.get("top_p", 1.0),
            seed=number if settings.get("seeds") else None,
            logprobs=settings.get("logprobs"),
        )
        for number in range(PROMPTS)
    ]
    batch: Any = [{"prompt_token_ids": prompt} for prompt in prompts(settings.get("group", 1))]
    engine.generate(batch, asked, use_tqdm=False)
    passes = []
    for _ in range(repeats):
        engine.llm_engine.reset_prefix_cache()
        started, processor_started = time.perf_counter(), time.process_time()
        answers = engine.generate(batch, asked, use_tqdm=False)
        seconds = time.perf_counter() - started
        passes.append((seconds, (time.process_time() - processor_started) / seconds))
        assert sum(len(answer.outputs[0].token_ids) for answer in answers) == PROMPTS * TOKENS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds, cores = min(passes)
    return {"name": name, "tokens_per_second": PROMPTS * TOKENS / seconds, "cores": cores, "peak_mib": peak}


def in_a_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one configuration in a fresh process.

    An engine's plugins and threads are settled once per process.
    """
    settings = CONFIGURATIONS[name]
    environment = {
        **os.environ,
        **platform.environment(options.threads, kv_cache_gb=1),
        "VLLM_CPU_OMP_THREADS_BIND": settings.get("bind", "nobind"),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "HF_HUB_OFFLINE": "1",
    }
    if settings.get("stock"):
        environment["VLLM_PLUGINS"] = "none"
    command = [sys.executable, __file__, "--model", options.model, "--repeats", str(options.repeats), "--one", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        return {"name": name, "error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no output"}
    return json.loads(lines[-1].removeprefix("RESULT "))


def main() -> None:
    """Measure each configuration in a process of its own and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", default=",".join(CONFIGURATIONS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print("RESULT " + json.dumps(measure(options.model, options.one, options.repeats)), flush=True)
        return
    results: list[dict[str, Any]] = []
    for name in options.only.split(","):
        results.append(in_a_process(name, options))
        first = results[0].get("tokens_per_second")
        found = results[-1]
        if "error" in found:
            print(f"{name:40} failed: {found['error']}", flush=True)
            continue
        ratio = found["tokens_per_second"] / first if first else float("nan")
        speed = f"{found['tokens_per_second']:8.1f} tokens/s {ratio:6.2f}x"
        print(f"{name:40} {speed} {found['cores']:6.2f} cores {found['peak_mib']:8.0f} MiB", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
