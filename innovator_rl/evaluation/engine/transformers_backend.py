"""Answer requests for log-probabilities with transformers.

On a CPU this is two to four times as fast as vLLM for options of one token: one forward pass per question instead of
one per option. For text it is no alternative, because it pads and does not batch continuously.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.requests import OptionRequest, OptionScore, Request, Response

BATCH_TOKENS = 2048  # padded tokens of one forward pass; more costs memory and no time is gained


class TransformersBackend:
    """A model in transformers, in this process."""

    def __init__(self, settings: EngineSettings) -> None:
        import torch
        import transformers

        started = time.monotonic()
        torch.set_num_threads(settings.threads)
        hf: Any = transformers  # its classes carry no types
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        model = hf.AutoModelForCausalLM.from_pretrained(settings.model, dtype=getattr(torch, settings.dtype))
        self._model = model.to(self._device).eval()
        self._settings = settings
        self._load_seconds = time.monotonic() - started

    def describe(self) -> dict[str, Any]:
        """Return versions and settings for the report."""
        import torch
        import transformers

        return {
            "backend": "hf",
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            "platform": self._device,
            "dtype": self._settings.dtype,
            "load_seconds": round(self._load_seconds, 1),
        }

    def answer(self, requests: list[Request]) -> Iterator[tuple[int, Response]]:
        """Yield the index and the log-probability of each request.

        Raises:
            TypeError: A request asks for text.
        """
        rows: dict[tuple[int, ...], list[tuple[int, OptionRequest]]] = defaultdict(list)
        for index, request in enumerate(requests):
            if not isinstance(request, OptionRequest):
                raise TypeError("the hf backend computes log-probabilities only; text needs the backend vllm")
            # All options of one token share the row of their prompt; the logits behind it hold every one of them.
            rows[request.tokens + request.option[:-1]].append((index, request))
        ordered = sorted(rows, key=len, reverse=True)
        while ordered:
            count = max(1, BATCH_TOKENS // len(ordered[0]))
            batch, ordered = ordered[:count], ordered[count:]
            yield from self._pass(batch, rows)

    def _pass(
        self, batch: list[tuple[int, ...]], rows: dict[tuple[int, ...], list[tuple[int, OptionRequest]]]
    ) -> Iterator[tuple[int, Response]]:
        import torch

        width = len(batch[0])
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for place, tokens in enumerate(batch):  # padded on the right: a causal model does not look there
            ids[place, : len(tokens)] = torch.tensor(tokens)
            mask[place, : len(tokens)] = 1
        keep = max(len(request.option) + width - len(tokens) for tokens in batch for _, request in rows[tokens])
        with torch.inference_mode():
            output = self._model(
                input_ids=ids.to(self._device), attention_mask=mask.to(self._device), logits_to_keep=keep
            )
        logits = output.logits
        for place, tokens in enumerate(batch):
            for index, request in rows[tokens]:
                end = len(tokens) - width + keep
                part = torch.log_softmax(logits[place, end - len(request.option) : end].float(), dim=-1).cpu()
                option = torch.tensor(request.option)
                total = float(part.gather(1, option.unsqueeze(1)).sum())
                yield index, OptionScore(total, bool((part.argmax(dim=-1) == option).all()))
