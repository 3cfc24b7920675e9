"""Measure the trainer's own GPU code of RL that needs neither vLLM nor Ray: packing, router load, frozen gates, records.

    python -m benchmarks.gpu_rl [--seconds 480] [--out FILE.json]
    python -m benchmarks.gpu_rl --small                # the same on a CPU at width 64, in seconds

It needs torch and transformers, and no installation of the package: start it in the root of the repository. Each section is
a key of the JSON that it prints; one whose packages are missing, or for which no time is left, says so.

    prefix    a PPO update with a row per group over one with a sequence per response: seconds, memory, largest difference of
              log-probabilities
    router    seconds of a mixture's update with the router's load counted over the same without
    gate      whether a shared expert's zero gate is still zero after updates that train everything else
    records   rows per second of the record of updates (needs pyarrow)
    engine    the same updates in verl's engine (needs verl)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from benchmarks.gpu_sections import measure_sections, print_measured
from innovator_rl.integrations.verl.router_load import RouterLoad
from innovator_rl.integrations.verl.shared_expert_gate import SHARED_GATE, UNGATED_KEY, freeze_shared_gate
from innovator_rl.integrations.verl.shared_prefix import pack_shared_prefix

CLIP = (0.2, 0.28)


@dataclass(frozen=True)
class Size:
    """What is measured: a model of 1.5 B parameters on a GPU, or a tiny one on a CPU.

    Attributes:
        shape: Sizes of a Qwen2.
        experts: Sizes that make it a Qwen2-MoE.
        groups: Prompts of an update.
        samples: Responses of a prompt.
        prompt: Tokens of a prompt.
        response: Tokens of the longest response.
        dtype: Type of the weights.
        rounds: Repetitions, of which the fastest counts.
    """

    shape: dict[str, Any]
    experts: dict[str, Any]
    groups: int
    samples: int
    prompt: int
    response: int
    dtype: torch.dtype
    rounds: int

    @property
    def device(self) -> str:
        """The device that is measured."""
        return "cuda" if torch.cuda.is_available() else "cpu"


FULL = Size(
    {"vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
     "num_attention_heads": 12, "num_key_value_heads": 2, "tie_word_embeddings": True},
    {"num_hidden_layers": 4, "num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 1120,
     "shared_expert_intermediate_size": 8960, "decoder_sparse_step": 1, "mlp_only_layers": []},
    4, 8, 512, 512, torch.bfloat16, 3,
)  # fmt: skip
SMALL = Size(
    {"vocab_size": 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
     "num_key_value_heads": 2, "tie_word_embeddings": True},
    {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 128,
     "decoder_sparse_step": 1, "mlp_only_layers": []},
    2, 3, 12, 8, torch.float32, 1,
)  # fmt: skip


def _model(size: Size, mixture: bool) -> Any:
    import transformers

    hf: Any = transformers
    config = hf.Qwen2MoeConfig(**{**size.shape, **size.experts}) if mixture else hf.Qwen2Config(**size.shape)
    torch.manual_seed(0)
    with torch.device(size.device):
        model = hf.AutoModelForCausalLM.from_config(config, dtype=size.dtype)
    return model.train()


def _groups(size: Size) -> tuple[list[torch.Tensor], list[int]]:
    generator = torch.Generator().manual_seed(0)
    sequences = []
    for _ in range(size.groups):
        prompt = torch.randint(3, size.shape["vocab_size"], (size.prompt,), generator=generator)
        for _ in range(size.samples):
            length = int(torch.randint(size.response // 2, size.response + 1, (1,), generator=generator))
            response = torch.randint(3, size.shape["vocab_size"], (length,), generator=generator)
            sequences.append(torch.cat([prompt, response]))
    return sequences, [size.prompt] * len(sequences)


def per_response(model: Any, sequences: list[torch.Tensor], lengths: list[int], device: str) -> torch.Tensor:
    """Return the response tokens' log-probabilities from one padded row per sequence, sequence after sequence."""
    ids = pad_sequence(sequences, batch_first=True).to(device)
    mask = pad_sequence([torch.ones(len(s)) for s in sequences], batch_first=True).to(device)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    parts = []
    for row, (sequence, prompt) in enumerate(zip(sequences, lengths, strict=True)):
        own = logits[row, prompt - 1 : len(sequence) - 1].float().log_softmax(-1)
        parts.append(own.gather(1, sequence[prompt:].to(device)[:, None])[:, 0])
    return torch.cat(parts)


def per_group(model: Any, sequences: list[torch.Tensor], lengths: list[int], device: str) -> torch.Tensor:
    """Return the same from one row per group, which computes each prompt once."""
    rows = pack_shared_prefix(sequences, lengths)
    hidden = model.model(
        input_ids=rows.input_ids.to(device),
        position_ids=rows.position_ids.to(device),
        attention_mask=rows.attention_mask.to(device),
        use_cache=False,
    ).last_hidden_state
    kept = hidden.flatten(0, 1)[rows.logits_to_keep.to(device)]
    return -functional.cross_entropy(model.lm_head(kept).float(), rows.labels.to(device), reduction="none")


