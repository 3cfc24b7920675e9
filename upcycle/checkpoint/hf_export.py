"""Convert a mixture to a Hugging Face `Qwen2MoeForCausalLM`, as a stream.

The mixture has the training format.

Qwen2-MoE multiplies its shared expert by sigmoid(shared_expert_gate x). With a gate of zeros that is 1/2 for every x, so
the shared down projection is doubled, which changes exponents only and is exact in every binary type. The routed scale
is folded into the fine experts' down projections (exact for a power of two, rounded once for a learned one), null
experts become tensors of zeros, and the attention of a Llama-type base model gets biases of zero, since Qwen2-MoE always
has them. Experts are written one tensor each, the layout that transformers saves and every reader accepts.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from innovator_rl.errors import UserError
from upcycle.checkpoint.dtypes import LONG_NAME, SHORT_NAME, STORAGE, Array, cast, scaled, to_float32
from upcycle.checkpoint.tensor_source import Entry, TensorSource
from upcycle.model.architecture import PROJECTIONS, ModelSpec, tensor_shapes

CONFIG = "config.json"
SHARED_GATE = "mlp.shared_expert_gate.weight"
# Settings of the base model that Qwen2-MoE has under the same name.
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
class TensorRecipe:
    """How an exported tensor is made of a tensor in the training format.

    Attributes:
        shape: Shape of the exported tensor.
        name: The tensor it is cut from; empty: zeros.
        start: First row of the cut.
        factor: Factor on the values.
        scaled_by: A (1,) tensor in the training format whose value multiplies `factor`.
    """

    shape: tuple[int, ...]
    name: str = ""
    start: int = 0
    factor: float = 1.0
    scaled_by: str = ""


def recipes(spec: ModelSpec) -> Iterator[tuple[str, TensorRecipe]]:
    """Yield name and recipe of every tensor of the exported checkpoint, in file order."""
    for name, shape in tensor_shapes(spec.of_kind("mixture")):
        root, _, rest = name.partition(".mlp.")
        layer = f"{root}.mlp"
        if rest == "routed_scale":
            continue
        if rest.startswith("experts."):
            if rest == "experts.gate_up_proj":  # all of a layer's experts are written here
                yield from _expert_recipes(spec, layer)
        elif rest == "shared_expert.down_proj.weight":
            yield name, TensorRecipe(shape, name, factor=2 * spec.shared_weight)
            yield f"{root}.{SHARED_GATE}", TensorRecipe((1, spec.hidden))
        else:
            yield name, TensorRecipe(shape, name)
            if not spec.qkv_bias and name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
                yield name.replace(".weight", ".bias"), TensorRecipe((shape[0],))


def _expert_recipes(spec: ModelSpec, layer: str) -> Iterator[tuple[str, TensorRecipe]]:
    h, f = spec.hidden, spec.fine
    shapes = dict(zip(PROJECTIONS, ((f, h), (f, h), (h, f)), strict=True))
    for e in range(spec.slots):
        starts = {"gate_proj": (2 * e) * f, "up_proj": (2 * e + 1) * f, "down_proj": e * h}
        for projection, shape in shapes.items():
            name = f"{layer}.experts.{e}.{projection}.weight"
            if e >= spec.experts:
                yield name, TensorRecipe(shape)
                continue
            down = projection == "down_proj"
            fused = f"{layer}.experts.{'down_proj' if down else 'gate_up_proj'}"
            yield (
                name,
                TensorRecipe(shape, fused, starts[projection], scaled_by=f"{layer}.routed_scale" if down else ""),
            )


class ExportSource:
    """The exported checkpoint of a source in the training format.

    Attributes:
        dtype: Type of every tensor: BF16, F16 or F32.
    """

    def __init__(self, spec: ModelSpec, training: TensorSource, dtype: str = "keep") -> None:
        self.dtype = base_dtype(spec, training) if dtype == "keep" else SHORT_NAME[dtype]
        self.spec, self.training = spec, training
        self._recipes = dict(recipes(spec))
        self._factors: dict[str, float] = {}
        self.entries = {name: Entry(self.dtype, recipe.shape) for name, recipe in self._recipes.items()}

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width).

        Raises:
            UserError: If a scaled weight leaves the range of the exported type.
        """
        recipe = self._recipes[name]
        if not recipe.name:
            return np.zeros((stop - start, recipe.shape[-1]), STORAGE[self.dtype])
        values = self.training.rows(recipe.name, recipe.start + start, recipe.start + stop)
        stored, factor = self.training.entries[recipe.name].dtype, recipe.factor * self._scale(recipe.scaled_by)
        try:
            # The wider type takes the factor, so that a number is rounded at most once.
            if stored == "F32" or self.dtype != "F32":
                return cast(scaled(values, stored, factor), stored, self.dtype)
            return scaled(cast(values, stored, self.dtype), self.dtype, factor)
        except OverflowError as error:
            raise UserError(f"{name}: {error}; export with export.dtype=float32") from None

    def _scale(self, name: str) -> float:
        if not name:
            return 1.0
        if name not in self._factors:
            stored = self.training.entries[name].dtype
            self._factors[name] = float(to_float32(self.training.rows(name, 0, 1), stored)[0, 0])
        return self._factors[name]


class DenseExportSource:
    """The exported checkpoint of the dense baseline, which keeps the base model's architecture and names.

    Attributes:
        dtype: Type of every tensor: BF16, F16 or F32.
    """

    def __init__(self, spec: ModelSpec, training: TensorSource, dtype: str = "keep") -> None:
        self.dtype = base_dtype(spec, training) if dtype == "keep" else SHORT_NAME[dtype]
        self.training = training
        self.entries = {name: Entry(self.dtype, entry.shape) for name, entry in training.entries.items()}

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        return cast(self.training.rows(name, start, stop), self.training.entries[name].dtype, self.dtype)


def base_dtype(spec: ModelSpec, training: TensorSource) -> str:
    """Return the type of the base model's weights, or of the trained ones where its config.json names none."""
    named = spec.base_config.get("dtype") or spec.base_config.get("torch_dtype")
    return SHORT_NAME.get(str(named), training.entries["model.embed_tokens.weight"].dtype)


def hf_config(spec: ModelSpec, dtype: str) -> dict[str, Any]:
    """Return the exported checkpoint's config.json.

    Args:
        spec: Shape of the mixture, or of the dense baseline, whose config.json is the base model's.
        dtype: BF16, F16 or F32.
    """
    base = spec.base_config
    if spec.kind == "dense":
        return {**{key: value for key, value in base.items() if key != "torch_dtype"}, "dtype": LONG_NAME[dtype]}
    return {
        "architectures": ["Qwen2MoeForCausalLM"],
        "model_type": "qwen2_moe",
        **{key: copy.deepcopy(base[key]) for key in KEPT if base.get(key) is not None},
        "dtype": LONG_NAME[dtype],
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
        "ungated_shared_expert": True,  # our own key: later training must not change the zero gates
        "use_cache": True,
    }


def sidecar_files(folder: Path) -> list[Path]:
    """Return the files next to the weights, such as tokenizer and chat template."""
    names = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*")
    found = {path for name in (*names, "generation_config.json") for path in folder.glob(name)}
    return sorted(path for path in found if path.is_file())
