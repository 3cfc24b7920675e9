"""Built-in models: reproducible files, safe parallel builds, and shapes that vLLM's CPU path accepts."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.errors import UserError
from innovator_rl.models import inspect_model, make, resolve
from innovator_rl.models.byte_tokenizer import byte_symbols, byte_tokenizer
from innovator_rl.models.inspect import attention_window, from_config
from innovator_rl.models.resolver import BUILT_IN_MODELS, MARKER

QWEN25_7B = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944,
    "num_attention_heads": 28, "num_key_value_heads": 4, "num_hidden_layers": 28, "vocab_size": 152064,
    "max_position_embeddings": 32768, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
QWEN3_30B_A3B = {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 2048, "head_dim": 128,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_attention_heads": 32, "num_key_value_heads": 4,
    "num_hidden_layers": 48, "vocab_size": 151936, "max_position_embeddings": 40960, "num_experts": 128,
    "num_experts_per_tok": 8, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("name", ["tiny-qwen2", "tiny-qwen2-moe"])
def test_tiny_models_are_equal_bit_for_bit_and_countable(name: str, cache: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    first, second = make(name, cache), make(name, tmp_path)
    digests = [hashlib.sha256((f / "model.safetensors").read_bytes()).hexdigest() for f in (first, second)]
    assert digests[0] == digests[1]
    with safe_open(str(first / "model.safetensors"), "pt") as tensors:  # type: ignore[no-untyped-call]
        sizes = [tensors.get_tensor(key).numel() for key in tensors.keys()]  # noqa: SIM118
        assert {str(tensors.get_tensor(key).dtype) for key in tensors.keys()} == {"torch.float32"}  # noqa: SIM118
    found = inspect_model(first)
    assert found.params_total == sum(sizes)
    assert found.head_dim == 32
    assert found.vocab % 32 == 0


def test_mixture_has_a_shared_expert_and_top_two_of_eight(cache: Path) -> None:
    found = inspect_model(make("tiny-qwen2-moe", cache))
    assert (found.is_moe, found.experts, found.top_k) == (True, 8, 2)
    assert 0 < (found.params_active or 0) < (found.params_total or 0)


@pytest.mark.parametrize("name", ["tiny-qwen2", "tiny-qwen2-moe"])
def test_tiny_models_load_and_give_finite_logits(name: str, cache: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make(name, cache)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("E = mc²", return_tensors="pt")["input_ids"]
    assert ids.shape[1] == len("E = mc²".encode())
    assert torch.isfinite(model(ids).logits).all()
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id


def test_byte_tokenizer_returns_any_text() -> None:
    tokenizer = byte_tokenizer()
    text = "  Convert 3 km to m .\n[C][=O] ψ² 分子"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("A\n") == [65, 10]
    assert len(tokenizer) == 288
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "x"}], add_generation_prompt=True, tokenize=False
    )
    assert prompt == "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.encode(prompt)[0] == 257


def test_byte_symbols_are_the_alphabet_of_byte_level_bpe() -> None:
    from tokenizers import pre_tokenizers

    assert sorted(byte_symbols()) == sorted(pre_tokenizers.ByteLevel.alphabet())


def test_parallel_callers_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from innovator_rl.models import resolver

    built: list[Path] = []

    def slow_build(folder: Path) -> None:
        built.append(folder)
        threading.Event().wait(0.2)
        (folder / "config.json").write_text("{}")

    monkeypatch.setitem(resolver.BUILT_IN_MODELS, "slow", resolver.ModelBuilder(1, slow_build))
    threads = [threading.Thread(target=make, args=("slow", tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [".slow.lock", "slow"]


def test_a_stale_recipe_is_made_again_and_a_failed_build_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from innovator_rl.models import resolver

    def write(folder: Path) -> None:
        (folder / "config.json").write_text("{}")

    def fail(folder: Path) -> None:
        write(folder)
        raise OSError("disk full")

    monkeypatch.setitem(resolver.BUILT_IN_MODELS, "model", resolver.ModelBuilder(1, write))
    folder = make("model", tmp_path)
    (folder / "left-over").write_text("old")
    monkeypatch.setitem(resolver.BUILT_IN_MODELS, "model", resolver.ModelBuilder(2, fail))
    with pytest.raises(OSError, match="disk full"):
        make("model", tmp_path)
    assert (folder / "left-over").exists()
    monkeypatch.setitem(resolver.BUILT_IN_MODELS, "model", resolver.ModelBuilder(2, write))
    assert sorted(p.name for p in make("model", tmp_path).iterdir()) == ["config.json", MARKER]


def test_resolve_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("Qwen/Qwen2.5-7B") == "Qwen/Qwen2.5-7B"
    with pytest.raises(UserError, match="did you mean 'smollm2-135m'"):
        resolve("smollm-135m")
    (tmp_path / "runs" / "inner").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no config\.json"):
        resolve(tmp_path / "runs")
    with pytest.raises(UserError, match="must be a folder"):
        resolve("runs/missing")  # the shape of a hub id, but `runs` is a folder here
    (tmp_path / "runs" / "inner" / "config.json").write_text(json.dumps(QWEN25_7B))
    with pytest.raises(UserError, match="perhaps"):
        resolve(tmp_path / "runs")
    assert resolve("runs/inner") == Path("runs/inner")


def test_facts_of_published_models() -> None:
    dense, sparse = from_config(QWEN25_7B), from_config(QWEN3_30B_A3B)
    assert dense.params_total == dense.params_active == 7_615_616_512
    assert (dense.head_dim, dense.dtype, dense.is_moe) == (128, "bfloat16", False)
    assert sparse.params_total == 30_532_122_624
    assert 3.3e9 < (sparse.params_active or 0) < 3.4e9
    assert from_config({**QWEN25_7B, "model_type": "novel"}).params_total is None
    with pytest.raises(UserError, match="hidden_size"):
        from_config({k: v for k, v in QWEN25_7B.items() if k != "hidden_size"})


def test_importing_models_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, innovator_rl.models; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_smollm2_answers_a_sum() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    found = inspect_model("smollm2-135m")
    assert (found.head_dim, found.tied, found.dtype) == (64, True, "float32")
    assert found.params_total == sum(p.numel() for p in model.parameters())
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    parts = [tokenizer.encode(part)[0] for part in ("a", "  ", "2", "5")]
    assert tokenizer.encode("a  25") == parts
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 17 + 25?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    output = model.generate(**prompt, max_new_tokens=48, do_sample=False)
    answer = tokenizer.decode(output[0, prompt["input_ids"].shape[1] :])
    assert "17 + 25" in answer or "sum" in answer
    assert answer.endswith("<|im_end|>")


def test_every_recipe_has_a_version() -> None:
    assert all(recipe.version >= 1 for recipe in BUILT_IN_MODELS.values())


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({}, None),
        ({"sliding_window": 8}, 8),  # Mistral
        ({"sliding_window": None}, None),
        ({"sliding_window": 131072, "use_sliding_window": False}, None),  # Qwen2
        ({"sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"]}, 8),  # Gemma, gpt-oss
        ({"sliding_window": 8, "layer_types": ["full_attention"]}, None),
        ({"text_config": {"attention_chunk_size": 16, "layer_types": ["chunked_attention"]}}, 16),  # Llama 4
        ({"layer_types": ["linear_attention", "full_attention"]}, 0),  # Qwen3-Next
    ],
)
def test_the_attention_window_of_a_config(config: dict[str, Any], window: int | None) -> None:
    assert attention_window(config) == window