def _updater(model: Any, size: Size, way: Callable[..., torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Return a function that takes one PPO step with AdamW and returns the log-probabilities before it."""
    sequences, lengths = _groups(size)
    advantages = torch.cat(
        [torch.full((len(s) - n,), (-1.0) ** i) for i, (s, n) in enumerate(zip(sequences, lengths, strict=True))]
    ).to(size.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, weight_decay=0.1, fused=True)

    def update() -> torch.Tensor:
        values = way(model, sequences, lengths, size.device)
        ratio = torch.exp(values - values.detach())
        clipped = ratio.clamp(1 - CLIP[0], 1 + CLIP[1])
        loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return values.detach()

    return update


def _timed(action: Callable[[], object], rounds: int) -> tuple[float, int]:
    """Return the fewest seconds of an action after one to warm up, and the peak of device memory."""
    action()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(rounds):
        if cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        action()
        if cuda:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return min(taken), torch.cuda.max_memory_allocated() if cuda else 0


def prefix(size: Size) -> dict[str, Any]:
    """Compare an update with a row per group with one that has a sequence per response."""
    found: dict[str, Any] = {}
    ways = {"sequence per response": per_response, "row per group": per_group}
    first = {}
    for name, way in ways.items():
        model = _model(size, mixture=False)
        update = _updater(model, size, way)
        first[name] = update()
        seconds, peak = _timed(update, size.rounds)
        found[name] = {"seconds": seconds, "peak_bytes": peak}
        del model, update
    one, other = first.values()
    found["speedup"] = found["sequence per response"]["seconds"] / found["row per group"]["seconds"]
    found["difference of log-probabilities"] = float((one - other).abs().max())
    return found


def router(size: Size) -> dict[str, Any]:
    """Compare a mixture's update with and without the count of the router's load."""
    plain, _ = _timed(_updater(_model(size, mixture=True), size, per_group), size.rounds)
    model = _model(size, mixture=True)
    load = RouterLoad.attach(model)
    update = _updater(model, size, per_group)
    counted, _ = _timed(update, size.rounds)
    figures = load.take() if load else {}
    return {"seconds": plain, "counted over plain": counted / plain, "figures": figures}


def gate(size: Size) -> dict[str, Any]:
    """Train a mixture whose shared experts have zero gates, and look at them afterwards."""
    model = _model(size, mixture=True)
    setattr(model.config, UNGATED_KEY, True)
    gates = [parameter for name, parameter in model.named_parameters() if SHARED_GATE in name]
    with torch.no_grad():
        for parameter in gates:
            parameter.zero_()
    freeze_shared_gate(model)
    update = _updater(model, size, per_group)
    for _ in range(2):
        update()
    return {"gates": len(gates), "all zero": all(not bool(parameter.any()) for parameter in gates)}


def records(size: Size) -> dict[str, Any]:
    """Write rows of updates as a run does and count them per second."""
    from innovator_rl.rollouts.recorder import Recorder
    from innovator_rl.rollouts.schema import UpdateRow

    values = [0.5] * size.response
    count = 512 if size.device == "cuda" else 16
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(folder, writer="update-0", attempt=1)
        started = time.perf_counter()
        for number in range(count):
            recorder.update(
                UpdateRow(
                    step=1,
                    prompt_uid=f"p{number}",
                    sample=0,
                    kept=True,
                    advantage=1.0,
                    old_logprobs=values,
                    rollout_logprobs=values,
                    entropy=None,
                    ratio=values,
                    clip_side=[0] * size.response,
                )
            )
        recorder.close()
        seconds = time.perf_counter() - started
        written = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
    return {"rows_per_second": count / seconds, "bytes_per_row": written / count, "tokens_per_row": size.response}


def engine(size: Size) -> dict[str, Any]:
    """Time the same kind of update in verl's engine, by `benchmarks.training_update`."""
    import verl  # noqa: F401  (sets up the platform)

    from benchmarks.training_update import measure, variants

    if size.device != "cuda":
        return {"skipped": "measured by benchmarks.training_update on a CPU"}
    return {"ways": measure("smollm2-135m", size.groups, size.samples, size.rounds, list(variants()))}


SECTIONS: dict[str, Callable[[Size], dict[str, Any]]] = {
    "prefix": prefix, "router": router, "gate": gate, "records": records, "engine": engine,
}  # fmt: skip


def measure_all(size: Size, seconds: float) -> dict[str, Any]:
    """Run every section for which time is left."""
    device = torch.cuda.get_device_name() if size.device == "cuda" else "cpu"
    head = {"device": device, "torch": torch.__version__, "dtype": str(size.dtype)}
    return head | measure_sections(SECTIONS, size, seconds)


if __name__ == "__main__":
    print_measured(__doc__, measure_all, SMALL, FULL)
