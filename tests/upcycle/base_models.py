"""Small dense donors and induced experts, made in a folder: what the upcycling tests start from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

from upcycle.checkpoint.expert_split import Split, expert_shapes
from upcycle.checkpoint.hf_export import companions
from upcycle.checkpoint.readers import EXPERT, Donor, donor_config, donor_fingerprint, open_experts
from upcycle.checkpoint.sharded_writer import finish, write
from upcycle.model.architecture import FILE, Spec, write_json

SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def make_donor(folder: Path, family: str = "qwen2", dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
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


def make_experts(folder: Path, donor: Path, spec: Spec, dtype: torch.dtype = torch.float32, std: float = 0.2) -> Path:
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
        facts = {"discipline": discipline, "form": spec.form, "donor": donor_fingerprint(donor)}
        write_json(place / EXPERT, facts)
    return folder


def mixture_of(config: dict[str, Any], **settings: Any) -> Spec:
    """A mixture of two disciplines, four slices each, two of them active."""
    return Spec(
        config, **{"kind": "mixture", "disciplines": ("physics", "biology"), "split": 4, "top_k": 2, **settings}
    )


def spec_of(donor: Path, **settings: Any) -> Spec:
    """The same on a donor's folder."""
    return mixture_of(donor_config(donor), **settings)


def native(folder: Path, donor: Path, spec: Spec, dtype: torch.dtype = torch.float32) -> Path:
    """A native folder whose router decides firmly, split from `donor` and random experts."""
    experts = make_experts(folder.with_name("experts"), donor, spec, dtype)
    coarse = open_experts(experts, spec, donor_fingerprint(donor))
    source = Split(spec, Donor(spec.of_kind("dense"), donor), coarse, router_std=0.3)
    write(source, folder, 10**9, "test", lambda _line: None)
    finish(folder, companions(donor), {FILE: asdict(spec)})
    return folder
