"""Measure upcycling on one GPU in eight minutes: the block, whole training steps, memory, host waits, exported logits.

    python -m benchmarks.gpu_upcycle [--seconds 480] [--out FILE.json]
    python -m benchmarks.gpu_upcycle --small            # the same on a CPU at width 64, in seconds

It needs torch, transformers and pydantic, and no installation of the package: start it in the root of the repository. Each
section is a key of the JSON that it prints; one that fails or for which no time is left says so and the others go on.

    block     forward and backward of the fine experts at the paper's width: one grouped product or a loop, even and skewed loads
    steps     whole training steps of stages 1 and 4 by layers: tokens per second, share of the peak (MFU), slope per layer
    memory    measured peak over what `innovator upcycle plan` counts for the same step
    waits     times that the host waits for the device in a step; the slope per layer must be 0
    exported  largest difference of logits between the training format and transformers' Qwen2-MoE, over the largest logit
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_sections import forget, measure_sections, print_measured
from benchmarks.upcycle_steps import FULL_WIDTH, SMALL_WIDTH, configuration, random_trainer
from upcycle.config.stages import Stage
from upcycle.model import moe_layers
from upcycle.model.architecture import ModelSpec
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.planning.flops import PEAK_TFLOPS, flops_per_token
from upcycle.planning.memory import estimate

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "bincount", "unique")


@dataclass(frozen=True)
class Size:
    """What is measured: the true width on a GPU, or a small one on a CPU.

    Attributes:
        shape: The base model's config.json.
        length: Tokens of a sequence.
        layers: Numbers of layers whose steps are timed.
        dtype: Type of the computation.
        rounds: Repetitions, of which the fastest counts.
        disciplines: Disciplines of eight fine experts each.
    """

    shape: dict[str, Any]
    length: int
    layers: tuple[int, ...]
    dtype: str
    rounds: int
    disciplines: int = 8

    @property
    def device(self) -> str:
        """The device that is measured."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    def config(self, **trainer: Any) -> Any:
        """Return the configuration of a step with one sequence per slice."""
        return configuration(self.length, 1, disciplines=self.disciplines, trainer={"dtype": self.dtype, **trainer})


FULL = Size(FULL_WIDTH, 8192, (1, 2), "bfloat16", 5)
SMALL = Size(SMALL_WIDTH, 32, (1, 2), "float32", 1, disciplines=2)


def seconds_of(action: Callable[[], object], rounds: int) -> float:
    """Return the fewest seconds that an action takes, device included, after one to warm up."""
    action()
    taken = []
    for _ in range(rounds):
        _wait()
        started = time.perf_counter()
        action()
        _wait()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def block(size: Size) -> dict[str, Any]:
    """Time the fine experts of one layer, forward and with backward."""
    spec = ModelSpec.from_config(size.config(), size.shape, "mixture")
    dtype = getattr(torch, size.dtype)
    with torch.device(size.device):
        experts = moe_layers.FineExperts(spec).to(dtype)
        x = torch.randn(size.length, spec.hidden, dtype=dtype, requires_grad=True)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    gates = torch.full((size.length, spec.top_k), 1 / spec.top_k, dtype=dtype, device=size.device)
    forward_flops = 2 * size.length * spec.top_k * 3 * spec.hidden * spec.fine
    found: dict[str, Any] = {}
    for load in ("even", "skewed"):
        selected = _choices(spec, size, load)
        for way in ("grouped", "loop"):
            kept = moe_layers._fits_grouped
            if way == "loop":
                moe_layers._fits_grouped = lambda *_: False
            try:
                forward = seconds_of(lambda chosen=selected: experts(x.detach(), chosen, gates), size.rounds)  # type: ignore[misc]
                both = seconds_of(lambda chosen=selected: experts(x, chosen, gates).sum().backward(), size.rounds)  # type: ignore[misc]
            finally:
                moe_layers._fits_grouped = kept
            found[f"{way}, {load}"] = {
                "forward_ms": 1e3 * forward,
                "forward_backward_ms": 1e3 * both,
                "tflops": 3 * forward_flops / both / 1e12,
            }
        found[f"loop over grouped, {load}"] = (
            found[f"loop, {load}"]["forward_backward_ms"] / found[f"grouped, {load}"]["forward_backward_ms"]
        )
    return found


def _choices(spec: ModelSpec, size: Size, load: str) -> torch.Tensor:
    """Draw (T, k) different experts per token, evenly or by Zipf's law."""
    weights = torch.ones(spec.experts) if load == "even" else 1 / torch.arange(1, spec.experts + 1)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(weights.expand(size.length, -1).float(), spec.top_k, generator=generator)
    return chosen.to(size.device)


