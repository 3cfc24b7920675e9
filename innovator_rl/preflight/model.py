"""Check that the model is complete and able to run in both engines.

The run's lengths and parallelism are taken into account.

Nothing is built or downloaded for a check. The shape of a built-in model that does not exist yet is known here, and a hub
id is looked up in the local cache.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from innovator_rl.config.schema import Lora
from innovator_rl.errors import UserError
from innovator_rl.models import BUILT_IN_MODELS, ModelInfo, resolve
from innovator_rl.models.inspect import from_config
from innovator_rl.models.resolver import default_cache_dir
from innovator_rl.models.tiny import EXPERTS, SHAPE
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.preflight.machine import Machine

# vLLM's CPU attention (CPUAttentionBackend.get_supported_head_sizes, vLLM 0.28).
CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")

BUILT_IN_SHAPES: dict[str, dict[str, Any]] = {
    "tiny-qwen2": {**SHAPE, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]},
    "tiny-qwen2-moe": {**SHAPE, **EXPERTS, "model_type": "qwen2_moe", "architectures": ["Qwen2MoeForCausalLM"]},
    "smollm2-135m": {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
}


def look(path: str) -> tuple[ModelInfo | None, Path | None, list[Diagnostic]]:
    """Return (model, folder, diagnostics) of `model.path`.

    Nothing is built or fetched.
    """
    if path in BUILT_IN_MODELS:
        try:
            folder = default_cache_dir() / path
        except UserError as error:
            why, fix = str(error).split("; ")
            return None, None, [Diagnostic(setting="model.path", value=path, why=why, fix=fix)]
        known = folder if (folder / "config.json").is_file() else None
        return from_config(BUILT_IN_SHAPES[path], path), known, []
    try:
        place = resolve(path)
        if isinstance(place, str):
            return _hub(place)
        return from_config(json.loads((place / "config.json").read_text()), str(place)), place, []
    except UserError as error:
        return (
            None,
            None,
            [
                Diagnostic(
                    setting="model.path",
                    value=path,
                    why=str(error),
                    fix="give a checkpoint's folder, a hub id or a built-in model",
                )
            ],
        )
    except (OSError, ValueError) as error:
        return (
            None,
            None,
            [
                Diagnostic(
                    setting="model.path",
                    value=path,
                    why=f"config.json cannot be read: {error}",
                    fix="fetch the checkpoint again",
                )
            ],
        )


def _hub(hub_id: str) -> tuple[ModelInfo | None, Path | None, list[Diagnostic]]:
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(hub_id, "config.json")
    if isinstance(cached, str):
        place = Path(cached)
        return from_config(json.loads(place.read_text()), hub_id), place.parent, []
    why = (
        "no folder here and not in the local hub cache: its context length, memory and parallelism stay unchecked "
        "until it is downloaded"
    )
    return (
        None,
        None,
        [Diagnostic(setting="model.path", value=hub_id, why=why, fix="download it before the run", severity="warning")],
    )


def check(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check the model and the engines that run it."""
    if context.model_folder is not None:
        yield from _folder(context, context.model_folder)
    if context.model is not None:
        yield from _lengths(context, context.model)
        yield from _parallelism(context, context.model)
        yield from _window(context, context.model)
        yield from adapters(context.config.model.lora, context.model)
    yield from _precision(context)


def _folder(context: PreflightContext, folder: Path) -> Iterator[Diagnostic]:
    path = context.config.model.path
    pickles = sorted(file.name for pattern in PICKLED for file in folder.glob(pattern))
    if not [*folder.glob("*.safetensors"), *pickles]:
        yield Diagnostic(
            setting="model.path",
            value=path,
            why="the folder has no weights (*.safetensors)",
            fix="fetch the checkpoint again",
        )
    elif pickles and not [*folder.glob("*.safetensors")]:
        yield Diagnostic(
            setting="model.path",
            value=path,
            why=f"its weights are pickles ({', '.join(pickles[:3])}), and loading a pickle can run any program",
            fix="convert them to safetensors: AutoModelForCausalLM.from_pretrained(OLD).save_pretrained(NEW) on a machine "
            "that may run them",
        )
    if not any(
        (folder / name).is_file()
        for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
    ):
        yield Diagnostic(
            setting="model.path",
            value=path,
            why="the folder has no tokenizer",
            fix="copy tokenizer.json and tokenizer_config.json next to the weights",
        )
    elif not _has_chat_template(folder):
        why = "the tokenizer has no chat template: verl would find every prompt too long and train on nothing"
        yield Diagnostic(setting="model.path", value=path, why=why, fix="add chat_template.jinja to the folder")
    settings = json.loads((folder / "config.json").read_text())
    if settings.get("auto_map") and not context.config.model.trust_remote_code:
        why = "the checkpoint brings its own Python code (auto_map in config.json)"
        yield Diagnostic(setting="model.trust_remote_code", value=False, why=why, fix="read that code, then set true")


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template"))
    except (OSError, ValueError):
        return False


