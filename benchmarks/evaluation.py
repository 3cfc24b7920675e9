"""Compare the evaluation with stock lm-evaluation-harness: scores, responses, and tokens per second, in one run.

The same tasks, rows and model go through three engines, one after another: the project's driver, the harness's own
vLLM backend, and a bare `LLM.generate` of the same prompts. Loading is not timed. Scores and responses must be equal;
the ratios say what each driver costs.

    python benchmarks/evaluation.py --model smollm2-135m --rows 32 --data DATA [--tasks gsm8k,agieval_sat_math]

`--data` is the folder of the evaluation sets (docs/evaluation.md). Where it holds only the training questions of GSM8K,
the last thousand of them are asked and the others are the examples: the scores of the three engines are compared with each
other and with nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from innovator_rl import platform
from innovator_rl.evaluation.checkpoint import open_checkpoint
from innovator_rl.evaluation.driver import Backends, Driver
from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.harness import FEWSHOT_SEED, HarnessTask
from innovator_rl.evaluation.harness_index import LocalCopy, build_leaf, leaf_names
from innovator_rl.evaluation.local_data import hub_copy, read_rows
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.requests import GenerateRequest
from innovator_rl.evaluation.store import ResponseStore
from innovator_rl.evaluation.task import Drawing


def local_copies(root: Path) -> LocalCopy:
    """Return what finds local copies of hub data sets, GSM8K's questions of training in place of missing test ones."""
    training = next((p for p in (root / "gsm8k/train.jsonl", root / "gsm8k/train.jsonl.gz") if p.exists()), None)

    def find(hub_id: str, subset: str | None) -> Any:
        found = hub_copy(root, hub_id, subset)
        if found is not None or hub_id != "openai/gsm8k" or training is None:
            return found
        import datasets

        hub: Any = datasets  # its classes carry no types
        rows = read_rows(training, "question", "answer")
        return hub.DatasetDict(train=hub.Dataset.from_list(rows[:-1000]), test=hub.Dataset.from_list(rows[-1000:]))

    return find