def steps(size: Size) -> dict[str, Any]:
    """Time whole optimizer steps of two slices by stage and number of layers, and measure their peak memory."""
    found: dict[str, Any] = {}
    stages: tuple[Stage, ...] = ("train_joint", "train_experts")
    for stage in stages:
        rows = []
        for layers in size.layers:
            config, shape = size.config(), {**size.shape, "num_hidden_layers": layers}
            forget()
            trainer = random_trainer(config, shape, stage)
            seconds = seconds_of(trainer.update, size.rounds)
            tokens = config.train_joint.batch_tokens
            spec = trainer.model.spec
            flops = flops_per_token(spec, stage, size.length).training
            row = {"layers": layers, "seconds": seconds, "tokens_per_second": tokens / seconds}
            row["tflops"] = flops * tokens / seconds / 1e12
            if size.device == "cuda":
                row["mfu"] = row["tflops"] / PEAK_TFLOPS
                row["peak_bytes"] = torch.cuda.max_memory_allocated()
                row["planned_bytes"] = estimate(config, spec, getattr(config, stage), 1).total
                row["planned over measured"] = row["planned_bytes"] / row["peak_bytes"]
            rows.append(row)
            del trainer
        slope = (rows[-1]["seconds"] - rows[0]["seconds"]) / max(1, rows[-1]["layers"] - rows[0]["layers"])
        found[stage] = {"rows": rows, "seconds_per_layer": slope}
    return found


def memory(size: Size) -> dict[str, Any]:
    """Compare planned with measured peak memory over micro batches, with and without recomputed activations (GPU only)."""
    if size.device != "cuda":
        return {"skipped": "measured by benchmarks.upcycle_memory on a CPU"}
    found = {}
    for sequences in (1, 2, 4):
        for checkpointing in (True, False):
            config = configuration(
                size.length, sequences, trainer={"dtype": size.dtype, "checkpointing": checkpointing}
            )
            forget()
            trainer = random_trainer(config, size.shape, "train_joint")
            trainer.update()
            planned = estimate(config, trainer.model.spec, config.train_joint, 1)
            peak = torch.cuda.max_memory_allocated()
            found[f"{sequences * size.length} tokens, {'recomputed' if checkpointing else 'kept'}"] = {
                "planned_bytes": planned.total,
                "peak_bytes": peak,
                "planned over measured": planned.total / peak,
            }
            del trainer
    return found


def waits(size: Size) -> dict[str, Any]:
    """Count the operations of a step that make the host wait, for one layer and for two."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Counts operations whose result the host must know."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.found: dict[str, int] = {}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            if name in WAITS:
                self.found[name] = self.found.get(name, 0) + 1
            return func(*args, **(kwargs or {}))

    counts: dict[int, dict[str, int]] = {}
    for layers in (1, 2):
        forget()
        trainer = random_trainer(size.config(), {**size.shape, "num_hidden_layers": layers}, "train_joint")
        trainer.update()
        counts[layers] = _warned(trainer) if size.device == "cuda" else {}
        with Count() as count:
            trainer.update()
        counts[layers] |= count.found
        del trainer
    kinds = set(counts[1]) | set(counts[2])
    return {
        "operations": counts,
        "per_layer": max((counts[2].get(kind, 0) - counts[1].get(kind, 0) for kind in kinds), default=0),
    }


def _warned(trainer: Any) -> dict[str, int]:
    """Count the waits that CUDA itself reports in a step."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer.update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"reported by CUDA": sum("synchroniz" in str(warning.message) for warning in caught)}


def exported(size: Size) -> dict[str, Any]:
    """Compare the logits of one layer with those of transformers' class on its export."""
    import transformers
    from safetensors.torch import save_file

    from upcycle.checkpoint.hf_export import ExportSource, hf_config
    from upcycle.checkpoint.torch_io import StateDictSource, as_tensor

    dtype = getattr(torch, size.dtype)
    spec = ModelSpec.from_config(size.config(), size.shape, "mixture")
    with torch.device(size.device):
        model = InnovatorForCausalLM(spec).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 1.0)
    ids = torch.randint(spec.vocabulary, (1, 64), generator=torch.Generator().manual_seed(0)).to(size.device)
    with torch.no_grad():
        native = model(ids).logits.float().cpu()
    source = ExportSource(
        spec, StateDictSource(model.state_dict()), {"bfloat16": "bfloat16"}.get(size.dtype, "float32")
    )
    with tempfile.TemporaryDirectory() as folder:
        tensors = {
            name: as_tensor(source.rows(name, 0, entry.numel // entry.width), entry.dtype).view(entry.shape)
            for name, entry in source.entries.items()
        }
        save_file(tensors, Path(folder) / "model.safetensors", {"format": "pt"})
        (Path(folder) / "config.json").write_text(json.dumps(hf_config(spec, source.dtype)))
        del model, tensors
        forget()
        hf: Any = transformers
        other = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(size.device)
    with torch.no_grad():
        theirs = other(ids).logits.float().cpu()
    return {
        "difference": float((native - theirs).abs().max() / native.abs().max()),
        "same first choice": float((native.argmax(-1) == theirs.argmax(-1)).float().mean()),
    }


SECTIONS: dict[str, Callable[[Size], dict[str, Any]]] = {
    "waits": waits, "block": block, "exported": exported, "steps": steps, "memory": memory,
}  # fmt: skip


def measure(size: Size, seconds: float) -> dict[str, Any]:
    """Run every section for which time is left."""
    device = torch.cuda.get_device_name() if size.device == "cuda" else "cpu"
    head = {"device": device, "torch": torch.__version__, "dtype": size.dtype}
    return head | measure_sections(SECTIONS, size, seconds)


if __name__ == "__main__":
    print_measured(__doc__, measure, SMALL, FULL)
