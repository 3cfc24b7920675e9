"""Load a small model in vLLM, change every weight, sync by verl's own path, and print how far vLLM is from transformers.

A program and not a test, because each engine needs a process of its own. The receiving end is verl's worker extension inside vLLM, the
sending end verl's `BucketedWeightSender` over shared memory, as in a run; transformers in float32 is the reference. Prints one
line of JSON: the largest absolute difference of the log-probabilities before and after each sync, and the exception if there was one.

    python tests/platform/sync_probe.py tiny-qwen2-moe float32 [--tied] [--compile] [--stock]
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("dtype")
    for flag in ("--tied", "--compile", "--stock"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    os.environ.update(
        VLLM_CPU_KVCACHE_SPACE="1",
        VLLM_CPU_OMP_THREADS_BIND="nobind",
        OMP_NUM_THREADS="2",
        VLLM_ENABLE_V1_MULTIPROCESSING="0",  # the engine runs in this process, which starts it three times faster
        VERL_RAY_JOB_ID=f"probe{os.getpid()}",
        HF_HUB_OFFLINE="1",
    )
    if options.stock:
        os.environ["VLLM_PLUGINS"] = "none"
    with tempfile.TemporaryDirectory() as folder:
        print("PROBE " + json.dumps(probe(options, Path(folder))), flush=True)
    os._exit(0)  # a sender whose receiver failed may still be waiting in a thread


def probe(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM
    from vllm import LLM

    path = checkpoint(options.model, options.tied, folder)
    engine = LLM(
        path,
        dtype=options.dtype,
        enforce_eager=not options.compile,
        max_model_len=256,
        enable_prefix_caching=False,
        worker_extension_cls="verl.workers.rollout.vllm_rollout.utils.vLLMColocateWorkerExtension",
    )
    reference = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    noise = torch.Generator().manual_seed(0)
    prompts = [torch.randint(3, 250, (length,), generator=noise).tolist() for length in (5, 17, 40, 64)]
    found: dict[str, Any] = {"loaded": distance(engine, reference, prompts), "stale": [], "synced": [], "errors": []}
    for _ in range(ROUNDS):
        disturb(reference, noise)
        found["stale"].append(distance(engine, reference, prompts))
        error = sync(engine, reference)
        found["errors"] += [error] if error else []
        found["synced"].append(distance(engine, reference, prompts))
        if error:
            break
    return found


def checkpoint(model: str, tied: bool, folder: Path) -> str:
    """The project's tiny model, or the same one with the output layer tied to the embedding."""
    from innovator_rl.models import make

    made = Path(make(model))
    if not tied:
        return str(made)
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(made, folder / "tied", ignore=shutil.ignore_patterns("*.safetensors"))
    config = AutoConfig.from_pretrained(made)
    config.tie_word_embeddings = True
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "tied")
    return str(folder / "tied")


def disturb(model: Any, noise: Any) -> None:
    """Add noise as large as the weights themselves to every parameter: biases and norms too."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter.std() if parameter.ndim > 1 else 0.3
            parameter.add_(torch.randn(parameter.shape, generator=noise) * scale)


def distance(engine: Any, reference: Any, prompts: list[list[int]]) -> float:
    """The largest absolute difference between vLLM's and transformers' log-probabilities of the prompts' tokens."""
    import torch
    from vllm import SamplingParams

    asked = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    answers = engine.generate([{"prompt_token_ids": prompt} for prompt in prompts], asked, use_tqdm=False)
    worst = 0.0
    for prompt, answer in zip(prompts, answers, strict=True):
        with torch.no_grad():
            expected = reference(torch.tensor([prompt])).logits[0].log_softmax(-1)
        for place, token in enumerate(prompt[1:]):
            worst = max(worst, abs(answer.prompt_logprobs[place + 1][token].logprob - expected[place, token].item()))
    return worst


def sync(engine: Any, model: Any) -> str:
    """Send every weight by verl's path; the receiver's exception with its causes, or nothing."""
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

    weights = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    handle = f"ipc:///tmp/rl-colocate-zmq-{os.environ['VERL_RAY_JOB_ID']}-replica-0-rank-0.sock"
    sender = BucketedWeightSender(handle, bucket_size_mb=1, use_shm=True)
    sending = threading.Thread(
        target=lambda: asyncio.run(sender.async_send_weights(iter(weights.items()))), daemon=True
    )
    sending.start()
    try:
        engine.collective_rpc("update_weights_from_ipc", kwargs={"use_shm": True})
    except Exception as error:
        return repr(error)
    sending.join(timeout=30)
    return ""


if __name__ == "__main__":
    main()
