"""Build the tokenizer of the tiny models: one token per byte, and ChatML tokens.

Token id b is byte b, so any text round-trips and nothing has to be trained or downloaded. The reserved tokens fill the
vocabulary to a multiple of 32: a random model samples every id, and an id without a token could not be decoded.
"""

from typing import Any

BYTES = 256
VOCABULARY = 288
SPECIAL_TOKENS: dict[str, int] = {"<|endoftext|>": 256, "<|im_start|>": 257, "<|im_end|>": 258}
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_symbols() -> list[str]:
    """Return the printable character of each byte in byte-level BPE (GPT-2's table).

    Printable Latin-1 characters stand for themselves; the others take the code points from 256 on.
    """
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(BYTES, 2 * BYTES))
    return [chr(byte) if byte in own else chr(next(others)) for byte in range(BYTES)]


def byte_tokenizer() -> Any:
    """Return a `PreTrainedTokenizerFast` of 288 tokens with a ChatML template."""
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    hf: Any = transformers  # its classes carry no constructor types

    backend = Tokenizer(models.BPE(vocab={symbol: byte for byte, symbol in enumerate(byte_symbols())}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    reserved = [f"<|reserved_{index}|>" for index in range(VOCABULARY - BYTES - len(SPECIAL_TOKENS))]
    backend.add_special_tokens([AddedToken(token, special=True) for token in [*SPECIAL_TOKENS, *reserved]])
    assert backend.get_vocab_size() == VOCABULARY
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )
