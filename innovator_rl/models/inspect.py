"""Inspect a checkpoint from its config.json alone, before torch loads.

Planning memory needs no more.

Parameter counts are exact for the families listed in `COUNTED`, which share one layout (grouped-query attention,
SwiGLU, RMSNorm, optional experts); they are `None` elsewhere rather than a guess.
"""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from innovator_rl.errors import UserError
from innovator_rl.models.resolver import resolve

COUNTED = frozenset({"llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"})
HUB_SECONDS = 5.0
EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class ModelInfo:
    """The shape of a checkpoint; sizes in elements, not bytes.

    `params_active` is the number of parameters that one token uses; `attention_window` the tokens that a layer with sliding
    or chunked attention sees (None: every layer sees all; 0: a layer with a recurrent state).
    """

    path: str
    architecture: str
    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    max_positions: int
    vocab: int
    params_total: int | None
    params_active: int | None
    is_moe: bool
    experts: int
    top_k: int
    tied: bool
    dtype: str
    attention_window: int | None = None


def inspect_model(path: str | Path) -> ModelInfo:
    """Inspect a built-in model, a checkpoint folder or a hub id.

    A built-in model is built first.

    Raises:
        UserError: There is no readable config.json.
    """
    place = resolve(path)
    return from_config(_hub_config(place) if isinstance(place, str) else _read(place / "config.json"), str(place))


def from_config(config: dict[str, Any], path: str = "") -> ModelInfo:
    """Read the content of a config.json; multimodal configs at their `text_config`."""
    text = {**config, **config.get("text_config", {})}
    try:
        heads, hidden = int(text["num_attention_heads"]), int(text["hidden_size"])
        experts = next((int(text[key]) for key in EXPERT_KEYS if text.get(key)), 0)
        total, active = _count(text, experts)
        return ModelInfo(
            path=path,
            architecture=str((config.get("architectures") or ["unknown"])[0]),
            model_type=str(text.get("model_type", "unknown")),
            layers=int(text["num_hidden_layers"]),
            hidden=hidden,
            heads=heads,
            kv_heads=int(text.get("num_key_value_heads") or heads),
            head_dim=_head_dim(text),
            max_positions=int(text["max_position_embeddings"]),
            vocab=int(text["vocab_size"]),
            params_total=total,
            params_active=active,
            is_moe=experts > 0,
            experts=experts,
            top_k=int(text.get("num_experts_per_tok") or 0) if experts else 0,
            tied=bool(text.get("tie_word_embeddings", False)),
            dtype=str(text.get("dtype") or text.get("torch_dtype") or "float32"),
            attention_window=attention_window(config),
        )
    except KeyError as error:
        raise UserError(
            f"config.json of model {path!r} lacks {error.args[0]!r}: give the checkpoint of a causal language model"
        ) from None


def attention_window(config: dict[str, Any]) -> int | None:
    """Return the tokens that the narrowest attention layer of a config.json sees; None where all see everything.

    Families write it in two ways: a `layer_types` entry other than full attention, or a `sliding_window` that is in force
    unless `use_sliding_window` is false. A layer with a recurrent state (linear attention, Mamba) counts as 0.
    """
    text = {**config, **(config.get("text_config") or {})}
    layers = {str(kind) for kind in text.get("layer_types") or ()} - {"full_attention"}
    if layers - {"sliding_attention", "chunked_attention"}:
        return 0
    windowed = bool(layers) if text.get("layer_types") else text.get("use_sliding_window", True)
    sizes = [int(text[key]) for key in ("sliding_window", "attention_chunk_size") if text.get(key)]
    return min(sizes) if windowed and sizes else None


def _head_dim(text: dict[str, Any]) -> int:
    return int(text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"])


def _count(text: dict[str, Any], experts: int) -> tuple[int | None, int | None]:
    """Return total and active parameters; None for a family not known here."""
    family = text.get("model_type")
    if family not in COUNTED:
        return None, None
    hidden, layers, vocab = int(text["hidden_size"]), int(text["num_hidden_layers"]), int(text["vocab_size"])
    outside = vocab * hidden * (1 if text.get("tie_word_embeddings") else 2) + hidden
    dense_mlp = 3 * hidden * int(text["intermediate_size"])
    shared_block = layers * (_attention(text) + 2 * hidden)
    sparse = _sparse_layers(text) if experts else 0
    total = active = outside + shared_block + (layers - sparse) * dense_mlp
    if sparse:
        # Mixtral alone sizes its experts by intermediate_size; its config has no moe_intermediate_size.
        expert = 3 * hidden * int(text.get("moe_intermediate_size") or text["intermediate_size"])
        shared = int(text.get("shared_expert_intermediate_size") or 0)
        always = hidden * experts + (3 * hidden * shared + hidden if shared else 0)
        total += sparse * (always + experts * expert)
        active += sparse * (always + int(text["num_experts_per_tok"]) * expert)
    return total, active


def _attention(text: dict[str, Any]) -> int:
    hidden, heads = int(text["hidden_size"]), int(text["num_attention_heads"])
    kv_heads, width = int(text.get("num_key_value_heads") or heads), _head_dim(text)
    count = 2 * hidden * heads * width + 2 * hidden * kv_heads * width
    qkv_bias, out_bias = (heads + 2 * kv_heads) * width, hidden
    if text["model_type"] == "qwen2" or (text["model_type"] == "qwen2_moe" and text.get("qkv_bias", True)):
        count += qkv_bias
    elif text.get("attention_bias"):
        count += qkv_bias + out_bias
    return count + (2 * width if text["model_type"].startswith("qwen3") else 0)


def _sparse_layers(text: dict[str, Any]) -> int:
    step, dense = int(text.get("decoder_sparse_step") or 1), set(text.get("mlp_only_layers") or [])
    return sum((i + 1) % step == 0 and i not in dense for i in range(int(text["num_hidden_layers"])))


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): fetch the checkpoint again") from None
    assert isinstance(config, dict)
    return config


def hub_unreachable() -> str:
    """Return why the model hub cannot be asked, after one try of a few seconds; empty where it answers.

    The hub's client retries for half a minute and prints each failure before it gives up.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    place = urlsplit(constants.ENDPOINT)
    host, port = place.hostname or "", place.port or (443 if place.scheme == "https" else 80)
    if getproxies().get(place.scheme) and not proxy_bypass(host):
        return ""  # only the proxy can tell
    try:
        socket.create_connection((host, port), timeout=HUB_SECONDS).close()
    except OSError as error:
        return f"{constants.ENDPOINT} cannot be reached ({error.strerror or error})"
    return ""


def _hub_config(hub_id: str) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(hub_id, "config.json")
    if isinstance(cached, str):
        return _read(Path(cached))
    if problem := hub_unreachable():
        raise UserError(
            f"model.path {hub_id!r}: its config.json is not in the local hub cache, and {problem}; download the model "
            "where there is a network and give its folder, with HF_HUB_OFFLINE=1 to keep every library from trying"
        )
    try:
        return _read(Path(hf_hub_download(hub_id, "config.json")))
    except UserError:
        raise
    except Exception as error:  # the client raises many kinds: no such model, no permission, a broken connection
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"model.path {hub_id!r}: its config.json is neither in the local hub cache nor to be fetched ({reason}); "
            "download the model and give its folder"
        ) from None
