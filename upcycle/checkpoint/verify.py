"""Verify that an export is the trained model, and still of the paper's form.

It must keep the form after later training.

Each check has a result and a bound:

- `form`: the configuration has the paper's form, every weight is finite, and the shared expert's gate is exactly zero.
  This needs the checkpoint alone, so it also applies to one that RL has trained.
- `tensors`: every exported tensor is bitwise what the training format exports to (streamed).
- `shared path`: sigmoid(0) x doubled network is bitwise the trained shared expert, layer by layer in the stored type.
- `routing`: the same experts and gates for the same hidden states, layer by layer.
- `logits`: both models agree over the whole network in float32, if they fit the memory.
- `vllm`: log-probabilities of vLLM, in its own process, agree with transformers.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import transformers

from upcycle.checkpoint.dtypes import SHORT_NAME, not_finite
from upcycle.checkpoint.hf_export import SHARED_GATE, ExportSource, hf_config
from upcycle.checkpoint.readers import open_training_folder
from upcycle.checkpoint.tensor_source import SafetensorsFolder, TensorSource, chunks
from upcycle.checkpoint.torch_io import TORCH_DTYPES, as_tensor, load_weights
from upcycle.model.architecture import ModelSpec, read_json
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.model.moe_layers import Router, SwiGLU

TOKENS = 512
LOGIT_BOUND = 1e-5  # of the largest logit, in float32: the order of summation only
GATE_BOUND = 1e-6
SEED = 0


@dataclass(frozen=True)
class Check:
    """Result of one check: what was compared, whether it holds, value and bound."""

    name: str
    ok: bool
    figure: str
    bound: str


def verify(
    checkpoint: Path, training: Path | None, *, logits: bool = True, progress: Callable[[str], None] = print
) -> Iterator[Check]:
    """Run the checks of an exported checkpoint, one after another.

    Args:
        checkpoint: Folder of the exported checkpoint.
        training: The folder in the training format that it must equal; without one, only its form is checked.
        logits: Whether to compare the whole model's logits.
        progress: Receives one line before each long check.

    Yields:
        One result per check.

    Raises:
        UserError: If a folder cannot be read.
    """
    config = read_json(checkpoint / "config.json", "give the folder of an exported checkpoint")
    exported = SafetensorsFolder(checkpoint)
    yield from _form(config, exported)
    if training is None:
        return
    spec, source = open_training_folder(training)
    yield _config_agrees(spec, config)
    progress("comparing every tensor")
    yield _tensors(exported, ExportSource(spec, source, str(config["dtype"])))
    progress("comparing the shared path and the routing, layer by layer")
    hf = hf_settings(config)
    states = torch.randn(TOKENS, spec.hidden, generator=torch.Generator().manual_seed(SEED))
    yield _shared_path(spec, source, exported, hf, states)
    yield _routing(spec, source, exported, hf, states)
    if logits:
        yield _logits(spec, source, checkpoint, progress)


def _form(config: dict[str, Any], exported: TensorSource) -> Iterator[Check]:
    wanted = {"model_type": "qwen2_moe", "decoder_sparse_step": 1, "qkv_bias": True, "ungated_shared_expert": True}
    wrong = [f"{key} = {config.get(key)!r}" for key, value in wanted.items() if config.get(key) != value]
    if config.get("mlp_only_layers"):
        wrong.append("mlp_only_layers is not empty")
    yield Check("form: configuration", not wrong, ", ".join(wrong) or "a mixture in every layer", "qwen2_moe")
    bad = [
        name
        for name, entry in exported.entries.items()
        if any(not_finite(c, entry.dtype) for c in chunks(exported, name))
    ]
    yield Check(
        "form: finite weights", not bad, bad[0] if bad else f"{len(exported.entries)} tensors", "no NaN, no infinity"
    )
    gates = [name for name in exported.entries if name.endswith(SHARED_GATE)]
    moved = [name for name in gates if any(values.any() for values in chunks(exported, name))]
    layers = int(config["num_hidden_layers"])
    yield Check(
        "form: shared gate",
        not moved and len(gates) == layers,
        f"{len(moved)} of {len(gates)} gates are not zero" if moved else f"zero in {len(gates)} layers",
        f"exactly zero in {layers} layers",
    )


def _config_agrees(spec: ModelSpec, config: dict[str, Any]) -> Check:
    wanted = hf_config(spec, SHORT_NAME[str(config["dtype"])])
    keys = ("num_experts", "num_experts_per_tok", "norm_topk_prob", "moe_intermediate_size", "num_hidden_layers")
    wrong = [f"{key} = {config.get(key)!r}, expected {wanted[key]!r}" for key in keys if config.get(key) != wanted[key]]
    return Check("configuration", not wrong, "; ".join(wrong) or "agrees with the training-format model", "equal")


def _tensors(exported: TensorSource, wanted: TensorSource) -> Check:
    names = wanted.entries.keys() ^ exported.entries.keys()
    differing = sorted(names) or [name for name in wanted.entries if not _equal(exported, wanted, name)]
    figure = f"{differing[0]} differs" if differing else f"{len(wanted.entries)} tensors equal"
    return Check("tensors", not differing, figure, "bitwise")


def _equal(one: TensorSource, other: TensorSource, name: str) -> bool:
    if one.entries[name] != other.entries[name]:
        return False
    return all(np.array_equal(_bits(a), _bits(b)) for a, b in zip(chunks(one, name), chunks(other, name), strict=True))


def _bits(values: Any) -> Any:
    return np.ascontiguousarray(values).view(np.uint8)


def hf_settings(config: dict[str, Any]) -> Any:
    """Build transformers' configuration object of an exported checkpoint."""
    settings = {
        key: value for key, value in copy.deepcopy(config).items() if key not in ("model_type", "architectures")
    }
    return transformers.AutoConfig.for_model("qwen2_moe", **settings)


