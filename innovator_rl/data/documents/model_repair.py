"""Ask a language model behind an OpenAI-compatible endpoint to repair one formula of a passage."""

from __future__ import annotations

import os

from innovator_rl.data.corpus.optional import require
from innovator_rl.data.documents.formulas import Rewrite

INSTRUCTION = (
    "One LaTeX formula in the passage does not parse. Repair that formula with the fewest changes. "
    "Answer with the whole passage and nothing else; copy everything outside the formula exactly."
)
RETRIES = 2


def openai_rewriter(base_url: str, model: str, timeout: float) -> Rewrite:
    """Return a function that sends a passage to a model and returns its answer.

    An endpoint that fails or answers nonsense costs that formula its repair and nothing else: the function then returns an
    empty answer, which `formulas.repair_formulas` refuses and counts.

    Args:
        base_url: Address of the API, for example `http://localhost:8000/v1`.
        model: Name of the model.
        timeout: Seconds for one answer; a failed request is repeated twice.

    Raises:
        UserError: when the package openai is not installed.
    """
    openai = require("openai", "openai", "repairing formulas with a language model")
    key = os.environ.get("OPENAI_API_KEY", "none")
    client = openai.OpenAI(base_url=base_url, api_key=key, timeout=timeout, max_retries=RETRIES)

    def rewrite(passage: str) -> str:
        messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": passage}]
        try:
            answer = client.chat.completions.create(model=model, messages=messages, temperature=0.0)
            return str(answer.choices[0].message.content or "")
        except (openai.OpenAIError, ValueError, IndexError, AttributeError, TypeError):
            return ""

    return rewrite
