"""Small dense base models and induced experts, made in a folder: what the upcycling tests start from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

from upcycle.checkpoint.expert_split import SplitSource, expert_shapes
from upcycle.checkpoint.hf_export import sidecar_files
from upcycle.checkpoint.readers import EXPERT, BaseModelSource, base_model_fingerprint, open_experts, read_base_config
from upcycle.checkpoint.sharded_writer import finish, write
from upcycle.model.architecture import FILE, ModelSpec, write_json

SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def make_base_model(folder: Path, family: str = "qwen2", dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
    """A random dense model in a folder, with biases and norms away from their trivial start."""
    kind = {"qwen2": transformers.Qwen2Config, "llama": transformers.LlamaConfig}[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = transformers.AutoModelForCausalLM.from_config(kind(**{**SHAPE, **settings}))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.2)
    model.to(dtype).save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return folder


def make_experts(
    folder: Path, base_model: Path, spec: ModelSpec, dtype: torch.dtype = torch.float32, std: float = 0.2
) -> Path:
    """A random induced expert for every discipline, one folder each."""
    for number, discipline in enumerate(spec.disciplines):
        place = folder / discipline
        place.mkdir(parents=True)
        generator = torch.Generator().manual_seed(number)
        tensors = {
            name: (std * torch.randn(shape, generator=generator)).to(dtype)
            for name, shape in expert_shapes(spec).items()
        }
        save_file(tensors, place / "model.safetensors", {"format": "pt"})
        facts = {"discipline": discipline, "form": spec.form, "base_model": base_model_fingerprint(base_model)}
        write_json(place / EXPERT, facts)
    return folder


def mixture_of(config: dict[str, Any], **settings: Any) -> ModelSpec:
    """A mixture of two disciplines, four slices each, two of them active."""
    return ModelSpec(
        config, **{"kind": "mixture", "disciplines": ("physics", "biology"), "split": 4, "top_k": 2, **settings}
    )


def spec_of(base_model: Path, **settings: Any) -> ModelSpec:
    """The same on a base model's folder."""
    return mixture_of(read_base_config(base_model), **settings)


def training(folder: Path, base_model: Path, spec: ModelSpec, dtype: torch.dtype = torch.float32) -> Path:
    """A training-format folder whose router decides firmly, split from `base_model` and random experts."""
    experts = make_experts(folder.with_name("experts"), base_model, spec, dtype)
    coarse = open_experts(experts, spec, base_model_fingerprint(base_model))
    source = SplitSource(spec, BaseModelSource(spec.of_kind("dense"), base_model), coarse, router_std=0.3)
    write(source, folder, 10**9, "test", lambda _line: None)
    finish(folder, sidecar_files(base_model), {FILE: asdict(spec)})
    return folder
