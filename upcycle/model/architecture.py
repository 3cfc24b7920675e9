"""Describe a model's architecture, its shape in one of three kinds and tensors.

- `dense`: the base model itself.
- `induced`: next to every frozen feed-forward network (`shared_expert`) one trained coarse copy (`expert`).
- `mixture`: next to every `shared_expert` a router (`gate`) and the fine experts as fused 3-D tensors (`experts`).

The training format is a folder of safetensors with these tensors and the model's `ModelSpec` as `upcycle.json`. It has
no `config.json`, so that no library takes an unfinished mixture for a dense model. This module does not import torch,
because `plan` uses it to count 53 billion parameters in well under a second.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from innovator_rl.errors import UserError
from upcycle.config.schema import Form, Gating, RoutedScale, UpcycleConfig

Kind = Literal["dense", "induced", "mixture"]
FILE = "upcycle.json"
FAMILIES = ("qwen2", "llama")
PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
FORM_WEIGHT: dict[str, float] = {"literal": 1.0, "zero_down": 1.0, "half": 0.5}
LOGITS_AT_ONCE = 2**27
"""Logits that the loss computes at once; `plan` counts their memory."""
REQUIRED_KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True)
class ModelSpec:
    """Shape of a model.

    Attributes:
        base_config: The base model's config.json.
        kind: Dense, induced or mixture.
        disciplines: The disciplines in the order of their experts.
        split: Fine experts per discipline, m.
        top_k: Experts per token, in addition to the shared one.
        gating: How gates follow from the router's logits.
        routed_scale: Factor on the sum of the chosen experts.
        null_experts: Experts whose weights are zero.
        form: How a coarse expert joins the original network.
    """

    base_config: dict[str, Any]
    kind: Kind
    disciplines: tuple[str, ...]
    split: int = 8
    top_k: int = 8
    gating: Gating = "topk_softmax"
    routed_scale: RoutedScale = "m"
    null_experts: int = 0
    form: Form = "zero_down"

    def __post_init__(self) -> None:
        check_base_config(self.base_config, self.split)

    @classmethod
    def from_config(cls, config: UpcycleConfig, base_config: dict[str, Any], kind: Kind) -> "ModelSpec":
        """Return the spec of a configuration on a base model with this config.json."""
        m = config.mixture
        return cls(
            base_config,
            kind,
            tuple(config.disciplines),
            m.split,
            m.top_k,
            m.gating,
            m.routed_scale,
            m.null_experts,
            m.form,
        )

    def of_kind(self, kind: Kind) -> "ModelSpec":
        """Return the same shape as another kind."""
        return replace(self, kind=kind)

    @property
    def family(self) -> str:
        """The base model's `model_type`, one of `FAMILIES`."""
        return str(self.base_config["model_type"])

    @property
    def hidden(self) -> int:
        """Width of the hidden states, H."""
        return int(self.base_config["hidden_size"])

    @property
    def layers(self) -> int:
        """Number of layers, L."""
        return int(self.base_config["num_hidden_layers"])

    @property
    def intermediate(self) -> int:
        """Width of the dense feed-forward network, shared expert and coarse expert."""
        return int(self.base_config["intermediate_size"])

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self.base_config["num_attention_heads"])

    @property
    def kv_heads(self) -> int:
        """Number of key-value heads."""
        return int(self.base_config.get("num_key_value_heads") or self.heads)

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return int(self.base_config.get("head_dim") or self.hidden // self.heads)

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding, V."""
        return int(self.base_config["vocab_size"])

    @property
    def tied(self) -> bool:
        """Whether the head shares the embedding's weight.

        Both families' default is untied.
        """
        return bool(self.base_config.get("tie_word_embeddings", False))

    @property
    def qkv_bias(self) -> bool:
        """Whether the attention's query, key and value projections have biases."""
        return self.family == "qwen2"

    @property
    def fine(self) -> int:
        """Width of a fine expert, F."""
        return self.intermediate // self.split

    @property
    def experts(self) -> int:
        """Number of fine experts with weights, E.

        Expert `d * split + j` is slice j of discipline d.
        """
        return len(self.disciplines) * self.split

    @property
    def slots(self) -> int:
        """Rows of the router, S: the experts, then the null experts."""
        return self.experts + self.null_experts

    @property
    def shared_weight(self) -> float:
        """Factor on the shared expert's output.

        It is 1, or 1/2 where stage 1 took the mean of both networks.
        """
        return FORM_WEIGHT[self.form]

    @property
    def routed_weight(self) -> float:
        """Factor on the sum of the chosen experts; where it is learned, its initial value."""
        return FORM_WEIGHT[self.form] * (1 if self.routed_scale == "one" else self.split)

    def save(self, folder: Path) -> None:
        """Write `folder/upcycle.json` atomically."""
        write_json(folder / FILE, asdict(self))

    def fingerprint_facts(self) -> dict[str, Any]:
        """Return the fields that identify a result made from this spec.

        The field names are those of the first release, so that its unfinished and finished folders are recognized.
        """
        facts = asdict(self)
        return {"donor_config": facts.pop("base_config"), **facts}

    @classmethod
    def load(cls, folder: Path) -> "ModelSpec":
        """Load the spec of a folder in the training format.

        The folder is of this release or the previous one.

        Raises:
            UserError: If the folder has no readable spec.
        """
        path = folder / FILE
        content = read_json(path, "give the folder of a split, routed or integrated model")
        if "donor_config" in content:  # the key of the previous release
            content["base_config"] = content.pop("donor_config")
        try:
            return cls(**{**content, "disciplines": tuple(content["disciplines"])})
        except (TypeError, KeyError) as error:
            raise UserError(f"{path}: not the spec of an upcycled model ({error}); write the folder again") from None


def check_base_config(config: dict[str, Any], split: int) -> None:
    """Check that the mixture can represent a base model exactly.

    Args:
        config: The base model's config.json.
        split: Fine experts per discipline.

    Raises:
        UserError: With the setting of config.json that does not fit.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        raise UserError(
            f"base model's model_type = {family!r}: only {' and '.join(FAMILIES)} base models can become a Qwen2-MoE checkpoint "
            "(same attention, SwiGLU and RMSNorm); give such a base model"
        )
    missing = [key for key in REQUIRED_KEYS if not config.get(key)]
    if missing:
        raise UserError(f"base model's config.json lacks {', '.join(missing)}: fetch the base model again")
    for key, wanted in (("hidden_act", "silu"), ("attention_bias", False), ("mlp_bias", False)):
        if config.get(key, wanted) != wanted:
            raise UserError(
                f"base model's {key} = {config[key]!r}: Qwen2-MoE has {wanted!r} only; give another base model"
            )
    if config.get("use_sliding_window"):
        raise UserError(
            "base model's use_sliding_window = True: sliding-window attention is not supported; give another base model"
        )
    if int(config["intermediate_size"]) % split:
        raise UserError(
            f"mixture.split = {split}: the base model's intermediate_size {config['intermediate_size']} is not divisible by it; "
            f"set one of {', '.join(str(m) for m in _divisors(int(config['intermediate_size'])))}"
        )


def _divisors(number: int) -> list[int]:
    return [m for m in (2, 3, 4, 6, 8, 12, 16, 32) if number % m == 0]


def tensor_shapes(spec: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor in the training format, in file order.

    A tied head is not stored.
    """
    h, v = spec.hidden, spec.vocabulary
    yield "model.embed_tokens.weight", (v, h)
    for layer in range(spec.layers):
        yield from layer_shapes(spec, layer)
    yield "model.norm.weight", (h,)
    if not spec.tied:
        yield "lm_head.weight", (v, h)


def layer_shapes(spec: ModelSpec, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of the tensors of one layer."""
    h, f, root = spec.hidden, spec.intermediate, f"model.layers.{layer}"
    yield from _attention_shapes(spec, root)
    yield f"{root}.input_layernorm.weight", (h,)
    yield f"{root}.post_attention_layernorm.weight", (h,)
    swiglu = dict(zip(PROJECTIONS, ((f, h), (f, h), (h, f)), strict=True))
    where = "mlp" if spec.kind == "dense" else "mlp.shared_expert"
    for name, shape in swiglu.items():
        yield f"{root}.{where}.{name}.weight", shape
    if spec.kind == "induced":
        for name, shape in swiglu.items():
            yield f"{root}.mlp.expert.{name}.weight", shape
    if spec.kind == "mixture":
        yield f"{root}.mlp.gate.weight", (spec.slots, h)
        yield f"{root}.mlp.routed_scale", (1,)
        yield f"{root}.mlp.experts.gate_up_proj", (spec.experts, 2 * spec.fine, h)
        yield f"{root}.mlp.experts.down_proj", (spec.experts, h, spec.fine)


def _attention_shapes(spec: ModelSpec, root: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    h, q, kv = spec.hidden, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    for name, width in (("q_proj", q), ("k_proj", kv), ("v_proj", kv)):
        yield f"{root}.self_attn.{name}.weight", (width, h)
        if spec.qkv_bias:
            yield f"{root}.self_attn.{name}.bias", (width,)
    yield f"{root}.self_attn.o_proj.weight", (h, q)


def read_json(path: Path, fix: str) -> dict[str, Any]:
    """Read a JSON object from a file.

    Args:
        path: The file.
        fix: What the message advises if the file cannot be used.

    Raises:
        UserError: If the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {fix}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); {fix}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no JSON object; {fix}")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically.

    It goes to a temporary file next to it, is flushed to the disk, and then renamed.
    """
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
