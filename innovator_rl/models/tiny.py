"""Build two tiny random models: `tiny-qwen2` and the mixture `tiny-qwen2-moe`.

They train in seconds.
They have the layout of the real families in small: grouped-query attention with biases, untied embeddings, and for the
mixture a gated shared expert and 8 routed experts of which 2 are active. head_dim is 32, the smallest that vLLM's
CPU attention takes, and every width is a multiple of 32. The seed fixes every weight: two builds are equal bit for bit.
"""

from pathlib import Path
from typing import Any

from innovator_rl.models.byte_tokenizer import SPECIAL_TOKENS, VOCABULARY, byte_tokenizer

SEED = 20240229
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
EXPERTS: dict[str, Any] = {
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 256,
    "norm_topk_prob": True,  # softmax over the chosen logits, as in the paper
}


def build_dense(folder: Path) -> None:
    """Write `tiny-qwen2` (Qwen2ForCausalLM, 0.4 M parameters) into `folder`.

    The folder must be empty.
    """
    _save("Qwen2Config", {**SHAPE, **_token_ids()}, folder)


def build_moe(folder: Path) -> None:
    """Write `tiny-qwen2-moe` (Qwen2MoeForCausalLM, 0.8 M) into `folder`.

    The folder must be empty; 0.8 M counts parameters.
    """
    _save("Qwen2MoeConfig", {**SHAPE, **EXPERTS, **_token_ids()}, folder)


def _token_ids() -> dict[str, int]:
    return {
        "bos_token_id": SPECIAL_TOKENS["<|endoftext|>"],
        "pad_token_id": SPECIAL_TOKENS["<|endoftext|>"],
        "eos_token_id": SPECIAL_TOKENS["<|im_end|>"],
    }


def _save(config_class: str, settings: dict[str, Any], folder: Path) -> None:
    import torch
    import transformers

    hf: Any = transformers  # its classes carry no constructor types
    config = getattr(hf, config_class)(**settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = hf.GenerationConfig(**_token_ids())
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