def ours(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return scores, responses and speed of the project's driver."""
    checkpoint = open_checkpoint(options.model)
    prompter = Prompter(checkpoint.path)
    settings = EngineSettings(str(checkpoint.path), "vllm", "float32", options.context, options.threads)
    backends = Backends(one_token=options.backend, options=options.backend)
    found: dict[str, Any] = {"prompts": {}}
    with ResponseStore(folder / "responses.sqlite") as store:
        driver = Driver(checkpoint, store, settings, backends, folder / "engine.log", lambda *_: None)
        with driver:
            for name in options.tasks.split(","):
                task = HarnessTask(name, name, "acc", local=local_copies(Path(options.data)))
                task.prepare(prompter, Drawing(options.rows, 0))
                requests = task._leaves[0].requests
                driver._start("vllm")
                started = time.monotonic()
                task.metric, task.filter = _first_metric(task)
                outcome = task.run(driver)
                seconds = time.monotonic() - started
                responses = [row.response for row in outcome.rows]
                scores = {metric.name: metric.estimate.score for metric in outcome.metrics}
                found[name] = {"scores": scores, "responses": responses, "seconds": seconds}
                if isinstance(requests[0], GenerateRequest):
                    tokens = sum(len(row.token_ids if row.token_ids is not None else ()) for row in outcome.rows)
                    found[name]["tokens"] = tokens
                    found["prompts"][name] = [[list(r.tokens), r.max_new_tokens, list(r.stop)] for r in requests]
    return found


def _first_metric(task: HarnessTask) -> tuple[str, str]:
    leaf = task._leaves[0].task
    return next(iter(leaf._metric_fn_list)), leaf._filters[0].name


def stock(options: argparse.Namespace) -> dict[str, Any]:
    """Return the same of the harness's own vLLM backend; runs in a process of its own."""
    from innovator_rl.platform.shims import vllm_distribution_name

    if vllm_distribution_name.needed():
        vllm_distribution_name.apply()
    import lm_eval
    from lm_eval.models.vllm_causallms import VLLM

    checkpoint = open_checkpoint(options.model)
    model = VLLM(
        pretrained=str(checkpoint.path), dtype="float32", max_model_len=options.context, enforce_eager=True, seed=0
    )
    found: dict[str, Any] = {}
    for name in options.tasks.split(","):
        task = build_leaf(leaf_names(name)[0], name, None, local_copies(Path(options.data)))
        drawn = Drawing(options.rows, 0).indices(len(task.eval_docs))
        started = time.monotonic()
        result = lm_eval.simple_evaluate(
            model=model, tasks=[task], samples={name: drawn}, bootstrap_iters=0, fewshot_random_seed=FEWSHOT_SEED
        )
        seconds = time.monotonic() - started
        assert result is not None
        scores = {
            key.removesuffix(",none"): value
            for key, value in result["results"][name].items()
            if isinstance(value, float) and "stderr" not in key
        }
        samples = sorted(result["samples"][name], key=lambda sample: sample["doc_id"])
        responses = [sample["resps"] for sample in samples if sample["filter"] == samples[0]["filter"]]
        found[name] = {"scores": scores, "responses": responses, "seconds": seconds}
    return found


def bare(options: argparse.Namespace) -> dict[str, Any]:
    """Return the speed of `LLM.generate` for the prompts in a file; runs in a process of its own."""
    from vllm import LLM, SamplingParams

    engine = LLM(
        str(open_checkpoint(options.model).path), dtype="float32", max_model_len=options.context, enforce_eager=True
    )
    found: dict[str, Any] = {}
    for name, asked in json.loads(Path(options.prompts).read_text()).items():
        prompts: Any = [{"prompt_token_ids": tokens} for tokens, _, _ in asked]
        parameters = [
            SamplingParams(temperature=0, max_tokens=limit, stop=stop, skip_special_tokens=False)
            for _, limit, stop in asked
        ]
        started = time.monotonic()
        outputs = engine.generate(prompts, parameters, use_tqdm=False)
        seconds = time.monotonic() - started
        found[name] = {"seconds": seconds, "tokens": sum(len(output.outputs[0].token_ids) for output in outputs)}
    return found


def child(kind: str, options: argparse.Namespace, prompts: Path) -> dict[str, Any]:
    """Run `stock` or `bare` in a fresh process with the platform's environment."""
    environment = {**os.environ, **platform.environment(options.threads, 2)}
    environment.pop("TQDM_DISABLE", None)  # vLLM divides by the time that its bar shows, which a disabled one lacks
    command = [sys.executable, __file__, "--kind", kind, "--prompts", str(prompts)]
    for name in ("model", "rows", "data", "tasks", "context", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        said = done.stderr.partition("nanobind: leaked")[0].strip()
        raise SystemExit(f"{kind} failed: {said[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found


def report(options: argparse.Namespace, mine: dict[str, Any], theirs: dict[str, Any], plain: dict[str, Any]) -> bool:
    """Print the comparison and return whether every score is equal."""
    equal = True
    for name in options.tasks.split(","):
        own, other = mine[name], theirs[name]
        for metric, value in other["scores"].items():
            same = own["scores"].get(metric) == value
            equal &= same
            print(
                f"{name:24} {metric:32} ours {own['scores'].get(metric)} stock {value} {'equal' if same else 'DIFFERENT'}"
            )
        print(f"{name:24} seconds: ours {own['seconds']:.1f}, stock {other['seconds']:.1f}")
        if name in plain:
            texts = [sample[0][0] for sample in other["responses"]]
            matching = sum(a.startswith(b) for a, b in zip(own["responses"], texts, strict=True))
            print(f"{name:24} responses equal up to the stop text: {matching} of {len(texts)}")
            speed = plain[name]["tokens"] / plain[name]["seconds"]
            mine_speed, stock_speed = own["tokens"] / own["seconds"], plain[name]["tokens"] / other["seconds"]
            print(
                f"{name:24} tokens/s: ours {mine_speed:.1f}, bare vLLM {speed:.1f}, ratio {mine_speed / speed:.2f}; "
                f"stock {stock_speed:.1f}, ratio {stock_speed / speed:.2f}"
            )
    return equal


def main() -> None:
    """Run all three and print the comparison; exit 1 where a score differs."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--data", required=True)
    parser.add_argument("--tasks", default="local_mmlu_stem,agieval_sat_math")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backend", default="vllm", choices=["vllm", "hf"])
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--prompts", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        print("RESULT " + json.dumps(stock(options) if options.kind == "stock" else bare(options)), flush=True)
        os._exit(0)
    with tempfile.TemporaryDirectory() as temporary:
        prompts = Path(temporary) / "prompts.json"
        mine = ours(options, Path(temporary))
        prompts.write_text(json.dumps(mine["prompts"]))
        print("ours: done", flush=True)
        plain = child("bare", options, prompts) if mine["prompts"] else {}
        print("bare vLLM: done", flush=True)
        theirs = child("stock", options, prompts)
    sys.exit(0 if report(options, mine, theirs, plain) else 1)


if __name__ == "__main__":
    main()