def _fill(module: torch.nn.Module, source: TensorSource, prefix: str, dtype: torch.dtype) -> torch.nn.Module:
    module.to(dtype)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            full = f"{prefix}.{name}"
            entry = source.entries[full]
            parameter.copy_(as_tensor(source.rows(full, 0, entry.rows), entry.dtype).view_as(parameter))
    return module


@torch.no_grad()
def _shared_path(
    spec: ModelSpec, training: TensorSource, exported: TensorSource, hf: Any, states: torch.Tensor
) -> Check:
    from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeMLP

    dtype = TORCH_DTYPES[exported.entries["model.embed_tokens.weight"].dtype]
    x, differing = states.to(dtype), 0
    for layer in range(spec.layers):
        root = f"model.layers.{layer}.mlp"
        ours = _fill(SwiGLU(spec.hidden, spec.intermediate), training, f"{root}.shared_expert", dtype)(x)
        theirs = _fill(Qwen2MoeMLP(hf, spec.intermediate), exported, f"{root}.shared_expert", dtype)(x)
        gate = _fill(torch.nn.Linear(spec.hidden, 1, bias=False), exported, f"{root}.shared_expert_gate", dtype)(x)
        differing += int((ours * spec.shared_weight != torch.sigmoid(gate) * theirs).sum())
    figure = f"{differing} of {spec.layers * states.numel()} numbers differ ({str(dtype).removeprefix('torch.')})"
    return Check("shared path", differing == 0, figure, "bitwise")


@torch.no_grad()
def _routing(spec: ModelSpec, training: TensorSource, exported: TensorSource, hf: Any, states: torch.Tensor) -> Check:
    from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeTopKRouter

    other, largest = 0, 0.0
    for layer in range(spec.layers):
        name = f"model.layers.{layer}.mlp.gate"
        ours = _fill(Router(spec), training, name, torch.float32)(states)
        _, gates, selected = _fill(Qwen2MoeTopKRouter(hf), exported, name, torch.float32)(states)
        mine, theirs = ours.selected.sort(-1), selected.sort(-1)
        other += int((mine.values != theirs.values).any(-1).sum())
        difference = ours.gates.gather(-1, mine.indices) - gates.gather(-1, theirs.indices)
        largest = max(largest, float(difference.abs().max()))
    figure = f"{other} of {spec.layers * len(states)} tokens choose otherwise, gates differ by {largest:.1e} at most"
    return Check("routing", other == 0 and largest <= GATE_BOUND, figure, f"same experts, gates within {GATE_BOUND:g}")


@torch.no_grad()
def _logits(spec: ModelSpec, training: TensorSource, checkpoint: Path, progress: Callable[[str], None]) -> Check:
    numbers = sum(entry.numel for entry in training.entries.values())
    needed, free = 2 * 4 * numbers * 1.1, psutil.virtual_memory().available
    if needed > free:
        figure = f"left out: both models in float32 need {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB are free"
        return Check("logits", True, figure, f"{LOGIT_BOUND:g} of the largest logit")
    progress("comparing logits of the whole model in float32")
    tokens = torch.randint(spec.vocabulary, (2, TOKENS // 4), generator=torch.Generator().manual_seed(SEED))
    ours = InnovatorForCausalLM(spec).float().eval()
    load_weights(ours, training)
    mine = ours(tokens).logits
    del ours
    hf: Any = transformers
    theirs = hf.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()(tokens).logits
    relative = float((mine - theirs).abs().max() / mine.abs().max())
    same = float((mine.argmax(-1) == theirs.argmax(-1)).float().mean())
    figure = f"largest difference {relative:.1e} of the largest logit, same first choice {same:.2%}"
    return Check("logits", relative <= LOGIT_BOUND, figure, f"{LOGIT_BOUND:g} of the largest logit")
