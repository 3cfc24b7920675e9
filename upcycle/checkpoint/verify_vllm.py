"""Compare vLLM with transformers on an export.

Both must give equal greedy tokens and log-probabilities.

`compare` starts this module in a process of its own with a time limit, so that an engine that hangs or runs out of
memory is one failed check. transformers then scores vLLM's own tokens, with one model in memory at a time.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from upcycle.checkpoint.verify import SEED, Check

PROMPTS, PROMPT_TOKENS, TOKENS = 8, 24, 16
BOUNDS = {"float32": 1e-4, "bfloat16": 0.1}  # largest |difference| of a chosen token's log-probability, in nats
MARK = "VLLM-TOKENS "


def prompts(vocabulary: int) -> list[list[int]]:
    """Return random prompts of token ids, the same on every call."""
    import numpy as np

    return np.random.default_rng(SEED).integers(0, vocabulary, (PROMPTS, PROMPT_TOKENS)).tolist()


def compare(checkpoint: Path, dtype: str, seconds: float, environment: Mapping[str, str]) -> Check:
    """Run the check `vllm`.

    Where vLLM is not installed, the result says that it was left out.

    Args:
        checkpoint: Folder of the exported checkpoint.
        dtype: Type of the computation, float32 or bfloat16.
        seconds: Time limit of vLLM's process.
        environment: Environment variables of that process, added to this one's.
    """
    bound = f"{BOUNDS[dtype]:g} nat in {dtype}"
    if find_spec("vllm") is None:
        return Check("vllm", True, "left out: vllm is not installed", bound)
    settings = {**os.environ, **environment, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(
        prefix="verify-", ignore_cleanup_errors=True
    ) as folder:  # for the engine's sockets
        process = subprocess.Popen(
            worker_command(checkpoint, dtype),
            env={**settings, "TMPDIR": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Check("vllm", False, f"no answer within {seconds:g} s", bound)
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    if not lines:
        causes = [line for line in errors.splitlines() if "Error" in line]
        cause = causes[-1].strip()[-300:] if causes else "no error message"
        return Check("vllm", False, f"the engine failed with exit code {process.returncode}: {cause}", bound)
    return _scored(checkpoint, dtype, json.loads(lines[-1].removeprefix(MARK)), bound)


def worker_command(checkpoint: Path, dtype: str) -> list[str]:
    """Return the command line of the process that runs vLLM.

    A folder `upcycle` in the current directory is ignored.
    """
    module = ["innovator_rl._sibling_packages", "upcycle.checkpoint.verify_vllm"]
    return [sys.executable, "-m", *module, str(checkpoint.absolute()), dtype]


def _scored(checkpoint: Path, dtype: str, answers: list[Any], bound: str) -> Check:
    import torch
    import transformers

    hf: Any = transformers
    model = hf.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=getattr(torch, dtype)).eval()
    asked = prompts(model.config.vocab_size)
    tokens = torch.tensor([prompt + answer["tokens"] for prompt, answer in zip(asked, answers, strict=True)])
    theirs = torch.tensor([answer["logprobs"] for answer in answers])
    with torch.no_grad():
        scores = model(tokens).logits[:, PROMPT_TOKENS - 1 : -1].float().log_softmax(-1)
    chosen = tokens[:, PROMPT_TOKENS:]
    difference = (scores.gather(-1, chosen[..., None]).squeeze(-1) - theirs).abs()
    same = float((scores.argmax(-1) == chosen).float().mean())
    figure = (
        f"log-probabilities differ by {difference.mean():.1e} in the mean, {difference.max():.1e} at most; "
        f"same greedy token {same:.2%} of {chosen.numel()}"
    )
    return Check("vllm", float(difference.max()) <= BOUNDS[dtype], figure, bound)


def generate(checkpoint: str, dtype: str) -> list[dict[str, Any]]:
    """Generate vLLM's greedy continuation of the prompts, with log-probabilities."""
    vocabulary = json.loads((Path(checkpoint) / "config.json").read_text())["vocab_size"]
    import vllm  # after the checkpoint's own mistakes, because it takes seconds

    library: Any = vllm  # its argument types name every literal
    engine = library.LLM(checkpoint, dtype=dtype, enforce_eager=True, max_model_len=128, skip_tokenizer_init=True)
    greedy = library.SamplingParams(temperature=0, max_tokens=TOKENS, logprobs=1, ignore_eos=True, detokenize=False)
    results = engine.generate([{"prompt_token_ids": p} for p in prompts(vocabulary)], greedy, use_tqdm=False)
    answers = []
    for result in results:
        output = result.outputs[0]
        values = [step[token].logprob for step, token in zip(output.logprobs, output.token_ids, strict=True)]
        answers.append({"tokens": list(output.token_ids), "logprobs": values})
    return answers


if __name__ == "__main__":
    print(MARK + json.dumps(generate(sys.argv[1], sys.argv[2])), flush=True)
