"""Turn prompts into token ids, exactly as lm-evaluation-harness does for vLLM.

Scores move by tens of points when a template, a leading space or a start token differs, so there is one place for it,
and the report prints the first rendered prompt with its first token ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from innovator_rl.errors import UserError

TOKENIZER_FILES = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken")


class Prompter:
    """The tokenizer of a checkpoint with its chat template."""

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer.

        Raises:
            UserError: The folder has no tokenizer that can be loaded.
        """
        import transformers

        if not any(path.is_file() for pattern in TOKENIZER_FILES for path in folder.glob(pattern)):
            # transformers would make a tokenizer without a vocabulary, and every prompt would be the same
            raise UserError(f"{folder}: tokenizer not found, expected tokenizer.json; copy it next to the weights")
        hf: Any = transformers  # its classes carry no types
        try:
            self.tokenizer: Any = hf.AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # many kinds, none of them documented
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UserError(
                f"{folder}: its tokenizer cannot be loaded ({reason}); fetch the checkpoint again"
            ) from None
        self.name = folder.name

    @property
    def has_template(self) -> bool:
        """Return whether the tokenizer has a chat template."""
        return bool(self.tokenizer.chat_template)

    @property
    def template_hash(self) -> str:
        """Return 12 hexadecimal digits that identify the chat template; empty without one."""
        template = str(self.tokenizer.chat_template or "")
        return hashlib.sha256(template.encode()).hexdigest()[:12] if template else ""

    @property
    def end_text(self) -> str:
        """Return the text of the end token, which is a stop text of every generation."""
        token = self.tokenizer.eos_token_id
        return str(self.tokenizer.decode(token)) if token is not None else ""

    def chat(self, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render messages with the chat template.

        Args:
            messages: `role` and `content` of each turn.
            add_generation_prompt: Whether to open the assistant's turn; otherwise the last message is continued.

        Raises:
            UserError: There is no template, or it cannot render these messages.
        """
        try:
            text = self.tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        except (jinja2.TemplateError, ValueError) as error:  # a template may refuse a role, or have a mistake itself
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UserError(
                f"chat template of {self.name} cannot render a prompt ({reason}): correct it, or give the rows format: raw"
            ) from None
        return str(text)

    @property
    def start_token(self) -> int:
        """Return the token that stands for an empty context."""
        start = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if start is None else start)

    def encode(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the token ids of strings; a start token that a template wrote is not doubled."""
        mark = str(self.tokenizer.decode(self.start_token))
        unique = [text for text in dict.fromkeys(texts) if text]
        ids: dict[str, tuple[int, ...]] = {"": ()}
        ids.update(self._ids([text for text in unique if not text.startswith(mark)]))
        ids.update(self._ids([text for text in unique if text.startswith(mark)], add_special_tokens=False))
        return [ids[text] for text in texts]

    def encode_options(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Return the token ids of each (context, continuation).

        Spaces at the end of a context belong to the continuation, because tokenizers join a space with the word behind
        it. An empty context is the start token.
        """
        split = [len(context.rstrip()) for context, _ in pairs]
        contexts = self.encode([context[:end] for (context, _), end in zip(pairs, split, strict=True)])
        wholes = self.encode([context + option for context, option in pairs])
        alone = self._ids([option for context, option in pairs if not context], add_special_tokens=False)
        found = []
        for (context, option), ids, whole in zip(pairs, contexts, wholes, strict=True):
            if ids:
                found.append((ids, whole[len(ids) :]))
            else:
                own = alone.get(option, whole) if not context else whole
                found.append((own[:1], own[1:]) if own[:1] == (self.start_token,) else ((self.start_token,), own))
        return found

    def _ids(self, texts: list[str], **options: bool) -> dict[str, tuple[int, ...]]:
        if not texts:
            return {}
        ids = self.tokenizer(texts, return_attention_mask=False, **options).input_ids
        return {text: tuple(tokens) for text, tokens in zip(texts, ids, strict=True)}