def _lengths(context: PreflightContext, model: ModelInfo) -> Iterator[Diagnostic]:
    prompt, response = context.config.longest_prompt, context.config.rollout.max_response_tokens
    if prompt >= model.max_positions:
        yield Diagnostic(
            setting="data.max_prompt_tokens",
            value=prompt,
            why=f"the model reads {model.max_positions} tokens in all",
            fix=f"set less than {model.max_positions}",
        )
    elif prompt + response > model.max_positions:
        yield Diagnostic(
            setting="rollout.max_response_tokens",
            value=response,
            why=f"with data.max_prompt_tokens = {prompt} it exceeds the model's {model.max_positions} positions",
            fix=f"set at most {model.max_positions - prompt}",
        )


def _parallelism(context: PreflightContext, model: ModelInfo) -> Iterator[Diagnostic]:
    parallel = context.config.rollout.tensor_parallel
    key = "rollout.tensor_parallel"
    if context.platform == "cpu" and model.head_dim not in CPU_HEAD_SIZES:
        yield Diagnostic(
            setting="model.path",
            value=context.config.model.path,
            why=f"vLLM's CPU attention has no kernel for head_dim {model.head_dim}",
            fix=f"take a model with one of {CPU_HEAD_SIZES}",
        )
    if parallel == 1:
        return
    if context.platform == "cpu":
        yield Diagnostic(
            setting=key, value=parallel, why="a CPU run keeps each rollout replica in one process", fix="set 1"
        )
        return
    if context.workers % parallel:
        yield Diagnostic(
            setting=key,
            value=parallel,
            why=f"does not divide the run's {context.workers} accelerators",
            fix="set a divisor",
        )
    if model.heads % parallel:
        yield Diagnostic(
            setting=key,
            value=parallel,
            why=f"does not divide the model's {model.heads} attention heads",
            fix="set a divisor",
        )
    elif model.kv_heads % parallel and parallel % model.kv_heads:
        yield Diagnostic(
            setting=key,
            value=parallel,
            why=f"neither divides the model's {model.kv_heads} key-value heads nor is a multiple of them",
            fix="set a divisor",
        )


def adapters(lora: Lora, model: ModelInfo) -> Iterator[Diagnostic]:
    """Check the adapters of a run against its model.

    Args:
        lora: The section `model.lora`.
        model: The model.
    """
    if not lora.rank:
        if lora.target_modules:
            why = "without adapters there is nothing to choose: model.lora.rank = 0 trains all weights"
            value = list(lora.target_modules)
            yield Diagnostic(setting="model.lora.target_modules", value=value, why=why, fix="set model.lora.rank")
        return
    if model.is_moe:
        yield Diagnostic(
            setting="model.lora.rank",
            value=lora.rank,
            why="the experts of a mixture are stacked parameters, not linear layers, and would get no adapter",
            fix="set 0, or take a dense model",
        )
    if lora.rank >= model.hidden:
        why = f"adapters of this rank have as many parameters as the layers themselves, which are {model.hidden} wide"
        yield Diagnostic(setting="model.lora.rank", value=lora.rank, why=why, fix="set 8 to 64")


def _window(context: PreflightContext, model: ModelInfo) -> Iterator[Diagnostic]:
    longest = context.config.longest_prompt + context.config.rollout.max_response_tokens
    if context.platform != "cpu" or model.attention_window is None or longest <= model.attention_window:
        return
    window = model.attention_window
    seen = f"windows of {window} tokens" if window else "a recurrent state"
    yield Diagnostic(
        setting="model.path",
        value=context.config.model.path,
        why=f"its attention sees {seen}, and on a CPU the responses of a group share one row, where it would see other tokens",
        fix="take a model with full attention"
        + (f", set data.max_prompt_tokens + rollout.max_response_tokens to at most {window}" if window else "")
        + ", or train on CUDA",
    )


def slow_bfloat16(machine: Machine, training: str, rollout: str = "") -> Iterator[Diagnostic]:
    """Yield a warning where a processor without bfloat16 instructions computes in bfloat16.

    Args:
        machine: The machine whose processor computes.
        training: Number format of training.
        rollout: Number format of the rollout engine.
    """
    if "bfloat16" in (training, rollout) and not machine.native_bfloat16:
        key = "model.dtype" if training == "bfloat16" else "rollout.dtype"
        yield Diagnostic(
            setting=key,
            value="bfloat16",
            why="this CPU has no bfloat16 instructions: minutes where float32 takes seconds",
            fix="set float32",
            severity="warning",
        )


def _precision(context: PreflightContext) -> Iterator[Diagnostic]:
    if context.platform == "cpu":
        yield from slow_bfloat16(context.machine, context.resolved.dtype, context.resolved.rollout_dtype)
    if context.platform == "cpu" and context.resolved.remove_padding:
        yield Diagnostic(
            setting="algorithm.remove_padding",
            value=True,
            why="verl's packed attention needs flash-attention, which CPUs do not have",
            fix="set false",
        )
