"""The native mixture as a standard Hugging Face `Qwen2MoeForCausalLM`, as a stream.

Qwen2-MoE multiplies its shared expert by sigmoid(shared_expert_gate x). With a gate of zeros that is 1/2 whatever x, so
the shared down projection is doubled: an exponent step, exact in every binary type. The routed scale is folded into the
fine experts' down projections (exact for a power of two, rounded once for a learned one); null experts become tensors
of zeros; a Llama donor's attention gets biases of zero, since Qwen2-MoE always has them.
Experts are written one tensor each, the layout that transformers saves and every reader takes.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcycle.checkpoint.dtypes import BY_NAME, NAMES, STORAGE, Array, cast, scaled
from upcycle.checkpoint.tensor_source import Entry, Source
from upcycle.model.architecture import PROJECTIONS, Spec, native_shapes

CONFIG = "config.json"
SHARED_GATE = "mlp.shared_expert_gate.weight"
# Settings of the donor that Qwen2-MoE understands under the same name.
KEPT = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "rope_parameters",
    "rope_theta",
    "rope_scaling",
    "attention_dropout",
    "vocab_size",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


@dataclass(frozen=True)
class Piece:
    """Where an exported tensor comes from: rows of a native tensor from `start`, times a factor; no `name`: zeros."""

    shape: tuple[int, ...]
    name: str = ""
    start: int = 0
    factor: float = 1.0
    scaled_by: str = ""  # a native (1,) tensor whose value multiplies `factor`


def pieces(spec: Spec) -> Iterator[tuple[str, Piece]]:
    """Every tensor of the exported checkpoint, in file order."""
    for name, shape in native_shapes(spec.of_kind("mixture")):
        root, _, rest = name.partition(".mlp.")
        layer = f"{root}.mlp"
        if rest == "routed_scale":
            continue
        if rest.startswith("experts."):
            if rest == "experts.gate_up_proj":  # all of a layer's experts are written here
                yield from _expert_pieces(spec, layer)
        elif rest == "shared_expert.down_proj.weight":
            yield name, Piece(shape, name, factor=2 * spec.shared_weight)
            yield f"{root}.{SHARED_GATE}", Piece((1, spec.hidden))
        else:
            yield name, Piece(shape, name)
            if not spec.qkv_bias and name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
                yield name.replace(".weight", ".bias"), Piece((shape[0],))


def _expert_pieces(spec: Spec, layer: str) -> Iterator[tuple[str, Piece]]:
    h, f = spec.hidden, spec.fine
    shapes = dict(zip(PROJECTIONS, ((f, h), (f, h), (h, f)), strict=True))
    for e in range(spec.slots):
        starts = {"gate_proj": (2 * e) * f, "up_proj": (2 * e + 1) * f, "down_proj": e * h}
        for projection, shape in shapes.items():
            name = f"{layer}.experts.{e}.{projection}.weight"
            if e >= spec.experts:
                yield name, Piece(shape)
                continue
            down = projection == "down_proj"
            fused = f"{layer}.experts.{'down_proj' if down else 'gate_up_proj'}"
            yield name, Piece(shape, fused, starts[projection], scaled_by=f"{layer}.routed_scale" if down else "")


class Export:
    """The exported checkpoint of a native source; every tensor in `dtype` (BF16, F16 or F32)."""

    def __init__(self, spec: Spec, native: Source, dtype: str = "keep") -> None:
        self.dtype = native.entries["model.embed_tokens.weight"].dtype if dtype == "keep" else BY_NAME[dtype]
        self.spec, self.native = spec, native
        self._pieces = dict(pieces(spec))
        self._factors: dict[str, float] = {}
        self.entries = {name: Entry(self.dtype, piece.shape) for name, piece in self._pieces.items()}

    def rows(self, name: str, start: int, stop: int) -> Array:
        piece = self._pieces[name]
        if not piece.name:
            return np.zeros((stop - start, piece.shape[-1]), STORAGE[self.dtype])
        values = self.native.rows(piece.name, piece.start + start, piece.start + stop)
        stored, factor = self.native.entries[piece.name].dtype, piece.factor * self._scale(piece.scaled_by)
        try:
            # The wider type takes the factor, so that a number is rounded at most once.
            if stored == "F32" or self.dtype != "F32":
                return cast(scaled(values, stored, factor), stored, self.dtype)
            return scaled(cast(values, stored, self.dtype), self.dtype, factor)
        except OverflowError as error:
            raise ValueError(f"{name}: {error}; export with export.dtype=float32") from None

    def _scale(self, name: str) -> float:
        if not name:
            return 1.0
        if name not in self._factors:
            self._factors[name] = float(self.native.rows(name, 0, 1)[0, 0])
        return self._factors[name]


def hf_config(spec: Spec, dtype: str) -> dict[str, Any]:
    """The exported checkpoint's config.json; `dtype` is BF16, F16 or F32."""
    donor = spec.donor_config
    return {
        "architectures": ["Qwen2MoeForCausalLM"],
        "model_type": "qwen2_moe",
        **{key: copy.deepcopy(donor[key]) for key in KEPT if donor.get(key) is not None},
        "dtype": NAMES[dtype],
        "tie_word_embeddings": spec.tied,
        "qkv_bias": True,
        "use_sliding_window": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "intermediate_size": spec.intermediate,
        "shared_expert_intermediate_size": spec.intermediate,
        "moe_intermediate_size": spec.fine,
        "num_experts": spec.slots,
        "num_experts_per_tok": spec.top_k,
        "norm_topk_prob": spec.gating == "topk_softmax",
        "router_aux_loss_coef": 0.0,
        "ungated_shared_expert": True,  # not Qwen2-MoE's own: later training must leave the zero gates alone
        "use_cache": True,
    }


def companions(folder: Path) -> list[Path]:
    """The donor's files that travel with the weights: tokenizer, chat template, generation settings."""
    names = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*")
    found = {path for name in (*names, "generation_config.json") for path in folder.glob(name)}
    return sorted(path for path in found if path.is_file())
