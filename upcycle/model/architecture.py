"""The shape of a model in one of its three kinds, and every tensor it has. No torch here: `plan` counts 53 billion parameters with it.

- `dense`: the donor itself.
- `induced`: beside every frozen feed-forward network (`shared_expert`) one trained coarse copy (`expert`).
- `mixture`: beside every `shared_expert` a router (`gate`) and the fine experts as fused 3-D tensors (`experts`).

A folder of native weights carries its spec as `upcycle.json`; deliberately not `config.json`, so that no library takes
an unfinished mixture for a dense model.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from upcycle.config.schema import Form, Gating, RoutedScale, UpcycleConfig

Kind = Literal["dense", "induced", "mixture"]
FILE = "upcycle.json"
FAMILIES = ("qwen2", "llama")
PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
FORM_WEIGHT: dict[str, float] = {"literal": 1.0, "zero_down": 1.0, "half": 0.5}
NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True)
class Spec:
    """A model's shape. `donor_config` is the donor's config.json."""

    donor_config: dict[str, Any]
    kind: Kind
    disciplines: tuple[str, ...]
    split: int = 8
    top_k: int = 8
    gating: Gating = "topk_softmax"
    routed_scale: RoutedScale = "m"
    null_experts: int = 0
    form: Form = "zero_down"

    def __post_init__(self) -> None:
        check_donor(self.donor_config, self.split)

    @classmethod
    def from_config(cls, config: UpcycleConfig, donor_config: dict[str, Any], kind: Kind) -> "Spec":
        """The spec of `config` on a donor."""
        m = config.mixture
        return cls(
            donor_config,
            kind,
            tuple(config.disciplines),
            m.split,
            m.top_k,
            m.gating,
            m.routed_scale,
            m.null_experts,
            m.form,
        )

    def of_kind(self, kind: Kind) -> "Spec":
        """The same shape as another kind."""
        return replace(self, kind=kind)

    @property
    def family(self) -> str:
        return str(self.donor_config["model_type"])

    @property
    def hidden(self) -> int:
        return int(self.donor_config["hidden_size"])

    @property
    def layers(self) -> int:
        return int(self.donor_config["num_hidden_layers"])

    @property
    def intermediate(self) -> int:
        """Width of the donor's feed-forward network, of the shared expert and of a coarse expert."""
        return int(self.donor_config["intermediate_size"])

    @property
    def heads(self) -> int:
        return int(self.donor_config["num_attention_heads"])

    @property
    def kv_heads(self) -> int:
        return int(self.donor_config.get("num_key_value_heads") or self.heads)

    @property
    def head_dim(self) -> int:
        return int(self.donor_config.get("head_dim") or self.hidden // self.heads)

    @property
    def vocabulary(self) -> int:
        return int(self.donor_config["vocab_size"])

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding (both families' default is untied)."""
        return bool(self.donor_config.get("tie_word_embeddings", False))

    @property
    def qkv_bias(self) -> bool:
        return self.family == "qwen2"

    @property
    def fine(self) -> int:
        """Width of a fine expert."""
        return self.intermediate // self.split

    @property
    def experts(self) -> int:
        """Fine experts with weights: expert `d * split + j` is slice j of discipline d."""
        return len(self.disciplines) * self.split

    @property
    def slots(self) -> int:
        """Rows of the router: the experts, then the null experts."""
        return self.experts + self.null_experts

    @property
    def shared_weight(self) -> float:
        """Factor on the shared expert's output: 1, or 1/2 where induction took the mean of both networks."""
        return FORM_WEIGHT[self.form]

    @property
    def routed_weight(self) -> float:
        """Factor on the sum of the chosen experts (before learning, where it is learned)."""
        return FORM_WEIGHT[self.form] * (1 if self.routed_scale == "one" else self.split)

    def save(self, folder: Path) -> None:
        """Write `folder/upcycle.json`, whole or not at all."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Spec":
        """The spec of a folder of native weights; `ValueError` names what is missing or wrong."""
        path = folder / FILE
        content = read_json(path, "give the folder of a split, routed or integrated model")
        try:
            return cls(**{**content, "disciplines": tuple(content["disciplines"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path}: not a spec of this version ({error}); write the folder again") from None


def check_donor(config: dict[str, Any], split: int) -> None:
    """Refuse a donor that the mixture cannot represent exactly; the message names the setting of its config.json."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"donor's model_type = {family!r}: only {' and '.join(FAMILIES)} donors can become a Qwen2-MoE checkpoint "
            "(same attention, SwiGLU and RMSNorm); give such a donor"
        )
    missing = [key for key in NEEDED if not config.get(key)]
    if missing:
        raise ValueError(f"donor's config.json lacks {', '.join(missing)}: fetch the donor again")
    for key, wanted in (("hidden_act", "silu"), ("attention_bias", False), ("mlp_bias", False)):
        if config.get(key, wanted) != wanted:
            raise ValueError(f"donor's {key} = {config[key]!r}: Qwen2-MoE has {wanted!r} only; give another donor")
    if config.get("use_sliding_window"):
        raise ValueError(
            "donor's use_sliding_window = True: sliding-window attention is not supported; give another donor"
        )
    if int(config["intermediate_size"]) % split:
        raise ValueError(
            f"mixture.split = {split}: the donor's intermediate_size {config['intermediate_size']} is not divisible by it; "
            f"set one of {', '.join(str(m) for m in _divisors(int(config['intermediate_size'])))}"
        )


def _divisors(number: int) -> list[int]:
    return [m for m in (2, 3, 4, 6, 8, 12, 16, 32) if number % m == 0]


def native_shapes(spec: Spec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of a native checkpoint in file order: name and shape. A tied head is not stored."""
    h, v = spec.hidden, spec.vocabulary
    yield "model.embed_tokens.weight", (v, h)
    for layer in range(spec.layers):
        yield from layer_shapes(spec, layer)
    yield "model.norm.weight", (h,)
    if not spec.tied:
        yield "lm_head.weight", (v, h)


def layer_shapes(spec: Spec, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors of one layer."""
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


def _attention_shapes(spec: Spec, root: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    h, q, kv = spec.hidden, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    for name, width in (("q_proj", q), ("k_proj", kv), ("v_proj", kv)):
        yield f"{root}.self_attn.{name}.weight", (width, h)
        if spec.qkv_bias:
            yield f"{root}.self_attn.{name}.bias", (width,)
    yield f"{root}.self_attn.o_proj.weight", (h, q)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON object in a file; `ValueError` names the file and the remedy."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; {remedy}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({error}); {remedy}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no JSON object; {remedy}")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all: into a file beside it, to the disk, then renamed."""
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
